//! What a query finds, and in which order: asked of a relay and verified, as a client does.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_bytes::ByteBuf;

use crate::catalogue::find::MAX_WALKED;
use crate::catalogue::keys;
use crate::catalogue::snapshots::MAX_SNAPSHOTS;
use crate::catalogue::testing::{Publisher, Relay, depends_on};
use crate::id::RecordId;
use crate::protocol::query::Search;
use crate::record::{Release, Verified};
use crate::search::analyser::{Token, Tokens};
use crate::search::filter::Filter;
use crate::search::query::Query;
use crate::search::rank::{Brevity, Rank};
use crate::search::verified::VerifiedSearch;

fn described(index: u32, name: &str, description: &str) -> Verified<Release> {
    Publisher::new(1).release(index, name, "1.0.0", |release| release.description = description.into())
}

fn of(releases: impl IntoIterator<Item = Verified<Release>>) -> Relay {
    Relay::new(&[&Publisher::new(1), &Publisher::new(2), &Publisher::new(3)], releases)
}

/// The names of a page on which nothing is refused.
fn names(page: &VerifiedSearch) -> Vec<String> {
    page.hits.iter().map(|hit| hit.as_ref().unwrap().release.name.to_string()).collect()
}

fn ids(page: &VerifiedSearch) -> Vec<RecordId> {
    page.hits.iter().map(|hit| hit.as_ref().unwrap().release.id()).collect()
}

fn found(relay: &Relay, text: &str) -> Vec<String> {
    let page = relay.find(text);
    assert!(page.total_is_exact && page.total == page.hits.len() as u64 && page.cursor.is_none());
    assert!(page.hits.iter().flatten().all(|hit| hit.in_checkpoint));
    names(&page)
}

#[test]
fn finds_serde_for_serialization_and_tokio_for_async_io() {
    let rows = [
        ("serde", "A generic serialization/deserialization framework", "serde serialization no_std"),
        ("prost", "A Protocol Buffers implementation for the Rust Language.", "protobuf serialization"),
        (
            "tokio",
            "An event-driven, non-blocking I/O platform for writing asynchronous I/O backed applications.",
            "io async futures",
        ),
        ("async-io", "Async I/O and timers", "mio epoll"),
        ("async-trait", "Type erasure for async trait methods", "async"),
        ("futures-io", "The AsyncRead and AsyncWrite traits", ""),
    ];
    let releases = (0..).zip(rows).map(|(index, (name, description, tags))| {
        Publisher::new(1).release(index, name, "1.0.0", |release| {
            release.description = description.into();
            release.tags = tags.split_whitespace().map(Into::into).collect();
        })
    });
    let relay = of(releases);
    assert_eq!(found(&relay, "serialization"), ["serde", "prost"]);
    assert_eq!(found(&relay, "async io"), ["async-io", "tokio", "futures-io"]);
}

#[test]
fn the_name_ranks_before_its_parts_and_those_before_text() {
    let relay = of([described(3, "text", "about json"), described(2, "serde-json", ""), described(1, "json", "")]);
    assert_eq!(found(&relay, "json"), ["json", "serde-json", "text"]);
}

#[test]
fn the_words_of_a_name_find_the_package_first() {
    let relay = of([
        described(3, "json-serde-tools", "serde json"),
        described(2, "serde-json-more", "serde json"),
        described(1, "serde_json", ""),
    ]);
    for text in ["serde json", "serde_json", "serdeJson", "json serde"] {
        assert!(found(&relay, text).contains(&"serde_json".into()), "{text}");
    }
    assert_eq!(found(&relay, "serde json")[0], "serde_json");
}

#[test]
fn a_whole_word_ranks_before_the_beginning_of_one_in_the_same_field() {
    let relay = of([described(2, "serial-abc", ""), described(1, "ser-abcdef", "")]);
    assert_eq!(found(&relay, "ser"), ["ser-abcdef", "serial-abc"]);
    let relay = of([described(1, "serialize", ""), described(2, "other", "ser")]);
    assert_eq!(found(&relay, "ser"), ["serialize", "other"], "a name says more than a description");
}

