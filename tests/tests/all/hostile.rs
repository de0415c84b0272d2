//! Relays that lie about what they hold, in ways that their proofs seem to bear out: each lie is found by the client that asks, its relay is
//! named, and with one honest relay among three the answer is complete all the same. Evidence is checked by somebody who was not there.

use std::collections::BTreeSet;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use futures::{AsyncWriteExt, StreamExt};
use ggen_net::light::Event;
use ggen_net::{Comparison, Difference, P2PConfig, P2PRegistry};
use ggen_relay::identity::Identity;
use ggen_relay::market::peer::{self, Tokio};
use ggen_shared::checkpoint::Checkpoint;
use ggen_shared::client::{Evidence, Misdeed};
use ggen_shared::id::{PublicKey, RecordId};
use ggen_shared::merkle::Hash;
use ggen_shared::protocol::names;
use ggen_shared::protocol::publish::Offer;
use ggen_shared::protocol::query::KeyLogOf;
use ggen_shared::registry::{PeerError, Registry, SearchError, SearchOptions, SearchResults};
use ggen_shared::reputation::UNKNOWN_SCORE;
use ggen_shared::rules::Schedule;
use ggen_tests::attack::{RawPeer, accusation, sent, subscribe};
use ggen_tests::liar::{HIDDEN, Liar, Lie, Orders};
use ggen_tests::relays::Deaf;
use ggen_tests::{EPOCH, Package, Publisher, TestPeer, TestRelay, depends_on, http, network, offer_to, until, within};
use libp2p::PeerId;

type Client = P2PRegistry<Tokio>;

/// How long these clients wait for an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A relay that is honest until it is told to lie.
struct LyingRelay {
    relay: TestRelay,
    orders: Orders,
}

impl LyingRelay {
    async fn start() -> Self {
        let orders = Orders::default();
        let its = orders.clone();
        let relay = TestRelay::answering(move |shelf| Box::new(Deaf(Liar::new(shelf, its, EPOCH)))).await;
        let identity = Identity::load_or_create(relay.directory()).unwrap().keypair.try_into_ed25519().unwrap();
        orders.sign_with(SigningKey::from_bytes(identity.secret().as_ref().try_into().unwrap()));
        Self { relay, orders }
    }
}

/// Two packages with words in common, one of which depends on the other and has two versions.
fn packages() -> [Package; 3] {
    let plain = Publisher::new(5).release("plain", "1.0.0", "the same word", b"plain");
    let needs = depends_on(&plain.release.package());
    let mut publisher = Publisher::new(6);
    let old = publisher.release(HIDDEN, "0.9.0", "the same word", b"old");
    let hidden = publisher.release_with(HIDDEN, "1.0.0", b"hidden", |release| {
        release.description = "the same word".into();
        release.dependencies = vec![needs];
    });
    [plain, old, hidden]
}

/// What all relays hold, and a client that asks the first one first.
struct Scene {
    liars: Vec<LyingRelay>,
    honest: Vec<TestRelay>,
    client: Client,
}

impl Scene {
    async fn of(liars: usize, honest: usize) -> Self {
        let liars = futures::future::join_all((0..liars).map(|_| LyingRelay::start())).await;
        let honest = futures::future::join_all((0..honest).map(|_| TestRelay::deaf(|_| {}))).await;
        let relays: Vec<_> = liars.iter().map(|liar| &liar.relay).chain(&honest).collect();
        futures::future::join_all(relays.iter().map(|relay| fill(relay))).await;
        let config = P2PConfig {
            network: network(),
            epoch: EPOCH,
            relays: relays.iter().map(|relay| relay.address("/tcp/", false)).collect(),
            discover: false,
            request_timeout: PATIENCE,
            ..P2PConfig::default()
        };
        let client = Client::new(peer::start(config).unwrap().0);
        until("connections", async || (client.peer().connected().len() == relays.len()).then_some(())).await;
        for relay in &relays[1..] {
            for _ in 0..3 {
                client.peer().note_fault(relay.peer_id());
            }
        }
        Self { liars, honest, client }
    }

    /// Two relays that tell the same lie, the one that is asked among them, and an honest one.
    async fn of_three(lie: Lie) -> Self {
        let scene = Self::of(2, 1).await;
        scene.lie(lie);
        scene
    }

