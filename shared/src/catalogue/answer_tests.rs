use super::*;
use crate::catalogue::testing::{Publisher, catalogue, depends_on, other_artifact};
use crate::codec;
use crate::id::RecordId;
use crate::limits::{MAX_CONFLICTING_RECORDS, MAX_RECORD_BYTES};
use crate::record::{Release, Verified};

fn ask(text: &str, limit: u16) -> Search {
    Search { text: text.into(), limit, cursor: None }
}

fn refusal<T>(reply: Reply<T>) -> String {
    reply.map(|_| ()).unwrap_err().code
}

/// A release nearly as long as one can be.
fn long_release(publisher: &Publisher, index: u32, name: &str, version: &str) -> Verified<Release> {
    let release = publisher.release(index, name, version, |release| {
        release.description = "word ".repeat(100).trim().into();
        release.authors = (0..16).map(|n| format!("{n:0>128}")).collect();
        release.tags = (0..32).map(|n| format!("{n:x>64}")).collect();
        release.homepage = Some(format!("https://{}", "x".repeat(200)));
        let dependency = |n: u32| depends_on(&publisher.package(&format!("{n:d>36}")));
        release.dependencies = (0..99).map(dependency).collect();
    });
    assert!(release.bytes().len() > MAX_RECORD_BYTES - 200, "{}", release.bytes().len());
    release
}

fn bytes_of<T: serde::Serialize>(answer: T) -> usize {
    codec::encode::<Reply<T>>(&Ok(answer)).len()
}

#[test]
fn a_search_is_answered_with_the_key_log_of_each_publisher_once() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let releases = [
        one.release(1, "a", "1.0.0", |_| {}),
        two.release(3, "b", "1.0.0", |_| {}),
        one.release(2, "c", "1.0.0", |_| {}),
    ];
    let answer = search(&catalogue(&[&one, &two], releases.clone()), &ask("", 10)).unwrap();
    let expected: Vec<_> = [1, 2, 0].iter().map(|at: &usize| wire(releases[*at].bytes())).collect();
    assert_eq!(answer.releases, expected);
    assert_eq!(answer.key_logs, [events(&two.key_log()), events(&one.key_log())]);
    assert_eq!((answer.total, answer.total_is_exact, answer.cursor), (3, true, None));
}

#[test]
fn a_question_out_of_bounds_is_refused_with_a_code() {
    let one = Publisher::new(1);
    let catalogue = catalogue(&[&one], []);
    let with_cursor = |cursor: &[u8]| Search { cursor: Some(ByteBuf::from(cursor.to_vec())), ..ask("", 10) };
    assert_eq!(refusal(search(&catalogue, &ask("a", 0))), "query/bad-limit");
    assert_eq!(refusal(search(&catalogue, &ask("a", 51))), "query/bad-limit");
    assert_eq!(refusal(search(&catalogue, &ask(&"a".repeat(10_000), 10))), "query/too-long");
    assert_eq!(refusal(search(&catalogue, &ask("a b c d e f g h i", 10))), "query/too-many-words");
    assert_eq!(refusal(search(&catalogue, &with_cursor(b"cursor"))), "query/bad-cursor");
    assert_eq!(refusal(search(&catalogue, &with_cursor(&[0; MAX_CURSOR_BYTES + 1]))), "query/bad-cursor");
    let ids = vec![one.inception.id(); MAX_RECORDS_PER_REQUEST + 1];
    assert_eq!(refusal(records(&catalogue, &Records { ids })), "query/too-many-ids");
}

#[test]
fn a_full_page_of_the_longest_releases_fits() {
    let publishers: Vec<_> = (1..=50).map(Publisher::new).collect();
    let releases = publishers.iter().map(|publisher| long_release(publisher, 0, "package", "1.0.0"));
    let answer = search(&catalogue(&publishers.iter().collect::<Vec<_>>(), releases), &ask("word", 50)).unwrap();
    assert_eq!((answer.releases.len(), answer.key_logs.len(), &answer.cursor), (50, 50, &None));
    assert!(bytes_of(answer) <= MAX_ANSWER_BYTES);
}

