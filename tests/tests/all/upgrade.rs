//! A network goes over from its rules to others: relays and clients of both versions, records of a kind that neither knows, and the epochs around
//! the switch.

use ggen_net::light::Platform;
use ggen_net::{Comparison, P2PConfig, P2PRegistry};
use ggen_relay::market::peer::{self, Tokio};
use ggen_shared::catalogue::keys;
use ggen_shared::merkle::Hash;
use ggen_shared::record::Release;
use ggen_shared::registry::{Registry, SearchOptions, SearchResults};
use ggen_shared::reputation::UNKNOWN_SCORE;
use ggen_shared::rules::{Before, Rules, Schedule};
use ggen_shared::search::analyser::Tokens;
use ggen_tests::{EPOCH, Package, Publisher, TestRelay, network, offer_to, until};

/// The rules to come: packages are found by their authors, too.
const NEXT: Rules = Rules { number: 2, tokens: with_authors };
/// Epochs in which relays of the new version answer by the old rules too, once the new ones hold.
const OVERLAP: u64 = 6;

fn with_authors(release: &Release) -> Tokens {
    let tags = release.tags.iter().chain(&release.authors).cloned().collect();
    Tokens::of(&Release { tags, ..release.clone() })
}

/// A client of a version, which knows some relays and no others.
struct Client {
    registry: P2PRegistry<Tokio>,
}

impl Client {
    async fn start(rules: Schedule, relays: &[&TestRelay]) -> Self {
        let config = P2PConfig {
            network: network(),
            epoch: EPOCH,
            rules,
            relays: relays.iter().map(|relay| relay.address("/tcp/", false)).collect(),
            discover: false,
            ..P2PConfig::default()
        };
        let registry = P2PRegistry::new(peer::start(config).unwrap().0);
        until("connections", async || (registry.peer().connected().len() == relays.len()).then_some(())).await;
        Self { registry }
    }

    async fn find(&self, text: &str) -> Option<(SearchResults, Comparison)> {
        let options = SearchOptions::default();
        // In boxes, for the test's stack is that of a thread.
        let found = Box::pin(self.registry.search(text, options.clone())).await.ok()?;
        let comparison = Box::pin(self.registry.compare(text, &options, &found)).await;
        Some((found, comparison))
    }

    /// Finds just these packages, in checkpoints, and a relay besides that has the same; and nobody at fault, whenever it is asked.
    async fn finds(&self, text: &str, names: &[&str], rules: Rules) {
        until(&format!("{names:?} by {rules:?}"), async || {
            let (found, comparison) = self.find(text).await?;
            self.has_no_dispute(&comparison);
            let mut its: Vec<_> = found.hits.iter().map(|hit| hit.as_ref().unwrap().release.name.as_str()).collect();
            its.sort_unstable();
            let is_committed = found.hits.iter().flatten().all(|hit| hit.in_checkpoint);
            let is_by = found.proven.as_ref().is_some_and(|proven| proven.checkpoint.rules == rules.number);
            (its == names && is_committed && is_by && comparison.is_complete()).then_some(())
        })
        .await;
    }

    fn has_no_dispute(&self, comparison: &Comparison) {
        assert!(comparison.differ.iter().all(|difference| difference.faults.is_empty()), "{comparison:?}");
        assert!(self.registry.evidence().is_empty());
        let peer = self.registry.peer();
        for relay in peer.connected() {
            assert!(peer.reputation(&relay).score(peer.platform().now()) >= UNKNOWN_SCORE, "{relay} is blamed");
        }
    }

    fn epoch(&self) -> u64 {
        self.registry.peer().epoch()
    }

    async fn is_in(&self, epoch: u64) {
        until(&format!("epoch {epoch}"), async || (self.epoch() >= epoch).then_some(())).await;
    }
}

fn by_ada(release: &mut Release) {
    release.authors = vec!["Ada".into()];
}

fn records(relay: &TestRelay) -> Option<Hash> {
    relay.relay().shelf().catalogue().map().hash(&keys::records())
}

/// Waits until all relays hold the same records.
async fn agree(relays: &[&TestRelay]) {
    until("the same records", async || relays.iter().all(|relay| records(relay) == records(relays[0])).then_some(()))
        .await;
}

#[tokio::test]
async fn a_network_goes_over_to_other_rules_without_a_dispute() {
    let mut publisher = Publisher::new(41);
    let early: Package = publisher.release_with("early", "1.0.0", b"early", by_ada);
    let middle = publisher.release_with("middle", "1.0.0", b"middle", by_ada);
    let late = publisher.release_with("late", "1.0.0", b"late", by_ada);
    let strange = publisher.unknown(99, "of a kind that is to come");

    let old = Schedule::default();
    let first = Box::pin(TestRelay::start(&[])).await;
    let start = Box::pin(Client::start(old, &[&first])).await.epoch();
    let switch = start + 25;
    let new = Schedule { rules: NEXT, before: Some(Before { rules: Rules::FIRST, switch, overlap: OVERLAP }) };
    let join = [first.address("/tcp/", false)];
    let second = Box::pin(TestRelay::configured(|config| config.bootstrap = join.to_vec())).await;
    let upgraded = |config: &mut ggen_relay::Config| {
        config.bootstrap = join.to_vec();
        config.rules = new;
    };
    let third = Box::pin(TestRelay::configured(upgraded)).await;
    let fourth = Box::pin(TestRelay::configured(upgraded)).await;
    let relays = [&first, &second, &third, &fourth];
    let (of_old, of_new) = (Box::pin(Client::start(old, &relays)).await, Box::pin(Client::start(new, &relays)).await);

    // Before the switch all answer by the old rules, by which nobody is found by an author.
    early.publish_at(&first).await;
    offer_to(&third, &strange).await;
    agree(&relays).await;
    for client in [&of_old, &of_new] {
        client.finds("early", &["early"], Rules::FIRST).await;
        client.finds("ada", &[], Rules::FIRST).await;
    }
    assert!(of_new.epoch() < switch, "that was before the switch");

    // Whoever asks again and again while it passes sees no dispute.
    middle.publish_at(&fourth).await;
    while of_new.epoch() <= switch {
        for client in [&of_old, &of_new] {
            if let Some((_, comparison)) = client.find("early").await {
                client.has_no_dispute(&comparison);
            }
        }
    }
    agree(&relays).await;

    // In the overlap each gets all there is by its own rules, from whoever knows them.
    of_new.finds("ada", &["early", "middle"], NEXT).await;
    of_old.finds("ada", &[], Rules::FIRST).await;
    of_old.finds("middle", &["middle"], Rules::FIRST).await;
    let new_alone = Client::start(old, &[&third, &fourth]).await;
    new_alone.finds("middle", &["middle"], Rules::FIRST).await;
    assert!(new_alone.epoch() < switch + OVERLAP, "that was in the overlap");

    // Behind it, relays of the new version answer by its rules alone; and still hold the same records.
    of_new.is_in(switch + OVERLAP + 1).await;
    late.publish_at(&second).await;
    agree(&relays).await;
    of_new.finds("ada", &["early", "late", "middle"], NEXT).await;
    of_old.finds("late", &["late"], Rules::FIRST).await;
    let refused = new_alone.registry.search("late", SearchOptions::default()).await.unwrap_err();
    assert_eq!(refused.code(), "relay/refused");
    for relay in relays {
        let count = relay.relay().shelf().catalogue().map().count(&keys::records());
        assert_eq!(count, 5, "an inception, an unknown record, three releases");
    }
}
