//! Proofs under a root: which entries a range has, or its first few, and how many there are.
//!
//! # Form
//!
//! A proof is a list of operations on a stack of subtrees. Numbers are unsigned LEB128 in their shortest form, but for bits, which are two
//! bytes, big endian.
//!
//! | byte | operation | followed by |
//! | --- | --- | --- |
//! | 0 | push an entry whose key begins with the range's bytes | length of the rest, rest, length of the value, value |
//! | 1 | push an entry whose key does not | length of the key, key, length of the value, value |
//! | 2 | push a subtree that is not shown | its count, its hash |
//! | 3 | join: pop the right subtree, then the left one, push both | critical bit |
//! | 4 | join two subtrees of which nothing is known | critical bit, prefix |
//! | 5 | push an entry of the range that follows from what comes with the proof | which part of that it is, a byte that the key depends on |
//!
//! Only an answer that has the records of its entries uses 5 ([`Map::prove_with_names`]): the key and the value follow from the record, and need not be said again.
//! Numbers increase.
//! An entry is known by its key. Joined subtrees are known by the bits before their critical bit, which a known side tells, or else the
//! prefix; 4 stands where no side is known, and nowhere else. Of a subtree that is not shown, the join above it tells where it stands.
//! What is left on the stack at the end, one subtree or none, has the root as its hash. Where the prefix of a range ends within a byte, which
//! only a descent has, no key counts as beginning with its bytes.
//!
//! # What a verifier demands
//!
//! Every key and prefix stands where its joins say, the critical bit of two known sides is the first in which they differ, bits increase on the way down, counts are at least 1 and add up, and of each subtree that is not
//! shown it must be clear from the joins above it whether it is in the range. So nothing of the range can be left out unseen. Of the first entries
//! of a range, none stands behind a part of the range that is not shown; in a descent, an entry that stands alone is shown. The whole map is
//! never a subtree that is not shown: how many entries it has is hashed with its two sides, and nowhere else. For the same reasons an
//! entry is shown, although no more were asked for, when only its key says that it is in the range. Memory and time are linear in the
//! proof's bytes, and in what its names stand for.

use std::cmp::Ordering;

use super::bits::{self, Known};
use super::key::{Key, Parts};
use super::map::Map;
use super::node::{Node, Split, Sub};
use super::{Hash, MAX_KEY_BYTES, Value};
use crate::varint;

pub(super) const ENTRY_IN_RANGE: u8 = 0;
pub(super) const ENTRY: u8 = 1;
pub(super) const HIDDEN: u8 = 2;
pub(super) const JOIN: u8 = 3;
pub(super) const JOIN_WITH_PREFIX: u8 = 4;
pub(super) const NAMED: u8 = 5;

/// What keys have in common: their first bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    bytes: Vec<u8>,
    bits: u16,
}

impl Prefix {
    /// All keys that begin with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), bits: bits::of_bytes(bytes) }
    }

    /// The prefix in a message: bits, then bytes that are zero behind them. None when it is none.
    pub fn from_parts(bits: u16, bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() <= MAX_KEY_BYTES && bits::is_prefix(&bytes, bits)).then_some(Self { bytes, bits })
    }

    /// The bits and the bytes, for a message.
    pub fn parts(&self) -> (u16, &[u8]) {
        (self.bits, &self.bytes)
    }

    /// Whether a key has this prefix.
    pub fn holds(&self, key: &[u8]) -> bool {
        self.relation(Known::whole(key)) == Some(Ordering::Equal)
    }

    /// Whether all keys with another prefix have this one too.
    pub fn encloses(&self, other: &Self) -> bool {
        self.relation(Known::of(&other.bytes, other.bits)) == Some(Ordering::Equal)
    }

    /// The prefix of a key, up to a bit and with that bit.
    pub(super) fn child(key: &[u8], bit: u16, goes_right: bool) -> Self {
        let (whole, cut) = bits::prefix(key, bit);
        let mut bytes = whole.to_vec();
        let place = bit % 9;
        match (cut, goes_right) {
            // A byte more, of which nothing else is known; or the end of the key.
            (None, true) => bytes.push(0),
            (None, false) => {}
            (Some(cut), goes_right) => bytes.push(cut | u8::from(goes_right) << (8 - place)),
        }
        Self { bytes, bits: bit + 1 }
    }

    /// What a key has behind these bytes, if it begins with them and nothing more is meant.
    fn rest_of<'a>(&self, key: &'a [u8]) -> Option<&'a [u8]> {
        key.strip_prefix(&self.bytes[..]).filter(|_| self.bits == bits::of_bytes(&self.bytes))
    }

    /// Where keys of which some bits are known stand to those that have this prefix.
    fn relation(&self, known: Known<'_>) -> Option<Ordering> {
        known.compare(&self.bytes, self.bits)
    }
}

