//! What a person typed and chose, as a query.

use super::analyser::{Token, Tokens, wholes};
use super::filter::{Filter, Probe};
use serde::{Deserialize, Serialize};

use super::rank::{Brevity, Match, Popularity, Rank};
use crate::catalogue::keys::{self, PackageKey};
use crate::id::{PackageId, PublisherId};
use crate::limits::{MAX_LICENSE_BYTES, MAX_QUERY_BYTES, MAX_QUERY_TOKENS, MAX_TAG_BYTES};
use crate::record::{Release, Verified};

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
    /// A filter without a letter in it, or longer than what it is compared with.
    #[error("the filter by {what} can't match anything")]
    BadFilter {
        /// By what.
        what: &'static str,
    },
    /// The cursor is none, or it is of another query.
    #[error("the cursor does not belong to this query")]
    BadCursor,
}

impl Error {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "query/too-long",
            Self::TooManyWords { .. } => "query/too-many-words",
            Self::BadFilter { .. } => "query/bad-filter",
            Self::BadCursor => "query/bad-cursor",
        }
    }
}

/// What packages have to be besides matching a text. All of it has to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filters {
    /// Of this category, however it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Under this license, alone or with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Published by this publisher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<PublisherId>,
    /// With this tag, however it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyword: Option<String>,
    /// Depending on this package.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<PackageId>,
}

impl Filters {
    /// Whether every package is let through.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// What matches best. Of no text, what most depend on; of nothing at all, the newest.
    #[default]
    Best,
    /// The newest.
    Newest,
    /// By name.
    Name,
    /// What most publishers depend on, as a power of two; then the newest.
    Dependents,
}

impl Order {
    /// Whether it is what is meant when nothing is said.
    pub const fn is_best(&self) -> bool {
        matches!(self, Self::Best)
    }
}

/// What to look for, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// None: nothing was typed, so every text matches.
    words: Option<Words>,
    conditions: Vec<Condition>,
    order: Order,
    /// Each has every match. None: something was typed that has no word in it, such as punctuation. Then no package matches, and that is the
    /// honest answer.
    ranges: Vec<Walk>,
    /// Of each word, the last one last, and of each condition that filters know.
    probes: Vec<Probe>,
}

/// A range of the map that may be walked to answer a query.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Walk {
    range: Vec<u8>,
    /// Whether it has what is asked for and nothing else.
    is_exact: bool,
    /// Whether it is in the order that is asked for; otherwise it is walked whole, or not at all.
    is_ordered: bool,
}

/// One of the filters that a query has.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Condition {
    Category(Token),
    License(Token),
    Publisher(PublisherId),
    Keyword(Token),
    DependsOn(PackageId),
}

impl Condition {
    fn all(filters: &Filters) -> Result<Vec<Self>, Error> {
        let token = |what, text: &str, limit| {
            Token::joined(text).filter(|_| text.len() <= limit).ok_or(Error::BadFilter { what })
        };
        let mut all = Vec::new();
        if let Some(category) = &filters.category {
            all.push(Self::Category(token("category", category, MAX_TAG_BYTES)?));
        }
        if let Some(license) = &filters.license {
            all.push(Self::License(token("license", license, MAX_LICENSE_BYTES)?));
        }
        all.extend(filters.publisher.map(Self::Publisher));
        if let Some(keyword) = &filters.keyword {
            all.push(Self::Keyword(token("keyword", keyword, MAX_TAG_BYTES)?));
        }
        all.extend(filters.depends_on.clone().map(Self::DependsOn));
        Ok(all)
    }

    /// What filters know of it.
    fn probe(&self) -> Option<Probe> {
        match self {
            Self::Category(category) => Some(Probe::category(category)),
            Self::License(license) => Some(Probe::license(license)),
            Self::Publisher(publisher) => Some(Probe::publisher(publisher)),
            Self::Keyword(keyword) => Some(Probe::keyword(keyword)),
            Self::DependsOn(_) => None,
        }
    }

