//! What somebody types next, as far as what was found tells: asked for ahead, its answer is there when the key is pressed.

use super::analyser::{Token, Tokens, wholes};
use crate::record::Release;

/// Questions that are asked ahead, at most: as many more are what an answer costs a relay.
pub const MAX_AHEAD: usize = 2;

/// The points of the best match. Of the one behind it half of it counts, of the third a third.
const POINTS: u32 = 5040;
/// A letter counts as likely from this part of all points on.
const LIKELY_PART: u32 = 4;

/// The text with its next letter, the likeliest first. `found`: what matches the text, best first. It is told by the words of names, titles, tags and categories that
/// begin as the last word does; where they go on alike, so will the text, and where it has ended, nobody knows.
pub fn likely<'a>(text: &str, found: impl IntoIterator<Item = &'a Release>) -> Vec<String> {
    let last = wholes(text).pop().filter(|_| text.ends_with(char::is_alphanumeric));
    let Some(last) = last else { return Vec::new() };
    let mut points: Vec<(char, u32)> = Vec::new();
    for (rank, release) in (1..).zip(found) {
        for next in letters_behind(&last, release) {
            match points.iter_mut().find(|(letter, _)| *letter == next) {
                Some((_, points)) => *points += POINTS / rank,
                None => points.push((next, POINTS / rank)),
            }
        }
    }
    let all: u32 = points.iter().map(|(_, points)| points).sum();
    points.retain(|(_, points)| points * LIKELY_PART >= all);
    points.sort_by_key(|(letter, points)| (std::cmp::Reverse(*points), *letter));
    let texts = points.into_iter().map(|(letter, _)| {
        let longer = format!("{text}{letter}");
        // A plural is looked for as its singular: behind the one stands something else than behind the other.
        let behind = wholes(&longer).pop()?.as_str().strip_prefix(last.as_str())?.chars().count();
        (behind == 1).then_some(longer)
    });
    texts.flatten().take(MAX_AHEAD).collect()
}

/// What stands behind a beginning in the words of a package, each letter once.
fn letters_behind(beginning: &Token, release: &Release) -> Vec<char> {
    let tokens = Tokens::beside_description(release);
    let behind = tokens.iter().filter_map(|(token, _)| token.strip_prefix(beginning.as_str())?.chars().next());
    // Tokens are in order, and so are these.
    let mut letters: Vec<_> = behind.collect();
    letters.dedup();
    letters
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::testing::Publisher;
    use crate::record::Verified;

    fn named(names: &[&str]) -> Vec<Verified<Release>> {
        names.iter().map(|name| Publisher::new(1).release(0, name, "1.0.0", |_| {})).collect()
    }

    fn likely_of(text: &str, names: &[&str]) -> Vec<String> {
        likely(text, named(names).iter().map(|release| &**release))
    }

    #[test]
    fn the_words_of_what_was_found_say_how_the_last_word_goes_on() {
        assert_eq!(likely_of("ser", &["serde"]), ["serd"]);
        assert_eq!(likely_of("fast ser", &["serde"]), ["fast serd"]);
        assert_eq!(likely_of("Ser", &["serde"]), ["Serd"], "the text stays as it stands there");
        assert_eq!(likely_of("serdej", &["serde-json"]), ["serdejs"], "names count run together, too");
        assert_eq!(likely_of("serde_j", &["serde-json"]), ["serde_js"]);
        assert_eq!(likely_of("é", &["serde"]), [""; 0]);
        assert_eq!(likely_of("file", &["filesystem"]), [""; 0], "`files` is looked for as `file`, too");
        assert_eq!(likely_of("files", &["filesystem"]), [""; 0], "which was looked for as `file`");
        assert_eq!(likely_of("filesyst", &["filesystem"]), ["filesyste"]);
    }

    #[test]
    fn all_fields_count_that_are_searched_by_beginnings() {
        let release = Publisher::new(1).release(0, "a", "1.0.0", |release| {
            release.title = Some("xb".into());
            release.tags = vec!["yc".into()];
            release.categories = vec!["zd".into()];
            release.description = "we".into();
        });
        let of = |text| likely(text, [&*release]);
        assert_eq!([of("x"), of("y"), of("z")], [["xb"], ["yc"], ["zd"]]);
        assert_eq!(of("w"), [""; 0], "words of the description are found whole");
    }

    #[test]
    fn what_stands_first_weighs_most_and_few_are_likely() {
        assert_eq!(likely_of("a", &["ab", "ac"]), ["ab", "ac"]);
        assert_eq!(likely_of("a", &["ac", "ab", "ab"]), ["ac", "ab"], "two behind it weigh less than the first");
        assert_eq!(likely_of("a", &["ab", "ab", "ab", "ac"]), ["ab"], "too little speaks for the other");
        assert_eq!(likely_of("a", &["ab-ac-ad"]), ["ab", "ac"], "{MAX_AHEAD} at most");
        assert_eq!(likely_of("a", &["ab-ab", "ac"]), ["ab", "ac"], "of one package each letter counts once");
    }

    #[test]
    fn nobody_knows_what_comes_behind_the_end_of_a_word() {
        for text in ["", " ", "serde ", "serde-", "serde", "...", "c++"] {
            assert_eq!(likely_of(text, &["serde"]), [""; 0], "{text:?}");
        }
    }

    #[test]
    fn as_many_as_a_page_can_have_do_not_overflow() {
        let many = vec!["ab"; crate::limits::MAX_RESULTS];
        assert_eq!(likely_of("a", &many), ["ab"]);
    }
}
