//! Finds what answers a query: a run of one range of the map, now or in a snapshot, and the recent packages that no snapshot has.
//!
//! The run ends when there are enough matches, at its range's end, or at [`MAX_WALKED`] entries: bounded work, whatever is asked.

use std::sync::Arc;

use super::keys::{self, Place};
use super::{Catalogue, Leaf, Listed};
use crate::merkle::Map;
use crate::merkle::proof::{Prefix, Range};
use crate::record::{Release, Verified};
use crate::search::query::Query;
use crate::search::rank::Rank;

/// How many entries of a range are walked for one page, at most. Each that is no match costs an asker some eighty bytes.
pub const MAX_WALKED: usize = 256;
/// How many packages that no snapshot has are looked at for one query.
const MAX_RECENT: usize = 1024;

/// A run of the map that answers a query.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// Which of the query's ranges it is.
    pub walk: u8,
    /// The range, from where the page begins.
    pub range: Range,
    /// How many of its entries the page goes through.
    pub walked: usize,
    /// Those of them that filters do not rule out, in order.
    pub candidates: Vec<&'a Arc<Listed>>,
}

/// Finds the page of at most `limit` matches that begins behind a place of one of the query's ranges, or at the beginning.
/// `fits` says whether one more entry fits the answer, and whether it comes with its record. None: nothing can match, and there is nothing to prove.
pub fn find<'a>(
    map: &'a Map<Leaf>,
    query: &Query,
    limit: usize,
    after: Option<(u8, Place)>,
    mut fits: impl FnMut(&Listed, bool) -> bool,
) -> Option<Found<'a>> {
    let walk = match after {
        Some((walk, _)) => walk,
        None => (0..query.walks()).min_by_key(|walk| query.range(*walk).map(|range| map.count(&range)))?,
    };
    let prefix = query.range(walk)?;
    let after = after.map(|(_, place)| [&prefix[..], &place.to_bytes()].concat());
    let entries = match &after {
        None => map.iter(&prefix),
        Some(after) => map.iter_after(&prefix, after),
    };
    let range = Range { prefix: Prefix::of(&prefix), after };
    let mut found = Found { walk, range, walked: 0, candidates: Vec::new() };
    let (is_exact, mut matches) = (query.is_exact(), 0);
    for listed in entries.filter_map(|(_, leaf)| leaf.listed()).take(MAX_WALKED) {
        let is_candidate = is_exact || query.may_match(&listed.filter);
        if (is_candidate && matches == limit) || !fits(listed, is_candidate) {
            break;
        }
        if is_candidate {
            found.candidates.push(listed);
            matches += usize::from(is_exact || query.matches(&listed.tokens));
        }
        found.walked += 1;
    }
    Some(found)
}

impl Catalogue {
    /// The packages that match and whose head changed since the last snapshot, best first.
    pub fn find_recent(&self, query: &Query, limit: usize) -> Vec<&Listed> {
        let rank = |listed: &Listed| match query.matched(&listed.tokens) {
            Some(matched) => Rank::best(matched, listed.popularity, listed.created),
            None => Rank::newest(listed.created),
        };
        let matches = self.recent().take(MAX_RECENT).filter(|listed| query.matches(&listed.tokens));
        let mut matches: Vec<_> = matches.map(|listed| (rank(listed), listed)).collect();
        matches.sort_by_key(|(rank, listed)| (*rank, listed.head));
        matches.into_iter().take(limit).map(|(_, listed)| listed).collect()
    }

    /// The newest packages.
    pub fn newest(&self, limit: usize) -> impl Iterator<Item = &Verified<Release>> {
        let listed = self.map.iter(&keys::newest()).filter_map(|(_, leaf)| leaf.listed());
        listed.filter_map(|listed| self.release(&listed.head)).take(limit)
    }
}
