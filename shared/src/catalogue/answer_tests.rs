use super::*;
use crate::catalogue::testing::{Publisher, Relay, depends_on, other_artifact};
use crate::codec;
use crate::id::RecordId;
use crate::limits::{MAX_CONFLICTING_RECORDS, MAX_PAGES_PER_ROTATION, MAX_RECORD_BYTES};
use crate::protocol::query::{Cursor, SearchAnswer};
use crate::record::{Dependency, Release, State, Verified};
use crate::search::query::Filters;

fn ask(text: &str, limit: u16) -> Search {
    Search { text: text.into(), limit, cursor: None, ..Search::default() }
}

fn events(key_log: &KeyLog) -> Vec<ByteBuf> {
    key_log.events().map(wire).collect()
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

/// Reads all pages of a question, each within the bytes that a page may have: the ids, and how many came with each page.
fn read_all(relay: &Relay, mut question: Search) -> (Vec<RecordId>, Vec<usize>) {
    let (mut ids, mut lengths) = (Vec::new(), Vec::new());
    loop {
        let answer = relay.answer(&question).unwrap();
        let bytes = bytes_of(answer.clone());
        assert!(bytes <= MAX_SEARCH_BYTES, "{bytes}");
        let page = relay.verify(&question, answer).unwrap();
        ids.extend(page.hits.iter().map(|hit| hit.as_ref().unwrap().release.id()));
        lengths.push(page.hits.len());
        question.cursor = page.cursor;
        if question.cursor.is_none() {
            return (ids, lengths);
        }
    }
}

#[test]
fn a_search_is_answered_with_the_key_log_of_each_publisher_once() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let releases = [
        one.release(1, "a", "1.0.0", |_| {}),
        two.release(3, "b", "1.0.0", |_| {}),
        one.release(2, "c", "1.0.0", |_| {}),
    ];
    let mut relay = Relay::new(&[&one, &two], releases.clone());
    let answer = relay.answer(&ask("", 10)).unwrap();
    let expected: Vec<_> = [1, 2, 0].iter().map(|at: &usize| wire(releases[*at].bytes())).collect();
    assert_eq!((answer.releases, answer.recent, answer.walk), (expected, vec![], 0));
    assert_eq!(answer.key_logs, [events(&two.key_log()), events(&one.key_log())]);
    assert_eq!(answer.evidence.unwrap().checkpoint, relay.latest().checkpoint.bytes());

    let recent = one.release(4, "d", "1.0.0", |_| {});
    relay.insert(recent.clone());
    let answer = relay.answer(&ask("", 10)).unwrap();
    assert_eq!(answer.recent, [wire(recent.bytes())]);
    assert_eq!(answer.key_logs, [events(&one.key_log()), events(&two.key_log())]);
}

