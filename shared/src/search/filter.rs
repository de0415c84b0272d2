//! A small Bloom filter of a package's tokens. An entry of the catalogue's map commits to it, so that a query of several words can
//! rule out most packages that have only one of them without seeing their records. It decides nothing: what it lets through is
//! matched by its record.

use super::analyser::{Token, Tokens};
use crate::catalogue::keys::licenses;
use crate::id::PublisherId;
use crate::record::Release;

/// Bytes of a filter: 3 % of other packages get through for one with some fifty tokens. Half as many let through three times as
/// many, each of which costs a record.
pub const FILTER_BYTES: usize = 64;
/// Bits that each word sets.
const BITS_PER_WORD: usize = 4;
/// How many letters those beginnings of a token have that a filter knows; of others, the longest shorter one is looked at.
const BEGINNINGS: [usize; 3] = [2, 4, 6];

/// Words that many descriptions have and nobody looks for: filters say nothing of them, and tell others better apart. In order.
const COMMON: [&str; 40] = [
    "a", "all", "also", "an", "and", "any", "are", "as", "at", "be", "but", "by", "can", "for", "from", "has", "have",
    "if", "in", "into", "is", "it", "its", "more", "not", "of", "on", "or", "other", "such", "that", "the", "this",
    "to", "used", "which", "will", "with", "you", "your",
];

/// Bytes of the longest of them.
const LONGEST_COMMON: usize = 5;

fn is_common(word: &[u8]) -> bool {
    // Most words are longer, and are looked for no further.
    word.len() <= LONGEST_COMMON && COMMON.binary_search_by(|common| common.as_bytes().cmp(word)).is_ok()
}

/// Which words a package may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter([u8; FILTER_BYTES]);

/// What a word is in a filter.
#[derive(Clone, Copy)]
enum Of {
    Whole,
    Beginning,
    Category,
    License,
    Publisher,
    Keyword,
}

/// A word of a query, as it is looked for in many filters: it is hashed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    whole: Filter,
    /// None: the word is the whole token.
    beginning: Option<Filter>,
}

impl Probe {
    /// Looks for a token.
    pub fn whole(token: &Token) -> Self {
        Self { whole: Filter::NONE.with(Of::Whole, token.as_str()), beginning: None }
    }

    /// Looks for the last word of a query: for a token, or for the beginning of one outside the description.
    pub fn beginning(word: &Token) -> Self {
        let known =
            beginnings(word.as_str()).last().map_or(Filter::NONE, |known| Filter::NONE.with(Of::Beginning, known));
        Self { beginning: Some(known), ..Self::whole(word) }
    }

    /// Looks for a category.
    pub fn category(category: &Token) -> Self {
        Self { whole: Filter::NONE.with(Of::Category, category.as_str()), beginning: None }
    }

    /// Looks for a license.
    pub fn license(license: &Token) -> Self {
        Self { whole: Filter::NONE.with(Of::License, license.as_str()), beginning: None }
    }

    /// Looks for packages of a publisher.
    pub fn publisher(publisher: &PublisherId) -> Self {
        Self { whole: Filter::NONE.with(Of::Publisher, publisher.as_bytes()), beginning: None }
    }

    /// Looks for a tag.
    pub fn keyword(keyword: &Token) -> Self {
        Self { whole: Filter::NONE.with(Of::Keyword, keyword.as_str()), beginning: None }
    }
}

impl Filter {
    const NONE: Self = Self([0; FILTER_BYTES]);

    /// The filter of a package: of its tokens and of the beginnings of those outside the description, of its categories, licenses and tags,
    /// each whole, and of its publisher.
    pub fn of(release: &Release, tokens: &Tokens) -> Self {
        let mut filter = Self::NONE.with(Of::Publisher, release.publisher.as_bytes());
        let mut set = |of, word: &str| filter.set(of, word.as_bytes());
        for category in release.categories.iter().filter_map(|category| Token::joined(category)) {
            set(Of::Category, category.as_str());
        }
        for license in release.license.iter().flat_map(|expression| licenses(expression)) {
            set(Of::License, license.as_str());
        }
        for keyword in release.tags.iter().filter_map(|tag| Token::joined(tag)) {
            set(Of::Keyword, keyword.as_str());
        }
        // Tokens are in order, so those that begin alike stand together.
        let mut last = [""; BEGINNINGS.len()];
        for (token, fields) in tokens.iter() {
            set(Of::Whole, token);
            if fields.beside_description().is_some() {
                for (beginning, last) in beginnings(token).zip(&mut last) {
                    if beginning != *last {
                        set(Of::Beginning, beginning);
                        *last = beginning;
                    }
                }
            }
        }
        filter
    }

