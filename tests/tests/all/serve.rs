//! Content that only a peer behind relays has: found in the DHT, and fetched through a relay, block by block.

use std::process::Stdio;
use std::time::Duration;

use ggen_net::address::relay_of;
use ggen_net::bitswap::{Blocks, Event, NoBlocks, NoGateways};
use ggen_relay::holes::Way;
use ggen_relay::provider::{Config, Files, Provider, Status};
use ggen_shared::content::Hashed;
use ggen_shared::record::{Content, ContentId};
use ggen_tests::terminal::Terminal;
use ggen_tests::{TestPeer, TestRelay, network, provider, within};
use libp2p::identity::Keypair;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// A peer that listens nowhere: only relays lead to it.
struct Hidden {
    provider: Provider,
    content: Content,
    _directory: TempDir,
}

impl Hidden {
    async fn start(relays: &[&TestRelay], bytes: &[u8]) -> Self {
        Self::listening(relays, bytes, &[]).await
    }

    /// One that listens too, so that it may be connected directly once it was met.
    async fn listening(relays: &[&TestRelay], bytes: &[u8], listen: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("content");
        std::fs::write(&path, bytes).unwrap();
        let mut files = Files::default();
        let content = files.add(path).unwrap();
        let config = Config {
            keypair: Keypair::generate_ed25519(),
            network: network(),
            relays: relays.iter().map(|relay| relay.address("/tcp/", false)).collect(),
            upnp: false,
            listen: listen.iter().map(|address| address.parse().unwrap()).collect(),
        };
        let serving = Provider::start(config, files).await.unwrap();
        Self { provider: serving, content, _directory: directory }
    }

    async fn is(&self, what: &str, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.provider.status().clone();
        within(what, status.wait_for(wanted)).await.unwrap().clone()
    }

    /// Waits until the DHT was told of it under so many relays' addresses.
    async fn announced_through(&self, relays: usize) -> Status {
        let through = move |status: &Status| {
            let mut through: Vec<_> = status.addresses.iter().filter_map(relay_of).collect();
            through.sort();
            through.dedup();
            through.len()
        };
        self.is("its announcement", |status| status.announced == 1 && through(status) == relays).await
    }
}

#[tokio::test]
async fn content_that_only_a_peer_behind_a_relay_has_is_found_and_fetched_through_the_relay() {
    let relay = TestRelay::start(&[]).await;
    let bytes = provider::bytes(5_000_000);
    let hidden = Hidden::start(&[&relay], &bytes).await;
    let status = hidden.announced_through(1).await;
    assert_eq!(status.connected, [relay.peer_id()]);
    // Browsers dial WebSocket, others TCP: both ways are named.
    for part in ["/ws/p2p/", "/tcp/"] {
        assert!(status.addresses.iter().any(|address| address.to_string().contains(part)), "{status:?}");
    }
    let mut visitor = TestPeer::start(&[&relay]).await;
    visitor.connected(1).await;
    let mut delivered = Vec::new();
    let note = |event: Event| {
        if let Event::Delivered(peer) = event {
            delivered.push(peer);
        }
    };
    let fetched =
        within("the content", visitor.peer.fetch_with(hidden.content, (&NoBlocks, &NoGateways), note)).await.unwrap();
    assert!(fetched == bytes);
    delivered.dedup();
    assert_eq!(delivered, [hidden.provider.peer_id()]);
    let sent = hidden.is("its count", |status| status.sent > 0).await.sent;
    assert!(sent >= 20, "{sent} blocks of 256 KiB");
}

#[tokio::test]
async fn a_peer_behind_relays_is_found_again_when_one_of_them_is_lost_and_when_it_comes_back() {
    let first = TestRelay::start(&[]).await;
    let mut second = TestRelay::start(&[&first]).await;
    let hidden = Hidden::start(&[&first, &second], b"what one peer has").await;
    hidden.announced_through(2).await;
    second.stop().await;
    let status = hidden.announced_through(1).await;
    assert!(status.addresses.iter().all(|address| relay_of(address) == Some(first.peer_id())), "{status:?}");
    let mut visitor = TestPeer::start(&[&first]).await;
    visitor.connected(1).await;
    let fetched = within("the content", visitor.peer.fetch(hidden.content)).await.unwrap();
    assert_eq!(fetched, b"what one peer has");
    let gone = hidden.content;
    drop(hidden);
    let lost = tokio::time::timeout(Duration::from_secs(60), visitor.peer.fetch(gone)).await;
    assert!(lost.unwrap().is_err(), "nobody else has it");
}

/// Takes its time for each block.
struct Slowly(Duration);

impl Blocks for Slowly {
    async fn get(&self, _: &ContentId) -> Option<Vec<u8>> {
        None
    }

