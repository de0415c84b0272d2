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
    assert_eq!(Query::parse(""), Ok(Query::Newest));
    assert_eq!(Query::parse(" \t\u{3000}"), Ok(Query::Newest));
}

#[test]
fn a_query_of_only_punctuation_matches_nothing() {
    for text in ["?!", "...", "++", "\u{301}", "🦀", "\u{202e}"] {
        assert_eq!(Query::parse(text), Ok(Query::Nothing), "{text:?}");
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
    assert!(finds("middleware asyn"));
    assert!(finds("tow"));
    assert!(!finds("asyn middleware"));
    assert!(!finds("towers"));
}

#[test]
fn names_are_found_however_they_are_written() {
    for text in
        ["tower_http", "towerhttp", "TowerHttp", "tower http", "http tower", "httpserver", "http-server", "io", "I/O"]
    {
        assert!(finds(text), "{text}");
    }
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