    /// The filter with these bytes.
    pub const fn from_bytes(bytes: [u8; FILTER_BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the filter.
    pub const fn as_bytes(&self) -> &[u8; FILTER_BYTES] {
        &self.0
    }

    /// Whether the package may have what is looked for; if not, it has not.
    pub fn may_have(&self, probe: &Probe) -> bool {
        self.has(&probe.whole) || probe.beginning.as_ref().is_some_and(|beginning| self.has(beginning))
    }

    fn with(mut self, of: Of, word: impl AsRef<[u8]>) -> Self {
        self.set(of, word.as_ref());
        self
    }

    fn set(&mut self, of: Of, word: &[u8]) {
        if matches!(of, Of::Whole) && is_common(word) {
            return;
        }
        for bit in bits(of, word) {
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }

    fn has(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(here, there)| here & there == *there)
    }
}

/// The beginnings of a token that a filter knows, the shortest first.
fn beginnings(token: &str) -> impl Iterator<Item = &str> {
    let end = |letters| token.char_indices().nth(letters - 1).map(|(at, c)| at + c.len_utf8());
    BEGINNINGS.into_iter().filter_map(move |letters| Some(&token[..end(letters)?]))
}

fn bits(of: Of, word: &[u8]) -> [usize; BITS_PER_WORD] {
    let key = match of {
        Of::Whole => b"ggen marketplace 2026 word whole",
        Of::Beginning => b"ggen marketplace 2026 word begin",
        Of::Category => b"ggen marketplace 2026 categories",
        Of::License => b"ggen marketplace 2026 of license",
        Of::Publisher => b"ggen marketplace 2026 publishers",
        Of::Keyword => b"ggen marketplace 2026 of keyword",
    };
    let hash = blake3::keyed_hash(key, word);
    let hash = hash.as_bytes();
    std::array::from_fn(|at| usize::from(u16::from_be_bytes([hash[2 * at], hash[2 * at + 1]])) % (FILTER_BYTES * 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::testing::Publisher;
    use crate::record::Verified;

    fn release() -> Verified<Release> {
        Publisher::new(1).release(0, "serde-json", "1.0.0", |release| {
            release.tags = vec!["encoding".into(), "é".into()];
            release.categories = vec!["Command line".into()];
            release.license = Some("MIT OR Apache-2.0".into());
            release.description = "A JSON serialization file format".into();
        })
    }

    fn filter() -> Filter {
        let release = release();
        Filter::of(&release, &Tokens::of(&release))
    }

    fn word(text: &str) -> Token {
        Token::joined(text).unwrap()
    }

    fn may_have(filter: &Filter, text: &str) -> bool {
        filter.may_have(&Probe::whole(&word(text)))
    }

    fn may_begin(filter: &Filter, text: &str) -> bool {
        filter.may_have(&Probe::beginning(&word(text)))
    }

    #[test]
    fn it_says_nothing_of_words_that_nobody_looks_for() {
        assert!(COMMON.is_sorted());
        assert_eq!(COMMON.iter().map(|word| word.len()).max(), Some(LONGEST_COMMON));
        let filter = filter();
        for word in COMMON {
            assert!(may_have(&filter, word) && may_have(&Filter::NONE, word), "{word}");
        }
        assert!(!may_have(&Filter::NONE, "their"));
    }

    #[test]
    fn it_lets_through_every_word_that_is_there() {
        let (tokens, filter) = (Tokens::of(&release()), filter());
        for (token, fields) in tokens.iter() {
            assert!(may_have(&filter, token) && may_begin(&filter, token));
            if fields.beside_description().is_some() {
                for (at, c) in token.char_indices() {
                    assert!(may_begin(&filter, &token[..at + c.len_utf8()]), "{token}");
                }
            }
        }
    }

    #[test]
    fn it_knows_what_a_package_is_filtered_by() {
        let (filter, there) = (filter(), Publisher::new(1).id());
        let knows = |probe| filter.may_have(&probe);
        assert!(knows(Probe::category(&word("command-line"))) && !knows(Probe::category(&word("command"))));
        assert!(knows(Probe::license(&word("mit"))) && knows(Probe::license(&word("apache-2.0"))));
        assert!(!knows(Probe::license(&word("GPL-3.0"))));
        assert!(knows(Probe::keyword(&word("Encoding"))) && !knows(Probe::keyword(&word("serde"))));
        assert!(knows(Probe::publisher(&there)) && !knows(Probe::publisher(&Publisher::new(2).id())));
    }

    #[test]
    fn it_rules_out_most_words_that_are_not_there() {
        let filter = filter();
        let through = |test: &dyn Fn(&str) -> bool| (0..1000).filter(|n| test(&format!("{n}word"))).count();
        assert!(through(&|word| may_have(&filter, word)) < 20);
        assert!(through(&|word| may_begin(&filter, word)) < 60);
        assert!(!may_begin(&filter, "form"), "words of the description are found whole");
    }
}
