//! How long it takes to publish the crates in Cargo's cache to three relays: `publish [JSON FILE]`. Real relays on loopback, in this process; reads,
//! signs, keeps and delivers as `ggen-market publish --all` does.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use ggen_bench::network;
use ggen_bench::relays::config;
use ggen_bench::report::{self, Row};
use ggen_net::P2PConfig;
use ggen_relay::Relay;
use ggen_relay::market::desk::Desk;
use ggen_relay::market::keys::PublisherKey;
use ggen_relay::market::ledger::{self, Locked};
use ggen_relay::market::outbox::{self, Outbox};
use ggen_relay::market::peer;
use ggen_relay::market::publish::{Delivery, Publishers, Publishing};
use ggen_relay::market::survey::{self, Finding};
use ggen_relay::market::work::Proving;
use ggen_shared::id::Handle;

/// Crates that are published.
const CRATES: usize = 600;
const RELAYS: usize = 3;
/// As `ggen-market` does.
const AT_ONCE: usize = 12;
/// What that may take, in seconds.
const GOAL: f64 = 60.0;
/// Far more than it needs.
const DEADLINE: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> Result<()> {
    let crates = crates()?;
    let bytes: u64 = crates.iter().map(|path| Ok(path.metadata()?.len())).sum::<Result<u64>>()?;
    println!("{} crates, {} MB, {}", crates.len(), bytes / 1_000_000, report::load()?);
    let directory = tempfile::tempdir()?;
    let mut relays: Vec<Relay> = Vec::new();
    for number in 0..RELAYS {
        relays.push(Relay::start(config(&directory.path().join(number.to_string()), relays.first())).await?);
    }
    let publishing = publishing(directory.path(), &relays).await?;

    let start = Instant::now();
    let published = futures::stream::iter(&crates).map(async |path| publishing.publish(path).await);
    let delivered = published.buffer_unordered(AT_ONCE).fold(0, async |count, outcome| {
        // Those with build metadata in their version are refused.
        count + usize::from(outcome.is_ok_and(|outcome| matches!(outcome.delivery, Delivery::Taken(_))))
    });
    let delivered = tokio::time::timeout(DEADLINE, delivered).await.context("publishing did not end")?;
    let seconds = start.elapsed().as_secs_f64();
    for relay in &relays {
        let there = relay.shelf().catalogue().records().filter(|record| record.indexed().is_some()).count();
        ensure!(there == delivered, "a relay has {there} of {delivered} releases");
    }
    let measure = format!("{delivered} crates published to {RELAYS} relays");
    let file = std::env::args().nth(1);
    report::publish(&[Row::new(measure, "s", seconds, Some(GOAL), 1)], file.as_deref().map(Path::new))
}

/// Crates in Cargo's cache.
fn crates() -> Result<Vec<PathBuf>> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo"))).context("no home")?;
    let found = survey::below(&home.join("registry/cache"));
    let packages = found.into_iter().filter(|found| matches!(found.finding, Finding::Package(Some(_))));
    let crates: Vec<_> = packages.take(CRATES).map(|found| found.path).collect();
    ensure!(crates.len() == CRATES, "Cargo's cache has {} crates only", crates.len());
    Ok(crates)
}

async fn publishing(directory: &Path, relays: &[Relay]) -> Result<Publishing<peer::Tokio>> {
    let (home, safe) = (directory.join("home"), directory.join("safe"));
    std::fs::create_dir(&safe)?;
    let path = home.join("key");
    let key = PublisherKey::create(&path, &safe.join("next"), Handle::new("bench")?, network(), None, Proving::LEAST)?;
    let ledger = Locked::of(&ledger::path_of(&path))?.read(&key.key_log, &key.network)?;
    let desk = Desk::new(key, ledger, Outbox::open(&outbox::path_of(&path))?, Publishers::new())?;
    let addresses = relays.iter().filter_map(|relay| relay.addresses().into_iter().next()).collect();
    let config = P2PConfig {
        network: network(),
        relays: addresses,
        discover: false,
        connections: relays.len(),
        ..P2PConfig::default()
    };
    let (peer, mut events) = peer::start(config)?;
    let connected = async { while peer.connected().len() < relays.len() && events.next().await.is_some() {} };
    tokio::time::timeout(DEADLINE, connected).await.context("the relays were not reached")?;
    Ok(Publishing::new(desk, peer))
}
