use proptest::prelude::*;

use super::*;
use crate::catalogue::testing::Publisher;
use crate::search::analyser::Tokens;

fn finds(text: &str) -> bool {
    let release = Publisher::new(1).release(0, "tower-http", "1.0.0", |release| {
        release.description = "Middleware for HTTPServer and asynchronous I/O".into();
    });
    Query::parse(text).unwrap().matches(&Tokens::of(&release))
}

#[test]
fn an_empty_query_lists_the_newest() {
    for text in ["", " \t\u{3000}"] {
        assert_eq!(Query::parse(text).unwrap().range(0), Some(b"n/".to_vec()));
    }
}

#[test]
fn a_query_of_only_punctuation_matches_nothing() {
    for text in ["?!", "...", "++", "\u{301}", "🦀", "\u{202e}", "\u{202e}\u{2066}\u{2069}", "\u{301}\u{327}\u{20dd}"]
    {
        assert_eq!(Query::parse(text).unwrap().walks(), 0, "{text:?}");
        assert!(!finds(text));
    }
}

#[test]
fn a_long_query_is_refused() {
    assert!(Query::parse(&"a".repeat(MAX_QUERY_BYTES)).is_ok());
    assert_eq!(Query::parse(&"a".repeat(10_000)), Err(Error::TooLong { actual: 10_000 }));
    assert_eq!(Query::parse(&"a".repeat(MAX_QUERY_BYTES + 1)).map_err(|error| error.code()), Err("query/too-long"));
}

#[test]
fn a_query_of_many_words_is_refused() {
    assert!(Query::parse("a b c d e f g h").is_ok());
    assert_eq!(Query::parse("a b c d e f g h i"), Err(Error::TooManyWords { actual: 9 }));
    assert_eq!(Query::parse("a b c d e f g h i").map_err(|error| error.code()), Err("query/too-many-words"));
}

#[test]
fn every_word_has_to_match() {
    assert!(finds("middleware http"));
    assert!(!finds("middleware absent"));
    assert!(!finds("absent middleware"));
}

#[test]
fn only_the_last_word_may_be_a_beginning() {
    assert!(finds("middleware tow"));
    assert!(finds("tow"));
    assert!(!finds("asyn middleware"));
    assert!(!finds("tow middleware"));
    assert!(!finds("towery") && finds("towers"), "but for the plural");
}

#[test]
fn words_of_the_description_are_found_whole() {
    assert!(finds("asynchronous") && finds("tower middleware"));
    assert!(!finds("asyn") && !finds("middlew"));
}

#[test]
fn names_are_found_however_they_are_written() {
    for text in
        ["tower_http", "towerhttp", "TowerHttp", "tower http", "http tower", "httpserver", "http-server", "io", "I/O"]
    {
        assert!(finds(text), "{text}");
    }
}

#[test]
fn marks_and_directions_are_part_of_words_or_nothing() {
    let words = |text: &str| {
        let words = Query::parse(text).unwrap().words.unwrap();
        words.whole().iter().chain([words.last()]).map(|word| word.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(words("\u{202e}שלום\u{202c} عالم"), ["שלום", "عالم"]);
    assert_eq!(words("e\u{301}t\u{e9}"), ["été"]);
    assert_eq!(words("\u{301}a"), ["a"]);
}

#[test]
fn each_word_has_a_range_and_no_words_have_the_one_of_all_packages() {
    let ranges = |text: &str| {
        let query = Query::parse(text).unwrap();
        let ranges: Vec<_> = (0..query.walks()).map(|walk| query.range(walk).unwrap()).collect();
        assert_eq!((query.range(query.walks()), query.range(u8::MAX)), (None, None));
        (ranges, query.is_exact(0))
    };
    assert_eq!(ranges(""), (vec![b"n/".to_vec()], true));
    assert_eq!(ranges("?"), (vec![], true));
    assert_eq!(ranges("word"), (vec![b"x/word\0".to_vec()], true));
    assert_eq!(ranges("one word"), (vec![b"t/one\0".to_vec(), b"x/word\0".to_vec()], false));
    assert_eq!(ranges("serial"), (vec![b"x/serial\0".to_vec()], true), "the longest that is counted exactly");
    assert_eq!(ranges("seriali"), (vec![b"x/seriali\0".to_vec()], false), "the range of longer words too");
    assert_eq!(ranges("serialization"), (vec![b"x/seriali\0".to_vec()], false), "cut to the longest beginning");
    assert_eq!(ranges("one two three four five six seven eight").0.len(), 8);
}

proptest! {
    #[test]
    fn any_text_is_a_query_or_an_error(text in any::<String>()) {
        if let Ok(query) = Query::parse(&text) {
            let release = Publisher::new(1).release(0, "a", "1.0.0", |_| {});
            query.matches(&Tokens::of(&release));
        }
    }
}