#[test]
fn a_question_out_of_bounds_is_refused_with_a_code() {
    let one = Publisher::new(1);
    let relay = Relay::new(&[&one], []);
    let with_cursor = |cursor: &[u8]| Search { cursor: Some(ByteBuf::from(cursor.to_vec())), ..ask("", 10) };
    assert_eq!(refusal(relay.answer(&ask("a", 0))), "query/bad-limit");
    assert_eq!(refusal(relay.answer(&ask("a", 51))), "query/bad-limit");
    assert_eq!(refusal(relay.answer(&ask(&"a".repeat(10_000), 10))), "query/too-long");
    assert_eq!(refusal(relay.answer(&ask("a b c d e f g h i", 10))), "query/too-many-words");
    assert_eq!(refusal(relay.answer(&with_cursor(b"cursor"))), "query/bad-cursor");
    let cursor = |query| Cursor { epoch: 0, walk: 0, query, after: vec![0; 28] }.to_bytes();
    assert_eq!(refusal(relay.answer(&with_cursor(&cursor(ask("a", 10).tag())))), "query/bad-cursor");
    assert_eq!(refusal(relay.answer(&with_cursor(&cursor(ask("", 20).tag())))), "query/old-cursor");
    let filters = Filters { license: Some("?".into()), ..Filters::default() };
    assert_eq!(refusal(relay.answer(&Search { filters, ..ask("a", 10) })), "query/bad-filter");
    let filters = Filters { keyword: Some("a".repeat(65)), ..Filters::default() };
    assert_eq!(refusal(relay.answer(&Search { filters, ..ask("a", 10) })), "query/bad-filter");
    let ids = vec![one.inception.id(); MAX_RECORDS_PER_REQUEST + 1];
    assert_eq!(refusal(records(&relay.catalogue, &Records { ids })), "query/too-many-ids");
    let range_of = |bytes: usize, limit: usize| {
        let question = RangeOf::first(&vec![b'r'; bytes], u16::try_from(limit).unwrap());
        range(&relay.snapshots, &question).map(|_| ()).map_err(|refusal| refusal.code)
    };
    assert_eq!(range_of(MAX_KEY_BYTES, MAX_WALKED), Ok(()));
    assert_eq!(range_of(1, MAX_WALKED + 1), Err("query/bad-limit".into()));
    assert_eq!(range_of(MAX_KEY_BYTES + 1, 1), Err("query/bad-range".into()));
    let code = |question: RangeOf| range(&relay.snapshots, &question).map(|_| ()).map_err(|refusal| refusal.code);
    let all = RangeOf::first(b"", 1);
    let after = |bytes: usize| Some(ByteBuf::from(vec![0; bytes]));
    assert_eq!(code(RangeOf { after: after(MAX_KEY_BYTES), ..all.clone() }), Ok(()));
    assert_eq!(code(RangeOf { after: after(MAX_KEY_BYTES + 1), ..all.clone() }), Err("query/bad-range".into()));
    assert_eq!(code(RangeOf { bits: Some(1), ..all.clone() }), Err("query/bad-range".into()));
    assert_eq!(code(RangeOf { show: Show::Levels(MAX_LEVELS), ..all.clone() }), Ok(()));
    assert_eq!(code(RangeOf { show: Show::Levels(MAX_LEVELS + 1), ..all.clone() }), Err("query/bad-limit".into()));
    assert_eq!(code(RangeOf { show: Show::Levels(1), after: after(1), ..all }), Err("query/bad-limit".into()));
}

#[test]
fn a_relay_without_a_checkpoint_says_so() {
    let one = Publisher::new(1);
    let relay = Relay::new(&[&one], [one.release(0, "a", "1.0.0", |_| {})]);
    let none = Snapshots::default();
    assert_eq!(refusal(search(&relay.catalogue, &none, &ask("", 10))), "relay/no-checkpoint");
    let question = Package { name: one.full_name("a"), version: None };
    assert_eq!(refusal(package(&relay.catalogue, &none, &question)), "relay/no-checkpoint");
    assert_eq!(refusal(range(&none, &RangeOf::first(b"", 0))), "relay/no-checkpoint");
}

#[test]
fn pages_of_the_longest_releases_stay_within_their_bytes_and_have_all_of_them() {
    let publishers: Vec<_> = (1..=20).map(Publisher::new).collect();
    let releases: Vec<_> = publishers.iter().map(|it| long_release(it, 0, "package", "1.0.0")).collect();
    let mut expected: Vec<_> = releases.iter().map(Verified::id).collect();
    let relay = Relay::new(&publishers.iter().collect::<Vec<_>>(), releases);
    let (mut ids, lengths) = read_all(&relay, ask("word", 50));
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected);
    assert!(lengths.iter().all(|length| *length >= 2), "{lengths:?}");
}

#[test]
fn the_longest_recent_releases_leave_room_for_what_is_proven() {
    let publishers: Vec<_> = (1..=20).map(Publisher::new).collect();
    let mut releases = publishers.iter().map(|it| long_release(it, 0, "package", "1.0.0"));
    let mut relay = Relay::new(&publishers.iter().collect::<Vec<_>>(), releases.by_ref().take(10));
    let proven: BTreeSet<_> = relay.catalogue.newest(50).map(Verified::id).collect();
    releases.for_each(|release| relay.insert(release));
    let (ids, lengths) = read_all(&relay, ask("word", 50));
    assert!(ids.len() > 10 && proven.iter().all(|id| ids.contains(id)), "{lengths:?}");
}

