//! A small Bloom filter of a package's tokens. An entry of the catalogue's map commits to it, so that a query of several words can
//! rule out most packages that have only one of them without seeing their records. It decides nothing: what it lets through is
//! matched by its record.

use super::analyser::{Field, Token, Tokens};

/// Bytes of a filter: 7 % of other packages get through for one with some fifty tokens.
pub const FILTER_BYTES: usize = 48;
/// Bits that each word sets.
const BITS_PER_WORD: usize = 4;
/// Letters of a token's beginning that a filter knows; of a longer beginning, these are looked at.
const BEGINNING_CHARS: usize = 3;

/// Which words a package may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter([u8; FILTER_BYTES]);

/// What a word is in a filter.
#[derive(Clone, Copy)]
enum Of {
    Whole,
    Beginning,
}

impl Filter {
    /// The filter of a package's tokens, and of the beginnings of those outside the description.
    pub fn of(tokens: &Tokens) -> Self {
        let mut filter = Self([0; FILTER_BYTES]);
        for (token, fields) in tokens.iter() {
            filter.add(Of::Whole, token);
            if fields.best() != Field::Description {
                for beginning in beginnings(token) {
                    filter.add(Of::Beginning, beginning);
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

    /// Whether the package may have this token; if not, it has not.
    pub fn may_have(&self, token: &Token) -> bool {
        self.has(Of::Whole, token.as_str())
    }

    /// Whether the package may be found by this last word of a query: by a token, or by the beginning of one outside the description.
    pub fn may_begin(&self, word: &Token) -> bool {
        let known = beginnings(word.as_str()).last().unwrap_or_default();
        self.has(Of::Beginning, known) || self.may_have(word)
    }

    fn add(&mut self, of: Of, word: &str) {
        for bit in bits(of, word) {
            self.0[bit / 8] |= 1 << (bit % 8);
        }
    }

    fn has(&self, of: Of, word: &str) -> bool {
        bits(of, word).into_iter().all(|bit| self.0[bit / 8] >> (bit % 8) & 1 == 1)
    }
}

/// The first letter of a token, the first two, and so on.
fn beginnings(token: &str) -> impl Iterator<Item = &str> {
    token.char_indices().take(BEGINNING_CHARS).map(|(at, c)| &token[..at + c.len_utf8()])
}

fn bits(of: Of, word: &str) -> [usize; BITS_PER_WORD] {
    let key = match of {
        Of::Whole => b"ggen marketplace 2026 word whole",
        Of::Beginning => b"ggen marketplace 2026 word begin",
    };
    let hash = blake3::keyed_hash(key, word.as_bytes());
    let hash = hash.as_bytes();
    std::array::from_fn(|at| usize::from(u16::from_be_bytes([hash[2 * at], hash[2 * at + 1]])) % (FILTER_BYTES * 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::testing::Publisher;

    fn tokens() -> Tokens {
        Tokens::of(&Publisher::new(1).release(0, "serde-json", "1.0.0", |release| {
            release.tags = vec!["encoding".into(), "é".into()];
            release.description = "A JSON serialization file format".into();
        }))
    }

    fn word(text: &str) -> Token {
        Token::joined(text).unwrap()
    }

    #[test]
    fn it_lets_through_every_word_that_is_there() {
        let (tokens, filter) = (tokens(), Filter::of(&tokens()));
        for (token, fields) in tokens.iter() {
            assert!(filter.may_have(&word(token)) && filter.may_begin(&word(token)));
            if fields.best() != Field::Description {
                for (at, c) in token.char_indices() {
                    assert!(filter.may_begin(&word(&token[..at + c.len_utf8()])), "{token}");
                }
            }
        }
    }

    #[test]
    fn it_rules_out_most_words_that_are_not_there() {
        let filter = Filter::of(&tokens());
        let through = |test: &dyn Fn(&Token) -> bool| (0..1000).filter(|n| test(&word(&format!("{n}word")))).count();
        assert!(through(&|word| filter.may_have(word)) < 20);
        assert!(through(&|word| filter.may_begin(word)) < 60);
        assert!(!filter.may_begin(&word("form")), "words of the description are found whole");
    }
}
