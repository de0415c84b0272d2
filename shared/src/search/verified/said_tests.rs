use serde_bytes::ByteBuf;

use super::super::tests::{BROKEN, flip, shop, wire, word};
use super::super::*;
use crate::catalogue::testing::{Publisher, Relay};
use crate::limits::{MAX_REASON_BYTES, MAX_SEARCH_BYTES};
use crate::record::{Record, State};
use crate::registry::{SearchResults, Source};
use crate::search::analyser::Token;
use crate::search::filter::Probe;

fn ask(text: &str) -> Search {
    Search { text: text.into(), limit: 10, ..Search::default() }
}

fn say(relay: &mut Relay, status: &Verified<Status>) {
    relay.catalogue.insert(Record::Status(Box::new(status.clone()))).unwrap();
}

fn yank(who: &Publisher, index: u32, name: &str) -> Verified<Status> {
    who.status(index, name, "1.0.0", 1, State::Yanked, |status| status.reason = "burns".into())
}

fn bytes(status: &Verified<Status>) -> ByteBuf {
    ByteBuf::from(status.bytes().to_vec())
}

/// Each hit: name, version, state; each refusal: its place and code.
fn rows(found: VerifiedSearch) -> Vec<String> {
    let row = |hit: Result<Hit, Refused>| match hit {
        Ok(Hit { release, status, .. }) => {
            let state = status.map_or("", |status| status.state.as_str());
            format!("{} {} {state}", release.name, release.version).trim_end().to_owned()
        }
        Err(refused) => format!("{} {}", refused.index, refused.error.code()),
    };
    found.hits.into_iter().map(row).collect()
}

/// The three packages of [`shop`], of which the first was yanked since the checkpoint.
fn scene() -> (Relay, Publisher, Publisher) {
    let (mut relay, one, two) = shop();
    say(&mut relay, &yank(&one, 20, "a"));
    (relay, one, two)
}

#[test]
fn what_was_withdrawn_since_the_checkpoint_is_marked_and_counts_until_the_next() {
    for state in [State::Yanked, State::Retracted] {
        let (mut relay, one, _) = shop();
        let said = one.status(20, "a", "1.0.0", 1, state, |status| status.reason = "burns".into());
        say(&mut relay, &said);
        for text in ["word", "a word", ""] {
            let found = relay.find(text);
            assert_eq!((found.total, found.total_is_exact), (3, true));
            let hit = found.hits.iter().flatten().find(|hit| hit.release.name.to_string() == "a").unwrap();
            assert_eq!((hit.status.as_ref(), hit.in_checkpoint), (Some(&said), true), "{text:?}");
            assert_eq!(found.hits.iter().flatten().filter(|hit| hit.status.is_some()).count(), 1);
            let results = SearchResults::of(found, Source("relay".into()));
            let states: Vec<_> = results.hits.iter().flatten().filter_map(|view| view.state).collect();
            assert_eq!(states, [state]);
        }
        relay.commit();
        assert_eq!(rows(relay.find("word")), ["b 1.0.0", "c 1.0.0"]);
    }
}

#[test]
fn what_is_deprecated_says_so_in_and_out_of_a_checkpoint() {
    let (mut relay, one, _) = shop();
    say(&mut relay, &one.status(20, "c", "1.0.0", 1, State::Deprecated, |_| {}));
    relay.insert(word(&one, 21, "d", "1.0.0"));
    say(&mut relay, &one.status(22, "d", "1.0.0", 1, State::Deprecated, |_| {}));
    for _ in 0..2 {
        assert_eq!(rows(relay.find("word")), ["d 1.0.0 deprecated", "a 1.0.0", "b 1.0.0", "c 1.0.0 deprecated"]);
        relay.commit();
    }
}

#[test]
fn nothing_is_said_of_what_was_taken_back_or_never_listed() {
    let (mut relay, one, _) = scene();
    say(&mut relay, &one.status(21, "a", "1.0.0", 2, State::Active, |_| {}));
    say(&mut relay, &one.status(22, "a", "0.9.0", 1, State::Yanked, |_| {}));
    assert_eq!(relay.answer(&ask("word")).unwrap().statuses, [] as [ByteBuf; 0]);
    let found = relay.find("word");
    assert!(found.hits.iter().flatten().all(|hit| hit.in_checkpoint), "it went and came back");
    assert_eq!(rows(found), ["a 1.0.0", "b 1.0.0", "c 1.0.0"]);
}

#[test]
fn the_status_that_decides_is_sent_once() {
    let (mut relay, one, _) = scene();
    let last = one.status(21, "a", "1.0.0", 2, State::Deprecated, |_| {});
    say(&mut relay, &last);
    // It went and came back: it is in the snapshot and among what is recent.
    let answer = relay.answer(&ask("word")).unwrap();
    assert_eq!((answer.recent.len(), answer.statuses), (1, vec![bytes(&last)]));
    assert_eq!(rows(relay.find("word")), ["a 1.0.0 deprecated", "b 1.0.0", "c 1.0.0"]);
}

