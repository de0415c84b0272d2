//! The keyspaces as an ordered set, kept as one ordered list for each range so that a range knows how long it is.
//!
//! The ordered Merkle map takes this place: it needs no more from a caller than what is here.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, RangeBounds};

use super::keys::{Key, Place};

/// An ordered set of keys. Bounded by what the catalogue holds: a fixed number of entries for each token of each package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges {
    ranges: BTreeMap<Box<[u8]>, Places>,
    weight: u64,
}

/// The places in one range, at least one. Most ranges have only one, which costs no list of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Places {
    One(Place),
    /// Two or more.
    Many(BTreeSet<Place>),
}

/// Bytes that a range takes beside its name: its entry, its allocation, and the share of a token.
const RANGE_WEIGHT: u64 = 128;
/// Bytes that a list takes beside its places: a node that is almost empty.
const LIST_WEIGHT: u64 = 384;
/// Bytes that a place in a list takes, in nodes that are not full.
const PLACE_WEIGHT: u64 = 64;

impl Places {
    fn weight(&self) -> u64 {
        match self {
            Self::One(_) => 0,
            Self::Many(places) => LIST_WEIGHT + places.len() as u64 * PLACE_WEIGHT,
        }
    }

    fn insert(&mut self, place: Place) {
        match self {
            Self::One(one) if *one == place => {}
            Self::One(one) => *self = Self::Many(BTreeSet::from([*one, place])),
            Self::Many(places) => _ = places.insert(place),
        }
    }

    /// Takes out a place. Whether none is left.
    fn remove(&mut self, place: &Place) -> bool {
        match self {
            Self::One(one) => one == place,
            Self::Many(places) => {
                places.remove(place);
                if let (1, Some(one)) = (places.len(), places.first().copied()) {
                    *self = Self::One(one);
                }
                false
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(places) => places.len(),
        }
    }

    /// The places behind `start`, in order.
    fn from(&self, start: Bound<Place>) -> impl Iterator<Item = Place> + use<'_> {
        let bounds = (start, Bound::Unbounded);
        let (one, many) = match self {
            Self::One(one) => (bounds.contains(one).then_some(*one), None),
            Self::Many(places) => (None, Some(places.range(bounds))),
        };
        one.into_iter().chain(many.into_iter().flatten().copied())
    }
}

impl Ranges {
    pub(super) fn insert(&mut self, key: Key) {
        match self.ranges.get_mut(&key.range[..]) {
            Some(places) => {
                self.weight -= places.weight();
                places.insert(key.place);
                self.weight += places.weight();
            }
            None => {
                self.weight += key.range.len() as u64 + RANGE_WEIGHT;
                self.ranges.insert(key.range.into(), Places::One(key.place));
            }
        }
    }

    pub(super) fn remove(&mut self, key: &Key) {
        let Some(places) = self.ranges.get_mut(&key.range[..]) else { return };
        self.weight -= places.weight();
        if places.remove(&key.place) {
            self.ranges.remove(&key.range[..]);
            self.weight -= key.range.len() as u64 + RANGE_WEIGHT;
        } else {
            self.weight += places.weight();
        }
    }

    /// Memory that the ranges take, estimated in bytes.
    pub(super) const fn weight(&self) -> u64 {
        self.weight
    }

    /// How many entries a range has.
    pub(super) fn len(&self, range: &[u8]) -> usize {
        self.ranges.get(range).map_or(0, Places::len)
    }

    /// The entries of a range, in order, from behind a place on.
    pub(super) fn places<'a>(&'a self, range: &[u8], after: Option<Place>) -> impl Iterator<Item = Place> + use<'a> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.ranges.get(range).into_iter().flat_map(move |places| places.from(start))
    }

    /// The entries of every range that begins so, range by range.
    pub(super) fn places_under(&self, beginning: Vec<u8>) -> impl Iterator<Item = Place> {
        let from = (Bound::Included(&beginning[..]), Bound::Unbounded);
        let ranges = self.ranges.range::<[u8], _>(from).take_while(move |(range, _)| range.starts_with(&beginning));
        ranges.flat_map(|(_, places)| places.from(Bound::Unbounded))
    }

    /// Every key as bytes, in order.
    #[cfg(test)]
    pub(super) fn keys(&self) -> Vec<Vec<u8>> {
        let key = |range: &[u8], place: &Place| Key { range: range.to_vec(), place: *place }.to_bytes();
        let places = |places: &Places| places.from(Bound::Unbounded).collect::<Vec<_>>();
        self.ranges.iter().flat_map(|(range, of)| places(of).into_iter().map(move |place| key(range, &place))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::keys::PackageKey;
    use crate::search::rank::Rank;

    fn key(range: &str, number: u8) -> Key {
        let package = PackageKey::from_bytes([number; PackageKey::BYTES]);
        Key { range: range.into(), place: Place { rank: Rank::newest(0), package } }
    }

    #[test]
    fn what_is_taken_out_again_leaves_nothing() {
        let mut ranges = Ranges::default();
        ranges.insert(key("a", 1));
        let one = ranges.clone();
        for number in [1, 3, 2, 3] {
            ranges.insert(key("a", number));
        }
        ranges.insert(key("ab", 4));
        assert_eq!((ranges.len(b"a"), ranges.len(b"ab"), ranges.len(b"b")), (3, 1, 0));
        let place = |number| key("a", number).place;
        assert_eq!(ranges.places(b"a", None).collect::<Vec<_>>(), [1, 2, 3].map(place));
        assert_eq!(ranges.places(b"a", Some(place(1))).collect::<Vec<_>>(), [2, 3].map(place));
        assert_eq!(ranges.places(b"ab", Some(place(4))).count(), 0);
        assert_eq!(ranges.places_under(b"a".to_vec()).collect::<Vec<_>>(), [1, 2, 3, 4].map(place));
        let all = ranges.weight();
        for gone in [key("a", 2), key("a", 2), key("a", 3), key("ab", 1), key("ab", 4), key("ab", 4), key("b", 1)] {
            ranges.remove(&gone);
        }
        assert_eq!(ranges, one, "a list that shrinks to one place is as if there had been one all along");
        assert!(0 < one.weight() && one.weight() < all);
        ranges.remove(&key("a", 1));
        assert_eq!(ranges, Ranges::default());
    }
}
