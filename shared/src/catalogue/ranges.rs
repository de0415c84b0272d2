//! The keyspaces as an ordered set, kept as one ordered list for each range so that a range knows how long it is.
//!
//! The ordered Merkle map takes this place: it needs no more from a caller than what is here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::keys::{Key, Place};

/// An ordered set of keys. Bounded by what the catalogue holds: a fixed number of entries for each token of each package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(BTreeMap<Box<[u8]>, BTreeSet<Place>>);

impl Ranges {
    pub(super) fn insert(&mut self, key: Key) {
        match self.0.get_mut(&key.range[..]) {
            Some(range) => {
                range.insert(key.place);
            }
            None => {
                self.0.insert(key.range.into(), BTreeSet::from([key.place]));
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        if let Some(range) = self.0.get_mut(&key.range[..]) {
            range.remove(&key.place);
            if range.is_empty() {
                self.0.remove(&key.range[..]);
            }
        }
    }

    /// How many entries a range has.
    pub(super) fn len(&self, range: &[u8]) -> usize {
        self.0.get(range).map_or(0, BTreeSet::len)
    }

    /// The entries of a range, in order, from behind a place on.
    pub(super) fn places<'a>(&'a self, range: &[u8], after: Option<Place>) -> impl Iterator<Item = Place> + use<'a> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.0.get(range).into_iter().flat_map(move |places| places.range((start, Bound::Unbounded)).copied())
    }

    /// The entries of every range that begins so, range by range.
    pub(super) fn places_under(&self, beginning: Vec<u8>) -> impl Iterator<Item = Place> {
        let from = (Bound::Included(&beginning[..]), Bound::Unbounded);
        let ranges = self.0.range::<[u8], _>(from).take_while(move |(range, _)| range.starts_with(&beginning));
        ranges.flat_map(|(_, places)| places.iter().copied())
    }

    /// Every key as bytes, in order.
    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let key = |range: &[u8], place: &Place| Key { range: range.to_vec(), place: *place }.to_bytes();
        self.0.iter().flat_map(|(range, places)| places.iter().map(move |place| key(range, place))).collect()
    }
}
