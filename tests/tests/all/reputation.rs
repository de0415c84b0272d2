//! Whom a peer asks first follows from how it was served, in this run and in the one before.

use std::collections::BTreeSet;

use ggen_shared::limits::CHUNK_BYTES;
use ggen_shared::reputation::UNKNOWN_SCORE;
use ggen_tests::provider::{Provider, Serving, bytes};
use ggen_tests::terminal::{Run, Terminal};
use ggen_tests::{Package, Publisher, TestPeer, TestRelay, within};

/// What a peer thinks of a provider now.
fn score(peer: &TestPeer, provider: &Provider) -> f64 {
    let now = ggen_net::light::Platform::now(peer.peer.platform());
    peer.peer.reputation(&provider.relay.peer_id()).score(now)
}

async fn fetch(peer: &TestPeer, package: &Package) {
    within("the content", peer.peer.fetch(package.release.artifact)).await.unwrap();
}

#[tokio::test]
async fn a_provider_that_fails_is_tried_last_and_again_once_it_serves() {
    let mut publisher = Publisher::new(1);
    let mut providers = Vec::new();
    for _ in 0..3 {
        providers.push(Provider::start(Serving::Well).await);
    }
    let mut package =
        |length| publisher.release(&format!("of-{length}"), "1.0.0", "content", &bytes(length * CHUNK_BYTES));
    let packages: Vec<_> = (5..9).map(&mut package).collect();
    for provider in &providers {
        for package in &packages {
            package.publish_at(&provider.relay).await;
        }
    }
    let relays: Vec<&TestRelay> = providers.iter().map(|provider| &provider.relay).collect();
    let peer = TestPeer::start(&relays).await;
    let first = peer.peer.connected()[0];
    let (failing, good): (Vec<_>, Vec<_>) = providers.iter().partition(|provider| provider.relay.peer_id() == first);
    let [failing] = failing[..] else { panic!("one is the first") };

    // The first that is asked, and it fails: what it was asked for is had from another one.
    failing.serve(Serving::NoMore(0));
    for (package, failures) in packages.iter().zip([1.0, 2.0]) {
        fetch(&peer, package).await;
        assert_eq!(peer.peer.reputation(&first).failures().round(), failures);
        assert_eq!(peer.peer.connected().last(), Some(&first), "it is the last to be asked");
    }

    // What is known outlives the peer.
    let known = peer.peer.reputations();
    let order = peer.peer.connected();
    peer.peer.close().await;
    let next = TestPeer::start(&relays).await;
    assert!((score(&next, failing) - UNKNOWN_SCORE).abs() < 1e-9);
    next.peer.remember(known);
    assert_eq!(next.peer.connected(), order);

    // It serves again: being the last, it is tried where there is work for all.
    failing.serve(Serving::Well);
    let (asked, before) = (failing.served().len(), score(&next, failing));
    fetch(&next, &packages[2]).await;
    assert!(failing.served().len() > asked, "it is tried again");
    assert!(score(&next, failing) > before);
    // And where the others fail in their turn it is the one.
    for provider in &good {
        provider.serve(Serving::NoMore(0));
    }
    let asked = failing.served().len();
    fetch(&next, &packages[3]).await;
    let (all, there): (BTreeSet<_>, BTreeSet<_>) = (
        packages[3].artifact.blocks.iter().map(|block| block.cid).collect(),
        failing.served()[asked..].iter().copied().collect(),
    );
    assert!(there.is_superset(&all), "it sent all of it");
    assert!(good.iter().all(|provider| score(&next, provider) < score(&peer, provider)));
}

#[tokio::test]
async fn the_command_line_remembers_what_it_learned_of_relays() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::without_key(&[&relay]);
    let peers = terminal.home.path().join(".local/state/ggen/peers.json");
    assert!(!peers.exists());
    let score = |run: &Run| run.json()[0]["reputation"].as_f64().unwrap();
    let first = terminal.with_relays(&["peers", "--json", "--network", "test"]).await;
    let second = terminal.with_relays(&["peers", "--json", "--network", "test"]).await;
    assert!(score(&second) > score(&first), "{first:?} then {second:?}");
    let written = std::fs::read_to_string(&peers).unwrap();
    assert!(written.contains(&relay.peer_id().to_base58()), "{written}");

    // What is damaged is said, and replaced.
    std::fs::write(&peers, "{").unwrap();
    let third = terminal.with_relays(&["peers", "--json", "--network", "test"]).await;
    assert!(third.err.contains("is not what was written there"), "{}", third.err);
    assert!((score(&third) - score(&first)).abs() < 0.1);
    assert!(std::fs::read_to_string(&peers).unwrap().contains("successes"));
}
