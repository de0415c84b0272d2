//! The scenarios that the first peer-to-peer registry only claimed to pass, with real relays and peers on real sockets.
//!
//! Each asks with a peer that starts out empty, and asks again after the serving relay was stopped: then it must fail.

use std::time::Duration;

use ggen_net::P2PRegistry;
use ggen_net::light::{AskError, HeadError, Phase};
use ggen_relay::market::peer::Tokio;
use ggen_shared::id::FullName;
use ggen_shared::record::{Record, Release, Verified};
use ggen_shared::registry::{GetError, PeerError, Registry, SearchError, SearchOptions};
use ggen_shared::reputation::UNKNOWN_SCORE;
use ggen_tests::{Publisher, TestPeer, TestRelay, until, within};

fn registry(peer: &TestPeer) -> P2PRegistry<Tokio> {
    P2PRegistry::new(peer.peer.clone())
}

fn full_name(release: &Verified<Release>) -> FullName {
    FullName { handle: None, fingerprint: release.publisher.fingerprint(), name: release.name.clone() }
}

/// The names that a search finds, every one of them verified.
async fn names_found(peer: &TestPeer, text: &str) -> Result<Vec<String>, SearchError> {
    let results = registry(peer).search(text, SearchOptions::default()).await?;
    Ok(results.hits.into_iter().map(|hit| hit.expect("every hit verifies").release.name.to_string()).collect())
}

async fn wait_until_found(peer: &TestPeer, text: &str, count: usize) -> Vec<String> {
    until("search results", || async { names_found(peer, text).await.ok().filter(|names| names.len() == count) }).await
}

/// Stops the relay and waits until the peer has noticed.
async fn stop(relay: &mut TestRelay, peer: &TestPeer) {
    let id = relay.peer_id();
    relay.stop().await;
    until("the loss of the relay", || async { (!peer.peer.connected().contains(&id)).then_some(()) }).await;
}

#[tokio::test]
async fn test_p2p_network_initialization() {
    let first = TestRelay::start(&[]).await;
    let mut second = TestRelay::start(&[&first]).await;
    let third = TestRelay::start(&[&first]).await;
    let ids = [first.peer_id(), second.peer_id(), third.peer_id()];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    for relay in [&second, &third] {
        until("the routing table", || async { relay.relay().routing_table().await.contains(&ids[0]).then_some(()) })
            .await;
    }
    let peer = TestPeer::start(&[&second]).await;
    assert_eq!(peer.peer.connected(), [ids[1]]);

    stop(&mut second, &peer).await;
    let error = names_found(&peer, "").await.unwrap_err();
    assert_eq!(error, SearchError::Peer(PeerError::Unreachable));
}

#[tokio::test]
async fn test_discover_peers_via_dht() {
    let mut known = TestRelay::start(&[]).await;
    let second = TestRelay::start(&[&known]).await;
    let third = TestRelay::start(&[&known]).await;
    let mut peer = TestPeer::start_with(&[&known], true).await;
    peer.connected(3).await;
    let connected = peer.peer.connected();
    assert!([&second, &third].iter().all(|relay| connected.contains(&relay.peer_id())));

    let address = known.address("/tcp/", false);
    known.stop().await;
    let alone = TestPeer::start_with(&[], true).await;
    alone.peer.add_relay(address).await.unwrap();
    let problem = until("the failed dial", || async {
        alone.peer.connections().into_iter().find_map(|connection| connection.problem)
    });
    assert!(!problem.await.is_empty());
    assert!(alone.peer.connections().iter().all(|connection| connection.phase != Phase::Connected));
}

#[tokio::test]
async fn test_announce_package_via_gossipsub() {
    let mut near = TestRelay::start(&[]).await;
    let far = TestRelay::start(&[&near]).await;
    let mut listener = TestPeer::start(&[&near]).await;
    let mut publisher = Publisher::new(1);
    let package = publisher.release("announced", "1.0.0", "heard by gossip", b"artifact");
    // The relays must have met, or there is nobody to pass it on to.
    until("the relays' meeting", || async {
        far.relay().routing_table().await.contains(&near.peer_id()).then_some(())
    })
    .await;
    package.publish_at(&far).await;
    assert_eq!(listener.announced().await.id(), package.release.id());

    stop(&mut near, &listener).await;
    let unheard = publisher.release("unheard", "1.0.0", "nobody carries it", b"artifact");
    unheard.publish_at(&far).await;
    // The listener has no connection left that an announcement could come by: it was not to look for other relays.
    assert!(listener.peer.connected().is_empty());
    let nothing = tokio::time::timeout(Duration::from_secs(2), listener.announced()).await;
    assert!(nothing.is_err(), "it is connected to a relay that it was not told of");
}