    async fn put(&self, _: &Hashed, _: Option<u64>) {
        tokio::time::sleep(self.0).await;
    }
}

#[tokio::test]
async fn a_download_goes_over_from_the_relay_to_the_direct_connection() {
    let bytes = provider::bytes(16_000_000);
    // No circuit carries all of it.
    let relay = TestRelay::configured(|config| config.circuits.bytes = 10_000_000).await;
    let listen = ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"];
    let hidden = Hidden::listening(&[&relay], &bytes, &listen).await;
    hidden.is("its announcement", |status| status.announced == 1).await;
    let mut visitor = TestPeer::start(&[&relay]).await;
    visitor.connected(1).await;
    let slowly = Slowly(Duration::from_millis(100));
    let fetched = visitor.peer.fetch_with(hidden.content, (&slowly, &NoGateways), |_| {});
    let fetched = within("the content", fetched).await.unwrap();
    assert!(fetched == bytes);
    assert_eq!(visitor.peer.platform().ways().of(&hidden.provider.peer_id()), Some(Way::Direct));
}

#[tokio::test]
async fn who_listens_nowhere_is_never_connected_directly() {
    let relay = TestRelay::start(&[]).await;
    let hidden = Hidden::start(&[&relay], &provider::bytes(5_000_000)).await;
    hidden.announced_through(1).await;
    let mut visitor = TestPeer::start(&[&relay]).await;
    visitor.connected(1).await;
    within("the content", visitor.peer.fetch(hidden.content)).await.unwrap();
    // Longer than it takes where both listen.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(visitor.peer.platform().ways().of(&hidden.provider.peer_id()), Some(Way::Relayed));
}

#[tokio::test]
async fn a_circuit_carries_what_the_operator_lets_it() {
    let relay = TestRelay::configured(|config| config.circuits.bytes = 1_000_000).await;
    let (small, large) = (provider::bytes(500_000), provider::bytes(3_000_000));
    let [of_small, of_large] = [Hidden::start(&[&relay], &small).await, Hidden::start(&[&relay], &large).await];
    for hidden in [&of_small, &of_large] {
        hidden.announced_through(1).await;
    }
    let mut visitor = TestPeer::start(&[&relay]).await;
    visitor.connected(1).await;
    let fetched = within("what is small", visitor.peer.fetch(of_small.content)).await.unwrap();
    assert!(fetched == small);
    let fetched = within("the end of the circuit", visitor.peer.fetch(of_large.content)).await;
    assert!(fetched.is_err(), "three megabytes do not fit");
}

#[tokio::test]
async fn a_relay_that_carries_no_circuits_is_asked_for_none() {
    let relay = TestRelay::configured(|config| config.circuits.count = 0).await;
    let other = TestRelay::start(&[]).await;
    let hidden = Hidden::start(&[&relay, &other], b"what one peer has").await;
    let status = hidden.announced_through(1).await;
    assert!(status.addresses.iter().all(|address| relay_of(address) == Some(other.peer_id())), "{status:?}");
}

#[tokio::test]
async fn who_stays_after_publishing_serves_it_until_told_to_stop_and_can_publish_more_meanwhile() {
    let relay = TestRelay::start(&[]).await;
    let alice = Terminal::of(&[&relay]).await;
    let package = alice.package("kettle", "1.0.0");
    let stay = ["publish", &package, "--stay", "--relays-only"];
    let mut staying =
        alice.command(&alice.to_relays(&stay)).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(staying.stderr.take().unwrap()).lines();
    let serving =
        async { while !lines.next_line().await.unwrap().expect("it stays").contains("the DHT knows of them") {} };
    within("that it serves", serving).await;
    alice.published("kettle", "1.1.0").await;
    // Whoever wants the first version has to have it from who stayed.
    std::fs::remove_dir_all(relay.directory().join("blocks")).unwrap();
    let visitor = Terminal::without_key(&[&relay]);
    let name = format!("{}/kettle@1.0.0", alice.publisher().await);
    let to = visitor.home.path().join("fetched").display().to_string();
    let fetched = visitor.ask(&["fetch", &name, "--to", &to, "--json"]).await;
    fetched.assert_good();
    let from = &fetched.json()["fetched"]["from"];
    assert_eq!((from.as_array().unwrap().len(), &from[0]["way"]), (1, &"relayed".into()), "{from}");
    assert!(from[0]["peer"] != relay.peer_id().to_string(), "{from}");
    assert_eq!(std::fs::read_dir(to).unwrap().count(), 1);
    let id = staying.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().await.unwrap().success());
    assert!(within("its end", staying.wait()).await.unwrap().success());
}
