use super::*;
use crate::catalogue::testing::{Publisher, catalogue, other_artifact, record};
use crate::catalogue::{Catalogue, answer};
use crate::id::FullName;

fn ask(text: &str) -> Search {
    Search { text: text.into(), limit: 10, cursor: None }
}

/// Two publishers, three packages that match `word`.
fn shop() -> (Catalogue, Publisher, Publisher) {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let release = |publisher: &Publisher, index, name: &str| {
        publisher.release(index, name, "1.0.0", |release| release.description = "a word".into())
    };
    let releases = [release(&one, 2, "a"), release(&two, 1, "b"), release(&one, 0, "c")];
    (catalogue(&[&one, &two], releases), one, two)
}

fn honest(text: &str) -> (SearchAnswer, Network) {
    let (catalogue, one, _) = shop();
    (answer::search(&catalogue, &ask(text)).unwrap(), one.network)
}

/// What came of each row of an answer to `word`: a package's name, or a code.
fn rows(answer: SearchAnswer) -> Vec<String> {
    let network = Publisher::new(1).network;
    let verified = verify_search(&ask("word"), answer, &network).unwrap();
    let row = |(index, hit): (usize, Result<Hit, Refused>)| match hit {
        Ok(hit) => hit.release.name.to_string(),
        Err(refused) => {
            assert_eq!(refused.index, index);
            refused.error.code().to_owned()
        }
    };
    verified.hits.into_iter().enumerate().map(row).collect()
}

fn wire(release: &Verified<Release>) -> ByteBuf {
    ByteBuf::from(release.bytes().to_vec())
}

fn flip(bytes: &mut ByteBuf, at: usize) {
    bytes[at] ^= 1;
}

#[test]
fn an_honest_answer_is_accepted_whole() {
    let (answer, network) = honest("word");
    assert_eq!(rows(answer.clone()), ["a", "b", "c"]);
    let verified = verify_search(&ask("word"), answer, &network).unwrap();
    assert_eq!((verified.total, verified.total_is_exact, verified.cursor), (3, true, None));
    let hit = verified.hits[1].as_ref().unwrap();
    assert_eq!(hit.key_log.publisher(), hit.release.publisher);
}

#[test]
fn rejects_a_release_with_any_byte_changed() {
    let (answer, _) = honest("word");
    for at in 0..answer.releases[0].len() {
        let mut changed = answer.clone();
        flip(&mut changed.releases[0], at);
        let rows = rows(changed);
        assert!(rows[0].starts_with("record/"), "byte {at}: {rows:?}");
        assert_eq!(rows[1..], ["b", "c"]);
    }
}

#[test]
fn rejects_release_that_does_not_match_the_query() {
    let (mut answer, _) = honest("word");
    answer.releases[1] = wire(&Publisher::new(2).release(5, "other", "1.0.0", |_| {}));
    assert_eq!(rows(answer), ["a", "record/does-not-match", "c"]);
}

#[test]
fn any_valid_release_is_an_answer_to_no_words_and_none_is_to_punctuation() {
    let (answer, network) = honest("");
    let hits = |text: &str| verify_search(&ask(text), answer.clone(), &network).unwrap().hits;
    assert!(hits("").iter().all(Result::is_ok));
    assert!(hits("?").iter().all(|hit| hit.as_ref().is_err_and(|refused| refused.error == RefusedError::DoesNotMatch)));
}

#[test]
fn rejects_a_package_that_is_there_twice() {
    let (mut answer, _) = honest("word");
    answer.releases[2] = answer.releases[0].clone();
    assert_eq!(rows(answer.clone()), ["a", "b", "record/twice"]);
    let newer = |release: &mut Release| release.description = "a word".into();
    answer.releases[2] = wire(&Publisher::new(1).release(9, "a", "2.0.0", newer));
    assert_eq!(rows(answer), ["a", "b", "record/twice"]);
}