#[test]
fn entries_that_filters_rule_out_count_for_the_bytes_of_a_page() {
    let one = Publisher::new(1);
    let tagged = |n: u32, tag: &str| {
        one.release(1000 + n, &format!("common-{n}"), "1.0.0", |release| release.tags = vec![tag.into()])
    };
    let common = (0..235).map(|n| tagged(n, "other"));
    let matching = (0..80).map(|n| {
        one.release(n, &format!("common-more-{n}"), "1.0.0", |release| {
            release.description = "word ".repeat(100).trim().into();
            release.authors = (0..16).map(|author| format!("{author:0>128}")).collect();
        })
    });
    let word = (300..700).map(|n| one.release(1000 + n, &format!("p{n}"), "1.0.0", |it| it.tags = vec!["word".into()]));
    let relay = Relay::new(&[&one], common.chain(matching).chain(word));
    let (ids, lengths) = read_all(&relay, ask("common word", 50));
    assert_eq!(ids.len(), 80);
    assert!((1..50).contains(&lengths[0]), "{lengths:?}: the first page has both, and ends where its bytes do");
}

#[test]
fn a_search_answer_that_does_not_fit_goes_on_where_it_stopped() {
    let publishers: Vec<_> = (1..=2).map(Publisher::new).collect();
    let releases = (0..9).map(|n| publishers[n as usize % 2].release(n, &format!("package{n}"), "1.0.0", |_| {}));
    let relay = Relay::new(&publishers.iter().collect::<Vec<_>>(), releases);
    let mut question = ask("", 5);
    let (mut ids, mut lengths) = (Vec::new(), Vec::new());
    loop {
        let answer = search_within(&relay.catalogue, &relay.snapshots, &question, 1200, true).unwrap();
        let page = relay.verify(&question, answer.try_into().unwrap()).unwrap();
        assert_eq!(page.total, 9);
        ids.extend(page.hits.iter().map(|hit| hit.as_ref().unwrap().release.id()));
        lengths.push(page.hits.len());
        question.cursor = page.cursor;
        if question.cursor.is_none() {
            break;
        }
    }
    let all: Vec<_> = relay.catalogue.newest(9).map(Verified::id).collect();
    assert_eq!(ids, all);
    assert!(lengths.iter().all(|length| (1..5).contains(length)), "{lengths:?}");
}

#[test]
fn ids_that_are_on_a_page_already_take_none_of_its_bytes() {
    let publisher = Publisher::new(1);
    let needed: Vec<_> = (2..=21).map(|it| depends_on(&Publisher::new(it).package("needed"))).collect();
    let releases =
        (0..9).map(|n| publisher.release(n, &format!("p{n}"), "1.0.0", |it| it.dependencies = needed.clone()));
    let relay = Relay::new(&[&publisher], releases);
    let answer = search_within(&relay.catalogue, &relay.snapshots, &ask("", 9), 6000, true).unwrap();
    assert!(9 * needed.len() * 32 + 9 * BYTES_PER_ENTRY > 6000, "with ids of their own they would not fit");
    assert_eq!(answer.records.count(), 9);
}

#[test]
fn ids_of_a_release_that_does_not_fit_are_on_no_page() {
    let publisher = Publisher::new(1);
    let needed: Vec<_> = (2..=121).map(|it| depends_on(&Publisher::new(it).package("needed"))).collect();
    let mut relay = Relay::new(&[&publisher], []);
    let release = |index, needed: &[_]| {
        publisher.release(index, &format!("p{index}"), "1.0.0", |it| it.dependencies = needed.to_vec())
    };
    // The newest needs what all others need together, and does not fit.
    for (index, needed) in [(9, &needed[..]), (0, &needed[..40]), (1, &needed[40..80]), (2, &needed[80..])] {
        relay.insert(release(index, needed));
    }
    let answer = search_within(&relay.catalogue, &relay.snapshots, &ask("", 9), 6000, true).unwrap();
    assert_eq!(answer.recent, 1, "each of the others is half of what recent releases have room for");
}