    /// The range of the packages for which it holds, those first that most depend on. Tags have none.
    fn range(&self) -> Option<Vec<u8>> {
        match self {
            Self::Category(category) => Some(keys::of_category(category)),
            Self::License(license) => Some(keys::license(license)),
            Self::Publisher(publisher) => Some(keys::of_publisher(publisher)),
            Self::Keyword(_) => None,
            Self::DependsOn(package) => Some(keys::dependents(&PackageKey::of(package))),
        }
    }

    fn holds(&self, release: &Release) -> bool {
        let has = |texts: &[String], wanted| texts.iter().any(|text| Token::joined(text).as_ref() == Some(wanted));
        match self {
            Self::Category(category) => has(&release.categories, category),
            Self::License(license) => {
                release.license.iter().flat_map(|text| keys::licenses(text)).any(|one| one == *license)
            }
            Self::Publisher(publisher) => release.publisher == *publisher,
            Self::Keyword(keyword) => has(&release.tags, keyword),
            Self::DependsOn(package) => keys::dependencies(release).any(|other| other == *package),
        }
    }
}

/// The words of a query: one at least, [`MAX_QUERY_TOKENS`] at most. The last one may be the beginning of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    whole: Vec<Token>,
    last: Token,
    joined: Token,
}

impl Query {
    /// Reads what a person typed, without filters, the best first.
    ///
    /// # Errors
    /// [`Error`]; nothing is left out silently.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::new(text, &Filters::default(), Order::Best)
    }

    /// Reads what a person typed and chose.
    ///
    /// # Errors
    /// [`Error`]; nothing is left out silently.
    pub fn new(text: &str, filters: &Filters, order: Order) -> Result<Self, Error> {
        // The length is checked first, so that a long text costs nothing.
        if text.len() > MAX_QUERY_BYTES {
            return Err(Error::TooLong { actual: text.len() });
        }
        let conditions = Condition::all(filters)?;
        let is_empty = text.trim().is_empty();
        let words = if is_empty { None } else { Words::parse(text)? };
        let order = match order {
            Order::Best if is_empty && conditions.is_empty() => Order::Newest,
            Order::Best if is_empty => Order::Dependents,
            order => order,
        };
        let mut query = Self { words, conditions, order, ranges: Vec::new(), probes: Vec::new() };
        if is_empty || query.words.is_some() {
            query.ranges = query.walkable();
        }
        let words = query.words.iter().flat_map(Words::probes);
        query.probes = words.chain(query.conditions.iter().filter_map(Condition::probe)).collect();
        Ok(query)
    }

    /// The ranges that have every match: one for each word, one for each condition that has one, and all packages in the order asked for.
    fn walkable(&self) -> Vec<Walk> {
        let is_only = |words: usize| words + self.conditions.len() == 1;
        let mut walks = Vec::new();
        if let Some(words) = &self.words {
            let is_ordered = self.order == Order::Best;
            let whole = words.whole.iter().map(|word| Walk { range: keys::term(word), is_exact: false, is_ordered });
            walks.extend(whole);
            let is_exact = is_only(walks.len() + 1) && keys::prefix_is_exact(&words.last);
            walks.push(Walk { range: keys::prefix(&words.last), is_exact, is_ordered });
        }
        for range in self.conditions.iter().filter_map(Condition::range) {
            let is_exact = self.words.is_none() && is_only(0);
            walks.push(Walk { range, is_exact, is_ordered: self.order == Order::Dependents });
        }
        let all = match self.order {
            Order::Best => None,
            Order::Newest => Some(keys::newest()),
            Order::Name => Some(keys::by_name()),
            Order::Dependents => Some(keys::by_dependents()),
        };
        let is_exact = self.words.is_none() && self.conditions.is_empty();
        walks.extend(all.map(|range| Walk { range, is_exact, is_ordered: true }));
        walks
    }

    /// Whether the text matches a package with these tokens.
    pub fn matches(&self, tokens: &Tokens) -> bool {
        match &self.words {
            _ if self.ranges.is_empty() => false,
            None => true,
            Some(words) => words.matched(tokens).is_some(),
        }
    }

    /// Whether the filters let a package through.
    pub fn admits(&self, release: &Release) -> bool {
        self.conditions.iter().all(|condition| condition.holds(release))
    }
}