#[test]
fn a_search_answer_that_does_not_fit_goes_on_where_it_stopped() {
    let publishers: Vec<_> = (1..=2).map(Publisher::new).collect();
    let releases = (0..9).map(|n| publishers[n as usize % 2].release(n, &format!("package{n}"), "1.0.0", |_| {}));
    let catalogue = catalogue(&publishers.iter().collect::<Vec<_>>(), releases);
    let mut question = ask("", 5);
    let (mut ids, mut lengths) = (Vec::new(), Vec::new());
    loop {
        let answer = search_within(&catalogue, &question, Budget(1700)).unwrap();
        assert_eq!(answer.total, 9);
        let decode = |bytes: &ByteBuf| crate::record::Unverified::<Release>::decode(bytes).unwrap().id();
        ids.extend(answer.releases.iter().map(decode));
        lengths.push(answer.releases.len());
        question.cursor = answer.cursor;
        if question.cursor.is_none() {
            break;
        }
    }
    let all: Vec<_> = catalogue.newest(9).map(Verified::id).collect();
    assert_eq!(ids, all);
    assert!(lengths.iter().all(|length| (1..5).contains(length)), "{lengths:?}");
}

#[test]
fn a_budget_that_is_spent_stops_and_stays_within_bounds() {
    let mut budget = Budget(10);
    assert!(budget.spend(4));
    assert!(!budget.spend(7));
    assert!(budget.spend(6));
    assert!(!budget.spend(1));
}

#[test]
fn a_package_is_answered_highest_version_first_and_bounded() {
    let one = Publisher::new(1);
    let count = u32::try_from(MAX_VERSIONS_PER_ANSWER).unwrap() + 10;
    let versions = (0..count).map(|n| long_release(&one, n, "a", &format!("1.{n}.0")));
    let contested =
        one.release(count, "a", &format!("1.{}.0", count - 1), |release| release.artifact = other_artifact("x"));
    let catalogue = catalogue(&[&one], versions.chain([contested]));
    let question = Package { name: one.full_name("a"), version: None };
    let answer = package(&catalogue, &question).unwrap();
    assert_eq!(answer.total, u64::from(count) + 1);
    assert!((3..=MAX_VERSIONS_PER_ANSWER * MAX_CONFLICTING_RECORDS).contains(&answer.releases.len()));
    let versions: Vec<_> = answer
        .releases
        .iter()
        .map(|bytes| {
            crate::record::Unverified::<Release>::decode(bytes)
                .unwrap()
                .verify(&one.key_log(), &one.network)
                .unwrap()
                .version
                .clone()
        })
        .collect();
    assert!(versions.is_sorted_by(|a, b| a >= b));
    assert_eq!(versions[0], versions[1]);
    assert!(bytes_of(answer) <= MAX_ANSWER_BYTES);
}

#[test]
fn an_unknown_package_and_an_unknown_version_are_told_apart() {
    let one = Publisher::new(1);
    let catalogue = catalogue(&[&one], [one.release(0, "a", "1.0.0", |_| {})]);
    let unknown = package(&catalogue, &Package { name: one.full_name("b"), version: None }).unwrap();
    assert!(unknown.releases.is_empty() && unknown.key_log.is_empty());
    let question = Package { name: one.full_name("a"), version: Some("2.0.0".parse().unwrap()) };
    let no_version = package(&catalogue, &question).unwrap();
    assert!(no_version.releases.is_empty() && no_version.total == 0);
    assert_eq!(no_version.key_log, events(&one.key_log()));
    let question = Package { version: Some("1.0.0".parse().unwrap()), ..question };
    assert_eq!(package(&catalogue, &question).unwrap().releases.len(), 1);
}

#[test]
fn records_are_answered_in_the_order_asked_for() {
    let one = Publisher::new(1);
    let release = one.release(0, "a", "1.0.0", |_| {});
    let catalogue = catalogue(&[&one], [release.clone()]);
    let ids = vec![release.id(), RecordId::from_bytes([0; 32]), one.inception.id()];
    let answer = records(&catalogue, &Records { ids }).unwrap();
    assert_eq!(answer.records, [Some(wire(release.bytes())), None, Some(wire(one.inception.bytes()))]);
}

#[test]
fn records_that_do_not_fit_are_left_for_another_question() {
    let one = Publisher::new(1);
    let releases: Vec<_> = (0..64).map(|n| long_release(&one, n, &format!("package{n}"), "1.0.0")).collect();
    let ids = releases.iter().map(Verified::id).collect();
    let answer = records(&catalogue(&[&one], releases), &Records { ids }).unwrap();
    assert!((1..64).contains(&answer.records.len()));
    assert!(bytes_of(answer) <= MAX_ANSWER_BYTES);
}

#[test]
fn a_key_log_is_answered_whole_and_an_unknown_one_is_empty() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let catalogue = catalogue(&[&one], []);
    assert_eq!(key_log_of(&catalogue, &KeyLogOf { publisher: one.id() }).unwrap().events, events(&one.key_log()));
    assert!(key_log_of(&catalogue, &KeyLogOf { publisher: two.id() }).unwrap().events.is_empty());
}