#[test]
fn a_shorter_name_ranks_before_a_longer_one() {
    let relay = of([described(2, "vim-addons", ""), described(1, "vim", ""), described(3, "libvim", "vim")]);
    assert_eq!(found(&relay, "vim"), ["vim", "vim-addons", "libvim"]);
}

#[test]
fn one_and_many_are_one_word() {
    let relay = of([described(2, "text-editors", ""), described(1, "editor", "of libraries")]);
    assert_eq!(found(&relay, "editor"), found(&relay, "editors"));
    assert_eq!(found(&relay, "library editors"), ["editor"]);
}

#[test]
fn a_word_longer_than_the_beginnings_of_the_map_is_found_and_nothing_beside_it() {
    let relay = of([
        described(3, "internationalization", ""),
        described(2, "internationalisation", ""),
        described(1, "other", "on internationalization"),
    ]);
    assert_eq!(found(&relay, "internationaliz"), ["internationalization"]);
    assert_eq!(found(&relay, "internationalization"), ["internationalization", "other"]);
    assert_eq!(found(&relay, "internation"), ["internationalization", "internationalisation"]);
    // The word of the description stands beside the others from its seventh letter on.
    assert_eq!(found(&relay, "intern"), ["internationalization", "internationalisation"]);
    assert_eq!(found(&relay, "interna"), ["internationalization", "internationalisation"]);
    assert_eq!(relay.catalogue.map().count(&keys::prefix(&Token::joined("intern").unwrap())), 2);
    assert_eq!(relay.catalogue.map().count(&keys::prefix(&Token::joined("interna").unwrap())), 3);
}

#[test]
fn more_distinct_dependent_publishers_rank_first() {
    let (one, two, three) = (Publisher::new(1), Publisher::new(2), Publisher::new(3));
    let on = |publisher: &Publisher, index, names: &[&str]| {
        let dependencies = names.iter().map(|name| depends_on(&one.package(name))).collect();
        publisher.release(index, &format!("user{index}"), "1.0.0", |release| release.dependencies = dependencies)
    };
    let words = |index, name| one.release(index, name, "1.0.0", |release| release.tags = vec!["word".into()]);
    let releases = [
        words(9, "new"),
        words(2, "many"),
        words(1, "few"),
        words(3, "own"),
        on(&two, 10, &["many", "few"]),
        on(&two, 11, &["few"]),
        on(&three, 12, &["many"]),
        on(&one, 13, &["own"]),
    ];
    // Which of them comes first must not matter, so the dependents are offered before and after what they depend on.
    for relay in [of(releases.clone()), of(releases.into_iter().rev())] {
        assert_eq!(found(&relay, "word"), ["many", "few", "new", "own"]);
    }
}

