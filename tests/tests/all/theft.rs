//! The theft drill: somebody has a publisher's everyday key, does all the harm that it can do, and is undone by the offline key.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ggen_net::P2PRegistry;
use ggen_relay::market::peer::Tokio;
use ggen_shared::id::FullName;
use ggen_shared::limits::MAX_RECORDS_PER_OFFER;
use ggen_shared::protocol::query::Records;
use ggen_shared::record::{KeyLog, Record, State, Verified};
use ggen_shared::registry::{GetError, Publication, Registry};
use ggen_tests::{Package, Publisher, TestPeer, TestRelay, until, within};

/// Packages of the publisher, and versions of each: two thousand releases.
const PACKAGES: usize = 20;
const VERSIONS: usize = 100;
/// How soon after the rotation all relays and clients show what it makes of the records.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

fn name_of(package: usize) -> String {
    format!("package-{package}")
}

/// Releases as few publications: those of one package share their content.
fn together(key_log: &KeyLog, packages: &[Package]) -> Vec<Publication> {
    let publication = |some: &[Package]| {
        let releases = some.iter().map(|package| Record::Release(Box::new(package.release.clone())));
        let blocks = some[0].artifact.blocks.iter().map(|block| (block.cid, block.data.clone()));
        Publication::of(key_log.clone(), releases, blocks.collect())
    };
    packages.chunks(MAX_RECORDS_PER_OFFER - 1).map(publication).collect()
}

/// All versions of all packages, each package with content of its own.
fn releases(publisher: &mut Publisher, content: &str) -> Vec<Publication> {
    let mut publications = Vec::new();
    for package in 0..PACKAGES {
        let name = name_of(package);
        let content = format!("{name} {content}");
        let all: Vec<Package> = (0..VERSIONS)
            .map(|number| publisher.release(&name, &format!("1.{number}.0"), "useful", content.as_bytes()))
            .collect();
        publications.extend(together(&publisher.key_log, &all));
    }
    publications
}

async fn hand_to(relay: &TestRelay, publications: &[Publication]) {
    for publication in publications {
        // Not `publish`, which would refuse a thief what contests something.
        relay.relay().registry().hand_over(publication).await.unwrap();
    }
}

/// Whether a client sees nothing but what the owner keeps: the newest version of each package, and any other.
async fn is_settled(registry: &P2PRegistry<Tokio>, names: &[FullName]) -> bool {
    let newest = format!("1.{}.0", VERSIONS - 1);
    for name in names {
        match registry.get_package(name).await {
            Ok(view) if view.release.release.version.to_string() == newest => {}
            _ => return false,
        }
        match registry.get_package_version(name, &"1.7.0".parse().unwrap()).await {
            Ok(view) if view.release.state == Some(State::Active) => {}
            _ => return false,
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_thief_did_to_two_thousand_releases_is_void_within_seconds_of_the_owners_rotation() {
    let first = TestRelay::start(&[]).await;
    let others = [TestRelay::start(&[&first]).await, TestRelay::start(&[&first]).await];
    let relays = [&first, &others[0], &others[1]];
    let mut owner = Publisher::new(61);
    let kept = releases(&mut owner, "as its owner made it");
    for relay in relays {
        hand_to(relay, &kept).await;
    }
    let names: Vec<FullName> =
        (0..PACKAGES).map(|package| kept[0].name_of(&owner.package(&name_of(package)))).collect();
    let mut clients = Vec::new();
    for relay in relays {
        let peer = TestPeer::start(&[relay]).await;
        let registry = P2PRegistry::new(peer.peer.clone());
        until("all versions", || async { is_settled(&registry, &names).await.then_some(()) }).await;
        clients.push((peer, registry));
    }

    // The thief contests every version, publishes a bad one, and retracts the newest.
    let mut thief = owner.stolen();
    let conflicts = releases(&mut thief, "as a thief made it");
    let bad = thief.release(&name_of(0), "9.9.9", "useful", b"bad");
    let retraction = thief.signed_status(&name_of(0), "1.99.0", 1, State::Retracted);
    let retraction = Publication::of(thief.key_log.clone(), [Record::Status(Box::new(retraction))], BTreeMap::new());
    for relay in relays {
        hand_to(relay, &conflicts).await;
        hand_to(relay, &together(&thief.key_log, std::slice::from_ref(&bad))).await;
        hand_to(relay, std::slice::from_ref(&retraction)).await;
    }
    for (_, registry) in &clients {
        let harmed = || async {
            let all = registry.get_package(&names[1]).await;
            let bad = registry.get_package(&names[0]).await.ok()?;
            (matches!(all, Err(GetError::Contested { .. })) && bad.release.release.version.to_string() == "9.9.9")
                .then_some(())
        };
        until("the harm", harmed).await;
    }
    // Who has a lock file has ids, and what they name is there.
    let locked = kept[3].releases().next().unwrap();
    for (relay, (peer, _)) in relays.iter().zip(&clients) {
        let answer = peer.peer.ask(relay.peer_id(), Records { ids: vec![locked.id()] }).await.unwrap();
        assert_eq!(answer.records[0].as_ref().unwrap()[..], locked.bytes()[..]);
        assert_eq!(peer.peer.fetch(locked.artifact).await.unwrap(), b"package-0 as its owner made it");
    }

    // The thief has not the next key: no rotation of it is one.
    let forged = owner.rotation_revealing_the_key_in_force();
    clients[0].0.peer.publish(first.peer_id(), &forged, |_| None).await.unwrap_err();

    // The owner has it, and keeps all that was there before the theft.
    let ids: Vec<_> = kept.iter().flat_map(Publication::releases).map(Verified::id).collect();
    assert_eq!(ids.len(), PACKAGES * VERSIONS);
    _ = owner.rotate(&ids);
    let rotation = Publication::of(owner.key_log.clone(), [], BTreeMap::new());
    assert!(rotation.offers(true).len() > 1, "more pages than an offer takes");
    let rotated = Instant::now();
    let receipt = within("the receipt", clients[0].0.peer.hand_over(first.peer_id(), &rotation)).await.unwrap();
    assert!(receipt.kept.contains(&owner.key_log.head()));
    for (_, registry) in &clients {
        until("what the owner keeps", || async { is_settled(registry, &names).await.then_some(()) }).await;
    }
    let took = rotated.elapsed();
    println!("void and settled at three relays {took:?} after the rotation was handed to one");
    assert!(took < SETTLED_WITHIN, "it took {took:?}");
    for (peer, registry) in &clients {
        registry.get_package_version(&names[0], &"9.9.9".parse().unwrap()).await.unwrap_err();
        assert_eq!(peer.peer.fetch(locked.artifact).await.unwrap(), b"package-0 as its owner made it");
    }
    // The fresh key signs on, and a relay that has the key log is sent no pages.
    let young = owner.release(&name_of(0), "2.0.0", "useful", b"young");
    let young = &together(&owner.key_log, &[young])[0];
    assert_eq!(young.offers(false).len(), 1);
    clients[1].1.publish(young).await.unwrap();
    for (_, registry) in &clients {
        let is_there = || async { registry.get_package_version(&names[0], &"2.0.0".parse().unwrap()).await.ok() };
        until("the next release", is_there).await;
    }
}
