//! What a person typed, as a query.

use super::analyser::{Token, Tokens, wholes};
use super::filter::{Filter, Probe};
use super::rank::Match;
use crate::catalogue::keys;
use crate::limits::{MAX_QUERY_BYTES, MAX_QUERY_TOKENS};

/// Why a text is no query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than [`MAX_QUERY_BYTES`].
    #[error("a query has at most {MAX_QUERY_BYTES} bytes, this one has {actual}")]
    TooLong {
        /// Its bytes.
        actual: usize,
    },
    /// More words than [`MAX_QUERY_TOKENS`].
    #[error("a query has at most {MAX_QUERY_TOKENS} words, this one has {actual}")]
    TooManyWords {
        /// Its words.
        actual: usize,
    },
}

impl Error {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "query/too-long",
            Self::TooManyWords { .. } => "query/too-many-words",
        }
    }
}

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// Nothing was typed: every package, newest first.
    Newest,
    /// Something was typed that has no word in it, such as punctuation: no package matches, and that is the honest answer.
    Nothing,
    /// Words that all have to match.
    Words(Words),
}

/// The words of a query: one at least, [`MAX_QUERY_TOKENS`] at most. The last one may be the beginning of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    whole: Vec<Token>,
    last: Token,
    joined: Token,
    /// Of each word, the last one last.
    probes: Vec<Probe>,
}

impl Query {
    /// Reads what a person typed.
    ///
    /// # Errors
    /// [`Error`]; nothing is left out silently.
    pub fn parse(text: &str) -> Result<Self, Error> {
        // The length is checked first, so that a long text costs nothing.
        if text.len() > MAX_QUERY_BYTES {
            return Err(Error::TooLong { actual: text.len() });
        }
        if text.trim().is_empty() {
            return Ok(Self::Newest);
        }
        let mut whole = wholes(text);
        if whole.len() > MAX_QUERY_TOKENS {
            return Err(Error::TooManyWords { actual: whole.len() });
        }
        let (Some(last), Some(joined)) = (whole.pop(), Token::joined(text)) else {
            return Ok(Self::Nothing);
        };
        let probes = whole.iter().map(Probe::whole).chain([Probe::beginning(&last)]).collect();
        Ok(Self::Words(Words { whole, last, joined, probes }))
    }

    /// Whether a package with these tokens is an answer.
    pub fn matches(&self, tokens: &Tokens) -> bool {
        match self {
            Self::Newest => true,
            Self::Nothing => false,
            Self::Words(words) => words.matched(tokens).is_some(),
        }
    }
}

/// The range of the map that answers a query, walked in order. Each word has one, in which every match is; a relay walks the
/// shortest. What stands in it and does not match is ruled out by its filter, or by its record.
impl Query {
    /// How many ranges there are to choose from.
    pub fn walks(&self) -> u8 {
        match self {
            Self::Newest => 1,
            Self::Nothing => 0,
            // Words are at most MAX_QUERY_TOKENS.
            Self::Words(words) => words.whole.len() as u8 + 1,
        }
    }

    /// The range of the given number; of words, the last one has the last.
    pub fn range(&self, walk: u8) -> Option<Vec<u8>> {
        match self {
            Self::Newest if walk == 0 => Some(keys::newest()),
            Self::Newest | Self::Nothing => None,
            Self::Words(words) => match words.whole.get(usize::from(walk)) {
                Some(word) => Some(keys::term(word)),
                None if usize::from(walk) == words.whole.len() => Some(keys::prefix(&words.last)),
                None => None,
            },
        }
    }

    /// Whether every entry of the range is a match, so that its count is the count of matches.
    pub fn is_exact(&self) -> bool {
        match self {
            Self::Newest | Self::Nothing => true,
            Self::Words(words) => words.whole.is_empty() && keys::prefix_is_exact(&words.last),
        }
    }

    /// Whether a package with this filter may match. If not, it does not.
    pub fn may_match(&self, filter: &Filter) -> bool {
        match self {
            Self::Newest => true,
            Self::Nothing => false,
            // The words of a range that has just what is meant are in its filters too.
            Self::Words(words) => words.probes.iter().all(|probe| filter.may_have(probe)),
        }
    }

    /// How well a package with these tokens matches; None when it does not, or when how well is no question.
    pub fn matched(&self, tokens: &Tokens) -> Option<Match> {
        match self {
            Self::Newest | Self::Nothing => None,
            Self::Words(words) => words.matched(tokens),
        }
    }
}

impl Words {
    /// The words before the last one: each has to be a token.
    pub fn whole(&self) -> &[Token] {
        &self.whole
    }

    /// The last word: a token has to begin with it.
    pub const fn last(&self) -> &Token {
        &self.last
    }

    /// How well a package with these tokens matches; None when a word does not.
    pub fn matched(&self, tokens: &Tokens) -> Option<Match> {
        // Whole words first: they are looked up faster, and usually it is one of them that does not match.
        let whole = self.whole.iter().map(|word| tokens.fields(word).map(Match::whole));
        let mean = Match::mean(whole.chain(std::iter::once_with(|| Match::of_beginning(tokens, &self.last))))?;
        if self.whole.is_empty() {
            return Some(mean);
        }
        // `serde json` means the package serde_json, if there is one.
        Some(tokens.fields(&self.joined).map(Match::whole).map_or(mean, |name| name.max(mean)))
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