#[test]
fn no_words_list_the_newest_first() {
    let relay = of([described(1, "a", ""), described(3, "b", ""), described(2, "c", "")]);
    assert_eq!(found(&relay, ""), ["b", "c", "a"]);
    assert_eq!(relay.catalogue.newest(2).map(|release| release.name.to_string()).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn punctuation_finds_nothing() {
    assert_eq!(found(&of([described(1, "a", "!?")]), "!?"), [""; 0]);
}

#[test]
fn strange_texts_get_a_typed_error_or_an_honest_empty_answer() {
    let relay = of([described(1, "a", "שלום عالم नमस्ते")]);
    for text in ["a".repeat(10_000), "?".repeat(10_000), "\u{301}".repeat(5_000)] {
        let question = Search { text, limit: 10, cursor: None, ..Search::default() };
        assert_eq!(relay.answer(&question).unwrap_err().code, "query/too-long");
        let answer = relay.answer(&Search { text: String::new(), ..question.clone() }).unwrap();
        assert_eq!(relay.verify(&question, answer).unwrap_err().code(), "query/too-long", "the asker knows, too");
    }
    for nothing in ["?!…", "\u{202e}\u{202d}", "\u{301}\u{327}\u{20dd}", "🦀🦀", "\u{200b}\u{ad}"] {
        let answer =
            relay.answer(&Search { text: nothing.into(), limit: 10, cursor: None, ..Search::default() }).unwrap();
        assert_eq!(answer.evidence, None, "{nothing:?}: there is nothing to prove");
        assert_eq!(found(&relay, nothing), [""; 0]);
    }
    for absent in ["شيء آخر", "\u{202e}דבר", "e\u{301}\u{327}\u{20dd}", "a\u{301}"] {
        assert!(relay.find(absent).proven.is_some(), "that nothing has {absent:?} is proven");
        assert_eq!(found(&relay, absent), [""; 0]);
    }
    for present in ["שלום", "\u{202e}عالم\u{202c}", "नमस्ते", "A", "ａ"] {
        assert_eq!(found(&relay, present), ["a"], "{present:?}");
    }
}

#[test]
fn only_the_head_is_listed() {
    let one = Publisher::new(1);
    let version =
        |index, version, word: &str| one.release(index, "a", version, |release| release.description = word.into());
    let relay = of([version(0, "1.0.0", "former"), version(1, "2.0.0", "present")]);
    assert_eq!(found(&relay, "former"), [""; 0]);
    assert_eq!(found(&relay, "present"), ["a"]);
}

/// Packages with words of a small vocabulary, so that everything matches something.
fn corpus() -> impl Strategy<Value = Vec<Verified<Release>>> {
    let words = vec!["ser", "serde", "serialize", "serializer", "async", "io", "http", "é", "internationalization"];
    let word = prop::sample::select(words);
    let texts = prop::collection::vec((prop::collection::vec(word, 0..5), 0_u64..3), 0..24);
    texts.prop_map(|texts| {
        let releases = (0..).zip(texts).map(|(index, (words, created))| {
            Publisher::new(1).release(index, &format!("package{index}"), "1.0.0", |release| {
                release.tags = words.first().into_iter().map(|word| (*word).into()).collect();
                release.description = words.join(" ");
                release.created = created;
            })
        });
        releases.collect()
    })
}

fn texts() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "s",
        "ser",
        "serial",
        "serialize",
        "async ser",
        "io serializer",
        "http async io",
        "é",
        "x",
        "internationalis",
        "io internationaliza",
    ])
}