/// The ranges of the map that answer a query, walked in order: in each is every match. A relay walks the shortest that is in the order asked
/// for, or a shorter one as a whole. What stands in it and does not match is ruled out by its filter, or by its record.
impl Query {
    /// How many ranges there are to choose from.
    pub fn walks(&self) -> u8 {
        // Words are at most MAX_QUERY_TOKENS, filters five.
        self.ranges.len() as u8
    }

    /// The range of the given number.
    pub fn range(&self, walk: u8) -> Option<Vec<u8>> {
        self.ranges.get(usize::from(walk)).map(|walk| walk.range.clone())
    }

    /// Whether every entry of a range is a match, so that its count is the count of matches.
    pub fn is_exact(&self, walk: u8) -> bool {
        self.ranges.get(usize::from(walk)).is_none_or(|walk| walk.is_exact)
    }

    /// Whether a range is in the order asked for. One that is not is walked whole.
    pub fn is_ordered(&self, walk: u8) -> bool {
        self.ranges.get(usize::from(walk)).is_some_and(|walk| walk.is_ordered)
    }

    /// Whether a package with this filter may match. If not, it does not.
    pub fn may_match(&self, filter: &Filter) -> bool {
        !self.ranges.is_empty() && self.probes.iter().all(|probe| filter.may_have(probe))
    }

    /// How well a package with these tokens matches; None when it does not, or when how well is no question.
    pub fn matched(&self, tokens: &Tokens) -> Option<Match> {
        self.words.as_ref().filter(|_| self.order == Order::Best)?.matched(tokens)
    }

    /// Where a match stands among others, as bytes that sort so.
    pub fn place(&self, release: &Verified<Release>, tokens: &Tokens, popularity: Popularity) -> Vec<u8> {
        let rank = match (self.order, self.matched(tokens)) {
            (Order::Best, Some(matched)) => Rank::best(matched, Brevity::of(tokens), popularity, release.created),
            (Order::Best | Order::Dependents, _) => Rank::popular(popularity, release.created),
            (Order::Newest, _) => Rank::newest(release.created),
            (Order::Name, _) => {
                return [release.name.as_str().as_bytes(), b"\0", &release.id().as_bytes()[..]].concat();
            }
        };
        [&rank.as_bytes()[..], &release.id().as_bytes()[..]].concat()
    }
}

impl Words {
    /// None when there is no word in the text.
    fn parse(text: &str) -> Result<Option<Self>, Error> {
        let mut whole = wholes(text);
        if whole.len() > MAX_QUERY_TOKENS {
            return Err(Error::TooManyWords { actual: whole.len() });
        }
        let (Some(last), Some(joined)) = (whole.pop(), Token::joined(text)) else { return Ok(None) };
        Ok(Some(Self { whole, last, joined }))
    }

    fn probes(&self) -> impl Iterator<Item = Probe> {
        self.whole.iter().map(Probe::whole).chain([Probe::beginning(&self.last)])
    }

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
        let whole = self.whole.iter().map(|word| Match::whole(tokens, word));
        let mean = Match::mean(whole.chain(std::iter::once_with(|| Match::of_beginning(tokens, &self.last))))?;
        if self.whole.is_empty() {
            return Some(mean);
        }
        // `serde json` means the package serde_json, if there is one.
        Some(Match::whole(tokens, &self.joined).map_or(mean, |name| name.max(mean)))
    }
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