#[test]
fn what_is_said_of_releases_counts_for_the_bytes_of_a_page() {
    let publisher = Publisher::new(1);
    let mut relay = Relay::new(&[&publisher], (0..30).map(|n| publisher.release(n, &format!("p{n}"), "1.0.0", |_| {})));
    let page = |relay: &Relay| {
        let answer = search_within(&relay.catalogue, &relay.snapshots, &ask("", 30), 6000, true).unwrap();
        let bytes = bytes_of(answer.clone());
        let answer: SearchAnswer = answer.try_into().unwrap();
        assert_eq!(relay.verify(&ask("", 30), answer.clone()).unwrap().hits.len(), answer.releases.len());
        (answer.releases.len(), answer.statuses.len(), bytes)
    };
    let (releases, ..) = page(&relay);
    for n in 0..30 {
        let hash = |at: u32| data_encoding::BASE64.encode(blake3::hash(&(8 * n + at).to_be_bytes()).as_bytes());
        let reason = |status: &mut Status| status.reason = (0..5).map(hash).collect();
        let status = publisher.status(30 + n, &format!("p{n}"), "1.0.0", 1, State::Yanked, reason);
        relay.catalogue.insert(Record::Status(Box::new(status))).unwrap();
    }
    let (fewer, said, bytes) = page(&relay);
    assert!(fewer < releases && fewer == said && bytes <= 6000, "{fewer} of {releases}, {said} said, {bytes} bytes");
}

#[test]
fn records_that_unpack_to_much_more_than_they_take_do_not_make_an_answer_unreadable() {
    // Hundreds of bytes each that unpack to the longest record there may be: no answer could have all that fit when they are packed.
    let publisher = Publisher::new(1);
    let needed = ('a'..='z').flat_map(|one| ('a'..='d').map(move |other| format!("{one}{other}"))).take(96);
    let needed: Vec<_> = needed
        .map(|name| Dependency {
            publisher: None,
            requirement: vec![">=0.0.0"; 16].join(","),
            ..depends_on(&publisher.package(&name))
        })
        .collect();
    let release = |n: u32| publisher.release(n, &format!("p{n}"), "1.0.0", |it| it.dependencies.clone_from(&needed));
    let (length, cost) = (release(0).bytes().len(), release(0).bytes().packed().cost(|_| true));
    assert!(length > MAX_RECORD_BYTES / 10 * 9 && cost < 500, "{length} {cost}");
    let mut relay = Relay::new(&[&publisher], (0..200).map(release));
    for n in 200..300 {
        relay.insert(release(n));
    }
    let mut question = ask("", 50);
    let mut found = 0;
    loop {
        let answer = search(&relay.catalogue, &relay.snapshots, &question).unwrap();
        let mut joined = answer.clone();
        joined.records.join();
        let answer: SearchAnswer = answer.try_into().expect("it can be unpacked");
        assert_eq!(SearchAnswer::try_from(joined).as_ref(), Ok(&answer));
        let page = relay.verify(&question, answer).unwrap();
        assert!(page.hits.iter().all(Result::is_ok) && !page.hits.is_empty());
        found += page.hits.len();
        question.cursor = page.cursor;
        if question.cursor.is_none() {
            break;
        }
    }
    assert!(found >= 200, "{found}");
}