/// A part of a map: the keys with a prefix, behind a key if one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// What the keys begin with.
    pub prefix: Prefix,
    /// Where the part begins: only what stands behind this key.
    pub after: Option<Vec<u8>>,
}

impl Range {
    /// All keys that begin with these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self { prefix: Prefix::of(bytes), after: None }
    }

    /// Where keys of which some bits are known stand; None when they could stand in more than one place.
    fn place(&self, known: Known<'_>) -> Option<Place> {
        let place = match self.prefix.relation(known)? {
            Ordering::Less => Place::Before,
            Ordering::Greater => Place::Behind,
            Ordering::Equal => match &self.after {
                None => Place::In,
                Some(after) => match known.compare(after, Known::whole(after).bits)? {
                    Ordering::Greater => Place::In,
                    Ordering::Less | Ordering::Equal => Place::Skipped,
                },
            },
        };
        Some(place)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Before,
    /// In the range but for `after`.
    Skipped,
    In,
    Behind,
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no proof.
    #[error("the proof is malformed at byte {0}")]
    Malformed(usize),
    /// Its keys, bits or counts contradict each other.
    #[error("the proof contradicts itself at byte {0}")]
    Contradiction(usize),
    /// It is a proof under another root.
    #[error("the proof is not under this root")]
    WrongRoot,
    /// It hides what was asked for.
    #[error("the proof leaves out a part of the range")]
    Incomplete,
}

/// The first entries of a range, and how many there are. Borrowed values are parts of the proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run<'a> {
    /// The entries, in order of their keys.
    pub entries: Vec<(Vec<u8>, &'a [u8])>,
    /// Entries with the prefix that stand before the range's beginning.
    pub skipped: u64,
    /// Entries of the range behind those that are shown.
    pub rest: u64,
    /// The hash of all entries with the prefix; None when there is none. Maps that have the same hash agree on all of them.
    pub hash: Option<Hash>,
}

impl<'a> Run<'a> {
    /// The entries that are shown, as pieces of a descent.
    pub fn into_pieces(self) -> Vec<Piece<'a>> {
        self.entries.into_iter().map(|(key, value)| Piece::Entry { key, value }).collect()
    }

    /// How many entries have the prefix.
    pub fn total(&self) -> u64 {
        self.skipped + self.entries.len() as u64 + self.rest
    }
}

/// A part of a map as a descent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece<'a> {
    /// An entry.
    Entry {
        /// Its key.
        key: Vec<u8>,
        /// Its value.
        value: &'a [u8],
    },
    /// A subtree that is not shown.
    Hidden {
        /// What its keys have in common.
        prefix: Prefix,
        /// How many there are.
        count: u64,
        /// Their hash.
        hash: Hash,
    },
}

/// Subtrees that differ, and the entries that are missing.
pub type Differing<'a> = (Vec<Prefix>, Vec<(Vec<u8>, &'a [u8])>);

/// Which part of what comes with a proof an entry of the range follows from, and the byte that its key depends on besides: told from what its
/// key has behind the range's bytes. None: it is written out.
pub type Name<'n> = dyn FnMut(&[u8]) -> Option<(u64, u8)> + 'n;