    fn lie(&self, lie: Lie) {
        self.liars.iter().for_each(|liar| liar.orders.lie(Some(lie)));
    }

    fn liar(&self) -> PeerId {
        self.liars[0].relay.peer_id()
    }

    fn score(&self, relay: PeerId) -> f64 {
        let now = ggen_net::light::Platform::now(self.client.peer().platform());
        self.client.peer().reputation(&relay).score(now)
    }

    async fn search(&self, text: &str) -> Result<SearchResults, SearchError> {
        self.client.search(text, SearchOptions::default()).await
    }

    /// The answer of the liar, and what the others say to it.
    async fn compared(&self, text: &str) -> (SearchResults, Comparison) {
        let found = self.search(text).await.unwrap();
        assert_eq!(found.source.0, self.liar().to_string(), "the liar is asked first");
        let comparison = self.client.compare(text, &SearchOptions::default(), &found).await;
        (found, comparison)
    }
}

/// Hands both packages to a relay, and waits until it has committed to them: what is recent is beside the point here.
async fn fill(relay: &TestRelay) {
    for package in packages() {
        package.publish_at(relay).await;
    }
    until("a checkpoint of all", async || {
        let shelf = relay.relay().shelf();
        let root = shelf.catalogue().root();
        shelf.snapshots().latest().is_some_and(|latest| latest.map.root() == root).then_some(())
    })
    .await;
}

fn names(results: &SearchResults) -> Vec<&str> {
    let mut names: Vec<_> = results.hits.iter().flatten().map(|hit| hit.release.name.as_str()).collect();
    names.sort_unstable();
    names
}

