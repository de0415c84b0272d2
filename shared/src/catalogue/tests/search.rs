//! What a query finds, and in which order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::catalogue::testing::{Publisher, catalogue, depends_on};
use crate::catalogue::{BadCursor, Catalogue, MAX_WALKED};
use crate::id::RecordId;
use crate::record::{Release, Verified};
use crate::search::analyser::Tokens;
use crate::search::query::Query;

fn described(index: u32, name: &str, description: &str) -> Verified<Release> {
    Publisher::new(1).release(index, name, "1.0.0", |release| release.description = description.into())
}

fn of(releases: impl IntoIterator<Item = Verified<Release>>) -> Catalogue {
    catalogue(&[&Publisher::new(1), &Publisher::new(2), &Publisher::new(3)], releases)
}

fn found(catalogue: &Catalogue, text: &str) -> Vec<String> {
    let page = catalogue.search(&Query::parse(text).unwrap(), 50, None).unwrap();
    assert!(page.total_is_exact && page.total == page.hits.len() && !page.more);
    page.hits.iter().map(|hit| hit.release.name.to_string()).collect()
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
    let catalogue = of(releases);
    assert_eq!(found(&catalogue, "serialization"), ["serde", "prost"]);
    assert_eq!(found(&catalogue, "async io"), ["async-io", "tokio", "futures-io"]);
}

#[test]
fn the_name_ranks_before_its_parts_and_those_before_text() {
    let catalogue = of([described(3, "text", "about json"), described(2, "serde-json", ""), described(1, "json", "")]);
    assert_eq!(found(&catalogue, "json"), ["json", "serde-json", "text"]);
}

#[test]
fn the_words_of_a_name_find_the_package_first() {
    let catalogue = of([
        described(3, "json-serde-tools", "serde json"),
        described(2, "serde-json-more", "serde json"),
        described(1, "serde_json", ""),
    ]);
    for text in ["serde json", "serde_json", "serdeJson", "json serde"] {
        assert!(found(&catalogue, text).contains(&"serde_json".into()), "{text}");
    }
    assert_eq!(found(&catalogue, "serde json")[0], "serde_json");
}

#[test]
fn a_whole_word_ranks_before_the_beginning_of_one() {
    let catalogue = of([described(2, "serialize", ""), described(1, "other", "ser")]);
    assert_eq!(found(&catalogue, "ser"), ["other", "serialize"]);
    let catalogue = of([described(2, "serializers", ""), described(1, "other", "serialize")]);
    assert_eq!(found(&catalogue, "serialize"), ["other", "serializers"]);
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
        words(9, "newest"),
        words(2, "many"),
        words(1, "few"),
        words(3, "own"),
        on(&two, 10, &["many", "few"]),
        on(&two, 11, &["few"]),
        on(&three, 12, &["many"]),
        on(&one, 13, &["own"]),
    ];
    // Which of them comes first must not matter, so the dependents are offered before and after what they depend on.
    for catalogue in [of(releases.clone()), of(releases.into_iter().rev())] {
        assert_eq!(found(&catalogue, "word"), ["many", "few", "newest", "own"]);
    }
}

