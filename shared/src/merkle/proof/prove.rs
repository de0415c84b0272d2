//! What somebody who has the map writes, and what he makes of another's pieces.

use std::cmp::Ordering;

use super::super::bits::{self, Known};
use super::super::key::{Key, Parts};
use super::super::map::Map;
use super::super::node::{Node, Split, Sub};
use super::super::{Hash, Value};
use super::{
    Differing, ENTRY, ENTRY_IN_RANGE, HIDDEN, JOIN, JOIN_WITH_PREFIX, NAMED, Name, Piece, Place, Prefix, Range,
};
use crate::varint;

impl<V: Value> Map<V> {
    /// Proves the first `limit` entries of a range, and how many there are. Of none, one is shown if there is no other way.
    pub fn prove(&self, range: &Range, limit: usize) -> Vec<u8> {
        self.prove_with_names(range, limit, &mut |_| None)
    }

    /// [`Self::prove`], for somebody who has what some of the entries follow from.
    pub fn prove_with_names(&self, range: &Range, limit: usize, name: &mut Name<'_>) -> Vec<u8> {
        let Some(root) = &self.root else { return Vec::new() };
        let mut writer = Writer::new(range, root, limit, name);
        writer.run(Sub::Node(root), true, writer.place(0));
        writer.bytes
    }

    /// Proves what stands under a prefix, down to so many joins below its topmost one: entries as soon as they stand alone, hashes
    /// of the rest.
    pub fn prove_levels(&self, prefix: &Prefix, levels: u8) -> Vec<u8> {
        let Some(root) = &self.root else { return Vec::new() };
        let range = Range { prefix: prefix.clone(), after: None };
        let mut name = |_: &[u8]| None;
        let mut writer = Writer::new(&range, root, 0, &mut name);
        writer.levels(Sub::Node(root), true, writer.place(0), levels);
        writer.bytes
    }

    /// What a descent has to look at: of another map's pieces, those subtrees that differ here, and the keys that are not here.
    pub fn differing<'a>(&self, pieces: Vec<Piece<'a>>) -> Differing<'a> {
        let (mut differing, mut missing) = (Vec::new(), Vec::new());
        for piece in pieces {
            match piece {
                Piece::Hidden { prefix, hash, .. } => {
                    if self.under_prefix(&prefix).map(Sub::hash) != Some(hash) {
                        differing.push(prefix);
                    }
                }
                Piece::Entry { key, value } => {
                    if self.get(&key).is_none_or(|here| here.bytes() != value) {
                        missing.push((key, value));
                    }
                }
            }
        }
        (differing, missing)
    }

    /// The hash of all entries with a prefix; None when there is none.
    pub fn hash_under(&self, prefix: &Prefix) -> Option<Hash> {
        self.under_prefix(prefix).map(Sub::hash)
    }

    /// What all keys with a prefix have in common: a key of theirs, and how many of its bits; None when there is none.
    pub(crate) fn common_under(&self, prefix: &Prefix) -> Option<(Key, u16)> {
        let sub = self.under_prefix(prefix)?;
        let key = sub.first_key();
        Some(match sub.split() {
            Split::Leaf(..) => (key, Known::whole(&key).bits),
            Split::Inner { bit, .. } => (key, bit),
        })
    }

    /// How many keys have a prefix.
    pub(crate) fn count_under(&self, prefix: &Prefix) -> u64 {
        self.under_prefix(prefix).map_or(0, Sub::count)
    }

    fn under_prefix(&self, prefix: &Prefix) -> Option<Sub<'_, V>> {
        let mut sub = self.sub()?;
        while let Split::Inner { bit, left, right } = sub.split() {
            if bit >= prefix.bits {
                break;
            }
            sub = if bits::bit(&prefix.bytes, bit) { right } else { left };
        }
        (prefix.relation(Known::whole(&sub.first_key())) == Some(Ordering::Equal)).then_some(sub)
    }
}

struct Writer<'a, 'n> {
    range: &'a Range,
    name: &'a mut Name<'n>,
    /// The key that has most bits in common with the beginning of the range. It is in each subtree of which the joins above do not tell where it
    /// stands, so where the two sides of that one stand is told without a look at their keys.
    near: Key,
    /// Entries that may still be shown.
    left: usize,
    bytes: Vec<u8>,
}