/// What is shown in the end: the page, and what others have more.
fn shown(results: &SearchResults, comparison: &Comparison) -> Vec<String> {
    let more = comparison.differ.iter().flat_map(|difference| &difference.more);
    let mut names: Vec<_> = results.hits.iter().flatten().chain(more).map(|hit| hit.release.name.to_string()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A lie about what is derived: the honest relay shows it, the answer is complete, the liar is named, with evidence that convinces who was not there.
async fn is_seen_by_comparison(lie: Lie, text: &str, codes: &[&str]) {
    let scene = Scene::of_three(lie).await;
    let (found, comparison) = scene.compared(text).await;
    assert!(!comparison.is_complete(), "{comparison:?}");
    assert_eq!(comparison.agree.len(), 1, "the other liar, which does not outvote the honest relay");
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.source.0, scene.honest[0].peer_id().to_string());
    assert_eq!(shown(&found, &comparison), [HIDDEN, "plain"]);
    let faults: Vec<_> = difference.faults.iter().map(|fault| fault.evidence.misdeed().code()).collect();
    assert_eq!(faults, codes);
    for fault in &difference.faults {
        assert_eq!(fault.source.0, scene.liar().to_string());
        let convinced = Evidence::verify(fault.evidence.bytes(), &network(), &Schedule::default()).unwrap();
        assert_eq!(convinced, fault.evidence);
        assert_eq!(ggen_net::address::key_of(&scene.liar()).as_ref(), Some(convinced.relay()));
    }
    assert_eq!(scene.client.evidence().len(), codes.len());
    assert!(scene.score(scene.liar()) < UNKNOWN_SCORE);
}

#[tokio::test]
async fn a_package_that_a_relay_holds_and_keeps_off_all_lists_is_shown_and_the_relay_is_named() {
    is_seen_by_comparison(Lie::Hide, "same word", &["relay/missing-entry"]).await;
}

#[tokio::test]
async fn a_wrong_derivation_of_words_is_proven() {
    is_seen_by_comparison(Lie::Terms, "same word", &["relay/missing-entry"]).await;
}

#[tokio::test]
async fn a_wrong_derivation_of_beginnings_is_proven() {
    is_seen_by_comparison(Lie::Beginnings, "word", &["relay/missing-entry"]).await;
}

#[tokio::test]
async fn a_wrong_derivation_of_the_newest_is_proven() {
    is_seen_by_comparison(Lie::Newest, "", &["relay/missing-entry"]).await;
}

#[tokio::test]
async fn a_wrong_rank_is_refused_and_proven() {
    let scene = Scene::of_three(Lie::Rank).await;
    let (found, comparison) = scene.compared("word").await;
    let refused: Vec<_> = found.hits.iter().filter_map(|hit| hit.as_ref().err()).collect();
    assert_eq!(refused.iter().map(|refused| refused.refused.error.code()).collect::<Vec<_>>(), ["relay/wrong-entry"]);
    assert_eq!(shown(&found, &comparison), [HIDDEN, "plain"]);
    let faults = comparison.differ[0].faults.iter().map(|fault| fault.evidence.misdeed().code());
    assert_eq!(faults.collect::<Vec<_>>(), ["relay/missing-entry", "relay/wrong-entry"]);
    assert!(
        scene
            .client
            .evidence()
            .iter()
            .all(|one| Evidence::verify(one.bytes(), &network(), &Schedule::default()).as_ref() == Ok(one))
    );
}

#[tokio::test]
async fn a_false_filter_hides_nothing_and_is_proven() {
    is_seen_by_comparison(Lie::Filter, "same word", &["relay/false-filter"]).await;
}

/// A derivation that only an audit finds: by chance, but soon.
async fn is_found_by_audit(lie: Lie, code: &str) {
    let scene = Scene::of(1, 1).await;
    let (seed, client) = (std::cell::Cell::new(0), &scene.client);
    let audit = |relay| {
        seed.set(seed.get() + 1);
        let entropy = ggen_tests::attack::Random::new(seed.get()).bytes(32);
        async move { client.audit(relay, entropy.try_into().unwrap()).await }
    };
    for _ in 0..8 {
        assert_eq!(audit(scene.honest[0].peer_id()).await, Ok(None), "an honest relay passes");
        assert_eq!(audit(scene.liar()).await, Ok(None), "it is honest yet");
    }
    scene.lie(lie);
    // In the epoch in which it begins to lie, it is caught for two roots.
    let evidence = until("an audit that hits upon it", async || audit(scene.liar()).await.ok().flatten()).await;
    assert_eq!(evidence.misdeed().code(), code);
    assert_eq!(Evidence::verify(evidence.bytes(), &network(), &Schedule::default()).as_ref(), Ok(&evidence));
    assert!(scene.client.evidence().contains(&evidence));
    assert_eq!(scene.client.audits().failed, 1);
    assert!(scene.score(scene.liar()) < UNKNOWN_SCORE);
}

#[tokio::test]
async fn a_wrong_derivation_of_dependents_is_found_by_an_audit() {
    is_found_by_audit(Lie::Dependents, "relay/missing-entry").await;
}

#[tokio::test]
async fn a_version_that_is_left_out_is_found_by_an_audit() {
    is_found_by_audit(Lie::Version, "relay/missing-version").await;
}

#[tokio::test]
async fn a_derivation_that_all_relays_share_is_found_by_an_audit() {
    is_found_by_audit(Lie::Hide, "relay/missing-entry").await;
}

#[tokio::test]
async fn who_withholds_what_it_commits_to_from_two_audits_is_at_fault() {
    let scene = Scene::of(1, 1).await;
    let before = scene.score(scene.liar());
    scene.lie(Lie::Forget);
    for audit in 0..3_u8 {
        let withheld = scene.client.audit(scene.liar(), [audit; 32]).await.unwrap_err();
        assert_eq!(withheld.code(), "relay/withheld");
        // The record may have been displaced since the checkpoint, once.
        assert_eq!(scene.score(scene.liar()) < before, audit > 0, "{audit}");
    }
    assert_eq!(scene.client.audits().unfinished, 3);
    assert_eq!(scene.client.audit(scene.honest[0].peer_id(), [0; 32]).await, Ok(None));
}

#[tokio::test]
async fn a_record_that_a_relay_withholds_is_shown_by_an_honest_one_and_is_no_fault() {
    let scene = Scene::of_three(Lie::Withhold).await;
    let (found, comparison) = scene.compared("same word").await;
    assert_eq!(shown(&found, &comparison), [HIDDEN, "plain"]);
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    assert!(difference.faults.is_empty() && difference.hidden.is_empty(), "nothing shows that it is more than behind");
    assert!(scene.client.evidence().is_empty());
}

#[tokio::test]
async fn an_old_release_is_replaced_by_the_newer_one_of_an_honest_relay_and_is_no_fault() {
    let scene = Scene::of_three(Lie::Old).await;
    let (found, comparison) = scene.compared("same word").await;
    let [_, old, new] = packages().map(|package| package.release.id());
    assert!(found.hits.iter().flatten().any(|hit| hit.release.id() == old));
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.more.iter().map(|hit| hit.release.id()).collect::<Vec<_>>(), [new]);
    assert_eq!((&difference.outdated[..], &difference.lacks[..]), (&[old][..], &[][..]));
    assert!(difference.faults.is_empty() && difference.hidden.is_empty());
}

