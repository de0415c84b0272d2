use ed25519_dalek::SigningKey;
use ggen_shared::catalogue::snapshots::Snapshot;
use ggen_shared::checkpoint::Checkpoint;
use ggen_shared::id::{KeyCommitment, Network, PublicKey, PublisherId};
use ggen_shared::record::{Artifact, ContentId, Inception, Work, sign};
use ggen_shared::rules::Rules;
use ggen_shared::search::query::Filters;

use super::*;
use crate::store::Store;

pub(crate) fn network() -> Network {
    Network::named("test").unwrap()
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(number: u8) -> PublicKey {
    PublicKey::from_bytes(key(number).verifying_key().to_bytes())
}

/// The records of one publisher's packages, each of a name and a title.
pub(crate) fn records(packages: &[(&str, &str)]) -> Vec<Record> {
    let next = KeyCommitment::to_key(&public(2));
    let inception = Inception { handle: "one".parse().unwrap(), key: public(1), next, work: Work::NONE };
    let inception = sign(inception, &key(1), &network()).unwrap();
    let release = |(index, (name, title)): (usize, &(&str, &str))| {
        let release = Release {
            publisher: PublisherId::from_inception(inception.id()),
            signed_under: inception.id(),
            index: index as u32,
            name: name.parse().unwrap(),
            version: "1.0.0".parse().unwrap(),
            artifact: Artifact { cid: ContentId::of_raw(b""), size: 0 },
            title: Some((*title).into()).filter(|title: &String| !title.is_empty()),
            description: String::new(),
            readme: None,
            categories: Vec::new(),
            tags: Vec::new(),
            license: Some("MIT".into()),
            authors: Vec::new(),
            homepage: None,
            repository: None,
            documentation: None,
            dependencies: Vec::new(),
            created: 0,
        };
        Record::Release(Box::new(sign(release, &key(1), &network()).unwrap()))
    };
    let releases: Vec<_> = packages.iter().enumerate().map(release).collect();
    std::iter::once(Record::Inception(inception.clone())).chain(releases).collect()
}

fn catalogue(packages: &[(&str, &str)]) -> Catalogue {
    let mut catalogue = Catalogue::new();
    for record in records(packages) {
        catalogue.insert(record).unwrap();
    }
    catalogue
}

fn asked(text: &str) -> Search {
    Search { text: text.into(), limit: 20, ..Search::default() }
}

fn suggested_for(packages: &[(&str, &str)], question: &Search) -> Vec<String> {
    let mut catalogue = catalogue(packages);
    let map = catalogue.snapshot();
    Vocabulary::of(&map).suggest(&map, question, |token| spelling(&catalogue, &map, token))
}

const PACKAGES: &[(&str, &str)] = &[
    ("serde", "Serialization"),
    ("serde-json", "JSON for serde"),
    ("tokio-util", "Utilities for Tokio"),
    ("operator", "Runs on Kubernetes, everywhere"),
    ("json-parser", ""),
];

fn suggested(text: &str) -> Vec<String> {
    suggested_for(PACKAGES, &asked(text))
}

#[test]
fn a_misspelled_word_is_suggested_as_packages_spell_it() {
    assert_eq!(suggested("serdee"), ["serde"]);
    assert_eq!(suggested("jsno"), ["json"], "two letters that changed places are one fault");
    assert_eq!(suggested("kubernets"), ["kubernetes"], "not the singular that it is found by");
    assert_eq!(suggested("tokio-utl"), ["tokio-util"], "not the letters run together");
}

#[test]
fn other_words_stay_as_they_were_typed() {
    assert_eq!(suggested("Jsonn Parsers"), ["json Parsers"]);
    assert_eq!(suggested("serdee jsonn"), ["serde json"]);
}

#[test]
fn words_that_are_there_short_words_and_words_like_nothing_are_not_corrected() {
    for text in ["serde", "ser", "js", "jx", "quaternion", "?!", "", "json quaternion"] {
        assert_eq!(suggested(text), [""; 0], "{text:?}");
    }
}

#[test]
fn what_finds_nothing_is_not_suggested() {
    assert_eq!(suggested("kubernets parser"), [""; 0], "no package has both");
    let question = |license: &str| {
        let filters = Filters { license: Some(license.into()), ..Filters::default() };
        Search { filters, ..asked("serdee") }
    };
    assert_eq!(suggested_for(PACKAGES, &question("MIT")), ["serde"]);
    assert_eq!(suggested_for(PACKAGES, &question("GPL-3.0")), [""; 0]);
}

#[test]
fn the_likeliest_come_first_and_not_many() {
    let packages = [
        ("words", ""),
        ("wards", ""),
        ("my-wards", ""),
        ("sword", ""),
        ("your-sword", ""),
        ("his-sword", ""),
        ("wor", ""),
    ];
    // One fault before two, the same first letter before another, then what more packages have.
    assert_eq!(suggested_for(&packages, &asked("worde")), ["words", "wards", "wor"]);
}

#[test]
fn a_word_that_few_packages_have_is_corrected_to_one_that_very_many_have() {
    let names: Vec<String> = (0..20).map(|number| format!("compression-{number}x")).collect();
    let of = |many: usize| {
        let mut packages: Vec<_> = names[..many].iter().map(|name| (name.as_str(), "")).collect();
        packages.push(("tool", "compresion"));
        suggested_for(&packages, &asked("compresion"))
    };
    assert_eq!(of(20), ["compression"]);
    assert_eq!(of(5), [""; 0]);
}

#[test]
fn the_longest_word_is_looked_for_in_bounded_memory() {
    let long = "é".repeat(16);
    assert_eq!(suggested(&long), [""; 0]);
    assert_eq!(suggested(&"x".repeat(256)), [""; 0]);
}

#[tokio::test]
async fn a_shelf_suggests_from_its_last_snapshot_and_learns_of_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let (shelf, _) = Shelf::open(Store::open(directory.path()).unwrap(), network(), Rules::FIRST).unwrap();
    let shelf = Arc::new(shelf);
    let commit = |epoch| {
        let derivation = shelf.derivations().next().unwrap();
        let (map, _) = derivation.snapshot();
        let (network, relay, root, rules) = (network(), public(7), map.root().into(), Rules::FIRST.number);
        let checkpoint = Checkpoint { network, relay, epoch, root, rules, exclusions: None, previous: None };
        derivation.keep_snapshot(Snapshot { checkpoint: checkpoint.sign(&key(7)).unwrap(), map });
    };
    let suggest = async |text: &str| shelf.suggester().suggest(&shelf, &asked(text)).await;
    assert_eq!(suggest("serdee").await, [""; 0], "nothing is committed yet");
    shelf.admit(records(&PACKAGES[..2]), Vec::new()).await.unwrap();
    commit(1);
    assert_eq!(suggest("serdee").await, ["serde"]);
    shelf.admit(records(PACKAGES).split_off(3), Vec::new()).await.unwrap();
    commit(2);
    assert_eq!(suggest("serdee").await, ["serde"], "by what was known before");
    assert_eq!(suggest("kubernets").await, ["kubernetes"]);
}

#[tokio::test]
async fn who_waits_too_long_for_a_turn_gets_none() {
    let directory = tempfile::tempdir().unwrap();
    let (shelf, _) = Shelf::open(Store::open(directory.path()).unwrap(), network(), Rules::FIRST).unwrap();
    let shelf = Arc::new(shelf);
    let turn = shelf.suggester().turn.clone().acquire_owned().await.unwrap();
    assert_eq!(shelf.suggester().suggest(&shelf, &asked("serdee")).await, [""; 0]);
    drop(turn);
}