#[test]
fn a_page_has_room_for_as_much_packed_and_unpacked_as_is_left_of_both() {
    let mut room = Room::new(10, 100);
    assert!(!room.spend(1, 101) && !room.spend(11, 1));
    assert!(room.spend(4, 60));
    assert!(!room.spend(1, 41) && !room.spend(7, 1), "what does not fit takes nothing");
    assert!(room.and(&Room::new(1, 2)).spend(7, 42) && !room.and(&Room::new(1, 2)).spend(8, 1));
    assert!(!room.and(&Room::new(1, 2)).spend(1, 43));
    let mut first = room.of_first();
    assert!(first.spend(MAX_ANSWER_BYTES - MAX_SEARCH_BYTES, MAX_ANSWER_BYTES / 4) && !room.spend(1, 0));
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
    let relay = Relay::new(&[&one], versions.chain([contested]));
    let question = Package { name: one.full_name("a"), version: None };
    let answer = relay.package_answer(&question);
    assert!((3..=MAX_VERSIONS_PER_ANSWER * MAX_CONFLICTING_RECORDS).contains(&answer.releases.len()));
    assert!(bytes_of(answer.clone()) <= MAX_ANSWER_BYTES);
    let read = |bytes: &ByteBuf| crate::record::Unverified::<Release>::decode(bytes).unwrap();
    let ids: Vec<_> = answer.releases.iter().map(|bytes| read(bytes).id()).collect();
    let package = relay.verify_package(&question, answer).unwrap().unwrap();
    assert_eq!((package.total, package.refused.len()), (u64::from(count) + 1, 0));
    assert_eq!(package.releases.iter().map(Verified::id).collect::<Vec<_>>(), ids);
    assert!(package.releases.is_sorted_by(|a, b| a.version >= b.version));
    assert_eq!(package.releases[0].version, package.releases[1].version);
}

#[test]
fn the_longest_versions_of_a_package_fit_its_answer_with_their_proof() {
    let one = Publisher::new(1);
    let pre = "a.".repeat(23);
    let versions = (0..130).map(|n| {
        one.release(n, "a", &format!("1.0.{n}-{pre}b"), |release| {
            release.tags = (0..32).map(|tag| format!("{tag:x>64}")).collect();
            release.authors = (0..16).map(|author| format!("{author:0>128}")).collect();
            release.description = "x".repeat(512);
            let dependency = |n: u32| depends_on(&one.package(&format!("{n:d>36}")));
            release.dependencies = (0..30).map(dependency).collect();
        })
    });
    let relay = Relay::new(&[&one], versions);
    let answer = relay.package_answer(&Package { name: one.full_name("a"), version: None });
    let bytes = bytes_of(answer.clone());
    assert!(bytes <= MAX_ANSWER_BYTES, "{bytes}");
    assert!((100..128).contains(&answer.releases.len()), "{}", answer.releases.len());
}

#[test]
fn an_unknown_package_and_an_unknown_version_are_told_apart() {
    let one = Publisher::new(1);
    let relay = Relay::new(&[&one], [one.release(0, "a", "1.0.0", |_| {})]);
    let unknown = relay.package_answer(&Package { name: one.full_name("b"), version: None });
    assert!(unknown.releases.is_empty() && unknown.key_log.is_empty() && unknown.evidence.is_none());
    let question = Package { name: one.full_name("a"), version: Some("2.0.0".parse().unwrap()) };
    let no_version = relay.package_answer(&question);
    assert!(no_version.releases.is_empty() && no_version.recent.is_empty());
    assert_eq!(no_version.key_log, events(&one.key_log()));
    let proven = relay.package(&question).unwrap();
    assert_eq!((proven.total, proven.proven.total, proven.releases.len()), (0, 0, 0));
    let question = Package { version: Some("1.0.0".parse().unwrap()), ..question };
    assert_eq!(relay.package_answer(&question).releases.len(), 1);
}

#[test]
fn versions_that_came_since_the_checkpoint_are_answered_beside_the_proof() {
    let one = Publisher::new(1);
    let mut relay = Relay::new(&[&one], [one.release(0, "a", "1.0.0", |_| {})]);
    relay.insert(one.release(1, "a", "2.0.0", |_| {}));
    relay.insert(one.release(2, "b", "1.0.0", |_| {}));
    let question = Package { name: one.full_name("a"), version: None };
    let package = relay.package(&question).unwrap();
    let versions: Vec<_> = package.releases.iter().map(|release| release.version.to_string()).collect();
    assert_eq!(versions, ["2.0.0", "1.0.0"]);
    assert_eq!(package.recent, BTreeSet::from([package.releases[0].id()]));
    assert_eq!((package.total, package.proven.total, package.refused.len()), (2, 1, 0));

    let only_recent = relay.package(&Package { name: one.full_name("b"), version: None }).unwrap();
    assert_eq!((only_recent.releases.len(), only_recent.recent.len(), only_recent.proven.total), (1, 1, 0));
    let one_version = Package { version: Some("2.0.0".parse().unwrap()), ..question.clone() };
    assert_eq!(relay.package(&one_version).unwrap().recent.len(), 1);
    relay.commit();
    assert!(relay.package(&question).unwrap().recent.is_empty());
}