#[tokio::test]
async fn a_relay_hides_nothing_behind_what_another_ones_operator_excludes() {
    let scene = Scene::of(1, 1).await;
    let [_, old, hidden] = packages().map(|package| package.release.id());
    let honest = &scene.honest[0];
    ggen_relay::exclusions::add(honest.directory(), hidden, "a reason").unwrap();
    until("a checkpoint with what it excludes", async || {
        honest.relay().shelf().snapshots().latest()?.checkpoint.exclusions.map(drop)
    })
    .await;
    scene.lie(Lie::Hide);
    let (found, comparison) = scene.compared("same word").await;
    assert_eq!(names(&found), ["plain"]);
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    // The older version is listed in the place of the newer, which the liar has, and lists nowhere.
    assert_eq!(difference.more.iter().map(|hit| hit.release.id()).collect::<Vec<_>>(), [old]);
    assert!(!difference.is_explained() && !comparison.is_complete() && comparison.agree.is_empty());
}

/// The publisher of the hidden package, who goes on from its two releases.
fn hidden_publisher() -> Publisher {
    let mut publisher = Publisher::new(6);
    publisher.release(HIDDEN, "0.9.0", "the same word", b"old");
    publisher.release(HIDDEN, "1.0.0", "the same word", b"hidden");
    publisher
}

fn yank() -> Offer {
    hidden_publisher().yank(HIDDEN, "1.0.0")
}

/// A rotation that makes the newest release void.
fn rotation() -> Offer {
    hidden_publisher().rotate(&[packages()[1].release.id()])
}

/// Hands something to a relay, and waits until it has committed to it.
async fn tell(relay: &TestRelay, offer: &Offer) {
    let root = || relay.relay().shelf().snapshots().latest().map(|latest| latest.map.root());
    let before = root();
    offer_to(relay, offer).await;
    until("a checkpoint with it", async || (root() != before).then_some(())).await;
}

/// What is to be chosen in the end: what is shown, but for what is known to be void.
fn chosen(results: &SearchResults, comparison: &Comparison) -> BTreeSet<RecordId> {
    let more = comparison.differ.iter().flat_map(|difference| &difference.more);
    let outdated: Vec<_> = comparison.differ.iter().flat_map(|difference| &difference.outdated).collect();
    let shown = results.hits.iter().flatten().chain(more).map(|hit| hit.release.id());
    shown.filter(|id| !outdated.contains(&id)).collect()
}

/// What is to be chosen where the newest release is not.
fn old_and_plain() -> BTreeSet<RecordId> {
    packages()[..2].iter().map(|package| package.release.id()).collect()
}

/// Something that one relay has and the one that is asked does not say: the release that it voids is not to be taken for good.
async fn is_known_from_another(voids: Offer) {
    let scene = Scene::of(1, 1).await;
    tell(&scene.honest[0], &voids).await;
    let (found, comparison) = scene.compared("same word").await;
    assert_eq!(names(&found), [HIDDEN, "plain"]);
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    let [_, _, hidden] = packages().map(|package| package.release.id());
    assert_eq!((&difference.outdated[..], &difference.lacks[..]), (&[hidden][..], &[][..]));
    assert!(difference.faults.is_empty(), "it may just not have heard of it");
    assert_eq!(chosen(&found, &comparison), old_and_plain());
}

#[tokio::test]
async fn a_yank_that_a_relay_did_not_hear_of_is_known_from_another() {
    is_known_from_another(yank()).await;
}

#[tokio::test]
async fn a_rotation_that_a_relay_did_not_hear_of_is_known_from_another() {
    is_known_from_another(rotation()).await;
}

/// Three relays that all hold what voids the newest release, two of which lie about it.
async fn voided_at_all(lie: Lie, voids: Offer) -> Scene {
    let scene = Scene::of(2, 1).await;
    for relay in scene.liars.iter().map(|liar| &liar.relay).chain(&scene.honest) {
        // What it holds when it is asked, a liar does not forget.
        let publisher = packages()[0].release.publisher;
        scene.client.peer().ask(relay.peer_id(), KeyLogOf { publisher }).await.unwrap();
        tell(relay, &voids).await;
    }
    scene.lie(lie);
    scene
}