#[tokio::test]
async fn test_search_discovers_remote_packages() {
    let mut relay = TestRelay::start(&[]).await;
    let mut publisher = Publisher::new(2);
    publisher.release("seeker", "1.0.0", "finds needles in haystacks", b"a").publish_at(&relay).await;
    publisher.release("other", "1.0.0", "does something else", b"b").publish_at(&relay).await;
    let peer = TestPeer::start(&[&relay]).await;
    assert_eq!(names_found(&peer, "needles haystacks").await.unwrap(), ["seeker"]);
    assert_eq!(names_found(&peer, "needles see").await.unwrap(), ["seeker"], "a name is found by its beginning");
    assert!(names_found(&peer, "absent").await.unwrap().is_empty());

    stop(&mut relay, &peer).await;
    assert_eq!(names_found(&peer, "needles see").await.unwrap_err(), SearchError::Peer(PeerError::Unreachable));
}

#[tokio::test]
async fn test_retrieve_package_from_peer() {
    let mut relay = TestRelay::start(&[]).await;
    let artifact: Vec<u8> = (0..1_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    let package = Publisher::new(3).release("retrieved", "1.0.0", "four megabytes in many blocks", &artifact);
    package.publish_at(&relay).await;
    let peer = TestPeer::start(&[&relay]).await;
    let name = full_name(&package.release);
    let view = registry(&peer).get_package(&name).await.unwrap();
    assert_eq!(view.release.release.id(), package.release.id());
    let content = within("the artifact", peer.peer.fetch(view.release.release.artifact)).await.unwrap();
    assert!(content == artifact, "the artifact's bytes are those published");

    stop(&mut relay, &peer).await;
    assert_eq!(registry(&peer).get_package(&name).await.unwrap_err(), GetError::Peer(PeerError::Unreachable));
    assert!(peer.peer.fetch(package.release.artifact).await.is_err());
}

#[tokio::test]
async fn test_multiple_peers_package_discovery() {
    let mut first = TestRelay::start(&[]).await;
    let second = TestRelay::start(&[&first]).await;
    let third = TestRelay::start(&[&first, &second]).await;
    for relay in [&second, &third] {
        until("the routing table", || async {
            relay.relay().routing_table().await.contains(&first.peer_id()).then_some(())
        })
        .await;
    }
    for (number, relay) in [(4, &first), (5, &second), (6, &third)] {
        let name = format!("from-publisher-{number}");
        Publisher::new(number).release(&name, "1.0.0", "shared discovery", b"content").publish_at(relay).await;
    }
    let peer = TestPeer::start(&[&first]).await;
    let mut names = wait_until_found(&peer, "shared discovery", 3).await;
    names.sort();
    assert_eq!(names, ["from-publisher-4", "from-publisher-5", "from-publisher-6"]);

    stop(&mut first, &peer).await;
    assert!(names_found(&peer, "shared discovery").await.is_err());
}

#[tokio::test]
async fn test_package_republishing_prevents_duplicates() {
    let mut relay = TestRelay::start(&[]).await;
    let package = Publisher::new(7).release("once", "1.0.0", "published again and again", b"content");
    let mut listener = TestPeer::start(&[&relay]).await;
    let first = package.publish(&listener, relay.peer_id()).await.unwrap();
    assert!(first.new.contains(&package.release.id()));
    for _ in 0..3 {
        let again = package.publish(&listener, relay.peer_id()).await.unwrap();
        assert!(again.new.is_empty() && again.kept == first.kept);
    }
    assert_eq!(names_found(&listener, "again").await.unwrap(), ["once"]);
    assert_eq!(registry(&listener).list_versions(&full_name(&package.release)).await.unwrap().list.len(), 1);
    // A second package is announced after any second announcement of the first would have been.
    let last = Publisher::new(8).release("last", "1.0.0", "marks the end", b"content");
    last.publish(&listener, relay.peer_id()).await.unwrap();
    assert_eq!(listener.announced().await.id(), package.release.id());
    assert_eq!(listener.announced().await.id(), last.release.id());

    let id = relay.peer_id();
    stop(&mut relay, &listener).await;
    assert!(matches!(package.publish(&listener, id).await, Err(AskError::Open(_))));
}

#[tokio::test]
async fn test_peer_reputation_tracking() {
    let mut good = TestRelay::start(&[]).await;
    let peer = TestPeer::start(&[&good]).await;
    let id = good.peer_id();
    let now = || ggen_net::light::Platform::now(peer.peer.platform());
    assert_eq!(peer.peer.reputation(&id).score(now()), UNKNOWN_SCORE);
    for _ in 0..5 {
        names_found(&peer, "").await.unwrap();
    }
    let praised = peer.peer.reputation(&id).score(now());
    assert!(praised > UNKNOWN_SCORE, "five answers that verify raise the score: {praised}");

    stop(&mut good, &peer).await;
    let question = ggen_shared::protocol::query::Records { ids: Vec::new() };
    for _ in 0..5 {
        peer.peer.ask(id, question.clone()).await.unwrap_err();
    }
    let failed = peer.peer.reputation(&id).score(now());
    assert!(failed < praised, "five failures lower it: {failed}");
    peer.peer.note_fault(id);
    assert!(peer.peer.reputation(&id).score(now()) < failed, "a verified fault lowers it further");
}

#[tokio::test]
async fn test_dht_put_get_operations() {
    let mut holder = TestRelay::start(&[]).await;
    let writer = TestPeer::start(&[&holder]).await;
    let publisher = &mut Publisher::new(9);
    let package = publisher.release("headed", "1.0.0", "put into the DHT", b"content");
    let id = package.release.package();
    let reader = TestPeer::start(&[&holder]).await;
    assert!(matches!(reader.peer.get_head(&id).await, Err(HeadError::NotFound)));
    until("the put", || async { writer.peer.put_head(&publisher.key_log, &package.release).await.ok() }).await;
    let (from, key_log, release) = until("the head", || async { reader.peer.get_head(&id).await.ok() }).await;
    assert_eq!((from, key_log.publisher(), release.id()), (Some(holder.peer_id()), id.publisher, package.release.id()));

    stop(&mut holder, &reader).await;
    assert!(reader.peer.get_head(&id).await.is_err());
}

#[tokio::test]
async fn test_gossipsub_topic_subscription() {
    let mut relay = TestRelay::start(&[]).await;
    let mut listener = TestPeer::start(&[&relay]).await;
    let speaker = TestPeer::start(&[&relay]).await;
    let publisher = &mut Publisher::new(10);
    let package = publisher.release("spoken", "1.0.0", "announced by a peer itself", b"content");
    let inception = publisher.key_log.clone().into_records().remove(0);
    // Until the relay has told that it subscribes, gossip has nobody to send to.
    until("the inception's announcement", || async { speaker.peer.announce(inception.bytes().to_vec()).await.ok() })
        .await;
    let known =
        || async { relay.relay().shelf().catalogue().key_log(&package.release.publisher).is_some().then_some(()) };
    until("the key log at the relay", known).await;
    speaker.peer.announce(package.release.bytes().to_vec()).await.unwrap();
    assert_eq!(listener.announced().await.id(), package.release.id());

    stop(&mut relay, &speaker).await;
    let unheard = publisher.release("unheard", "1.0.0", "nobody listens", b"content");
    let unheard = Record::Release(Box::new(unheard.release));
    assert!(speaker.peer.announce(unheard.bytes().to_vec()).await.is_err());
}

#[tokio::test]
async fn test_package_version_updates() {
    let mut relay = TestRelay::start(&[]).await;
    let peer = TestPeer::start(&[&relay]).await;
    let publisher = &mut Publisher::new(11);
    let mut name = None;
    for (version, newest) in [("0.1.0", "0.1.0"), ("0.2.0", "0.2.0"), ("0.1.1", "0.2.0"), ("0.3.0-rc.1", "0.2.0")] {
        let package = publisher.release("growing", version, "gets new versions", version.as_bytes());
        package.publish(&peer, relay.peer_id()).await.unwrap();
        let name = name.insert(full_name(&package.release));
        assert_eq!(registry(&peer).metadata(name).await.unwrap().version.to_string(), newest);
    }
    let name = name.unwrap();
    let versions = registry(&peer).list_versions(&name).await.unwrap();
    let versions: Vec<String> = versions.list.iter().map(|version| version.version.to_string()).collect();
    assert_eq!(versions, ["0.3.0-rc.1", "0.2.0", "0.1.1", "0.1.0"]);
    let unknown = registry(&peer).get_package_version(&name, &"9.9.9".parse().unwrap()).await;
    assert!(matches!(unknown, Err(GetError::UnknownVersion { .. })));

    stop(&mut relay, &peer).await;
    assert_eq!(registry(&peer).metadata(&name).await.unwrap_err(), GetError::Peer(PeerError::Unreachable));
}

#[tokio::test]
async fn a_relay_that_starts_again_knows_its_neighbours() {
    let first = TestRelay::start(&[]).await;
    let mut second = TestRelay::start(&[&first]).await;
    let remembered = second.directory().join("neighbours");
    until("the neighbours on the disk", || async {
        std::fs::read_to_string(&remembered).is_ok_and(|text| text.contains(&first.peer_id().to_string())).then_some(())
    })
    .await;
    second.stop().await;
    // Nobody tells it whom to join.
    let again = second.restarted(|_| {}).await;
    until("the neighbour of the last run", || async {
        again.relay().routing_table().await.contains(&first.peer_id()).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_relay_to_which_nobody_is_connected_dials_those_whom_it_knows() {
    let alone = TestRelay::start(&[]).await;
    let mut other = TestRelay::start(&[&alone]).await;
    until("the relays' meeting", async || alone.relay().routing_table().await.contains(&other.peer_id()).then_some(()))
        .await;
    let (_, address) = ggen_net::address::split_peer(&other.address("/tcp/", false)).unwrap();
    other.stop().await;
    within("being alone", alone.relay().wait_for(|status| status.connected == 0)).await;
    // The other one is back where it was, and knows nobody any more.
    std::fs::remove_file(other.directory().join("neighbours")).unwrap_or_default();
    let again = other.restarted(|config| config.listen = [address].into_iter().collect()).await;
    until("being found", async || again.relay().routing_table().await.contains(&alone.peer_id()).then_some(())).await;
}
