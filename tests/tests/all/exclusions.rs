//! What an operator excludes at run time, by the commands of the program: it is on no list of that relay, whoever asks is told so and why, others show
//! it all the same, and nobody is taken for a liar.

use std::path::Path;

use ggen_net::{Comparison, Excluded, P2PRegistry};
use ggen_relay::market::peer::Tokio;
use ggen_shared::catalogue::{Exclusions, keys};
use ggen_shared::id::RecordId;
use ggen_shared::registry::{PublisherView, Registry, SearchOptions, SearchResults, Source};
use ggen_tests::{Package, Publisher, TestPeer, TestRelay, http, program, until, within};
use tokio::process::Command;

const REASON: &str = "it mines coins";
const WORDS: &str = "same words";

/// Runs the relay's program with an argument, a record and a data directory: what it prints.
async fn operator(directory: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(program("ggen-relay"));
    command.args(arguments).arg("--data-dir").arg(directory).kill_on_drop(true);
    let output = within("the program", command.output()).await.unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Waits until a relay has committed to what it holds and excludes, so many releases.
async fn committed(relay: &TestRelay, excluded: usize) {
    until("a checkpoint of all", async || {
        let shelf = relay.relay().shelf();
        let (count, root) = {
            let catalogue = shelf.catalogue();
            (catalogue.exclusions().len(), catalogue.root())
        };
        (count == excluded && shelf.snapshots().latest()?.map.root() == root).then_some(())
    })
    .await;
}

/// Two versions of a package, of which one says more, and another package that the same words find.
fn packages() -> [Package; 3] {
    let mut publisher = Publisher::new(7);
    [
        ("coins", "1.0.0", "the same words, and miners"),
        ("coins", "1.1.0", "the same words"),
        ("other", "1.0.0", "the same words"),
    ]
    .map(|(name, version, about)| publisher.release(name, version, about, format!("{name} {version}").as_bytes()))
}

/// Three relays that hold all of it.
struct Scene {
    relays: [TestRelay; 3],
    packages: [Package; 3],
}

impl Scene {
    async fn start() -> Self {
        let packages = packages();
        let with_http = |config: &mut ggen_relay::Config| config.http = Some(([127, 0, 0, 1], 0).into());
        let relays =
            [TestRelay::deaf(with_http).await, TestRelay::deaf(with_http).await, TestRelay::deaf(with_http).await];
        for relay in &relays {
            for package in &packages {
                package.publish_at(relay).await;
            }
            committed(relay, 0).await;
        }
        Self { relays, packages }
    }

    fn id(&self) -> RecordId {
        self.packages[1].release.id()
    }

    /// What a new client finds that asks one relay first, and what the others say to it. It thinks of all of them as before.
    async fn compared(&self, first: usize, text: &str) -> (SearchResults, Comparison) {
        let client: P2PRegistry<Tokio> = P2PRegistry::new(TestPeer::start(&self.relays.each_ref()).await.peer);
        let peer = client.peer();
        for (_, relay) in self.relays.iter().enumerate().filter(|(at, _)| *at != first) {
            for _ in 0..3 {
                peer.note_fault(relay.peer_id());
            }
        }
        let faults = || self.relays.each_ref().map(|relay| peer.reputation(&relay.peer_id()).faults());
        let before = faults();
        let found = client.search(text, SearchOptions::default()).await.unwrap();
        assert_eq!(found.source, source(&self.relays[first]));
        let comparison = client.compare(text, &SearchOptions::default(), &found).await;
        assert!(faults().iter().zip(before).all(|(now, before)| *now <= before), "what is explained is no fault");
        assert!(client.evidence().is_empty());
        (found, comparison)
    }
}

fn source(relay: &TestRelay) -> Source {
    Source(relay.peer_id().to_string())
}

fn versions(results: &SearchResults) -> Vec<String> {
    let mut versions: Vec<_> =
        results.hits.iter().flatten().map(|hit| format!("{} {}", hit.release.name, hit.release.version)).collect();
    versions.sort();
    versions
}

#[tokio::test]
async fn what_an_operator_excludes_is_a_difference_that_is_explained() {
    let scene = Scene::start().await;
    let [first, second, _] = &scene.relays;
    let id = scene.id();
    let is_excluded = |all: &[Excluded]| {
        let [one] = all else { panic!("{all:?}") };
        assert_eq!((&one.source, one.release.release.id(), &one.reason[..]), (&source(first), id, REASON));
    };
    let (is_done, said) = operator(first.directory(), &["exclude", &id.to_string(), "--reason", REASON]).await;
    assert!(is_done && said.starts_with(&format!("excluded {id}: ")), "{said}");
    let (_, listed) = operator(first.directory(), &["exclusions"]).await;
    assert_eq!(listed, format!("{id} {REASON}\n"));
    committed(first, 1).await;

    // By the one that excludes it, the version before stands for the package; others have more, and it says why.
    let (found, comparison) = scene.compared(0, WORDS).await;
    assert_eq!(versions(&found), ["coins 1.0.0", "other 1.0.0"]);
    assert_eq!(comparison.differ.len(), 2, "{comparison:?}");
    for difference in &comparison.differ {
        is_excluded(&difference.excluded);
        assert!(difference.is_explained(), "{difference:?}");
    }
    assert!(!comparison.is_complete(), "something is missing from it");
    // By another one nothing is missing, and nobody disputes that.
    let (found, comparison) = scene.compared(1, WORDS).await;
    assert_eq!(versions(&found), ["coins 1.1.0", "other 1.0.0"]);
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    is_excluded(&difference.excluded);
    assert!(difference.is_explained() && comparison.is_complete(), "{comparison:?}");
    assert_eq!(comparison.agree.len(), 2, "on all the rest, the one that excludes it agrees");
    // What only the older version says finds it with the one that excludes the newer, which it says; with others nothing is found, and is missed.
    let (found, comparison) = scene.compared(0, "miners").await;
    assert_eq!(versions(&found), ["coins 1.0.0"]);
    assert_eq!((comparison.differ.len(), comparison.agree.len()), (2, 0), "{comparison:?}");
    for difference in &comparison.differ {
        is_excluded(&difference.excluded);
        assert!(difference.is_explained(), "{difference:?}");
    }
    let (found, comparison) = scene.compared(1, "miners").await;
    assert_eq!((found.hits.len(), comparison.differ.len()), (0, 0), "{comparison:?}");
    assert!(comparison.is_complete(), "{comparison:?}");

    // What relays have in common is the same, and by its name it is there for everybody.
    let records = |relay: &TestRelay| relay.relay().shelf().snapshots().latest().unwrap().map.hash(&keys::records());
    assert_eq!(records(first), records(second));
    let publisher = PublisherView::from(&Publisher::new(7).key_log);
    let name = publisher.full_name(&scene.packages[1].release.package());
    let view = first.relay().registry().get_package_version(&name, &"1.1.0".parse().unwrap()).await.unwrap();
    assert_eq!(view.release.release.id(), id);

    let (is_done, said) = operator(first.directory(), &["include", &id.to_string()]).await;
    assert!(is_done && said.starts_with(&format!("{id} is excluded no more")), "{said}");
    committed(first, 0).await;
    let (found, comparison) = scene.compared(0, WORDS).await;
    assert_eq!((versions(&found), comparison.agree.len()), (vec!["coins 1.1.0".into(), "other 1.0.0".into()], 2));
}

#[tokio::test]
async fn what_one_operator_excludes_covers_nothing_that_another_relay_lacks() {
    let [old, new, other] = packages();
    let relays = [TestRelay::deaf(|_| {}).await, TestRelay::deaf(|_| {}).await, TestRelay::deaf(|_| {}).await];
    for (at, relay) in relays.iter().enumerate() {
        // The first one has nothing of the package.
        for package in [&old, &new, &other].into_iter().skip(if at == 0 { 2 } else { 0 }) {
            package.publish_at(relay).await;
        }
    }
    let id = new.release.id();
    assert!(operator(relays[1].directory(), &["exclude", &id.to_string()]).await.0);
    committed(&relays[1], 1).await;
    for relay in [&relays[0], &relays[2]] {
        committed(relay, 0).await;
    }
    let scene = Scene { relays, packages: [old, new, other] };
    let (found, comparison) = scene.compared(0, WORDS).await;
    assert_eq!(versions(&found), ["other 1.0.0"]);
    let mut more: Vec<_> = comparison.differ.iter().flat_map(|difference| &difference.more).collect();
    more.sort_by_key(|hit| hit.release.version.clone());
    let more: Vec<_> = more.iter().map(|hit| hit.release.version.to_string()).collect();
    assert_eq!((&more[..], comparison.is_complete()), (&["1.0.0".to_owned(), "1.1.0".to_owned()][..], false));
    assert!(comparison.differ.iter().all(|difference| !difference.is_explained()), "{comparison:?}");
}

#[tokio::test]
async fn the_content_of_what_is_excluded_is_not_served_and_others_serve_it() {
    let mut scene = Scene::start().await;
    let id = scene.id();
    let content = scene.packages[1].release.artifact;
    let path = format!("/ipfs/{}?format=raw", content.cid);
    let served = async |relay: &TestRelay| http::get(relay.relay().http().unwrap(), &path).await.status;
    assert_eq!(served(&scene.relays[0]).await, 200);
    operator(scene.relays[0].directory(), &["exclude", &id.to_string()]).await;
    committed(&scene.relays[0], 1).await;
    assert_eq!((served(&scene.relays[0]).await, served(&scene.relays[1]).await), (404, 200));
    let listed = http::get(scene.relays[0].relay().http().unwrap(), "/api/v1/exclusions").await;
    let (list, shelf) = (listed.text().parse::<Exclusions>().unwrap(), scene.relays[0].relay().shelf());
    assert_eq!(
        (listed.text(), list.hash()),
        (&format!("{id}\n")[..], shelf.snapshots().latest().unwrap().checkpoint.exclusions)
    );
    // Nor by Bitswap; a client that knows all three gets it from one of the others.
    let alone = TestPeer::start(&[&scene.relays[0]]).await;
    within("no content", alone.peer.fetch(content)).await.unwrap_err();
    within("other content", alone.peer.fetch(scene.packages[0].release.artifact)).await.unwrap();
    let client = TestPeer::start(&scene.relays.each_ref()).await;
    let fetched = within("the content", client.peer.fetch(content)).await.unwrap();
    assert_eq!(fetched, b"coins 1.1.0");

    // After a start it is as before; a list that can't be read stops the relay from starting, rather than listing everything.
    let [first, ..] = &mut scene.relays;
    first.stop().await;
    std::fs::write(first.directory().join("exclusions"), "what I do not like").unwrap();
    let config = ggen_tests::config(first.directory(), Vec::new());
    let error = ggen_relay::Relay::start(config).await.err().unwrap().to_string();
    assert!(error.contains("exclusions: line 1: not the id of a record or a publisher"), "{error}");
    std::fs::write(first.directory().join("exclusions"), format!("{id} {REASON}")).unwrap();
    let relay = ggen_relay::Relay::start(ggen_tests::config(first.directory(), Vec::new())).await.unwrap();
    assert!(relay.shelf().withholds(&content.cid) && relay.shelf().catalogue().exclusions().len() == 1);
    relay.stop().await;
}

#[tokio::test]
async fn a_copy_of_what_others_publish_takes_it_from_nobody() {
    let relay = TestRelay::deaf(|config| config.http = Some(([127, 0, 0, 1], 0).into())).await;
    let genuine = Publisher::new(8).release("genuine", "1.0.0", "the same words", b"the bytes");
    let mut copyist = Publisher::new(9);
    let copy = copyist.release("genuin", "1.0.0", "the same words", b"the bytes");
    let own = copyist.release("own", "1.0.0", "the same words", b"its own bytes");
    for package in [&genuine, &copy, &own] {
        package.publish_at(&relay).await;
    }
    let spammer = copyist.key_log.publisher().to_string();
    assert!(operator(relay.directory(), &["exclude", &spammer, "--reason", "typosquatting"]).await.0);
    committed(&relay, 1).await;
    let shelf = relay.relay().shelf();
    let withheld = [&genuine, &copy, &own].map(|package| shelf.withholds(&package.release.artifact.cid));
    assert_eq!(withheld, [false, false, true]);
    let listed = relay.relay().registry().search("same words", SearchOptions::default()).await.unwrap();
    assert_eq!(versions(&listed), ["genuine 1.0.0"], "all of that publisher's");
}

#[tokio::test]
async fn an_operator_is_told_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let (is_done, said) = operator(directory.path(), &["exclude", "coins"]).await;
    assert!(!is_done && said.contains("<ID>"), "{said}");
    let gone = directory.path().join("gone");
    let id = packages()[0].release.id().to_string();
    let (is_done, said) = operator(&gone, &["exclude", &id]).await;
    assert!(!is_done && said.contains("is no relay's data directory: name it with --data-dir"), "{said}");
    let (is_done, _) = operator(directory.path(), &["exclude", &id]).await;
    assert!(!is_done, "nothing of a relay is there");
    ggen_relay::identity::Identity::load_or_create(directory.path()).unwrap();
    let (is_done, said) = operator(directory.path(), &["include", &id]).await;
    assert_eq!((is_done, said), (true, format!("{id} is not excluded\n")));
}