/// A lie about what voids a release, told by the relay that is asked, then by those that the answer is compared with: none of both shows the
/// release for good, and the liar is named if it commits to what it ignores.
async fn voids_all_the_same(lie: Lie, voids: Offer, codes: &[&str]) {
    let scene = voided_at_all(lie, voids).await;
    let (found, comparison) = scene.compared("same word").await;
    assert!(!comparison.is_complete(), "{comparison:?}");
    let [old, plain] = [1, 0].map(|at| packages()[at].release.id());
    let hidden = packages()[2].release.id();
    assert!(found.hits.iter().flatten().any(|hit| hit.release.id() == hidden), "the lie is told");
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.source.0, scene.honest[0].peer_id().to_string());
    assert_eq!((&difference.outdated[..], &difference.lacks[..]), (&[hidden][..], &[][..]));
    assert_eq!(chosen(&found, &comparison), BTreeSet::from([old, plain]));
    let named = |difference: &Difference, liar: PeerId| {
        for fault in &difference.faults {
            assert_eq!((&fault.source.0, fault.evidence.release()), (&liar.to_string(), Some(hidden)));
            let convinced = Evidence::verify(fault.evidence.bytes(), &network(), &Schedule::default()).unwrap();
            assert_eq!(ggen_net::address::key_of(&liar).as_ref(), Some(convinced.relay()));
        }
        let faults: Vec<_> = difference.faults.iter().map(|fault| fault.evidence.misdeed().code()).collect();
        assert_eq!(faults, codes);
    };
    named(difference, scene.liar());
    assert_eq!(
        scene.score(scene.liar()) < UNKNOWN_SCORE,
        !codes.is_empty(),
        "whoever just did not hear of it is not blamed"
    );

    let honest = scene.honest[0].peer_id();
    for _ in 0..8 {
        scene.liars.iter().for_each(|liar| scene.client.peer().note_fault(liar.relay.peer_id()));
    }
    let found = scene.search("same word").await.unwrap();
    assert_eq!(found.source.0, honest.to_string());
    let comparison = scene.client.compare("same word", &SearchOptions::default(), &found).await;
    assert_eq!(chosen(&found, &comparison), BTreeSet::from([old, plain]), "{comparison:?}");
    assert!(comparison.agree.is_empty(), "{comparison:?}");
    for liar in &scene.liars {
        let liar = liar.relay.peer_id();
        let its = comparison.differ.iter().find(|difference| difference.source.0 == liar.to_string()).unwrap();
        assert_eq!((&its.more[..], &its.outdated[..], &its.lacks[..]), (&[][..], &[][..], &[old][..]));
        named(its, liar);
    }
}

#[tokio::test]
async fn a_yank_that_relays_hide_is_known_from_an_honest_one() {
    voids_all_the_same(Lie::Yank, yank(), &[]).await;
}

#[tokio::test]
async fn a_rotation_that_relays_hide_is_known_from_an_honest_one() {
    voids_all_the_same(Lie::Rotation, rotation(), &[]).await;
}

#[tokio::test]
async fn a_yank_that_relays_hold_and_do_not_heed_is_proven() {
    voids_all_the_same(Lie::Unheeded, yank(), &["relay/unheeded-status"]).await;
}

#[tokio::test]
async fn a_release_that_relays_keep_although_they_hold_the_rotation_that_voids_it_is_proven() {
    voids_all_the_same(Lie::Void, rotation(), &["relay/void-release"]).await;
}

#[tokio::test]
async fn a_count_of_more_than_there_is_is_seen() {
    let scene = Scene::of_three(Lie::Inflate).await;
    let options = SearchOptions { limit: 2, ..SearchOptions::default() };
    let found = scene.client.search("word", options.clone()).await.unwrap();
    assert_eq!((found.total, found.total_is_exact), (3, true), "its proof says so");
    let comparison = scene.client.compare("word", &options, &found).await;
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.unbacked, 1);
    let liar = scene.liar().to_string();
    let named = comparison.silent.iter().filter(|(source, _)| source.0 == liar).map(|(_, error)| error.code());
    assert_eq!(named.collect::<Vec<_>>(), ["relay/withheld"]);
    assert_eq!(shown(&found, &comparison), [HIDDEN, "plain"]);
}