#[test]
fn what_was_displaced_since_the_checkpoint_hides_nothing_that_is_still_there() {
    let one = Publisher::new(1);
    let mut rivals: Vec<_> = (0..3).map(|n| one.release(7, "a", &format!("2.{n}.0"), |_| {})).collect();
    rivals.sort_by_key(Verified::id);
    let largest = rivals.pop().unwrap();
    let others = [one.release(0, "a", "1.0.0", |_| {}), one.release(1, "a", "3.0.0", |_| {})];
    let mut relay = Relay::new(&[&one], others.into_iter().chain([largest.clone(), rivals[0].clone()]));
    relay.insert(rivals[1].clone());
    let package = relay.package(&Package { name: one.full_name("a"), version: None }).unwrap();
    assert_eq!(package.refused, []);
    let shown: BTreeSet<_> = package.releases.iter().map(Verified::id).collect();
    assert_eq!(shown, relay.catalogue.package(&one.package("a")).map(|view| view.standing.id()).collect());
    assert!(!shown.contains(&largest.id()));
}

#[test]
fn a_range_is_answered_with_its_entries_its_count_and_its_hash() {
    let one = Publisher::new(1);
    let releases = (0..5).map(|n| one.release(n, &format!("p{n}"), "1.0.0", |_| {}));
    let relay = Relay::new(&[&one], releases);
    let of = |limit| RangeOf::first(&keys::newest(), limit);
    let answer = |limit| range(&relay.snapshots, &of(limit)).unwrap();
    let verify = |limit, answer: &Evidence| crate::search::verified::verify_range(&of(limit), answer, &relay.asked());
    for (limit, walked) in [(0, 0), (3, 3), (9, 5)] {
        let proven = verify(limit, &answer(limit)).unwrap();
        assert_eq!((proven.total, proven.walked, proven.hash), (5, walked, relay.latest().map.hash(&keys::newest())));
    }
    let alone = Relay::new(&[&one], [one.release(0, "p", "1.0.0", |_| {})]);
    let shown = range(&alone.snapshots, &of(0)).unwrap();
    let proven = crate::search::verified::verify_range(&of(0), &shown, &alone.asked()).unwrap();
    assert_eq!((proven.total, proven.walked), (1, 1), "what only its key tells to be there is shown");
    assert_eq!(verify(2, &answer(3)).map_err(|error| error.code()), Err("relay/broke-protocol"), "more than asked for");
    assert_eq!(
        verify(9, &answer(3)).map_err(|error| error.code()),
        Err("relay/bad-proof"),
        "fewer, and not all there are"
    );
}

#[test]
fn records_are_answered_in_the_order_asked_for() {
    let one = Publisher::new(1);
    let release = one.release(0, "a", "1.0.0", |_| {});
    let relay = Relay::new(&[&one], [release.clone()]);
    let ids = vec![release.id(), RecordId::from_bytes([0; 32]), one.inception.id()];
    let answer = records(&relay.catalogue, &Records { ids }).unwrap();
    assert_eq!(answer.records, [Some(wire(release.bytes())), None, Some(wire(one.inception.bytes()))]);
}