#[test]
fn a_bad_key_log_refuses_the_releases_of_its_publisher_and_no_others() {
    let (answer, _) = honest("word");
    let mut changed = answer.clone();
    let last = changed.key_logs[0][0].len() - 1;
    flip(&mut changed.key_logs[0][0], last);
    assert_eq!(rows(changed), ["record/bad-signature", "b", "record/bad-signature"]);
    let mut changed = answer.clone();
    flip(&mut changed.key_logs[0][0], 0);
    assert_eq!(rows(changed), ["record/no-key-log", "b", "record/no-key-log"]);
    let mut changed = answer;
    changed.key_logs.remove(0);
    assert_eq!(rows(changed), ["record/no-key-log", "b", "record/no-key-log"]);
}

#[test]
fn rejects_the_key_log_of_another_network() {
    let (answer, _) = honest("word");
    let verified = verify_search(&ask("word"), answer, &Network::main()).unwrap();
    let code = |hit: &Result<Hit, Refused>| hit.as_ref().unwrap_err().error.code();
    assert!(verified.hits.iter().all(|hit| code(hit) == "record/bad-signature"));
}

#[test]
fn rejects_an_answer_that_breaks_its_bounds() {
    let (answer, network) = honest("word");
    let code = |question: &Search, change: &dyn Fn(&mut SearchAnswer)| {
        let mut changed = answer.clone();
        change(&mut changed);
        verify_search(question, changed, &network).map_err(|error| error.code()).err()
    };
    let broken = Some("relay/broke-protocol");
    assert_eq!(code(&ask("word"), &|_| ()), None);
    assert_eq!(code(&Search { limit: 3, ..ask("word") }, &|_| ()), None);
    assert_eq!(code(&Search { limit: 2, ..ask("word") }, &|_| ()), broken);
    assert_eq!(code(&ask("word"), &|answer| answer.total = 2), broken);
    assert_eq!(
        code(&ask("word"), &|answer| answer.cursor = Some(ByteBuf::from(vec![0; MAX_CURSOR_BYTES + 1]))),
        broken
    );
    assert_eq!(code(&ask("word"), &|answer| answer.cursor = Some(ByteBuf::from(vec![0; MAX_CURSOR_BYTES]))), None);
    assert_eq!(code(&ask("word"), &|answer| answer.key_logs = vec![answer.key_logs[0].clone(); 4]), broken);
    assert_eq!(code(&ask("word"), &|answer| answer.key_logs = vec![answer.key_logs[0].clone(); 3]), None);
    let empty = |answer: &mut SearchAnswer| (answer.releases.clear(), answer.key_logs.clear()).0;
    assert_eq!(code(&ask("word"), &empty), None);
    let endless = |answer: &mut SearchAnswer| {
        empty(answer);
        answer.cursor = Some(ByteBuf::from(vec![1]));
    };
    assert_eq!(code(&ask("word"), &endless), broken);
    assert_eq!(code(&ask(&"x".repeat(1000)), &|_| ()), Some("query/too-long"));
}

/// A package with two versions, the higher one first.
fn package() -> (Package, PackageAnswer, Publisher) {
    let one = Publisher::new(1);
    let releases = [one.release(0, "a", "1.0.0", |_| {}), one.release(1, "a", "2.0.0", |_| {})];
    let question = Package { name: one.full_name("a"), version: None };
    let answer = answer::package(&catalogue(&[&one], releases), &question).unwrap();
    (question, answer, one)
}

fn versions(package: &VerifiedPackage) -> Vec<String> {
    package.releases.iter().map(|release| release.version.to_string()).collect()
}

fn refused(package: &VerifiedPackage) -> Vec<(usize, &'static str)> {
    package.refused.iter().map(|refused| (refused.index, refused.error.code())).collect()
}

#[test]
fn an_honest_package_is_accepted_highest_version_first() {
    let (question, mut answer, one) = package();
    answer.releases.reverse();
    let package = verify_package(&question, answer, &one.network).unwrap().unwrap();
    assert_eq!((versions(&package), refused(&package)), (vec!["2.0.0".into(), "1.0.0".into()], vec![]));
    assert_eq!(package.head().unwrap().version.to_string(), "2.0.0");
    assert_eq!(package.key_log, one.key_log());
}

#[test]
fn an_unknown_package_is_none() {
    let (question, answer, one) = package();
    let nothing = PackageAnswer { releases: vec![], key_log: vec![], total: 0, ..answer };
    assert_eq!(verify_package(&question, nothing, &one.network), Ok(None));
}

