//! Finds what answers a query: a run of one range of the map, now or in a snapshot, and the recent packages that no snapshot has.
//!
//! The run ends when there are enough matches, at its range's end, or at [`MAX_WALKED`] entries: bounded work, whatever is asked.

use super::keys;
use super::{Catalogue, Leaf, Listed};
use crate::merkle::Map;
use crate::merkle::proof::{Prefix, Range};
use crate::record::{Release, Verified};
use crate::search::query::Query;

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
    pub candidates: Vec<&'a Listed>,
}

/// Which ranges to walk for a query, the first choice first: the shortest, and if that is not in the order asked for and turns out to be too much to be
/// walked whole, the shortest that is. None when nothing can match.
pub fn walks(map: &Map<Leaf>, query: &Query) -> impl Iterator<Item = u8> {
    let counted = |walk| (query.range(walk).map_or(0, |range| map.count(&range)), walk);
    let counts: Vec<(u64, u8)> = (0..query.walks()).map(counted).collect();
    let shortest = counts.iter().copied().min();
    let shortest = shortest.filter(|(count, walk)| query.is_ordered(*walk) || *count <= MAX_WALKED as u64);
    let ordered = counts.into_iter().filter(|(_, walk)| query.is_ordered(*walk)).min();
    let (shortest, ordered) = (shortest.map(|(_, walk)| walk), ordered.map(|(_, walk)| walk));
    shortest.into_iter().chain(ordered.filter(|walk| Some(*walk) != shortest))
}

/// Finds the page of at most `limit` matches of one of the query's ranges that begins behind a key, or at the beginning. A range
/// that is not in the order asked for is found whole, or not at all. `fits` says whether one more entry fits the answer, and whether it comes with its record.
pub fn find<'a>(
    map: &'a Map<Leaf>,
    query: &Query,
    limit: usize,
    walk: u8,
    after: Option<&[u8]>,
    mut fits: impl FnMut(&Listed, bool) -> bool,
) -> Option<Found<'a>> {
    let prefix = query.range(walk)?;
    let is_ordered = query.is_ordered(walk);
    let after = after.filter(|_| is_ordered).map(|after| [&prefix[..], after].concat());
    let entries = match &after {
        None => map.iter(&prefix),
        Some(after) => map.iter_after(&prefix, after),
    };
    let whole = map.count(&prefix);
    let range = Range { prefix: Prefix::of(&prefix), after };
    let mut found = Found { walk, range, walked: 0, candidates: Vec::new() };
    let (is_exact, mut matches) = (query.is_exact(walk), 0);
    for listed in entries.values().filter_map(Leaf::listed).take(MAX_WALKED) {
        let is_candidate = is_exact || query.may_match(&listed.filter);
        if (is_ordered && is_candidate && matches == limit) || !fits(listed, is_candidate) {
            break;
        }
        if is_candidate {
            found.candidates.push(listed);
            matches += usize::from(is_exact || query.matches(&listed.tokens));
        }
        found.walked += 1;
    }
    (is_ordered || found.walked as u64 == whole).then_some(found)
}

impl Catalogue {
    /// The packages that match and whose head changed since the last snapshot, in the order asked for.
    pub fn find_recent(&self, query: &Query, limit: usize) -> Vec<&Listed> {
        let recent = self.recent().take(MAX_RECENT).filter(|listed| query.may_match(&listed.filter));
        let matches = recent.filter(|listed| query.matches(&listed.tokens));
        let placed = matches.filter_map(|listed| {
            let release = self.release(&listed.head).filter(|release| query.admits(release))?;
            Some((query.place(release, &listed.tokens, listed.popularity), listed))
        });
        let mut placed: Vec<_> = placed.collect();
        placed.sort_by(|(place, _), (other, _)| place.cmp(other));
        placed.into_iter().take(limit).map(|(_, listed)| listed).collect()
    }

    /// The newest packages.
    pub fn newest(&self, limit: usize) -> impl Iterator<Item = &Verified<Release>> {
        let listed = self.map.iter(&keys::newest()).values().filter_map(Leaf::listed);
        listed.filter_map(|listed| self.release(&listed.head)).take(limit)
    }
}