/// The entry that follows from a part of what comes with a proof, and from the byte besides.
pub type Names<'n, 'a> = dyn Fn(u64, u8) -> Option<(Vec<u8>, &'a [u8])> + 'n;

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

/// Verifies a proof of the first entries of a range.
///
/// # Errors
/// [`Error`].
pub fn verify_run<'a>(root: &Hash, range: &Range, proof: &'a [u8]) -> Result<Run<'a>, Error> {
    verify_run_with_names(root, range, proof, &|_, _| None)
}

/// Verifies a proof of the first entries of a range, some of which are told by names only.
///
/// # Errors
/// [`Error`].
pub fn verify_run_with_names<'a>(
    root: &Hash,
    range: &Range,
    proof: &'a [u8],
    names: &Names<'_, 'a>,
) -> Result<Run<'a>, Error> {
    let (pieces, hash) = Reader::read(root, range, proof, names)?;
    let mut run = Run { entries: Vec::new(), skipped: 0, rest: 0, hash };
    for (place, piece) in pieces {
        match (place, piece) {
            (Place::Before | Place::Behind, _) => {}
            (Place::Skipped, piece) => run.skipped += piece.count(),
            (Place::In, Piece::Hidden { count, .. }) => run.rest += count,
            // Entries behind a part that is hidden would be no leading run.
            (Place::In, Piece::Entry { .. }) if run.rest > 0 => return Err(Error::Incomplete),
            (Place::In, Piece::Entry { key, value }) => run.entries.push((key, value)),
        }
    }
    Ok(run)
}

/// Verifies what stands under a prefix: the pieces in order, and the hash of all of them.
///
/// # Errors
/// [`Error`].
pub fn verify_levels<'a>(
    root: &Hash,
    prefix: &Prefix,
    proof: &'a [u8],
) -> Result<(Vec<Piece<'a>>, Option<Hash>), Error> {
    let range = Range { prefix: prefix.clone(), after: None };
    let (pieces, hash) = Reader::read(root, &range, proof, &|_, _| None)?;
    let inside = pieces.into_iter().filter(|(place, _)| *place == Place::In).map(|(_, piece)| piece);
    let pieces: Vec<_> = inside.collect();
    // An entry that stands alone is shown. So what is hidden has bits to ask by, and asking on comes to an end.
    let is_alone = |piece: &Piece<'_>| match piece {
        Piece::Entry { .. } => false,
        Piece::Hidden { prefix, count, .. } => *count == 1 || !bits::is_prefix(&prefix.bytes, prefix.bits),
    };
    if pieces.iter().any(is_alone) { Err(Error::Incomplete) } else { Ok((pieces, hash)) }
}

impl Piece<'_> {
    const fn count(&self) -> u64 {
        match self {
            Self::Entry { .. } => 1,
            Self::Hidden { count, .. } => *count,
        }
    }
}

/// Subtrees that wait to be joined, at most: on the way down to an entry, each join has another bit of its key.
const MAX_DEPTH: usize = 9 * MAX_KEY_BYTES + 1;

/// Bytes of a key that are kept once.
#[derive(Clone, Copy)]
enum Text<'a> {
    /// The key of a piece.
    KeyOf(usize),
    /// A prefix in the proof.
    Prefix(&'a [u8]),
}

/// A subtree on the stack.
struct Item<'a> {
    hash: Hash,
    count: u64,
    /// What its keys have in common, if it is shown: a key, or a prefix, and how many of its bits.
    known: Option<(Text<'a>, u16)>,
    /// Its piece, if it is hidden.
    hidden: Option<usize>,
}

/// A proof, as it is read.
struct Bytes<'a> {
    proof: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(count).ok_or(Error::Malformed(self.at))?;
        let bytes = self.proof.get(self.at..end).ok_or(Error::Malformed(self.at))?;
        self.at = end;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a [u8], Error> {
        let start = self.at;
        let length = usize::try_from(self.number()?).map_err(|_| Error::Malformed(start))?;
        self.take(length)
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut rest = self.proof.get(self.at..).unwrap_or_default();
        let number = varint::take(&mut rest).map_err(|_| Error::Malformed(self.at))?;
        self.at = self.proof.len() - rest.len();
        Ok(number)
    }

    fn bit(&mut self) -> Result<u16, Error> {
        let start = self.at;
        Ok(u16::from_be_bytes(self.take(2)?.try_into().map_err(|_| Error::Malformed(start))?))
    }
}