#[test]
fn rejects_releases_of_another_package_version_or_publisher() {
    let (question, mut answer, one) = package();
    let foreign = Publisher::new(2).release(0, "a", "9.0.0", |_| {});
    answer.releases.extend([wire(&one.release(2, "b", "1.0.0", |_| {})), wire(&foreign), answer.releases[0].clone()]);
    answer.total = 9;
    let package = verify_package(&question, answer.clone(), &one.network).unwrap().unwrap();
    assert_eq!(refused(&package), [(2, "record/wrong-package"), (3, "record/wrong-publisher"), (4, "record/twice")]);
    assert_eq!(versions(&package), ["2.0.0", "1.0.0"]);

    answer.releases.truncate(2);
    let one_version = Package { version: Some("1.0.0".parse().unwrap()), ..question };
    let package = verify_package(&one_version, answer, &one.network).unwrap().unwrap();
    assert_eq!((versions(&package), refused(&package)), (vec!["1.0.0".into()], vec![(0, "record/wrong-version")]));
}

#[test]
fn rejects_a_publisher_that_was_not_asked_for() {
    let (question, answer, one) = package();
    let fingerprint = Publisher::new(2).id().fingerprint();
    let handle = Some("somebody".parse().unwrap());
    for name in [FullName { fingerprint, ..question.name.clone() }, FullName { handle, ..question.name.clone() }] {
        let question = Package { name, version: None };
        let error = verify_package(&question, answer.clone(), &one.network).unwrap_err();
        assert!(matches!(error, AnswerError::WrongPublisher { .. }) && error.code() == "record/wrong-publisher");
    }
    let name = FullName { handle: None, ..question.name };
    assert!(verify_package(&Package { name, version: None }, answer, &one.network).is_ok());
}

#[test]
fn a_package_without_a_sound_key_log_is_refused() {
    let (question, answer, one) = package();
    let code = |answer| verify_package(&question, answer, &one.network).map_err(|error| error.code()).unwrap_err();
    assert_eq!(code(PackageAnswer { key_log: vec![], ..answer.clone() }), "record/encoding");
    for at in 0..answer.key_log[0].len() {
        let mut changed = answer.clone();
        flip(&mut changed.key_log[0], at);
        assert!(code(changed).starts_with("record/"), "byte {at}");
    }
}

#[test]
fn rejects_more_releases_than_a_package_answer_may_have() {
    let (question, mut answer, one) = package();
    answer.total = 1000;
    let code =
        |question: &Package, answer| verify_package(question, answer, &one.network).map_err(|error| error.code()).err();
    answer.releases = vec![answer.releases[0].clone(); 3];
    let one_version = Package { version: Some("2.0.0".parse().unwrap()), ..question.clone() };
    assert_eq!(code(&one_version, answer.clone()), Some("relay/broke-protocol"));
    answer.releases.truncate(2);
    assert_eq!(code(&one_version, answer.clone()), None);
    assert_eq!(code(&question, PackageAnswer { total: 1, ..answer.clone() }), Some("relay/broke-protocol"));
    answer.releases = vec![answer.releases[0].clone(); MAX_VERSIONS_PER_ANSWER * MAX_CONFLICTING_RECORDS + 1];
    assert_eq!(code(&question, answer), Some("relay/broke-protocol"));
}

#[test]
fn the_client_and_the_catalogue_agree_on_the_head() {
    let one = Publisher::new(1);
    let other = |index, version| one.release(index, "a", version, |release| release.artifact = other_artifact("x"));
    let plain = |index, version| one.release(index, "a", version, |_| {});
    let described = |index, version| one.release(index, "a", version, |release| release.description = "again".into());
    let shops = [
        vec![plain(0, "1.0.0"), plain(1, "2.0.0"), other(2, "2.0.0"), plain(3, "3.0.0-rc.1")],
        vec![plain(0, "1.0.0"), described(1, "1.0.0")],
        vec![plain(0, "1.0.0-rc.1"), plain(1, "1.0.0-rc.2")],
        vec![plain(0, "1.0.0"), other(1, "1.0.0")],
    ];
    for releases in shops {
        let catalogue = catalogue(&[&one], releases);
        let question = Package { name: one.full_name("a"), version: None };
        let answer = answer::package(&catalogue, &question).unwrap();
        let package = verify_package(&question, answer, &one.network).unwrap().unwrap();
        assert_eq!(package.head().map(Verified::id), catalogue.head(&one.package("a")).map(Verified::id));
    }
}

