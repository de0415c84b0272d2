//! All relays of a network are restarted, one after the other, while people publish, ask, download and listen: nothing is lost.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::StreamExt;
use ggen_net::{News, P2PRegistry};
use ggen_relay::Config;
use ggen_relay::config::Listen;
use ggen_shared::id::RecordId;
use ggen_shared::registry::{Registry, SearchOptions};
use ggen_tests::provider::bytes;
use ggen_tests::{Publisher, TestPeer, TestRelay, drill, http, until, within};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::sync::watch;

const RELAYS: u8 = 3;
/// Publications that relays acknowledge before the first one is restarted, between two, and after the last.
const BETWEEN: usize = 15;
/// Publications while a relay is away: more than gossip would tell it afterwards.
const AWAY: usize = 60;
/// How often something is published and asked: a busy day.
const PACE: Duration = Duration::from_millis(50);
/// Of a package that is downloaded again and again.
const CONTENT_BYTES: usize = 5_000_000;

/// Where a relay listens, so that it is to be found there again.
fn places(relay: &TestRelay) -> Vec<Multiaddr> {
    let of_the_socket = |part: &Protocol<'_>| !matches!(part, Protocol::P2p(_) | Protocol::Certhash(_));
    relay.relay().addresses().iter().map(|address| address.iter().take_while(of_the_socket).collect()).collect()
}

fn serving_http(config: &mut Config) {
    config.http = Some(([127, 0, 0, 1], 0).into());
}

/// As the operator of a relay does it: the next one is begun when this one is ready. `meanwhile` is how long it takes.
async fn restart(mut relay: TestRelay, others: Vec<Multiaddr>, meanwhile: impl Future<Output = ()>) -> TestRelay {
    let listen = places(&relay);
    relay.stop().await;
    meanwhile.await;
    let relay = relay
        .restarted(|config| {
            serving_http(config);
            (config.listen, config.bootstrap) = (Listen { addresses: listen, all: true }, others);
        })
        .await;
    let http = relay.relay().http().unwrap();
    until("the relay is ready", async || (http::get(http, "/readyz").await.status == 200).then_some(())).await;
    relay
}

/// Publishes one package after the other until told to stop. What relays acknowledged; `count` says how much that is.
async fn publish(peer: TestPeer, stop: Arc<AtomicBool>, count: watch::Sender<usize>) -> BTreeMap<RecordId, String> {
    let mut publisher = Publisher::new(8);
    let mut acknowledged = BTreeMap::new();
    let mut pace = tokio::time::interval(PACE);
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let name = format!("news-{number}");
        let package = publisher.release_with(&name, "1.0.0", name.as_bytes(), |release| release.created = now);
        // Whoever publishes offers it to all, and again until one has it.
        within("a relay that takes it", async {
            loop {
                pace.tick().await;
                let mut is_taken = false;
                for relay in peer.peer.connected() {
                    let receipt = package.publish(&peer, relay).await;
                    is_taken |= receipt.is_ok_and(|receipt| receipt.kept.contains(&package.release.id()));
                }
                if is_taken {
                    break;
                }
            }
        })
        .await;
        acknowledged.insert(package.release.id(), name);
        count.send_replace(acknowledged.len());
    }
    acknowledged
}

/// Asks and downloads until told to stop. How often.
async fn ask(peer: TestPeer, stop: Arc<AtomicBool>, large: ggen_shared::record::Content) -> [usize; 2] {
    let registry = P2PRegistry::new(peer.peer.clone());
    let asking = async {
        let (mut asked, mut pace) = (0, tokio::time::interval(PACE));
        while !stop.load(Ordering::Relaxed) {
            pace.tick().await;
            let found = within("an answer", registry.search("large", SearchOptions::default())).await.unwrap();
            assert!(!found.offline, "an answer of now, of somebody who runs");
            assert_eq!(found.hits.len(), 1, "answer {asked}");
            asked += 1;
        }
        asked
    };
    let downloading = async {
        let mut downloads = 0;
        while !stop.load(Ordering::Relaxed) {
            let content = within("the content", peer.peer.fetch(large)).await.unwrap();
            assert!(content == bytes(CONTENT_BYTES), "download {downloads}");
            downloads += 1;
        }
        downloads
    };
    let (asked, downloads) = futures::join!(asking, downloading);
    [asked, downloads]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_of_all_relays_under_load_loses_nothing() {
    // Each at an address of its own: nobody takes the port of one that is away.
    let mut relays = drill::relays_with(RELAYS, serving_http).await;
    let large = Publisher::new(7).release("large", "1.0.0", "of many blocks", &bytes(CONTENT_BYTES));
    for relay in &relays {
        large.publish_at(relay).await;
    }
    let all: Vec<&TestRelay> = relays.iter().collect();
    let (publishing, asking, mut listening) =
        (TestPeer::start(&all).await, TestPeer::start(&all).await, TestPeer::start(&all).await);

    let heard = Arc::new(Mutex::new(BTreeMap::<RecordId, usize>::new()));
    let events = std::mem::replace(&mut listening.events, futures::channel::mpsc::channel(0).1);
    let registry = P2PRegistry::new(listening.peer.clone());
    let mut news = registry.news(events);
    let hearing = tokio::spawn({
        let heard = heard.clone();
        async move {
            while let Some(news) = news.next().await {
                let id = match news {
                    News::Heard(ggen_net::light::Event::Announced { release, .. }) => release.id(),
                    News::Missed(view) => view.release.id(),
                    _ => continue,
                };
                *heard.lock().unwrap().entry(id).or_default() += 1;
            }
        }
    });

    let stop = Arc::<AtomicBool>::default();
    let (tell, count) = watch::channel(0);
    let further = async |publications: usize| {
        let (mut count, begun) = (count.clone(), *count.borrow());
        within("publications", count.wait_for(|count| *count >= begun + publications)).await.unwrap();
    };
    let publishing = tokio::spawn(publish(publishing, stop.clone(), tell));
    let asking = tokio::spawn(ask(asking, stop.clone(), large.release.artifact));
    for _ in 0..RELAYS {
        further(BETWEEN).await;
        let relay = relays.remove(0);
        let others = relays.iter().map(|other| other.address("/tcp/", false)).collect();
        relays.push(restart(relay, others, further(AWAY)).await);
        // Or the last one that clients are connected to might be the next that goes.
        until("the client is back", async || (listening.peer.connected().len() == relays.len()).then_some(())).await;
    }
    further(BETWEEN).await;
    stop.store(true, Ordering::Relaxed);
    let acknowledged = within("the publisher's end", publishing).await.unwrap();
    let [asked, downloads] = within("the end of questions", asking).await.unwrap();
    println!("{} publications, {asked} answers and {downloads} downloads during {RELAYS} restarts", acknowledged.len());
    assert!(asked > BETWEEN && downloads > 0);

    for relay in &relays {
        until("every relay has what one acknowledged", async || {
            let shelf = relay.relay().shelf();
            acknowledged.keys().all(|id| shelf.catalogue().record(id).is_some()).then_some(())
        })
        .await;
    }
    until("all news", async || (heard.lock().unwrap().len() >= acknowledged.len()).then_some(())).await;
    hearing.abort();
    let heard = heard.lock().unwrap();
    let missed: Vec<_> = acknowledged.iter().filter(|(id, _)| !heard.contains_key(id)).collect();
    assert!(missed.is_empty(), "{missed:?}");
    assert!(heard.values().all(|times| *times == 1), "each is told once: {heard:?}");
}
