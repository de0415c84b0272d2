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
//! Only an answer that has the records of its entries uses 5 ([`Map::prove_with_names`](super::Map::prove_with_names)): the key and the value follow from the record, and need not be said again.
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

mod prove;
mod verify;

use std::cmp::Ordering;

use super::bits::{self, Known};
use super::{Hash, MAX_KEY_BYTES};

pub use verify::{verify_levels, verify_run, verify_run_with_names};

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

impl Piece<'_> {
    /// How many entries it stands for.
    pub const fn count(&self) -> u64 {
        match self {
            Self::Entry { .. } => 1,
            Self::Hidden { count, .. } => *count,
        }
    }
}
