//! What light clients cost a relay: `clients [JSON FILE] [COUNT]`. Two thousand of them, native ones, are connected to one relay by TCP, then by
//! WebSocket; each hears announcements and asks something every ten seconds. What is published goes to another relay. Prints a table.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::StreamExt;
use futures::future::join_all;
use ggen_bench::report::{self, Row, quantile};
use ggen_net::P2PConfig;
use ggen_net::light::{Event, LightPeer};
use ggen_relay::market::peer::{self, Tokio};
use ggen_shared::id::RecordId;
use ggen_shared::protocol::query::Search;
use ggen_tests::process::RelayProcess;
use ggen_tests::{EPOCH, Publisher, TestPeer, http, network, until, within};
use libp2p::Multiaddr;

/// Clients, and those that connect at once.
const CLIENTS: usize = 2000;
const AT_ONCE: usize = 40;
/// Between two questions of one client.
const PAUSE: Duration = Duration::from_secs(10);
/// Announcements, and the pause before each.
const ANNOUNCEMENTS: usize = 20;
const ANNOUNCEMENT_PAUSE: Duration = Duration::from_millis(1500);
/// What may still come once the last one was made.
const PATIENCE: Duration = Duration::from_secs(5);

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next();
    let count = arguments.next().map_or(Ok(CLIENTS), |count| count.parse())?;
    let mut rows = Vec::new();
    for (name, is_websocket, goal) in [("TCP", false, 100.0), ("WebSocket", true, 130.0)] {
        println!("{name}: {}", report::load()?);
        let new = measure(name, is_websocket, goal, count).await?;
        report::publish(&new, None)?;
        rows.extend(new);
    }
    println!();
    report::publish(&rows, file.as_deref().map(Path::new))
}

/// When each announcement was made, and when it came to whom.
type Heard = Arc<Mutex<Vec<(RecordId, Instant)>>>;

async fn measure(name: &str, is_websocket: bool, goal: f64, count: usize) -> Result<Vec<Row>> {
    let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let other = RelayProcess::start(first.path()).await;
    let relay = RelayProcess::joined(second.path(), &[other.tcp()]).await;
    let address = if is_websocket { relay.websocket() } else { relay.tcp() };
    until("the relays' meeting", async || {
        let routing = http::get(relay.http(), "/.well-known/ggen/relay.json").await.json();
        routing["anchors"].as_array().is_some_and(|anchors| !anchors.is_empty()).then_some(())
    })
    .await;
    let publishing = TestPeer::at(&[other.tcp()]).await;
    let mut publisher = Publisher::new(1);
    // So that all know the publisher: a key log is asked for once.
    let package = publisher.release("drilled", "0.0.1", "what is searched for", b"content");
    within("the receipt", package.publish(&publishing, other.peer_id())).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;

    let before = relay.resident_bytes();
    let heard = Heard::default();
    let mut clients = Vec::new();
    for some in (0..count).collect::<Vec<_>>().chunks(AT_ONCE) {
        clients.extend(join_all(some.iter().map(|_| connect(&address, heard.clone()))).await);
    }
    let connected = relay.resident_bytes().saturating_sub(before);
    let (start, cpu) = (Instant::now(), cpu_of(&relay)?);
    let asking: Vec<_> = clients
        .iter()
        .enumerate()
        .map(|(number, client)| {
            let (client, relay) = (client.clone(), relay.peer_id());
            let first = PAUSE * u32::try_from(number).unwrap_or_default() / u32::try_from(count).unwrap_or(1);
            tokio::spawn(async move {
                tokio::time::sleep(first).await;
                let mut times = Vec::new();
                loop {
                    let search = Search { text: "drilled".into(), limit: 10, ..Search::default() };
                    let asked = Instant::now();
                    if client.ask(relay, search).await.is_ok() {
                        times.push(asked.elapsed().as_secs_f64() * 1000.0);
                    }
                    if asked.duration_since(start) + PAUSE > ANNOUNCEMENT_PAUSE * ANNOUNCEMENTS as u32 {
                        return times;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            })
        })
        .collect();
    // The first is of a publisher whom nobody knows: each asks for the key log.
    let mut sent = HashMap::new();
    let mut most = connected;
    for number in 0..=ANNOUNCEMENTS {
        let package = publisher.release("drilled", &format!("1.0.{number}"), "announced to everybody", b"content");
        if number > 0 {
            sent.insert(package.release.id(), Instant::now());
        }
        within("the receipt", package.publish(&publishing, other.peer_id())).await?;
        tokio::time::sleep(ANNOUNCEMENT_PAUSE).await;
        most = most.max(relay.resident_bytes().saturating_sub(before));
    }
    tokio::time::sleep(PATIENCE).await;
    let busy = (cpu_of(&relay)? - cpu) / start.elapsed().as_secs_f64();
    let mut asked = Vec::new();
    for times in asking {
        asked.extend(times.await?);
    }
    let heard = heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut times: Vec<f64> =
        heard.iter().filter_map(|(id, at)| Some(at.duration_since(*sent.get(id)?).as_secs_f64() * 1000.0)).collect();
    let reach = times.len() as f64 / (count * ANNOUNCEMENTS) as f64;
    ensure!(!asked.is_empty() && !times.is_empty(), "nothing was answered, or nothing heard");
    let of = |what: &str| format!("{count} clients by {name}: {what}");
    let each = |bytes: u64| bytes as f64 / 1000.0 / count as f64;
    let (questions, deliveries) = (asked.len(), times.len());
    Ok(vec![
        Row::new(of("a relay's memory for one, connected"), "kB", each(connected), None, 1),
        Row::new(of("a relay's memory for one, at most"), "kB", each(most), Some(goal), 1),
        Row::new(of("cores that the relay took"), "cores", busy, None, 1),
        Row::new(of("questions answered, p50"), "ms", quantile(&mut asked, 0.5), None, questions),
        Row::new(of("questions answered, p99"), "ms", quantile(&mut asked, 0.99), None, questions),
        Row::new(of("announcements heard"), "share", reach, Some(1.0), deliveries),
        Row::new(of("announcements, p50"), "ms", quantile(&mut times, 0.5), None, deliveries),
        Row::new(of("announcements, p99"), "ms", quantile(&mut times, 0.99), Some(2000.0), deliveries),
    ])
}

/// A client that is connected, and notes what it hears.
async fn connect(relay: &Multiaddr, heard: Heard) -> LightPeer<Tokio> {
    let config = P2PConfig {
        network: network(),
        epoch: EPOCH,
        relays: vec![relay.clone()],
        discover: false,
        ..P2PConfig::default()
    };
    let (client, mut events) = peer::start(config).expect("the system's DNS configuration can be read");
    tokio::spawn(async move {
        while let Some(event) = events.next().await {
            if let Event::Announced { release, .. } = event {
                heard.lock().unwrap_or_else(PoisonError::into_inner).push((release.id(), Instant::now()));
            }
        }
    });
    until("a connection", async || (!client.connected().is_empty()).then_some(())).await;
    client
}

/// Seconds of all cores that a relay has used.
fn cpu_of(relay: &RelayProcess) -> Result<f64> {
    report::cpu_time_of(&relay.process_id().to_string())
}
