//! The claims of `tests/conformance.json`, against a relay's own store and against a peer that asks relays over the network. Those of the browser
//! are run by `tests/browser/conformance.test.mjs`.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use ggen_net::P2PRegistry;
use ggen_tests::conformance::{Conformance, EPOCH, Step, World};
use ggen_tests::{TestPeer, TestRelay, network, until, within};
use tokio::runtime::Runtime;

/// Relays that hold the world.
struct Stage {
    claims: Conformance,
    world: World,
    relays: Vec<TestRelay>,
}

impl Stage {
    async fn of(relays: usize) -> Self {
        let claims = Conformance::read();
        let mut stage = Self { world: claims.world(network()), claims, relays: Vec::new() };
        for _ in 0..relays {
            let relay = TestRelay::start_as(|config| config.epoch = EPOCH, |shelf| Box::new(shelf)).await;
            stage.world.publish_at(relay.relay().registry()).await;
            stage.relays.push(relay);
        }
        stage
    }
}

/// A stage that many tests share, since each claim is about packages of its own; with what runs its relays.
struct Shared(Stage, #[expect(dead_code, reason = "the relays run on it")] Runtime);

impl Shared {
    fn of(relays: usize) -> Self {
        // A test that comes here runs on a runtime already, on which nothing may block.
        let started = std::thread::spawn(move || {
            let runtime = Runtime::new().expect("a runtime");
            Self(runtime.block_on(Stage::of(relays)), runtime)
        });
        started.join().expect("the relays start")
    }
}

/// A relay's own store.
async fn by_a_relay_itself(claim: &str) {
    static ONE: LazyLock<Shared> = LazyLock::new(|| Shared::of(1));
    let Stage { claims, world, relays } = &ONE.0;
    for step in &claims.claims[claim] {
        assert!(!matches!(step, Step::CutOff), "a relay is not cut off from itself");
        within("the step", world.take(relays[0].relay().registry(), step)).await;
    }
}

/// A native peer that asks two relays.
async fn over_the_network(claim: &str) {
    static TWO: LazyLock<Shared> = LazyLock::new(|| Shared::of(2));
    let Stage { claims, world, relays } = &TWO.0;
    let peer = TestPeer::start(&[&relays[0], &relays[1]]).await;
    let registry = P2PRegistry::new(peer.peer);
    for step in &claims.claims[claim] {
        assert!(!matches!(step, Step::CutOff), "others need these relays");
        within("the step", world.take(&registry, step)).await;
    }
}

/// A native peer whose relays go.
async fn over_a_network_that_breaks(claim: &str) {
    let mut stage = Stage::of(2).await;
    let peer = TestPeer::start(&[&stage.relays[0], &stage.relays[1]]).await;
    let registry = P2PRegistry::new(peer.peer.clone());
    for step in &stage.claims.claims[claim] {
        if matches!(step, Step::CutOff) {
            for relay in &mut stage.relays {
                relay.stop().await;
            }
            until("lost relays", || async { peer.peer.connected().is_empty().then_some(()) }).await;
        } else {
            within("the step", stage.world.take(&registry, step)).await;
        }
    }
}

/// Tests, named by their claims: those that hold for every registry, and those that are about a network.
macro_rules! claims {
    (everywhere: $($claim:ident)*; network: $($remote:ident)*) => {
        mod relay_itself {
            $(#[tokio::test] async fn $claim() { super::by_a_relay_itself(stringify!($claim)).await; })*
        }
        mod peer_over_the_network {
            $(#[tokio::test] async fn $claim() { super::over_the_network(stringify!($claim)).await; })*
            $(#[tokio::test] async fn $remote() { super::over_a_network_that_breaks(stringify!($remote)).await; })*
        }

        #[test]
        fn every_claim_has_its_tests() {
            let conformance = Conformance::read();
            let tested = BTreeSet::from([$(stringify!($claim),)* $(stringify!($remote),)*]);
            assert_eq!(conformance.claims.keys().map(|claim| &claim[..]).collect::<BTreeSet<_>>(), tested);
        }
    };
}

claims! {
    everywhere:
        a_package_is_shown_by_its_newest_version_that_is_no_pre_release_and_neither_withdrawn_nor_contested
        a_package_is_shown_by_a_pre_release_if_there_is_nothing_else
        versions_stand_in_the_precedence_of_semver
        an_exact_version_never_falls_back_to_another
        to_publish_the_same_release_again_succeeds_and_changes_nothing
        a_different_release_of_a_version_is_refused_to_its_own_publisher
        a_version_that_is_published_again_from_the_same_sources_is_not_contested
        what_is_published_is_there
        delete_retracts_a_version_for_good
        delete_refuses_what_is_no_retraction_and_what_is_not_there
        a_yanked_version_is_hidden_and_still_resolves_with_the_mark
        a_contested_version_is_evidence_and_not_a_package
        a_package_of_which_all_is_withdrawn_exists_and_its_versions_are_listed
        exists_says_whether_there_is_such_a_package
        metadata_is_the_release_that_a_package_is_shown_by
        a_search_gives_each_package_once_by_the_version_that_it_is_shown_by_and_counts_exactly
        a_partial_answer_says_how_much_is_missing;
    network:
        an_unknown_package_an_unknown_version_and_an_unreachable_network_are_three_errors
        what_was_answered_before_is_shown_while_nobody_can_be_asked_and_it_says_so
}