struct Reader<'a, 'r> {
    range: &'r Range,
    names: &'r Names<'r, 'a>,
    /// The least number that the next name may have.
    next_name: u64,
    bytes: Bytes<'a>,
    stack: Vec<Item<'a>>,
    /// In order of their keys; the place is None as long as no join has told it.
    pieces: Vec<(Option<Place>, Piece<'a>)>,
    /// The hash of the topmost subtree inside the prefix.
    hash: Option<Hash>,
}

type Read<'a> = (Vec<(Place, Piece<'a>)>, Option<Hash>);

impl<'a, 'r> Reader<'a, 'r> {
    fn read(root: &Hash, range: &'r Range, proof: &'a [u8], names: &'r Names<'r, 'a>) -> Result<Read<'a>, Error> {
        let bytes = Bytes { proof, at: 0 };
        let mut reader = Self { range, names, next_name: 0, bytes, stack: Vec::new(), pieces: Vec::new(), hash: None };
        while reader.bytes.at < proof.len() {
            reader.operation()?;
        }
        let found = match reader.stack.pop() {
            None => Hash::empty(),
            Some(whole) => {
                // Of the root, no bit is clear from above.
                reader.settle(&whole);
                whole.hash
            }
        };
        if !reader.stack.is_empty() {
            return Err(Error::Malformed(proof.len()));
        }
        if found != *root {
            return Err(Error::WrongRoot);
        }
        let placed = reader.pieces.into_iter().map(|(place, piece)| Some((place?, piece)));
        let pieces = placed.collect::<Option<Vec<_>>>().ok_or(Error::Incomplete)?;
        Ok((pieces, reader.hash))
    }

    fn operation(&mut self) -> Result<(), Error> {
        let start = self.bytes.at;
        match self.bytes.take(1)?[0] {
            ENTRY_IN_RANGE => {
                let key = [&self.range.prefix.bytes, self.bytes.text()?].concat();
                let value = self.bytes.text()?;
                self.entry(key, value, true, start)?;
            }
            ENTRY => {
                let (key, value) = (self.bytes.text()?.to_vec(), self.bytes.text()?);
                self.entry(key, value, false, start)?;
            }
            NAMED => {
                let (number, more) = (self.bytes.number()?, self.bytes.take(1)?[0]);
                // In order, so that each is derived once at most.
                if number < self.next_name {
                    return Err(Error::Malformed(start));
                }
                self.next_name = number.saturating_add(1);
                let (key, value) = (self.names)(number, more).ok_or(Error::Malformed(start))?;
                self.entry(key, value, true, start)?;
            }
            HIDDEN => {
                let count = self.bytes.number()?;
                if count == 0 {
                    return Err(Error::Contradiction(start));
                }
                let hash = self.bytes.take(Hash::BYTES)?.try_into().map_err(|_| Error::Malformed(start))?;
                let hash = Hash::from_bytes(hash);
                self.push(Item { hash, count, known: None, hidden: Some(self.pieces.len()) })?;
                // Where it stands is told by the join above it.
                let prefix = Prefix { bytes: Vec::new(), bits: 0 };
                self.pieces.push((None, Piece::Hidden { prefix, count, hash }));
            }
            operation @ (JOIN | JOIN_WITH_PREFIX) => {
                let bit = self.bytes.bit()?;
                let prefix = if operation == JOIN_WITH_PREFIX {
                    let prefix = self.bytes.take(bits::prefix_length(bit))?;
                    if !bits::is_prefix(prefix, bit) {
                        return Err(Error::Malformed(start));
                    }
                    Some(prefix)
                } else {
                    None
                };
                self.join(bit, prefix, start)?;
            }
            _ => return Err(Error::Malformed(start)),
        }
        Ok(())
    }

    /// Pushes an entry, whose key has one form: whether it begins with the range's bytes is said.
    fn entry(&mut self, key: Vec<u8>, value: &'a [u8], is_in_range: bool, start: usize) -> Result<(), Error> {
        if key.len() > MAX_KEY_BYTES || self.range.prefix.rest_of(&key).is_some() != is_in_range {
            return Err(Error::Malformed(start));
        }
        let whole = Known::whole(&key);
        let place = self.range.place(whole);
        let known = Some((Text::KeyOf(self.pieces.len()), whole.bits));
        self.push(Item { hash: Hash::leaf(&key, value), count: 1, known, hidden: None })?;
        self.pieces.push((place, Piece::Entry { key, value }));
        Ok(())
    }

    fn push(&mut self, item: Item<'a>) -> Result<(), Error> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Error::Contradiction(self.bytes.at));
        }
        self.stack.push(item);
        Ok(())
    }