/// Every page from the first one on; between two pages something happens.
fn pages(relay: &mut Relay, text: &str, limit: u16, mut between: impl FnMut(&mut Relay)) -> Vec<VerifiedSearch> {
    let mut question = Search { text: text.into(), limit, cursor: None, ..Search::default() };
    let mut pages = Vec::new();
    loop {
        let page = relay.search(&question);
        question.cursor = page.cursor.clone();
        pages.push(page);
        if question.cursor.is_none() {
            return pages;
        }
        between(relay);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_search_finds_what_matches_and_nothing_else(releases in corpus(), text in texts()) {
        let query = Query::parse(text).unwrap();
        let expected: BTreeSet<RecordId> =
            releases.iter().filter(|release| query.matches(&Tokens::of(release))).map(Verified::id).collect();
        let page = of(releases).find(text);
        prop_assert_eq!(ids(&page).into_iter().collect::<BTreeSet<_>>(), expected);
        prop_assert!(page.total_is_exact && page.cursor.is_none());
        prop_assert_eq!(page.total, page.hits.len() as u64);
    }

    #[test]
    fn every_range_of_a_query_has_every_match_and_no_filter_rules_one_out(releases in corpus(), text in texts()) {
        let query = Query::parse(text).unwrap();
        let relay = of(releases.iter().cloned());
        for walk in 0..query.walks() {
            let range = query.range(walk).unwrap();
            let there: BTreeSet<_> = relay.catalogue.map().iter(&range).map(|(_, leaf)| leaf.listed().unwrap().head).collect();
            for release in releases.iter().filter(|release| query.matches(&Tokens::of(release))) {
                prop_assert!(there.contains(&release.id()));
                prop_assert!(query.may_match(&Filter::of(release, &Tokens::of(release))));
            }
            let matches = releases.iter().filter(|release| query.matches(&Tokens::of(release))).count();
            prop_assert!(!query.is_exact(walk) || there.len() == matches, "an exact range has nothing else");
        }
        prop_assert_eq!(query.range(query.walks()), None);
    }

    #[test]
    fn the_order_of_a_range_is_the_order_by_match(releases in corpus(), text in prop::sample::select(vec!["s", "ser", "serde", "é"])) {
        let relay = of(releases);
        let query = Query::parse(text).unwrap();
        let range = query.range(0).unwrap();
        let mut ranks = Vec::new();
        for (key, leaf) in relay.catalogue.map().iter(&range) {
            let (place, listed) = (keys::Place::from_bytes(&key[range.len()..]).unwrap(), leaf.listed().unwrap());
            let matched = query.matched(&listed.tokens).unwrap();
            prop_assert_eq!(place.rank, Rank::best(matched, Brevity::of(&listed.tokens), listed.popularity, listed.created));
            ranks.push((place.rank, listed.head));
        }
        prop_assert!(ranks.is_sorted());
        prop_assert_eq!(ids(&relay.find(text)), ranks.into_iter().map(|(_, head)| head).collect::<Vec<_>>());
    }

    #[test]
    fn pages_have_neither_gaps_nor_duplicates(releases in corpus(), text in texts(), limit in 1_u16..7) {
        let mut relay = of(releases);
        let all = relay.find(text);
        let pages = pages(&mut relay, text, limit, |_| {});
        let mut paged: Vec<_> = pages.iter().flat_map(ids).collect();
        let mut whole = ids(&all);
        if Query::parse(text).unwrap().is_exact(0) {
            prop_assert!(pages.iter().all(|page| page.total == all.total && page.total_is_exact));
        } else {
            // The words of a range are in order, those of a query only on their page.
            paged.sort();
            whole.sort();
        }
        prop_assert_eq!(paged, whole);
        for page in pages {
            let proven = page.proven.unwrap();
            prop_assert!(page.hits.len() <= usize::from(limit));
            prop_assert_eq!(page.cursor.is_none(), proven.walked == proven.total);
        }
    }

    #[test]
    fn pages_stand_on_the_checkpoint_of_the_first_one(
        (releases, later) in (corpus(), corpus()), text in texts(), limit in 3_u16..7,
    ) {
        let mut relay = of(releases);
        let (mut all, first) = (ids(&relay.find(text)), relay.epoch);
        // As many as are kept: what comes on the way changes nothing, whatever it is.
        let (mut later, mut checkpoints) = (later.into_iter(), 1);
        let pages = pages(&mut relay, text, limit, |relay| {
            let renamed = |release: &Verified<Release>| {
                Publisher::new(2).release(release.index, release.name.as_str(), "2.0.0", |new| new.tags = vec!["serialize".into()])
            };
            later.by_ref().take(3).for_each(|release| relay.insert(renamed(&release)));
            if checkpoints < MAX_SNAPSHOTS {
                relay.commit();
                checkpoints += 1;
            }
        });
        let mut paged: Vec<_> = pages.iter().flat_map(ids).collect();
        prop_assert!(pages.iter().filter_map(|page| page.proven.as_ref()).all(|proven| proven.checkpoint.epoch == first));
        paged.sort();
        all.sort();
        prop_assert_eq!(paged, all);
    }

    #[test]
    fn any_bytes_are_a_cursor_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let relay = of([described(1, "a", "")]);
        let question = Search { text: String::new(), limit: 10, cursor: Some(ByteBuf::from(bytes)), ..Search::default() };
        let refusal = relay.answer(&question).unwrap_err();
        prop_assert!(["query/bad-cursor", "query/old-cursor"].contains(&&refusal.code[..]), "{}", refusal);
    }
}

#[test]
fn a_cursor_of_a_range_that_the_query_has_not_is_refused() {
    let relay = of([described(1, "a", "common word"), described(2, "b", "common word")]);
    let page = relay.search(&Search { text: "common word".into(), limit: 1, cursor: None, ..Search::default() });
    let mut cursor = page.cursor.unwrap();
    let code = |text: &str, cursor: &[u8]| {
        let question =
            Search { text: text.into(), limit: 1, cursor: Some(ByteBuf::from(cursor.to_vec())), ..Search::default() };
        relay.answer(&question).map(|_| ()).map_err(|refusal| refusal.code)
    };
    assert_eq!(code("common word", &cursor), Ok(()));
    assert_eq!(code("common word", &cursor[1..]), Err("query/bad-cursor".into()));
    assert_eq!(code("?", &cursor), Err("query/bad-cursor".into()));
    cursor[8] = 2;
    assert_eq!(code("common word", &cursor), Err("query/bad-cursor".into()));
}

