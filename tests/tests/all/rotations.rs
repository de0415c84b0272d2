//! What a publisher says after the fact reaches every relay: a rotation that ends a thief's releases, a yank.

use futures::StreamExt;
use ggen_net::P2PRegistry;
use ggen_net::light::Event;
use ggen_relay::market::peer::Tokio;
use ggen_shared::id::FullName;
use ggen_shared::record::{Release, State, Verified};
use ggen_shared::registry::{Registry, SearchOptions};
use ggen_tests::{Publisher, TestPeer, TestRelay, offer_to, until, within};

fn registry(peer: &TestPeer) -> P2PRegistry<Tokio> {
    P2PRegistry::new(peer.peer.clone())
}

fn full_name(release: &Verified<Release>) -> FullName {
    FullName { handle: None, fingerprint: release.publisher.fingerprint(), name: release.name.clone() }
}

/// What a search finds once every result verifies: until a relay has committed to what it just heard, its proof shows what its records don't.
async fn names_found(peer: &TestPeer, text: &str) -> Option<Vec<String>> {
    let results = registry(peer).search(text, SearchOptions::default()).await.ok()?;
    let hits: Option<Vec<_>> = results.hits.into_iter().map(Result::ok).collect();
    let mut names: Vec<String> = hits?.into_iter().map(|hit| hit.release.name.to_string()).collect();
    names.sort();
    Some(names)
}

/// Waits until a search finds these packages at every relay.
async fn all_find(peers: &[TestPeer; 3], text: &str, names: &[&str]) {
    for peer in peers {
        until(&format!("{names:?}"), async || names_found(peer, text).await.filter(|found| found == names)).await;
    }
}

/// Three relays that know each other, and a peer at each, which asks that one alone.
async fn three() -> ([TestRelay; 3], [TestPeer; 3]) {
    let first = TestRelay::start(&[]).await;
    let second = TestRelay::start(&[&first]).await;
    let third = TestRelay::start(&[&first]).await;
    for relay in [&second, &third] {
        let knows = async || relay.relay().routing_table().await.contains(&first.peer_id()).then_some(());
        until("the routing table", knows).await;
    }
    let peers = [TestPeer::start(&[&first]).await, TestPeer::start(&[&second]).await, TestPeer::start(&[&third]).await];
    ([first, second, third], peers)
}

#[tokio::test]
async fn a_rotation_at_one_relay_ends_what_a_thief_released_at_all_of_them() {
    let ([first, second, third], peers) = three().await;
    let mut publisher = Publisher::new(31);
    // The thief has the key in force, and no other.
    let mut thief = Publisher::new(31);
    let kept = publisher.release("kept", "1.0.0", "the same words", b"kept");
    _ = thief.release("unused", "1.0.0", "its index is taken", b"unused");
    let stolen = thief.release("stolen", "1.0.0", "the same words", b"stolen");
    kept.publish_at(&first).await;
    stolen.publish_at(&first).await;
    all_find(&peers, "same words", &["kept", "stolen"]).await;

    let rotation = publisher.rotate(&[kept.release.id()]);
    assert_eq!(rotation.records.len(), 3, "the inception, a page, the rotation");
    assert_eq!(offer_to(&second, &rotation).await.kept.len(), 3);
    all_find(&peers, "same words", &["kept"]).await;
    for peer in &peers {
        let view = registry(peer).get_package(&full_name(&kept.release)).await.unwrap();
        assert_eq!(view.release.release.id(), kept.release.id());
        registry(peer).get_package(&full_name(&stolen.release)).await.unwrap_err();
    }

    // The next key signs from now on, whichever relay it goes to; the stolen one nowhere.
    publisher.release("young", "1.0.0", "the same words", b"young").publish_at(&third).await;
    let late = thief.release("late", "1.0.0", "the same words", b"late");
    for (relay, peer) in [&first, &second, &third].into_iter().zip(&peers) {
        late.publish(peer, relay.peer_id()).await.unwrap_err();
    }
    all_find(&peers, "same words", &["kept", "young"]).await;
}

#[tokio::test]
async fn a_yank_at_one_relay_changes_what_another_answers() {
    let ([first, second, third], peers) = three().await;
    let mut publisher = Publisher::new(32);
    let good = publisher.release("tool", "1.0.0", "works", b"good");
    good.publish_at(&first).await;
    publisher.release("tool", "1.1.0", "does not", b"bad").publish_at(&first).await;
    let name = full_name(&good.release);
    let newest = async |version: &str| {
        for peer in &peers {
            let is_newest = async || {
                let release = registry(peer).metadata(&name).await.ok()?;
                (release.version.to_string() == version).then_some(())
            };
            until(version, is_newest).await;
        }
    };
    newest("1.1.0").await;
    assert_eq!(offer_to(&second, &publisher.status("tool", "1.1.0", 1, State::Yanked)).await.kept.len(), 2);
    newest("1.0.0").await;
    for peer in &peers {
        let versions = registry(peer).list_versions(&name).await.unwrap();
        let states: Vec<_> = versions.list.iter().map(|view| (view.version.to_string(), view.state)).collect();
        assert_eq!(states, [("1.1.0".to_owned(), State::Yanked), ("1.0.0".to_owned(), State::Active)]);
    }
    // What is taken back is listed again; what is retracted is not.
    offer_to(&third, &publisher.status("tool", "1.1.0", 2, State::Active)).await;
    newest("1.1.0").await;
    offer_to(&first, &publisher.status("tool", "1.1.0", 3, State::Retracted)).await;
    newest("1.0.0").await;
}

#[tokio::test]
async fn a_light_peer_takes_note_of_announced_rotations_and_statuses() {
    let relay = TestRelay::start(&[]).await;
    let mut listener = TestPeer::start(&[&relay]).await;
    let mut publisher = Publisher::new(33);
    let package = publisher.release("tool", "1.0.0", "works", b"good");
    package.publish_at(&relay).await;
    assert_eq!(listener.announced().await.id(), package.release.id());
    let mut next = async || within("an event", listener.events.next()).await.unwrap();

    offer_to(&relay, &publisher.status("tool", "1.0.0", 1, State::Deprecated)).await;
    let stated = loop {
        if let Event::Stated { status, key_log, .. } = next().await {
            break (status.state, key_log.publisher());
        }
    };
    assert_eq!(stated, (State::Deprecated, publisher.key_log.publisher()));

    offer_to(&relay, &publisher.rotate(&[package.release.id()])).await;
    let rotated = loop {
        if let Event::Rotated { key_log, .. } = next().await {
            break key_log;
        }
    };
    assert_eq!((rotated.head(), rotated.is_frozen()), (publisher.key_log.head(), false));
    // The next key's releases are known at once.
    let young = publisher.release("tool", "1.1.0", "works better", b"better");
    young.publish_at(&relay).await;
    assert_eq!(listener.announced().await.id(), young.release.id());
}