#[tokio::test]
async fn a_relay_that_does_not_say_what_it_commits_to_hides_nothing() {
    let scene = Scene::of_three(Lie::Refuse).await;
    let (found, comparison) = scene.compared("same word").await;
    assert_eq!(names(&found), ["plain"]);
    assert_eq!(shown(&found, &comparison), [HIDDEN, "plain"]);
    let liar = scene.liar().to_string();
    assert!(
        comparison.silent.iter().any(|(source, error)| source.0 == liar && error.code() == "relay/refused"),
        "{comparison:?}"
    );
}

/// The first entry alone, and what an honest relay says to it: what ranks behind it is where the page does not go.
async fn compared_by_the_first(lie: Lie) -> (Scene, SearchResults, Comparison) {
    let scene = Scene::of(1, 1).await;
    scene.lie(lie);
    let options = SearchOptions { limit: 1, ..SearchOptions::default() };
    let found = scene.client.search("word", options.clone()).await.unwrap();
    assert_eq!((found.source.0.clone(), names(&found)), (scene.liar().to_string(), vec!["plain"]));
    let comparison = scene.client.compare("word", &options, &found).await;
    (scene, found, comparison)
}

#[tokio::test]
async fn entries_that_are_none_do_not_hide_what_is_left_out() {
    let (_, found, comparison) = compared_by_the_first(Lie::Decoys).await;
    assert_eq!(shown(&found, &comparison), [HIDDEN, "plain"]);
    assert!(comparison.agree.is_empty() && !comparison.is_complete(), "{comparison:?}");
}

#[tokio::test]
async fn a_comparison_that_is_cut_short_is_no_agreement() {
    let (scene, _, comparison) = compared_by_the_first(Lie::Bury).await;
    assert!(comparison.agree.is_empty() && !comparison.is_complete(), "{comparison:?}");
    let silent: Vec<_> = comparison.silent.iter().map(|(source, error)| (source.0.clone(), error.code())).collect();
    assert_eq!(silent, [(scene.honest[0].peer_id().to_string(), "relay/undecided")]);
}

#[tokio::test]
async fn a_relay_that_does_not_deliver_what_it_has_does_not_agree() {
    let scene = Scene::of(2, 0).await;
    scene.liars[0].orders.lie(Some(Lie::Hide));
    scene.liars[1].orders.lie(Some(Lie::Mute));
    let (_, comparison) = scene.compared("same word").await;
    assert!(comparison.agree.is_empty() && comparison.differ.is_empty(), "{comparison:?}");
    let silent: Vec<_> = comparison.silent.iter().map(|(source, error)| (source.0.clone(), error.code())).collect();
    assert_eq!(silent, [(scene.liars[1].relay.peer_id().to_string(), "relay/refused")]);
}

#[tokio::test]
async fn two_roots_are_seen_of_a_page_that_is_read_on() {
    let scene = Scene::of(1, 0).await;
    let options = |cursor| SearchOptions { limit: 1, cursor, ..SearchOptions::default() };
    let caught = until("a page that stands on another root", async || {
        scene.liars[0].orders.lie(None);
        let first = scene.client.search("word", options(None)).await.ok()?;
        scene.lie(Lie::TwoRoots);
        match scene.client.search("word", options(first.cursor)).await {
            Err(SearchError::Peer(PeerError::BadAnswer(error))) if error.code() == "relay/two-roots" => Some(()),
            _ => None,
        }
    });
    caught.await;
    assert!(!scene.client.evidence().is_empty());
}

#[tokio::test]
async fn a_record_that_is_left_out_of_its_own_proof_is_missed() {
    let scene = Scene::of_three(Lie::Drop).await;
    let (found, _) = scene.compared("same word").await;
    let refused: Vec<_> = found.hits.iter().filter_map(|hit| hit.as_ref().err()).collect();
    assert_eq!(refused.iter().map(|refused| refused.refused.error.code()).collect::<Vec<_>>(), ["relay/withheld"]);
    assert!(scene.score(scene.liar()) < UNKNOWN_SCORE);
}