#[test]
fn records_that_do_not_fit_are_left_for_another_question() {
    let one = Publisher::new(1);
    let releases: Vec<_> = (0..64).map(|n| long_release(&one, n, &format!("package{n}"), "1.0.0")).collect();
    let ids = releases.iter().map(Verified::id).collect();
    let answer = records(&Relay::new(&[&one], releases).catalogue, &Records { ids }).unwrap();
    assert!((1..64).contains(&answer.records.len()));
    assert!(bytes_of(answer) <= MAX_ANSWER_BYTES);
}

#[test]
fn a_key_log_is_answered_whole_and_an_unknown_one_is_empty() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let catalogue = Relay::new(&[&one], []).catalogue;
    assert_eq!(key_log_of(&catalogue, &KeyLogOf { publisher: one.id() }).unwrap().events, events(&one.key_log()));
    assert!(key_log_of(&catalogue, &KeyLogOf { publisher: two.id() }).unwrap().events.is_empty());
}

/// A publisher that names as many pages as a key log may, all of them here, with a release under the last key; and its records.
fn wordy(seed: u8) -> (Vec<Record>, Verified<Release>) {
    let mut who = Publisher::new(seed);
    let mut records = vec![who.inception()];
    let id = |at: usize| {
        RecordId::from_bytes(std::array::from_fn(|byte| at.to_be_bytes().get(byte).copied().unwrap_or(seed)))
    };
    for _ in 0..MAX_PAGES_PER_KEY_LOG / MAX_PAGES_PER_ROTATION {
        let rotated = who.rotate_with(&(0..MAX_PAGES_PER_ROTATION).map(id).collect::<Vec<_>>(), 1, 0);
        records.extend(rotated.records());
        who = rotated.after;
    }
    let release = noisy_release(&who, 500, "word");
    (records, release)
}

/// A long release that does not get much shorter by packing.
fn noisy_release(publisher: &Publisher, index: u32, name: &str) -> Verified<Release> {
    publisher.release(index, name, "1.0.0", |release| {
        let noise = |n: u32| blake3::hash(&[&n.to_be_bytes()[..], name.as_bytes()].concat()).to_hex();
        release.authors = (0..16).map(|n| format!("{}{}", noise(n), noise(100 + n))).collect();
        release.tags = (200..232).map(|n| noise(n).to_string()).collect();
        release.dependencies =
            (300..390).map(|n| depends_on(&publisher.package(&format!("p{}", &noise(n)[..34])))).collect();
        release.description = "word".into();
    })
}

#[test]
fn the_longest_key_logs_end_no_search() {
    let one = Publisher::new(50);
    let mut expected = BTreeSet::new();
    let mut catalogue = crate::catalogue::testing::catalogue(&[&one], []);
    let mut put = |record: Record| {
        expected.extend(record.release().map(Verified::id));
        catalogue.insert(record).unwrap();
    };
    (0..3).for_each(|n| put(crate::catalogue::testing::record(one.release(n, &format!("word-{n}"), "1.0.0", |_| {}))));
    let (wordy, late) = (wordy(1), self::wordy(2));
    wordy.0.into_iter().chain(late.0).for_each(&mut put);
    put(crate::catalogue::testing::record(wordy.1));
    let mut relay = Relay::of(100, catalogue);
    relay.insert(late.1);
    (10..13).for_each(|n| relay.insert(noisy_release(&one, n, &format!("word-{n}"))));
    for (text, budget) in [("word", MAX_SEARCH_BYTES), ("", MAX_SEARCH_BYTES), ("word", 36_000), ("", 36_000)] {
        let mut question = ask(text, 50);
        let mut ids = BTreeSet::new();
        loop {
            let answer =
                search_within(&relay.catalogue, &relay.snapshots, &question, budget - RESERVED_BYTES, true).unwrap();
            assert!(bytes_of(answer.clone()) <= MAX_ANSWER_BYTES / 4);
            let page = relay.verify(&question, answer.try_into().unwrap()).unwrap();
            assert!(!page.hits.is_empty());
            ids.extend(page.hits.iter().map(|hit| hit.as_ref().unwrap().release.id()));
            question.cursor = page.cursor;
            if question.cursor.is_none() {
                break;
            }
        }
        assert!(expected.is_subset(&ids), "{text}");
    }
}
