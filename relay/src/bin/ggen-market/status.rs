//! `ggen-market status`: how a publisher stands, here and at relays.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Result;
use ggen_net::light::LightPeer;
use ggen_relay::causes;
use ggen_relay::market::keys::StoredKey;
use ggen_relay::market::ledger::{self, Extent};
use ggen_relay::market::outbox::{self, Outbox, Waiting};
use ggen_relay::market::peer::Tokio;
use ggen_shared::id::RecordId;
use ggen_shared::limits::MAX_RECORDS_PER_REQUEST;
use ggen_shared::protocol::query::{KeyLogOf, Records};
use ggen_shared::record::{KeyLog, UnverifiedRecord};
use ggen_shared::search::verified::verify_key_log;
use libp2p::PeerId;
use serde_json::{Value, json};

use crate::own::Own;
use crate::peers::{Seen, look};
use crate::report::WAITING;

#[derive(clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    own: Own,
}

/// What a relay knows of a publisher.
enum Standing {
    Unreached,
    Unknown,
    /// It has the key log that is here.
    Current,
    /// It has fewer rotations.
    Behind,
    /// It has a rotation that is not here.
    Ahead,
    /// Two rotations contradict each other.
    Frozen,
    Refused(String),
}

/// A relay, and how the publisher stands there.
struct Row {
    seen: Seen,
    standing: Standing,
    /// What waits and is not there; None: it does not say.
    lacks: Option<Vec<RecordId>>,
}

/// Exit code 0: all is well; 1: a relay knows of a rotation that the key here lacks, or of two; 2: there is no key; 3: something waits for
/// a relay, or for another one beside the one that has it.
pub(crate) async fn run(Status { own }: Status) -> Result<ExitCode> {
    let is_json = own.is_json();
    let path = own.key_path();
    let key = StoredKey::read(&path)?;
    let ledger = ledger::extent(&ledger::path_of(&path), &key.key_log, &key.network)?;
    let waiting = Outbox::at(&outbox::path_of(&path)).list()?;
    let mut relays = Vec::new();
    if own.relays().are_named() {
        let (peer, _) = own.into_relays().try_to_connect(key.network.clone()).await?;
        for seen in look(&peer).await {
            let standing = standing(&peer, &key, &seen).await;
            let lacks = lacking(&peer, &waiting, seen.connection.peer).await;
            relays.push(Row { seen, standing, lacks });
        }
    }
    if is_json {
        println!("{:#}", json_of(&key, &ledger, &waiting, &relays));
    } else {
        print(&key, &ledger, &waiting, &relays);
    }
    let is_bad = relays.iter().any(|row| matches!(row.standing, Standing::Ahead | Standing::Frozen));
    Ok(match (is_bad || key.key_log.is_frozen(), waiting.is_empty()) {
        (true, _) => ExitCode::from(1),
        (false, false) => ExitCode::from(WAITING),
        (false, true) => ExitCode::SUCCESS,
    })
}

async fn standing(peer: &LightPeer<Tokio>, key: &StoredKey, seen: &Seen) -> Standing {
    let relay = seen.connection.peer;
    if !peer.connected().contains(&relay) {
        return Standing::Unreached;
    }
    let question = KeyLogOf { publisher: key.key_log.publisher() };
    let answer = match peer.ask(relay, question.clone()).await {
        Ok(answer) => answer,
        Err(error) => return Standing::Refused(causes::of(&error)),
    };
    match verify_key_log(&question, &answer, &key.network) {
        Ok(theirs) => theirs.map_or(Standing::Unknown, |theirs| compared(&key.key_log, &theirs)),
        Err(error) => Standing::Refused(causes::of(&error)),
    }
}