// Keys are put together in functions that call no deeper one: else they would be on the stack once a level.
impl<'a, 'n> Writer<'a, 'n> {
    fn new<V: Value>(range: &'a Range, root: &Node<V>, left: usize, name: &'a mut Name<'n>) -> Self {
        let Range { prefix, after } = range;
        let begin = after.as_ref().filter(|after| prefix.holds(after)).unwrap_or(&prefix.bytes);
        Self { range, name, near: root.nearest(begin), left, bytes: Vec::new() }
    }

    /// Writes a subtree, which may be the whole map. Whether a key of it is shown. `place`: where it stands, if that is clear from the joins
    /// above; then what is below stands there too.
    fn run<V: Value>(&mut self, sub: Sub<'_, V>, is_map: bool, place: Option<Place>) -> bool {
        match place {
            Some(Place::In) if self.left > 0 => {}
            Some(_) if !is_map => return self.hide(sub),
            // Where it stands is not clear yet, or it is the whole map.
            _ => {}
        }
        match sub.split() {
            Split::Leaf(key, value) => {
                if place.or_else(|| self.place_of_key(key)) == Some(Place::In) {
                    self.left = self.left.saturating_sub(1);
                }
                self.entry(key, value)
            }
            Split::Inner { bit, left, right } => {
                let side = |goes_right| place.or_else(|| self.place_of_side(bit, goes_right));
                let (on_left, on_right) = (side(false), side(true));
                let shown = [self.run(left, false, on_left), self.run(right, false, on_right)];
                self.join(bit, sub, shown)
            }
        }
    }

    fn levels<V: Value>(&mut self, sub: Sub<'_, V>, is_map: bool, place: Option<Place>, levels: u8) -> bool {
        let is_enough = place == Some(Place::In) && levels == 0 && sub.count() > 1;
        if !is_map && (is_enough || place.is_some_and(|place| place != Place::In)) {
            return self.hide(sub);
        }
        let below = if place.is_some() { levels.saturating_sub(1) } else { levels };
        match sub.split() {
            Split::Leaf(key, value) => self.entry(key, value),
            Split::Inner { bit, left, right } => {
                // The topmost join of the range is seen as such only by its own bit.
                let topmost = place.is_none() && self.place(bit).is_some();
                let below = if topmost { below.saturating_sub(1) } else { below };
                let side = |goes_right| place.or_else(|| self.place_of_side(bit, goes_right));
                let (on_left, on_right) = (side(false), side(true));
                let shown = [self.levels(left, false, on_left, below), self.levels(right, false, on_right, below)];
                self.join(bit, sub, shown)
            }
        }
    }

    /// Where a subtree stands that has the key which is near, and of which so many bits are known.
    fn place(&self, bits: u16) -> Option<Place> {
        self.range.place(Known::of(&self.near, bits))
    }

    /// Where a side of such a subtree stands.
    fn place_of_side(&self, bit: u16, goes_right: bool) -> Option<Place> {
        self.range.place(Known { key: &self.near, bits: bit, then: Some(goes_right) })
    }

    #[inline(never)]
    fn place_of_key(&self, key: Parts<'_>) -> Option<Place> {
        self.range.place(Known::whole(&Key::of(key)))
    }

    fn hide<V: Value>(&mut self, sub: Sub<'_, V>) -> bool {
        self.bytes.push(HIDDEN);
        self.number(sub.count());
        self.bytes.extend_from_slice(sub.hash().as_bytes());
        false
    }

    #[inline(never)]
    fn entry<V: Value>(&mut self, key: Parts<'_>, value: &V) -> bool {
        let key = Key::of(key);
        match self.range.prefix.rest_of(&key) {
            Some(rest) => {
                if let Some((number, more)) = (self.name)(rest) {
                    self.bytes.push(NAMED);
                    self.number(number);
                    self.bytes.push(more);
                    return true;
                }
                self.bytes.push(ENTRY_IN_RANGE);
                self.text(rest);
            }
            None => {
                self.bytes.push(ENTRY);
                self.text(&key);
            }
        }
        self.text(value.bytes());
        true
    }

    #[inline(never)]
    fn join<V: Value>(&mut self, bit: u16, sub: Sub<'_, V>, shown: [bool; 2]) -> bool {
        let is_known = shown[0] || shown[1];
        self.bytes.push(if is_known { JOIN } else { JOIN_WITH_PREFIX });
        self.bytes.extend_from_slice(&bit.to_be_bytes());
        if !is_known {
            let key = sub.first_key();
            let (whole, cut) = bits::prefix(&key, bit);
            self.bytes.extend_from_slice(whole);
            self.bytes.extend(cut);
        }
        true
    }

    fn text(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u64) {
        varint::put(&mut self.bytes, number);
    }
}
