//! A publisher who says something of a version that was released: no command of `ggen-market` does yet.
//!
//! `say-status KEY RELAY SEQ NAME VERSION STATE REASON [INSTEAD]` with a publisher's key, the address of a relay, a number that
//! this publisher has not used here before, one of the states of `ggen_shared::record::State`, a reason that may be empty, and the name of
//! another package of the same publisher.

use anyhow::{Context, bail};
use ggen_relay::market::keys::PublisherKey;
use ggen_shared::id::PackageId;
use ggen_shared::limits::BASE_QUOTA;
use ggen_shared::record::{Record, State, Status, sign};
use ggen_tests::offer::offer;

const STATES: [State; 4] = [State::Active, State::Deprecated, State::Yanked, State::Retracted];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [key, relay, seq, name, version, state, reason, instead @ ..] = &arguments[..] else {
        bail!("usage: say-status KEY RELAY SEQ NAME VERSION STATE REASON [INSTEAD]");
    };
    let key = PublisherKey::load(key.as_ref())?;
    let publisher = key.key_log.publisher();
    let instead = instead.first().map(|name| name.parse().map(|name| PackageId { publisher, name })).transpose()?;
    let seq: u32 = seq.parse()?;
    let status = Status {
        publisher,
        signed_under: key.key_log.head(),
        // Releases use indices from below.
        index: (BASE_QUOTA - 1).checked_sub(seq).context("too high a number")?,
        name: name.parse()?,
        version: version.parse()?,
        seq: seq.into(),
        state: *STATES.iter().find(|known| known.as_str() == state).context("no such state")?,
        reason: reason.clone(),
        instead,
    };
    let status = Record::Status(Box::new(sign(status, &key.signing, &key.network)?));
    offer(&key, relay, [status]).await
}
