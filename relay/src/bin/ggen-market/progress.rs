//! How a download goes: a bar at a terminal, and who sent what of it.

use std::collections::BTreeMap;
use std::time::Duration;

use ggen_net::bitswap::{self, NoBlocks, NoGateways};
use ggen_net::light::{FetchError, LightPeer};
use ggen_relay::holes::Way;
use ggen_relay::market::peer::Tokio;
use ggen_shared::record::Content;
use indicatif::{ProgressBar, ProgressStyle};
use libp2p::PeerId;
use serde_json::{Value, json};
use tokio::time::Instant;

/// A bar for so many bytes, with a message behind it.
pub(crate) fn bar(bytes: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes} {msg}").expect("a template of known keys");
    ProgressBar::new(bytes).with_style(style)
}

/// A bar for the tries that it takes on the average to prove a level of work. It may take some times as many.
pub(crate) fn tries(level: u8) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} proof of work: {pos} tries of about {len}, {elapsed}");
    ProgressBar::new(1 << level).with_style(style.expect("a template of known keys"))
}

/// How content came.
#[derive(Debug, Default)]
pub(crate) struct Came {
    /// When the first block did, and all of it, since it was asked for.
    first: Duration,
    all: Duration,
    from: BTreeMap<PeerId, From>,
}

/// What came from one peer.
#[derive(Debug, Default)]
struct From {
    /// How it was connected at the end. None: it was not any more.
    way: Option<Way>,
    /// Blocks by how it was connected when they came.
    blocks: BTreeMap<Way, usize>,
}

impl Came {
    /// `first_block_seconds`, `seconds`, and of each peer in `from` its id, the way to it at the end (`direct`, `relayed` or null) and
    /// how many blocks came by which way.
    pub(crate) fn json(&self) -> Value {
        let from = self.from.iter().map(|(peer, from)| {
            let count = |way| from.blocks.get(&way).copied().unwrap_or_default();
            json!({
                "peer": peer.to_string(),
                "way": from.way.map(Way::name),
                "blocks": { Way::Direct.name(): count(Way::Direct), Way::Relayed.name(): count(Way::Relayed) },
            })
        });
        json!({
            "first_block_seconds": self.first.as_secs_f64(),
            "seconds": self.all.as_secs_f64(),
            "from": from.collect::<Vec<_>>(),
        })
    }

    /// A sentence for each peer.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = String> {
        self.from.iter().map(|(peer, From { blocks, .. })| {
            let (all, relayed) =
                (blocks.values().sum::<usize>(), blocks.get(&Way::Relayed).copied().unwrap_or_default());
            match relayed {
                0 => format!("{all} blocks from {peer}"),
                _ if relayed == all => format!("{all} blocks from {peer} through a relay"),
                _ => format!("{all} blocks from {peer}, the first {relayed} through a relay"),
            }
        })
    }
}

/// Fetches content, and adds what has come of it to a bar; all of it if it ends well.
///
/// # Errors
/// [`FetchError`]. What was added stays.
pub(crate) async fn fetch(
    peer: &LightPeer<Tokio>,
    content: Content,
    bar: &ProgressBar,
) -> Result<(Vec<u8>, Came), FetchError> {
    let mut shown = 0;
    let mut show = |done: u64| {
        bar.inc(done.saturating_sub(shown));
        shown = shown.max(done);
    };
    let (began, ways) = (Instant::now(), peer.platform().ways());
    let mut came = Came::default();
    let fetched = peer
        .fetch_with(content, (&NoBlocks, &NoGateways), |event| match event {
            bitswap::Event::Progress(progress) => show(progress.done),
            bitswap::Event::Delivered(from) => {
                if came.from.is_empty() {
                    came.first = began.elapsed();
                }
                // Who sent a block and is gone already was connected somehow: a circuit ends sooner than other connections.
                let way = ways.of(&from).unwrap_or(Way::Relayed);
                *came.from.entry(from).or_default().blocks.entry(way).or_default() += 1;
            }
            bitswap::Event::Dropped(_) | bitswap::Event::Late(_) => {}
        })
        .await?;
    came.all = began.elapsed();
    for (peer, from) in &mut came.from {
        from.way = ways.of(peer);
    }
    show(content.size);
    Ok((fetched, came))
}
