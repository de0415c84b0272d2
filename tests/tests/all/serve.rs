//! Content that only a peer behind relays has: found in the DHT, and fetched through a relay, block by block.

use std::time::Duration;

use ggen_net::bitswap::{Event, NoBlocks, NoGateways};
use ggen_relay::provider::{Config, Files, Provider, Status};
use ggen_shared::record::Content;
use ggen_tests::{TestPeer, TestRelay, network, provider, within};
use libp2p::identity::Keypair;
use tempfile::TempDir;

/// A peer that listens nowhere: only relays lead to it.
struct Hidden {
    provider: Provider,
    content: Content,
    _directory: TempDir,
}

impl Hidden {
    async fn start(relays: &[&TestRelay], bytes: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("content");
        std::fs::write(&path, bytes).unwrap();
        let mut files = Files::default();
        let content = files.add(path).unwrap();
        let config = Config {
            keypair: Keypair::generate_ed25519(),
            network: network(),
            relays: relays.iter().map(|relay| relay.address("/tcp/", false)).collect(),
            listen: Vec::new(),
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

/// The relay that a circuit leads through.
fn relay_of(circuit: &libp2p::Multiaddr) -> Option<libp2p::PeerId> {
    circuit.iter().find_map(|part| match part {
        libp2p::multiaddr::Protocol::P2p(peer) => Some(peer),
        _ => None,
    })
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