#[test]
fn no_words_list_the_newest_first() {
    let catalogue = of([described(1, "a", ""), described(3, "b", ""), described(2, "c", "")]);
    assert_eq!(found(&catalogue, ""), ["b", "c", "a"]);
    assert_eq!(catalogue.newest(2).map(|release| release.name.to_string()).collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn punctuation_finds_nothing() {
    assert_eq!(found(&of([described(1, "a", "!?")]), "!?"), [""; 0]);
}

#[test]
fn only_the_head_is_listed() {
    let one = Publisher::new(1);
    let version =
        |index, version, word: &str| one.release(index, "a", version, |release| release.description = word.into());
    let catalogue = of([version(0, "1.0.0", "former"), version(1, "2.0.0", "present")]);
    assert_eq!(found(&catalogue, "former"), [""; 0]);
    assert_eq!(found(&catalogue, "present"), ["a"]);
}

/// Packages with words of a small vocabulary, so that everything matches something.
fn corpus() -> impl Strategy<Value = Vec<Verified<Release>>> {
    let word = prop::sample::select(vec!["ser", "serde", "serialize", "serializer", "async", "io", "http", "é"]);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_search_finds_what_matches_and_nothing_else(
        releases in corpus(),
        text in prop::sample::select(vec!["", "s", "ser", "serial", "serialize", "async ser", "io serializer", "http async io", "é", "x"]),
    ) {
        let query = Query::parse(text).unwrap();
        let expected: BTreeSet<RecordId> =
            releases.iter().filter(|release| query.matches(&Tokens::of(release))).map(Verified::id).collect();
        let catalogue = of(releases);
        let page = catalogue.search(&query, 50, None).unwrap();
        prop_assert_eq!(page.hits.iter().map(|hit| hit.release.id()).collect::<BTreeSet<_>>(), expected);
        prop_assert!(page.total_is_exact);
        prop_assert_eq!(page.total, page.hits.len());
    }

    #[test]
    fn the_order_of_a_range_is_the_order_by_match(releases in corpus(), text in prop::sample::select(vec!["s", "ser", "serde", "é"])) {
        let catalogue = of(releases);
        let Query::Words(words) = Query::parse(text).unwrap() else { unreachable!("it has a word") };
        let range = crate::catalogue::keys::prefix(words.last()).unwrap();
        let places: Vec<_> = catalogue.ranges.places(&range, None).collect();
        let computed: Option<Vec<_>> = places.iter().map(|place| catalogue.matched(place.package, &words)).collect();
        prop_assert_eq!(computed, Some(places));
    }

    #[test]
    fn pages_have_neither_gaps_nor_duplicates(
        releases in corpus(),
        text in prop::sample::select(vec!["", "ser", "serialize", "async ser"]),
        limit in 1_usize..7,
    ) {
        let query = Query::parse(text).unwrap();
        let catalogue = of(releases);
        let all: Vec<_> = catalogue.search(&query, 50, None).unwrap().hits.iter().map(|hit| hit.release.id()).collect();
        let (mut paged, mut cursor) = (Vec::new(), None);
        loop {
            let page = catalogue.search(&query, limit, cursor.as_deref()).unwrap();
            prop_assert_eq!(page.total, all.len());
            paged.extend(page.hits.iter().map(|hit| hit.release.id()));
            match page.cursor() {
                Some(next) => cursor = Some(next.to_vec()),
                None => break,
            }
        }
        prop_assert_eq!(paged, all);
    }

    #[test]
    fn any_bytes_are_a_cursor_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let catalogue = of([described(1, "a", "")]);
        prop_assert_eq!(catalogue.search(&Query::Newest, 10, Some(&bytes)), Err(BadCursor));
    }
}

#[test]
fn a_cursor_of_another_query_is_refused() {
    let catalogue = of([described(1, "a", "word"), described(2, "b", "word")]);
    let page = catalogue.search(&Query::parse("word").unwrap(), 1, None).unwrap();
    let cursor = page.cursor().unwrap().to_vec();
    assert_eq!(catalogue.search(&Query::parse("wor").unwrap(), 1, Some(&cursor)), Err(BadCursor));
    assert_eq!(catalogue.search(&Query::Newest, 1, Some(&cursor)), Err(BadCursor));
    assert_eq!(catalogue.search(&Query::parse("word").unwrap(), 1, Some(&cursor[1..])), Err(BadCursor));
    assert!(catalogue.search(&Query::parse("WORD").unwrap(), 1, Some(&cursor)).is_ok());
}

#[test]
fn a_query_of_common_words_walks_a_bounded_run_and_says_so() {
    let count = u32::try_from(MAX_WALKED).unwrap() + 50;
    let catalogue = of((0..count).map(|index| described(index, &format!("p{index}"), "common word")));
    let common = catalogue.search(&Query::parse("common word").unwrap(), 10, None).unwrap();
    assert_eq!((common.total, common.total_is_exact, common.hits.len()), (MAX_WALKED, false, 10));
    let one = catalogue.search(&Query::parse("word").unwrap(), 10, None).unwrap();
    assert_eq!((one.total, one.total_is_exact), (MAX_WALKED + 50, true));
    let rare = catalogue.search(&Query::parse("common p77").unwrap(), 50, None).unwrap();
    assert!(rare.total_is_exact && rare.hits[0].release.name.as_str() == "p77");
}
