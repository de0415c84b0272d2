//! What anchors know of a package, taken together: whoever knows more wins, and only what is in a relay's checkpoint is its word. The relays know
//! nothing of each other, so that each can be told something else.

use ggen_net::{Confirmed, P2PRegistry};
use ggen_relay::market::peer::Tokio;
use ggen_shared::id::FullName;
use ggen_shared::record::{State, Version};
use ggen_shared::registry::GetError;
use ggen_tests::{Package, Publisher, TestPeer, TestRelay, offer_to, until};

/// Two relays, one who asks both, and a publisher who is known to neither.
struct Market {
    relays: [TestRelay; 2],
    registry: P2PRegistry<Tokio>,
    _peer: TestPeer,
    publisher: Publisher,
}

impl Market {
    async fn new(number: u8) -> Self {
        let relays = [TestRelay::deaf(|_| {}).await, TestRelay::deaf(|_| {}).await];
        let peer = TestPeer::start(&[&relays[0], &relays[1]]).await;
        let registry = P2PRegistry::new(peer.peer.clone());
        Self { relays, registry, _peer: peer, publisher: Publisher::new(number) }
    }

    fn name(&self) -> FullName {
        let fingerprint = self.publisher.key_log.publisher().fingerprint();
        FullName { handle: None, fingerprint, name: "thing".parse().unwrap() }
    }

    async fn at_both(&self, package: &Package) {
        for relay in &self.relays {
            package.publish_at(relay).await;
        }
    }

    /// What both say, once it is so.
    async fn once(&self, what: &str, is_so: impl Fn(&Confirmed) -> bool) -> Confirmed {
        until(what, async || {
            let confirmed = self.registry.confirm(&self.name(), None).await.ok()?;
            (confirmed.silent().is_empty() && is_so(&confirmed)).then_some(confirmed)
        })
        .await
    }
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// How many relays commit to the release that stands for a version.
fn committed(confirmed: &Confirmed, text: &str) -> usize {
    let standing = confirmed.package().standing(&version(text));
    standing.map_or(0, |release| confirmed.committed_by(release).count())
}

fn newest(confirmed: &Confirmed) -> Option<String> {
    confirmed.view(None).ok().map(|view| view.release.release.version.to_string())
}

#[tokio::test]
async fn a_release_is_confirmed_by_those_who_have_it_in_their_checkpoints() {
    let mut market = Market::new(51).await;
    let old = market.publisher.release("thing", "0.9.0", "", b"old");
    let new = market.publisher.release("thing", "1.0.0", "", b"new");
    market.at_both(&old).await;
    new.publish_at(&market.relays[0]).await;
    let confirmed = market
        .once("checkpoints", |confirmed| committed(confirmed, "0.9.0") == 2 && committed(confirmed, "1.0.0") == 1)
        .await;
    assert_eq!(newest(&confirmed).as_deref(), Some("1.0.0"), "it is shown, as one relay's word");
    assert_eq!(confirmed.asked().count(), 2);
    let standing = confirmed.package().standing(&version("1.0.0")).unwrap();
    let by: Vec<_> = confirmed.committed_by(standing).map(|relay| relay.0.clone()).collect();
    assert_eq!(by, [market.relays[0].peer_id().to_string()]);
}

#[tokio::test]
async fn a_yank_or_a_release_that_contests_counts_though_the_other_relay_does_not_know_of_it() {
    for at in [0, 1] {
        let mut market = Market::new(52).await;
        for (text, content) in [("0.8.0", b"old"), ("0.9.0", b"mid"), ("1.0.0", b"new")] {
            let package = market.publisher.release("thing", text, "", content);
            market.at_both(&package).await;
        }
        market.once("checkpoints", |confirmed| committed(confirmed, "1.0.0") == 2).await;
        let yank = market.publisher.status("thing", "1.0.0", 1, State::Yanked);
        offer_to(&market.relays[at], &yank).await;
        market.once("the yank", |confirmed| newest(confirmed).as_deref() == Some("0.9.0")).await;

        let evil = market.publisher.release("thing", "0.9.0", "", b"evil");
        evil.publish_at(&market.relays[at]).await;
        let confirmed = market.once("the conflict", |it| newest(it).as_deref() == Some("0.8.0")).await;
        assert!(
            matches!(confirmed.view(Some(&version("0.9.0"))), Err(GetError::Contested { ids, .. }) if ids.len() == 2)
        );
        let releases = confirmed.package().releases.iter().filter(|release| release.version == version("0.9.0"));
        assert_eq!(releases.flat_map(|release| confirmed.committed_by(release)).count(), 0, "nobody confirms either");
    }
}

#[tokio::test]
async fn what_a_rotation_makes_void_is_gone_though_the_other_relay_does_not_know_of_it() {
    for at in [0, 1] {
        let mut market = Market::new(53).await;
        let good = market.publisher.release("thing", "1.0.0", "", b"good");
        let evil = market.publisher.release("thing", "1.1.0", "", b"evil");
        market.at_both(&good).await;
        market.at_both(&evil).await;
        market.once("checkpoints", |confirmed| committed(confirmed, "1.1.0") == 2).await;
        let rotation = market.publisher.rotate(&[good.release.id()]);
        offer_to(&market.relays[at], &rotation).await;
        let confirmed = market.once("the rotation", |it| newest(it).as_deref() == Some("1.0.0")).await;
        assert!(confirmed.package().releases.iter().all(|release| release.id() != evil.release.id()));
        market.once("what was kept", |confirmed| committed(confirmed, "1.0.0") == 2).await;
    }
}

#[tokio::test]
async fn whoever_claims_a_handle_at_any_of_them_may_be_meant() {
    let relays = [TestRelay::deaf(|_| {}).await, TestRelay::deaf(|_| {}).await];
    let peer = TestPeer::start(&[&relays[0], &relays[1]]).await;
    let registry = P2PRegistry::new(peer.peer.clone());
    let mut publisher = Publisher::new(54);
    let package = publisher.release("thing", "1.0.0", "", b"thing");
    let handle = publisher.key_log.handle().clone();
    assert_eq!(registry.claimants(&handle).await.unwrap().publishers, []);
    package.publish_at(&relays[1]).await;
    let found = until("the claim", async || {
        let claimants = registry.claimants(&handle).await.ok()?;
        let named = registry.publishers_of(&"thing".parse().unwrap()).await.ok()?;
        (claimants.asked == 2 && !claimants.publishers.is_empty() && named == claimants).then_some(claimants)
    })
    .await;
    assert_eq!(found.publishers.iter().map(|it| it.id).collect::<Vec<_>>(), [publisher.key_log.publisher()]);
    assert!(!found.has_more);
    assert_eq!(
        registry.publishers_of(&"thin".parse().unwrap()).await.unwrap().publishers,
        [],
        "a beginning is no name"
    );
}