#[test]
fn records_asked_for_by_id_are_verified_with_key_logs_known_or_in_the_answer() {
    let (catalogue, one, two) = shop();
    let of = |publisher: &Publisher| {
        let id = publisher.id();
        catalogue.records().find(|record| record.publisher() == id && record.id() != publisher.inception.id()).unwrap()
    };
    let missing = RecordId::from_bytes([0; 32]);
    let ids = vec![of(&one).id(), missing, one.inception.id(), of(&two).id()];
    let question = Records { ids: ids.clone() };
    let answer = answer::records(&catalogue, &question).unwrap();
    let verify = |answer: &RecordsAnswer, known: Option<KeyLog>| {
        verify_records(&question, answer.clone(), &one.network, |publisher| {
            known.clone().filter(|log| log.publisher() == *publisher)
        })
    };

    let records = verify(&answer, Some(two.key_log())).unwrap().records;
    let found: Vec<_> =
        records.iter().map(|record| record.as_ref().map(|record| record.as_ref().unwrap().id())).collect();
    assert_eq!(found, [Some(ids[0]), None, Some(ids[2]), Some(ids[3])]);

    let without = verify(&answer, None).unwrap().records;
    assert_eq!(without[3].as_ref().unwrap().as_ref().unwrap_err().error, RefusedError::NoKeyLog(two.id()));

    let mut swapped = answer.clone();
    swapped.records.swap(0, 3);
    let swapped = verify(&swapped, Some(two.key_log())).unwrap().records;
    for at in [0, 3] {
        assert_eq!(swapped[at].as_ref().unwrap().as_ref().unwrap_err().error.code(), "record/wrong-id");
    }
    let mut inception = answer.clone();
    inception.records[2] = Some(ByteBuf::from(record_bytes(&two.inception())));
    let inception = verify(&inception, Some(one.key_log())).unwrap().records;
    assert_eq!(inception[2].as_ref().unwrap().as_ref().unwrap_err().error.code(), "record/wrong-id");

    let mut short = answer.clone();
    short.records.truncate(1);
    assert_eq!(verify(&short, Some(one.key_log())).unwrap().unanswered, ids[1..]);
    let mut long = answer;
    long.records.push(None);
    assert_eq!(verify(&long, None).map_err(|error| error.code()), Err("relay/broke-protocol"));
}

fn record_bytes(record: &Record) -> Vec<u8> {
    record.bytes().to_vec()
}

#[test]
fn a_key_log_of_another_publisher_is_refused() {
    let (catalogue, one, two) = shop();
    let answer = answer::key_log_of(&catalogue, &KeyLogOf { publisher: one.id() }).unwrap();
    assert_eq!(verify_key_log(&KeyLogOf { publisher: one.id() }, &answer, &one.network), Ok(Some(one.key_log())));
    let other = verify_key_log(&KeyLogOf { publisher: two.id() }, &answer, &one.network);
    assert_eq!(other.map_err(|error| error.code()), Err("record/wrong-id"));
    assert_eq!(
        verify_key_log(&KeyLogOf { publisher: two.id() }, &KeyLogAnswer { events: vec![] }, &one.network),
        Ok(None)
    );
}

#[test]
fn what_was_verified_can_be_offered_to_a_catalogue() {
    let (answer, network) = honest("word");
    let mut catalogue = Catalogue::new();
    for hit in verify_search(&ask("word"), answer, &network).unwrap().hits {
        let hit = hit.unwrap();
        for event in hit.key_log.events() {
            let inception = Unverified::<Inception>::decode(event).unwrap().verify(&network).unwrap();
            catalogue.insert(Record::Inception(inception)).unwrap();
        }
        catalogue.insert(record(hit.release)).unwrap();
    }
    assert_eq!(catalogue.package_count(), 3);
}