    fn text_of(&self, text: Text<'a>) -> &[u8] {
        match text {
            Text::KeyOf(at) => match self.pieces.get(at) {
                Some((_, Piece::Entry { key, .. })) => key,
                _ => &[],
            },
            Text::Prefix(prefix) => prefix,
        }
    }

    fn join(&mut self, bit: u16, prefix: Option<&'a [u8]>, start: usize) -> Result<(), Error> {
        let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) else {
            return Err(Error::Malformed(start));
        };
        let consistent = |item: &Item<'a>, goes_right: bool| match item.known {
            Some((key, bits)) => bits > bit && bits::bit(self.text_of(key), bit) == goes_right,
            None => true,
        };
        let text = match (left.known, right.known, prefix) {
            (Some((left, _)), Some((right, _)), None)
                if bits::critical(self.text_of(left), self.text_of(right)) == Some(bit) =>
            {
                left
            }
            (Some((key, _)), None, None) | (None, Some((key, _)), None) => key,
            (None, None, Some(prefix)) => Text::Prefix(prefix),
            _ => return Err(Error::Contradiction(start)),
        };
        let count = left.count.checked_add(right.count);
        let (true, true, Some(count)) = (consistent(&left, false), consistent(&right, true), count) else {
            return Err(Error::Contradiction(start));
        };
        let key = self.text_of(text);
        let is_inside = |known: Known<'_>| self.range.prefix.relation(known) == Some(Ordering::Equal);
        let joined_is_inside = is_inside(Known::of(key, bit));
        let mut topmost = self.hash;
        for (item, goes_right) in [(&left, false), (&right, true)] {
            let known = match item.known {
                Some((key, bits)) => Known::of(self.text_of(key), bits),
                None => Known { key, bits: bit, then: Some(goes_right) },
            };
            if !joined_is_inside && is_inside(known) {
                topmost = Some(item.hash);
            }
        }
        let hash = Hash::inner(bit, key, (left.count, &left.hash), (right.count, &right.hash));
        self.hash = topmost;
        self.place_hidden(&left, text, bit, false);
        self.place_hidden(&right, text, bit, true);
        self.push(Item { hash, count, known: Some((text, bit)), hidden: None })
    }

    /// What is clear about the topmost subtree, which no join stands above. If it is hidden, where it stands stays open: nothing has its count.
    fn settle(&mut self, whole: &Item<'a>) {
        let known = whole.known.map_or(Known::of(&[], 0), |(key, bits)| Known::of(self.text_of(key), bits));
        if self.range.prefix.relation(known) == Some(Ordering::Equal) {
            self.hash = Some(whole.hash);
        }
    }

    /// Says where a hidden subtree stands, now that the join above it is known.
    fn place_hidden(&mut self, item: &Item<'a>, key: Text<'a>, bit: u16, goes_right: bool) {
        let Some(at) = item.hidden else { return };
        let key = self.text_of(key);
        let here = self.range.place(Known { key, bits: bit, then: Some(goes_right) });
        let common = Prefix::child(key, bit, goes_right);
        if let Some((place, Piece::Hidden { prefix, .. })) = self.pieces.get_mut(at) {
            (*place, *prefix) = (here, common);
        }
    }
}
