//! Answers queries from the ranges.
//!
//! A query of one word of a few letters, and the query of none, are the leading run of one range: exact, however long the
//! range is. Any other query walks the leading run of the word that the fewest packages have, [`MAX_WALKED`] entries at
//! most, and looks up the other words in each package's tokens; if there is more to walk, its total says "at least".

use std::collections::BTreeSet;

use super::Catalogue;
use super::keys::{self, PackageKey, Place};
use crate::record::{Release, Verified};
use crate::search::query::{Query, Words};
use crate::search::rank::Rank;

/// How many entries a query looks at, at most: a few milliseconds for the worst query, far below one for most.
pub const MAX_WALKED: usize = 4096;

const CURSOR_FORMAT: u8 = 1;
const FINGERPRINT_BYTES: usize = 8;
const CURSOR_BYTES: usize = 1 + FINGERPRINT_BYTES + 8 + PackageKey::BYTES;

/// A cursor that this catalogue never gave for this query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this query")]
pub struct BadCursor;

/// One package that matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit<'a> {
    /// The head of the package.
    pub release: &'a Verified<Release>,
    /// Where the page behind this hit begins.
    pub cursor: Vec<u8>,
}

/// A page of results, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchPage<'a> {
    /// The results.
    pub hits: Vec<Hit<'a>>,
    /// How many packages match.
    pub total: usize,
    /// Whether `total` is exact, or only the least it can be.
    pub total_is_exact: bool,
    /// Whether there are results behind this page.
    pub more: bool,
}

impl SearchPage<'_> {
    /// Where the next page begins; None at the end.
    pub fn cursor(&self) -> Option<&[u8]> {
        self.hits.last().filter(|_| self.more).map(|hit| &hit.cursor[..])
    }
}

impl Catalogue {
    /// The packages that match a query, best first: `limit` of them at most, from behind `cursor` on. Pages of an unchanged
    /// catalogue have neither gaps nor duplicates.
    ///
    /// # Errors
    /// [`BadCursor`].
    pub fn search(&self, query: &Query, limit: usize, cursor: Option<&[u8]>) -> Result<SearchPage<'_>, BadCursor> {
        let fingerprint = fingerprint(query);
        let after = cursor.map(|cursor| read_cursor(cursor, &fingerprint)).transpose()?;
        let page = match query {
            Query::Nothing => SearchPage { hits: Vec::new(), total: 0, total_is_exact: true, more: false },
            Query::Newest => self.page_of_range(&keys::newest(), limit, after, &fingerprint),
            Query::Words(words) => match keys::prefix(words.last()).filter(|_| words.whole().is_empty()) {
                Some(range) => self.page_of_range(&range, limit, after, &fingerprint),
                None => self.page_of_matches(words, limit, after, &fingerprint),
            },
        };
        Ok(page)
    }

    /// The newest packages.
    pub fn newest(&self, limit: usize) -> impl Iterator<Item = &Verified<Release>> {
        self.ranges.places(&keys::newest(), None).filter_map(|place| self.head_at(place)).take(limit)
    }

    fn page_of_range(
        &self,
        range: &[u8],
        limit: usize,
        after: Option<Place>,
        fingerprint: &Fingerprint,
    ) -> SearchPage<'_> {
        let total = self.ranges.len(range);
        self.page(self.ranges.places(range, after), total, true, limit, fingerprint)
    }

    fn page_of_matches(
        &self,
        words: &Words,
        limit: usize,
        after: Option<Place>,
        fingerprint: &Fingerprint,
    ) -> SearchPage<'_> {
        let mut walk = self.rarest(words);
        // A package can stand in several ranges that are walked; its place among the results is one.
        let mut matches = BTreeSet::new();
        for place in walk.by_ref().take(MAX_WALKED) {
            matches.extend(self.matched(place.package, words));
        }
        let total_is_exact = walk.next().is_none();
        let behind = matches.iter().copied().filter(|place| after.is_none_or(|after| *place > after));
        self.page(behind, matches.len(), total_is_exact, limit, fingerprint)
    }

    fn page(
        &self,
        mut places: impl Iterator<Item = Place>,
        total: usize,
        total_is_exact: bool,
        limit: usize,
        fingerprint: &Fingerprint,
    ) -> SearchPage<'_> {
        let hit = |place| Some(Hit { release: self.head_at(place)?, cursor: cursor(place, fingerprint) });
        let hits = places.by_ref().take(limit).filter_map(hit).collect();
        SearchPage { hits, total, total_is_exact, more: places.next().is_some() }
    }

    /// The entries of the word that the fewest packages have.
    fn rarest(&self, words: &Words) -> Box<dyn Iterator<Item = Place> + '_> {
        let whole = words.whole().iter().map(keys::term).map(|range| (self.ranges.len(&range), range));
        let whole = whole.min_by_key(|(length, _)| *length);
        let Some(range) = keys::prefix(words.last()) else {
            let beginning = keys::terms_that_begin(words.last());
            let length = self.ranges.places_under(beginning.clone()).take(MAX_WALKED + 1).count();
            return match whole {
                Some((shorter, range)) if shorter <= length => Box::new(self.ranges.places(&range, None)),
                _ => Box::new(self.ranges.places_under(beginning)),
            };
        };
        match whole {
            Some((shorter, whole)) if shorter <= self.ranges.len(&range) => Box::new(self.ranges.places(&whole, None)),
            _ => Box::new(self.ranges.places(&range, None)),
        }
    }

    /// The place of a package among the results, if every word matches it.
    pub(super) fn matched(&self, key: PackageKey, words: &Words) -> Option<Place> {
        let listing = self.packages.get(&key)?.listing.as_ref()?;
        let matched = words.matched(&listing.tokens)?;
        Some(Place { rank: Rank::best(matched, listing.popularity, listing.created), package: key })
    }

    fn head_at(&self, place: Place) -> Option<&Verified<Release>> {
        self.release(&self.packages.get(&place.package)?.listing.as_ref()?.head)
    }
}

type Fingerprint = [u8; FINGERPRINT_BYTES];

/// What ties a cursor to its query. It is no secret and no promise: a forged cursor begins a page somewhere else.
fn fingerprint(query: &Query) -> Fingerprint {
    let mut hasher = blake3::Hasher::new_derive_key("ggen marketplace 2026 cursor of a query");
    if let Query::Words(words) = query {
        for word in words.whole().iter().chain([words.last()]) {
            hasher.update(word.as_str().as_bytes());
            hasher.update(b"\0");
        }
    }
    let mut fingerprint = [0; FINGERPRINT_BYTES];
    hasher.finalize_xof().fill(&mut fingerprint);
    fingerprint
}

fn cursor(place: Place, fingerprint: &Fingerprint) -> Vec<u8> {
    [&[CURSOR_FORMAT], &fingerprint[..], place.rank.as_bytes(), place.package.as_bytes()].concat()
}

fn read_cursor(bytes: &[u8], fingerprint: &Fingerprint) -> Result<Place, BadCursor> {
    let bytes: &[u8; CURSOR_BYTES] = bytes.try_into().map_err(|_| BadCursor)?;
    let rest = bytes.strip_prefix(&[CURSOR_FORMAT]).and_then(|rest| rest.strip_prefix(fingerprint)).ok_or(BadCursor)?;
    let (rank, package) = rest.split_first_chunk().ok_or(BadCursor)?;
    let package = package.try_into().map_err(|_| BadCursor)?;
    Ok(Place { rank: Rank::from_bytes(*rank), package: PackageKey::from_bytes(package) })
}