#[test]
fn a_cursor_of_a_checkpoint_that_is_no_longer_kept_is_told_to_search_again() {
    let mut relay = of([described(1, "a", "word"), described(2, "b", "word")]);
    let mut question = Search { text: "word".into(), limit: 1, cursor: None, ..Search::default() };
    question.cursor = relay.search(&question).cursor;
    for _ in 1..MAX_SNAPSHOTS {
        relay.commit();
        assert_eq!(names(&relay.search(&question)), ["a"]);
    }
    relay.commit();
    assert_eq!(relay.answer(&question).unwrap_err().code, "query/old-cursor");
}

#[test]
fn a_query_of_common_words_walks_a_bounded_run_and_says_so() {
    let count = u32::try_from(MAX_WALKED).unwrap() + 50;
    let words = |n, word: &str| described(n, &format!("p{n}"), word);
    let both = (0..count).map(|n| words(n, "common word"));
    let mut relay = of(both);
    let common = relay.search(&Search { text: "common word".into(), limit: 10, cursor: None, ..Search::default() });
    assert_eq!((common.total, common.total_is_exact, common.hits.len()), (10, false, 10));
    let one = relay.search(&Search { text: "word".into(), limit: 10, cursor: None, ..Search::default() });
    assert_eq!((one.total, one.total_is_exact), (u64::from(count), true));
    let rare = relay.find("common p77");
    assert!(rare.total_is_exact && rare.hits.len() == 1 && names(&rare) == ["p77"]);

    // Both words are common, and no package has both: only walking on shows that.
    let apart = (0..count).flat_map(|n| [words(n, "common"), words(count + n, "word")]);
    relay = of(apart);
    let pages = pages(&mut relay, "common word", 10, |_| {});
    let walked: Vec<_> = pages.iter().map(|page| page.proven.as_ref().unwrap().walked).collect();
    assert_eq!(walked, [MAX_WALKED as u64, u64::from(count)]);
    assert!(pages.iter().all(|page| page.hits.is_empty() && page.total == 0 && !page.total_is_exact));
}

#[test]
fn what_came_since_the_checkpoint_is_found_at_once_and_marked() {
    let mut relay = of([described(1, "a", "word"), described(2, "b", "word")]);
    let version =
        |index, version, text: &str| Publisher::new(1).release(index, "a", version, |it| it.description = text.into());
    relay.insert(described(3, "c", "a new word"));
    relay.insert(version(4, "2.0.0", "word again"));
    relay.insert(described(5, "d", "nothing of interest"));
    let rows = |relay: &Relay, text: &str| {
        let row = |hit: crate::search::verified::Hit| {
            (hit.release.name.to_string(), hit.release.version.to_string(), hit.in_checkpoint)
        };
        relay.find(text).hits.into_iter().map(|hit| row(hit.unwrap())).collect::<Vec<_>>()
    };
    let row = |name: &str, version: &str, in_checkpoint| (name.to_owned(), version.to_owned(), in_checkpoint);
    assert_eq!(rows(&relay, "word"), [row("a", "2.0.0", false), row("c", "1.0.0", false), row("b", "1.0.0", true)]);
    assert!(!relay.find("word").total_is_exact, "how many there will be is not proven yet");
    assert_eq!(rows(&relay, "")[0], row("d", "1.0.0", false));
    relay.commit();
    assert_eq!(rows(&relay, "word"), [row("a", "2.0.0", true), row("c", "1.0.0", true), row("b", "1.0.0", true)]);
    assert!(relay.find("word").total_is_exact);
}

#[test]
fn only_a_first_page_has_what_came_since_the_checkpoint() {
    let mut relay = of([described(1, "a", "word"), described(2, "b", "word")]);
    relay.insert(described(3, "c", "word"));
    let mut question = Search { text: "word".into(), limit: 1, cursor: None, ..Search::default() };
    let first = relay.search(&question);
    assert_eq!(names(&first), ["c", "b"]);
    question.cursor = first.cursor;
    assert_eq!(names(&relay.search(&question)), ["a"]);
}