/// What waits and a relay does not show. What it shows it has: a record is what its id says.
async fn lacking(peer: &LightPeer<Tokio>, waiting: &[Waiting], relay: PeerId) -> Option<Vec<RecordId>> {
    let mut lacks: Vec<RecordId> = waiting.iter().map(|waiting| waiting.id).collect();
    if !peer.connected().contains(&relay) {
        return None;
    }
    for ids in waiting.chunks(MAX_RECORDS_PER_REQUEST) {
        let question = Records { ids: ids.iter().map(|waiting| waiting.id).collect() };
        let answer = peer.ask(relay, question).await.ok()?;
        let shown =
            answer.records.iter().flatten().filter_map(|record| Some(UnverifiedRecord::decode(record).ok()?.id()));
        let shown: BTreeSet<RecordId> = shown.collect();
        lacks.retain(|id| !shown.contains(id));
    }
    Some(lacks)
}

fn compared(ours: &KeyLog, theirs: &KeyLog) -> Standing {
    if theirs.is_frozen() {
        return Standing::Frozen;
    }
    match theirs.rotations().count().cmp(&ours.rotations().count()) {
        std::cmp::Ordering::Less => Standing::Behind,
        std::cmp::Ordering::Equal if theirs.head() == ours.head() => Standing::Current,
        _ => Standing::Ahead,
    }
}

impl Standing {
    const fn name(&self) -> &'static str {
        match self {
            Self::Unreached => "unreached",
            Self::Unknown => "unknown",
            Self::Current => "current",
            Self::Behind => "behind",
            Self::Ahead => "ahead",
            Self::Frozen => "frozen",
            Self::Refused(_) => "refused",
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Unreached => "is not reached".into(),
            Self::Unknown => "does not know this publisher yet".into(),
            Self::Current => "has the key log that is here".into(),
            Self::Behind => "lacks a rotation that is here: ggen-market key send".into(),
            Self::Ahead => "knows of a rotation that is not here: use the key file that it was made with".into(),
            Self::Frozen => "knows of two rotations that contradict each other: make a new key".into(),
            Self::Refused(reason) => format!("does not say: {reason}"),
        }
    }
}

fn print(key: &StoredKey, ledger: &Extent, waiting: &[Waiting], relays: &[Row]) {
    let (log, Extent { releases, statuses, next_index }) = (&key.key_log, ledger);
    println!("publisher  {}~{}", log.handle(), log.publisher().fingerprint());
    println!("network    {}", key.network.as_str());
    println!(
        "key        {}encrypted, rotated {} times",
        if key.is_encrypted() { "" } else { "not " },
        log.rotations().count()
    );
    println!("signed     {releases} releases, {statuses} statuses; {next_index} of {} indices are used", log.quota());
    match waiting.len() {
        0 => println!("waiting    nothing"),
        count => println!("waiting    {count} records, which are delivered by: ggen-market send"),
    }
    for Row { seen, standing, lacks } in relays {
        println!("relay      {} {}", seen.address(), standing.words());
        if let Some(lacks) = lacks.as_ref().filter(|lacks| !lacks.is_empty()) {
            println!("           lacks {} of what waits", lacks.len());
        }
    }
}

fn json_of(key: &StoredKey, ledger: &Extent, waiting: &[Waiting], relays: &[Row]) -> Value {
    let (log, Extent { releases, statuses, next_index }) = (&key.key_log, ledger);
    let relays = relays.iter().map(|Row { seen, standing, lacks }| {
        let mut row = seen.json();
        row["standing"] = json!(standing.name());
        let ids = |lacks: &Vec<RecordId>| lacks.iter().map(ToString::to_string).collect::<Vec<_>>();
        row["lacks"] = json!(lacks.as_ref().map(ids));
        row
    });
    json!({
        "publisher": log.publisher().to_string(),
        "handle": log.handle().to_string(),
        "full_name": format!("{}~{}", log.handle(), log.publisher().fingerprint()),
        "network": key.network.as_str(),
        "encrypted": key.is_encrypted(),
        "rotations": log.rotations().count(),
        "frozen": log.is_frozen(),
        "releases": releases,
        "statuses": statuses,
        "indices_used": next_index,
        "quota": log.quota(),
        "waiting": waiting.iter().map(|waiting| waiting.id.to_string()).collect::<Vec<_>>(),
        "relays": relays.collect::<Vec<_>>(),
    })
}
