//! What a sync costs with all packages of Debian, and how long relays take that lose announcements: `sync [JSON FILE]`. Real relays on
//! loopback; prints a table. Bytes are those of questions and answers, without what the transport adds.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ggen_bench::relays::config;
use ggen_bench::report::{self, Row};
use ggen_bench::{debian, records};
use ggen_relay::{Cost, Relay};
use ggen_shared::record::Record;
use ggen_tests::converge::converge;

/// Records that are handed to a relay at once when it is filled.
const AT_ONCE: usize = 1000;
/// Records in which two relays differ: so many each lacks half of.
const DIFFERING: usize = 10;
/// Packages that are published while announcements are lost, and the seed of what is lost.
const PUBLICATIONS: usize = 2000;
const SEED: u64 = 0x0067_6765_6e00_0002;
/// Far more than any of it needs.
const DEADLINE: Duration = Duration::from_secs(1800);

#[tokio::main]
async fn main() -> Result<()> {
    let (_, mut all) = records(&debian()?);
    let differing = all.split_off(all.len() - DIFFERING);
    let bytes = |records: &[Record]| records.iter().map(|record| record.bytes().len() as u64).sum::<u64>();
    let (count, record_bytes) = (all.len() as u64, bytes(&all));
    println!("{count} records, {} kB", record_bytes / 1000);
    let mut rows = Vec::new();

    let directories = [tempfile::tempdir()?, tempfile::tempdir()?];
    let first = Relay::start(config(directories[0].path(), None)).await?;
    for some in all.chunks(AT_ONCE) {
        first.shelf().admit(some.to_vec(), Vec::new()).await?;
    }
    let start = Instant::now();
    let second = Relay::start(config(directories[1].path(), Some(&first))).await?;
    equal(&first, &second).await?;
    let took = start.elapsed();
    let cost = settled(&second).await?;
    ensure!(cost.records == count, "{} records came, each was to come once", cost.records);
    let ratio = (cost.sent + cost.received) as f64 / record_bytes as f64;
    println!("a new relay: {cost:?}");
    rows.push(Row::new("a new relay gets all records: bytes to theirs", "×", ratio, Some(1.15), 1));
    rows.push(Row::new("a new relay gets all records", "s", took.as_secs_f64(), None, 1));

    // Each gets what the other one lacks, behind the back of gossip.
    let (half, other_half) = differing.split_at(DIFFERING / 2);
    let before = [settled(&first).await?, settled(&second).await?];
    first.shelf().admit(half.to_vec(), Vec::new()).await?;
    second.shelf().admit(other_half.to_vec(), Vec::new()).await?;
    let start = Instant::now();
    equal(&first, &second).await?;
    let took = start.elapsed();
    let after = [settled(&first).await?, settled(&second).await?];
    let spent = |what: fn(&Cost) -> u64| (0..2).map(|at| what(&after[at]) - what(&before[at])).sum::<u64>();
    ensure!(spent(|cost| cost.records) == DIFFERING as u64, "each record was to come once");
    let kilobytes = spent(|cost| cost.sent + cost.received) as f64 / 1000.0;
    rows.push(Row::new("two relays that differ in 10 records agree", "kB", kilobytes, Some(64.0), 1));
    rows.push(Row::new("of that, the records", "kB", bytes(&differing) as f64 / 1000.0, None, 1));
    rows.push(Row::new("two relays that differ in 10 records agree in", "s", took.as_secs_f64(), None, 1));

    first.stop().await;
    second.stop().await;

    let outcome = converge(PUBLICATIONS, SEED).await;
    println!("relays that lose announcements: {outcome:?}");
    let seconds = outcome.converging.as_secs_f64();
    rows.push(Row::new("five relays, 30 % of gossip lost: equal after the last of 2,000", "s", seconds, Some(30.0), 1));

    report::publish(&rows, std::env::args().nth(1).as_deref().map(Path::new))
}

/// Waits until two relays hold the same: it is looked at whenever one of them says that it came further.
async fn equal(one: &Relay, other: &Relay) -> Result<()> {
    // Counted first: to hash what changed, again and again while they sync, would cost more than the sync.
    let count = |relay: &Relay| relay.shelf().catalogue().record_count();
    let root = |relay: &Relay| {
        let map = relay.shelf().catalogue().map().clone();
        map.root()
    };
    let (mut here, mut there) = (one.progress().clone(), other.progress().clone());
    let same = async {
        while count(one) != count(other) || root(one) != root(other) {
            tokio::select! {
                changed = here.changed() => changed?,
                changed = there.changed() => changed?,
            }
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(DEADLINE, same).await.context("the relays did not come to hold the same")?
}

/// What syncs of a relay have cost, once none of them runs.
async fn settled(relay: &Relay) -> Result<Cost> {
    let mut progress = relay.progress().clone();
    Ok(progress.wait_for(|progress| progress.running == 0).await?.cost)
}