#[test]
fn nothing_is_said_of_what_a_filter_lets_through_without_a_match() {
    let one = Publisher::new(1);
    let named = word(&one, 0, "a", "1.0.0");
    let filter = Filter::of(&named, &Tokens::of(&named));
    let lets_through = |text: &String| filter.may_have(&Probe::whole(&Token::joined(text).unwrap()));
    let other = (0..).map(|n| format!("{n}other")).find(lets_through).expect("a filter lets one in thirty through");
    let others = ["b", "c"].into_iter().zip(1..);
    let others = others.map(|(name, index)| {
        one.release(index, name, "1.0.0", |release| release.description = format!("{other} {index}"))
    });
    let mut relay = Relay::new(&[&one], others.chain([named.clone()]));
    say(&mut relay, &yank(&one, 20, "a"));
    let question = ask(&format!("word {other}"));
    let answer = relay.answer(&question).unwrap();
    assert_eq!((answer.releases.len(), answer.statuses.len()), (1, 0), "the filter lets it through");
    assert_eq!(rows(relay.verify(&question, answer).unwrap()), [] as [&str; 0]);
}

#[test]
fn a_status_with_any_byte_changed_marks_nothing_and_takes_no_hit_away() {
    let (relay, ..) = scene();
    let answer = relay.answer(&ask("word")).unwrap();
    for at in 0..answer.statuses[0].len() {
        let mut changed = answer.clone();
        flip(&mut changed.statuses[0], at);
        let rows = rows(relay.verify(&ask("word"), changed).unwrap());
        assert_eq!(rows[..3], ["a 1.0.0", "b 1.0.0", "c 1.0.0"], "byte {at}");
        assert!(rows.len() == 4 && rows[3].starts_with("3 record/"), "byte {at}: {rows:?}");
    }
}

#[test]
fn a_status_that_no_hit_needs_is_refused_and_takes_no_hit_away() {
    let (relay, one, two) = scene();
    let answer = relay.answer(&ask("word")).unwrap();
    let with = |status: ByteBuf| {
        let mut more = answer.clone();
        more.statuses.push(status);
        let mut rows = rows(relay.verify(&ask("word"), more).unwrap());
        assert_eq!(rows.drain(..3).collect::<Vec<_>>(), ["a 1.0.0 yanked", "b 1.0.0", "c 1.0.0"]);
        rows
    };
    let state = State::Yanked;
    for stray in [
        one.status(30, "absent", "1.0.0", 1, state, |_| {}),
        one.status(30, "c", "2.0.0", 1, state, |_| {}),
        // Of the same names, by somebody else.
        two.status(30, "c", "1.0.0", 1, state, |_| {}),
        // A second one of a version.
        one.status(30, "a", "1.0.0", 9, State::Retracted, |_| {}),
        yank(&one, 20, "a"),
    ] {
        assert_eq!(with(bytes(&stray)), ["4 record/surplus"], "{stray:?}");
    }
    let foreign = Publisher::of_network(1, "publisher-1", Network::named("other").unwrap());
    assert_ne!(with(bytes(&foreign.status(30, "c", "1.0.0", 1, state, |_| {}))), [] as [&str; 0]);
    let in_another_name = two.status(30, "c", "1.0.0", 1, state, |status| status.publisher = one.id());
    assert_eq!(with(bytes(&in_another_name)).len(), 1);
    assert_eq!(with(ByteBuf::from(b"no record".to_vec())), ["4 record/encoding"]);
    assert_eq!(with(wire(&word(&one, 2, "a", "1.0.0"))), ["4 record/unknown-kind"]);
}

#[test]
fn as_many_statuses_as_releases_are_read_and_none_where_nothing_can_match() {
    let (relay, one, _) = scene();
    let answer = relay.answer(&ask("word")).unwrap();
    let code = |text: &str, answer| relay.verify(&ask(text), answer).map_err(|error| error.code()).err();
    let many = |count| SearchAnswer { statuses: vec![bytes(&yank(&one, 20, "a")); count], ..answer.clone() };
    assert_eq!((code("word", many(3)), code("word", many(4))), (None, BROKEN));
    let nothing = SearchAnswer { releases: vec![], key_logs: vec![], evidence: None, ..many(1) };
    assert_eq!(code("?", nothing), BROKEN);
}

#[test]
fn a_yank_that_was_taken_back_and_is_said_again_marks_and_takes_no_version_back() {
    let one = Publisher::new(1);
    let relay = Relay::new(&[&one], [word(&one, 1, "a", "1.0.0"), word(&one, 0, "b", "1.0.0")]);
    let mut answer = relay.answer(&ask("word")).unwrap();
    answer.statuses = vec![bytes(&yank(&one, 20, "a"))];
    answer.recent = vec![wire(&word(&one, 2, "a", "0.9.0"))];
    let found = relay.verify(&ask("word"), answer.clone()).unwrap();
    assert_eq!(found.total, 2, "it counts");
    assert_eq!(rows(found), ["a 1.0.0 yanked", "b 1.0.0"]);
    // What the older one needs is not in the way.
    answer.statuses.push(bytes(&one.status(21, "a", "0.9.0", 1, State::Deprecated, |_| {})));
    assert_eq!(rows(relay.verify(&ask("word"), answer.clone()).unwrap()), ["a 1.0.0 yanked", "b 1.0.0"]);
    // A newer version takes the place of any, and is not marked by what is said of the other.
    answer.statuses.pop();
    answer.recent = vec![wire(&word(&one, 3, "a", "2.0.0"))];
    assert_eq!(rows(relay.verify(&ask("word"), answer).unwrap()), ["a 2.0.0", "b 1.0.0"]);
}

