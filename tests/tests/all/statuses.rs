//! What is said of one version, in whatever order it comes: relays decide the same, and so does who asks them.

use std::collections::BTreeSet;

use ggen_net::P2PRegistry;
use ggen_shared::id::FullName;
use ggen_shared::protocol::publish::Offer;
use ggen_shared::record::{Record, State};
use ggen_shared::registry::{GetError, Registry};
use ggen_tests::install::LONG_EPOCH;
use ggen_tests::{Package, Publisher, TestPeer, TestRelay, until, within};

/// Two relays that have never heard of each other, with three versions of a package.
async fn two_apart(publisher: &mut Publisher) -> ([TestRelay; 2], Vec<Package>) {
    // What a checkpoint holds is looked at more than once: none may grow too old in between.
    let apart = || TestRelay::configured(|config| config.epoch = LONG_EPOCH);
    let relays = [apart().await, apart().await];
    let mut packages = Vec::new();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let package = publisher.release("said-of", version, "of which much is said", version.as_bytes());
        for relay in &relays {
            package.publish_at(relay).await;
        }
        packages.push(package);
    }
    (relays, packages)
}

async fn offer_all<'a>(relay: &TestRelay, offers: impl IntoIterator<Item = &'a Offer>) {
    let peer = TestPeer::start(&[relay]).await;
    for offer in offers {
        let receipt = peer.peer.publish(relay.peer_id(), offer, |_| None);
        within("a receipt", receipt).await.expect("the relay takes it");
    }
}

/// The name, the newest version that may be chosen, and what is said of each version: its state, or that it is retracted.
type Seen = (String, Vec<(String, String)>);

/// What a client that asks these relays makes of the package, once what it is shown is in a checkpoint.
async fn seen(relays: &[&TestRelay], name: &FullName) -> Seen {
    let peer = TestPeer::start(relays).await;
    let registry = P2PRegistry::new(peer.peer.clone());
    let newest = within("the package", registry.get_package(name)).await.unwrap().release.release.version.to_string();
    let mut states = Vec::new();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        let state = match registry.get_package_version(name, &version.parse().unwrap()).await {
            Ok(package) => package
                .release
                .status
                .map_or("none".into(), |said| format!("{} {} {}", said.state.as_str(), said.seq, said.id())),
            Err(GetError::Retracted { .. }) => "retracted".into(),
            Err(error) => panic!("{version}: {error}"),
        };
        states.push((version.to_owned(), state));
    }
    (newest, states)
}

/// Waits until the last checkpoint of a relay is of all that it has.
async fn committed(relay: &TestRelay) {
    let shelf = relay.relay().shelf();
    let is_committed = async || {
        let root = shelf.catalogue().root();
        shelf.snapshots().latest().is_some_and(|latest| latest.map.root() == root).then_some(())
    };
    until("a checkpoint of all of it", is_committed).await;
}

fn record_ids(relay: &TestRelay) -> BTreeSet<String> {
    relay.relay().shelf().catalogue().records().map(|record: &Record| record.id().to_string()).collect()
}

#[tokio::test]
async fn statuses_that_come_in_two_orders_are_one_state_at_both_relays_and_for_who_asks_either() {
    let mut publisher = Publisher::new(61);
    let ([first, second], packages) = two_apart(&mut publisher).await;
    // Of the oldest version, what takes it back follows what it takes back. Of the second, two statuses have the same number, and the more
    // severe one counts. Of the third, a later word does not take a retraction back, and two that say the same have the same number.
    let offers = [
        publisher.status("said-of", "1.0.0", 1, State::Yanked),
        publisher.status("said-of", "1.0.0", 2, State::Active),
        publisher.status("said-of", "1.1.0", 7, State::Yanked),
        publisher.status("said-of", "1.1.0", 7, State::Deprecated),
        publisher.status("said-of", "1.1.0", 3, State::Active),
        publisher.status("said-of", "1.2.0", 1, State::Retracted),
        publisher.status("said-of", "1.2.0", 2, State::Active),
        publisher.status("said-of", "1.2.0", 1, State::Retracted),
    ];
    offer_all(&first, &offers).await;
    offer_all(&second, offers.iter().rev()).await;

    assert_eq!(record_ids(&first), record_ids(&second), "the same records stay");
    let root = |relay: &TestRelay| relay.relay().shelf().catalogue().root();
    assert_eq!(root(&first), root(&second), "and all that follows from them, down to the last entry, is the same");

    let name = FullName {
        handle: None,
        fingerprint: packages[0].release.publisher.fingerprint(),
        name: packages[0].release.name.clone(),
    };
    committed(&first).await;
    committed(&second).await;
    let (newest, states) = seen(&[&first], &name).await;
    assert_eq!((newest.clone(), states.clone()), seen(&[&second], &name).await);
    assert_eq!((newest, states.clone()), seen(&[&second, &first], &name).await, "whoever asks both sees no difference");
    assert!(states[0].1.starts_with("active 2"), "{states:?}");
    assert!(states[1].1.starts_with("yanked 7"), "{states:?}");
    assert_eq!(states[2].1, "retracted", "{states:?}");

    // One that hears of it by a sync, in no order at all.
    let bootstrap = first.address("/tcp/", false);
    let third = TestRelay::configured(|config| {
        config.epoch = LONG_EPOCH;
        config.bootstrap = vec![bootstrap];
    });
    let third = third.await;
    until("the sync", async || (root(&third) == root(&first)).then_some(())).await;
    assert_eq!(record_ids(&third), record_ids(&first));
}