/// The error of the liar alone; and the whole answer as soon as an honest relay is there too.
async fn is_refused_and_another_is_asked(lie: Lie, code: &str) {
    let alone = Scene::of(1, 0).await;
    alone.lie(lie);
    let refused = alone.search("same word").await.unwrap_err();
    assert_eq!(refused.code(), code, "{refused:?}");
    assert!(alone.score(alone.liar()) < UNKNOWN_SCORE);
    let three = Scene::of_three(lie).await;
    let found = three.search("same word").await.unwrap();
    assert_eq!(names(&found), [HIDDEN, "plain"]);
    assert_eq!(found.source.0, three.honest[0].peer_id().to_string());
}

#[tokio::test]
async fn an_old_checkpoint_is_refused() {
    is_refused_and_another_is_asked(Lie::Replay, "checkpoint/not-fresh").await;
}

#[tokio::test]
async fn a_forged_proof_is_refused() {
    is_refused_and_another_is_asked(Lie::Forge, "relay/bad-proof").await;
}

#[tokio::test]
async fn a_count_that_is_not_what_was_committed_to_is_refused() {
    is_refused_and_another_is_asked(Lie::Count, "relay/bad-proof").await;
}

#[tokio::test]
async fn a_relay_that_says_nothing_costs_a_timeout_and_no_result() {
    is_refused_and_another_is_asked(Lie::Silence, "network/timeout").await;
}

#[tokio::test]
async fn a_relay_that_stops_in_the_middle_of_an_answer_costs_a_timeout_and_no_result() {
    is_refused_and_another_is_asked(Lie::Stall, "network/timeout").await;
}

#[tokio::test]
async fn an_answer_without_end_costs_a_timeout_and_no_result() {
    is_refused_and_another_is_asked(Lie::Endless, "network/timeout").await;
}

#[tokio::test]
async fn two_roots_for_one_epoch_are_kept_as_evidence_that_convinces_who_was_not_there() {
    let scene = Scene::of(1, 0).await;
    scene.lie(Lie::TwoRoots);
    let caught = until("two answers within one epoch", async || match scene.search("same word").await {
        Err(SearchError::Peer(PeerError::BadAnswer(error))) => Some(error),
        _ => None,
    });
    assert_eq!(caught.await.code(), "relay/two-roots");
    let [evidence] = &scene.client.evidence()[..] else { panic!("one piece of evidence") };
    assert_eq!(evidence.misdeed(), Misdeed::TwoRoots);
    assert_eq!(Evidence::verify(evidence.bytes(), &network(), &Schedule::default()).as_ref(), Ok(evidence));
    assert!(scene.score(scene.liar()) < UNKNOWN_SCORE);
}