#[test]
fn an_older_version_that_is_listed_again_leaves_the_place_to_the_withdrawn_one_until_a_checkpoint() {
    let one = Publisher::new(1);
    let versions = ["0.9.0", "1.0.0"].into_iter().zip(0..);
    let mut relay = Relay::new(&[&one], versions.map(|(version, index)| word(&one, index, "a", version)));
    say(&mut relay, &yank(&one, 20, "a"));
    assert_eq!(relay.answer(&ask("word")).unwrap().recent.len(), 1);
    assert_eq!(rows(relay.find("word")), ["a 1.0.0 yanked"]);
    relay.commit();
    assert_eq!(rows(relay.find("word")), ["a 0.9.0"]);
}

#[test]
fn two_releases_of_one_version_are_marked_by_one_status() {
    let one = Publisher::new(1);
    let relay = Relay::new(&[&one], [word(&one, 0, "a", "1.0.0")]);
    let mut answer = relay.answer(&ask("word")).unwrap();
    answer.recent = vec![wire(&word(&one, 1, "a", "1.0.0"))];
    answer.statuses = vec![bytes(&yank(&one, 20, "a"))];
    let found = relay.verify(&ask("word"), answer).unwrap();
    assert!(!found.hits[0].as_ref().unwrap().in_checkpoint);
    assert_eq!(rows(found), ["a 1.0.0 yanked"]);
}

#[test]
fn a_status_comes_with_the_page_that_keeps_it() {
    let one = Publisher::new(1);
    let releases: Vec<_> = (0..40).map(|n| word(&one, n, &format!("p{n}"), "1.0.0")).collect();
    let said: Vec<_> =
        (0..40).map(|n| one.status(40 + n, &format!("p{n}"), "1.0.0", 1, State::Deprecated, |_| {})).collect();
    let ids: Vec<_> = releases.iter().map(Verified::id).chain(said.iter().map(Verified::id)).collect();
    let rotated = one.rotate_with(&ids, 4, 0);
    let mut relay = Relay::new(&[&one], releases);
    said.iter().for_each(|status| say(&mut relay, status));
    for record in rotated.records() {
        relay.catalogue.insert(record).unwrap();
    }
    // What the key in force says needs no page.
    say(&mut relay, &rotated.after.status(80, "p7", "1.0.0", 2, State::Yanked, |_| {}));
    relay.commit();
    let found = relay.find("p9");
    assert_eq!(rows(found), ["p9 1.0.0 deprecated"]);
    let answer = relay.answer(&ask("p9")).unwrap();
    assert!((3..=4).contains(&answer.key_logs[0].len()), "an inception, a rotation, a page or two");
    let all = relay.find("word");
    assert_eq!((all.hits.len(), all.hits.iter().flatten().filter(|hit| hit.status.is_some()).count()), (39, 39));
    if answer.key_logs[0].len() == 4 {
        let mut without = answer;
        without.key_logs[0].pop();
        assert_eq!(rows(relay.verify(&ask("p9"), without).unwrap()), ["p9 1.0.0", "1 record/no-keep-page"]);
    }
}

#[test]
fn pages_of_what_was_withdrawn_have_all_of_it_and_are_no_longer_than_others() {
    let one = Publisher::new(1);
    let reason = |n: u32| {
        let letter = |at: u32| char::from(b'a' + (blake3::hash(&(n << 10 | at).to_be_bytes()).as_bytes()[0] % 26));
        (0..u32::try_from(MAX_REASON_BYTES).unwrap()).map(letter).collect::<String>()
    };
    let mut relay = Relay::new(&[&one], (0..200).map(|n| word(&one, n, &format!("p{n}"), "1.0.0")));
    for n in 0..200 {
        let state = if n % 2 == 0 { State::Yanked } else { State::Retracted };
        say(&mut relay, &one.status(200 + n, &format!("p{n}"), "1.0.0", 1, state, |status| status.reason = reason(n)));
    }
    let mut question = Search { limit: 50, ..ask("word") };
    let (mut marked, mut pages) = (0, 0);
    loop {
        let answer = relay.answer(&question).unwrap();
        let length = crate::codec::encode(&answer).len();
        assert!(length <= MAX_SEARCH_BYTES, "{length}");
        let page = relay.verify(&question, answer).unwrap();
        assert_eq!((page.total, page.total_is_exact), (200, true));
        assert!(page.hits.iter().all(|hit| hit.as_ref().is_ok_and(|hit| hit.status.is_some())));
        marked += page.hits.len();
        pages += 1;
        question.cursor = page.cursor;
        if question.cursor.is_none() {
            break;
        }
    }
    assert_eq!((marked, pages), (200, 4));
}