#[tokio::test]
async fn evidence_reaches_all_who_know_the_relay_and_is_kept_by_relays_over_restarts() {
    let liar = LyingRelay::start().await;
    let accused = liar.relay.peer_id();
    let mut honest = TestRelay::start(&[&liar.relay]).await;
    fill(&liar.relay).await;
    let mut finds = TestPeer::start(&[&liar.relay, &honest]).await;
    let finder = Client::new(finds.peer.clone());
    finder.peer().note_fault(honest.peer_id());
    let mut other = TestPeer::start(&[&honest, &liar.relay]).await;
    let mut stranger = TestPeer::start(&[&honest]).await;
    // What is said before somebody listens nobody hears. The liar passes nothing on, so who hears of this hears the honest relay, and is heard.
    let news = Publisher::new(8).release("news", "1.0.0", "of the honest relay", b"news");
    news.publish_at(&honest).await;
    for peer in [&mut finds, &mut other, &mut stranger] {
        while peer.announced().await.id() != news.release.id() {}
    }
    liar.orders.lie(Some(Lie::TwoRoots));
    until("two roots", async || {
        // The other relay answers once this one is caught.
        _ = finder.search("same word", SearchOptions::default()).await;
        (!finder.evidence().is_empty()).then_some(())
    })
    .await;
    let found = finder.evidence();
    assert_eq!(found.iter().map(Evidence::misdeed).collect::<Vec<_>>(), [Misdeed::TwoRoots]);

    until("the relay's evidence", async || (honest.relay().registry().evidence() == found).then_some(())).await;
    let heard = within("the other's evidence", async {
        loop {
            if let Event::Accused { evidence, from } = other.events.next().await.expect("the peer runs") {
                return (*evidence, from);
            }
        }
    });
    let (heard, from) = heard.await;
    assert_eq!((&heard, from), (&found[0], Some(honest.peer_id())), "it asked nobody itself");
    assert_eq!(other.peer.evidence(), found);
    let now = ggen_net::light::Platform::now(other.peer.platform());
    assert!(other.peer.reputation(&accused).score(now) < UNKNOWN_SCORE);
    assert!(stranger.peer.evidence().is_empty(), "it is nothing to who does not know the relay");

    honest.stop().await;
    let again = honest.restarted(|config| config.http = Some("127.0.0.1:0".parse().unwrap())).await;
    let again = again.relay();
    assert_eq!(again.registry().evidence(), found);
    let shown = http::get(again.http().unwrap(), "/api/v1/evidence").await.json();
    assert_eq!(shown[0]["relay"], accused.to_string());
    assert_eq!(shown[0]["code"], "relay/two-roots");
    let bytes = data_encoding::BASE64.decode(shown[0]["evidence"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(bytes, found[0].bytes());
}

#[tokio::test]
async fn what_is_no_evidence_or_is_against_nobody_known_is_neither_kept_nor_passed_on() {
    let known = [TestRelay::start(&[]).await, TestRelay::start(&[]).await, TestRelay::start(&[]).await];
    let relay = TestRelay::start(&known.each_ref()).await;
    let keys = known.each_ref().map(|relay| {
        let keypair = Identity::load_or_create(relay.directory()).unwrap().keypair.try_into_ed25519().unwrap();
        SigningKey::from_bytes(keypair.secret().as_ref().try_into().unwrap())
    });
    let against = |key: &SigningKey, epoch| {
        let checkpoint = |content: &str| {
            let relay = PublicKey::from_bytes(key.verifying_key().to_bytes());
            let (network, root) = (network(), Hash::leaf(b"", content.as_bytes()).into());
            let rules = Schedule::default().rules.number;
            Checkpoint { network, relay, epoch, root, rules, exclusions: None, previous: None }.sign(key).unwrap()
        };
        Evidence::of_two(&checkpoint("a"), &checkpoint("b")).unwrap()
    };
    let listener = TestPeer::start(&[&relay, &known[0]]).await;
    let address = relay.address("/tcp/", false);
    let say = async |messages: Vec<Vec<u8>>| {
        let (peer, inbound) = RawPeer::connect(&address, &[]).await;
        let mut stream = peer.open("/meshsub/1.2.0").await.unwrap();
        stream.write_all(&sent(subscribe(names::EVIDENCE_TOPIC))).await.unwrap();
        for message in messages {
            stream.write_all(&accusation(&message)).await.unwrap();
        }
        stream.flush().await.unwrap();
        (peer, inbound, stream)
    };
    let [genuine, second, third] = keys.each_ref().map(|key| against(key, 1));
    let mut forged = genuine.bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let of_nobody = against(&SigningKey::from_bytes(&[9; 32]), 1).bytes().to_vec();
    let huge = [&[0x82][..], &[0; 20_000]].concat();
    let bad = vec![Vec::new(), vec![0x82], b"none".to_vec(), huge, forged, of_nobody];
    // One after the other on one stream: when the last one is kept, all others were looked at.
    let all = [bad.clone(), vec![genuine.bytes().to_vec()]].concat();
    let _open = say(all).await;
    until("the genuine evidence", async || (relay.relay().registry().evidence() == [genuine.clone()]).then_some(()))
        .await;
    until("the listener's", async || (listener.peer.evidence() == [genuine.clone()]).then_some(())).await;
    let known_to_break_it = against(&keys[0], 2).bytes().to_vec();
    // Who says much that is none is not heard any more.
    let garbage = (0..50_u8).map(|number| vec![0x82, number]);
    let _open = say([known_to_break_it].into_iter().chain(garbage).chain([second.bytes().to_vec()]).collect()).await;
    let _open = say(vec![third.bytes().to_vec()]).await;
    let kept = || relay.relay().registry().evidence();
    until("what a stranger says", async || (kept() == [genuine.clone(), third.clone()]).then_some(())).await;
    let _open = say(vec![second.bytes().to_vec()]).await;
    until("the same of a stranger", async || (kept().last() == Some(&second)).then_some(())).await;
}
