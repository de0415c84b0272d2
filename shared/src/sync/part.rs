//! Parts of the records: those whose keys begin in the same way.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::catalogue::{Leaf, keys};
use crate::id::PublisherId;
use crate::merkle::proof::Prefix;
use crate::merkle::{Key, Map};

/// Bytes of a record's key behind the name of its range: publisher, kind, record id.
const KEY_BYTES: usize = 32 + 1 + 32;
/// Bits of the map for each byte of a key.
const BITS_PER_BYTE: u16 = 9;
/// Bits of the map for a byte of which the first half is known.
const BITS_OF_HALF: u16 = 5;

/// The records whose keys begin with some half bytes: publisher, kind, record id. On the wire it is a byte that says whether the
/// last half byte is missing, and the bytes, the missing half zero.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "ByteBuf", into = "ByteBuf")]
pub struct Part {
    pub(super) bytes: Vec<u8>,
    is_half: bool,
}

impl Part {
    /// How many parts a part has that are one half byte longer.
    pub const CHILDREN: usize = 16;

    /// All records.
    pub const ALL: Self = Self { bytes: Vec::new(), is_half: false };

    /// The part of one record, from its entry in the map; None when it is none.
    pub fn of_entry(entry: &[u8]) -> Option<Self> {
        let key = entry.strip_prefix(&keys::records()[..])?;
        (key.len() == KEY_BYTES).then(|| Self { bytes: key.to_vec(), is_half: false })
    }

    /// All records of a publisher.
    pub fn of_publisher(publisher: &PublisherId) -> Self {
        Self { bytes: publisher.as_bytes().to_vec(), is_half: false }
    }

    /// What all entries have in common that agree with this one in so many bits of the map.
    fn common(entry: &[u8], bits: u16) -> Option<Self> {
        let (whole, is_half) = (usize::from(bits / BITS_PER_BYTE), bits % BITS_PER_BYTE >= BITS_OF_HALF);
        let key = entry.get(..whole)?.strip_prefix(&keys::records()[..])?;
        let mut bytes = key.to_vec();
        if is_half {
            bytes.push(entry.get(whole)? & 0xf0);
        }
        Some(Self { bytes, is_half })
    }

    /// Whether it is the part of one key.
    pub(super) const fn is_key(&self) -> bool {
        self.bytes.len() == KEY_BYTES && !self.is_half
    }

    /// The part that goes on with this half byte.
    pub(super) fn child(&self, half: u8) -> Self {
        let mut bytes = self.bytes.clone();
        match bytes.last_mut() {
            Some(last) if self.is_half => *last |= half,
            _ => bytes.push(half << 4),
        }
        Self { bytes, is_half: !self.is_half }
    }

    /// Whether all of another part is in this one.
    pub(super) fn contains(&self, other: &Self) -> bool {
        if !self.is_half {
            return other.bytes.starts_with(&self.bytes);
        }
        let Some((last, whole)) = self.bytes.split_last() else { return true };
        other.bytes.starts_with(whole) && other.bytes.get(whole.len()).is_some_and(|byte| byte & 0xf0 == *last)
    }

    /// Whether some record could be in both.
    pub fn meets(&self, other: &Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// The entry in the map that this begins, or the bytes that stand right before the first one.
    pub(super) fn entry(&self) -> Vec<u8> {
        [&keys::records()[..], &self.bytes].concat()
    }

    /// The part as a prefix of the map's keys.
    pub(super) fn prefix(&self) -> Prefix {
        let entry = self.entry();
        let whole = u16::try_from(entry.len() - usize::from(self.is_half)).unwrap_or(u16::MAX);
        let bits = whole.saturating_mul(BITS_PER_BYTE) + if self.is_half { BITS_OF_HALF } else { 0 };
        Prefix::from_parts(bits, entry).unwrap_or_else(|| Prefix::of(&keys::records()))
    }

    /// What all entries of a map have in common that are in this part, if there are any.
    pub(super) fn common_in(&self, map: &Map<Leaf>) -> Option<Self> {
        let (entry, bits) = map.common_under(&self.prefix())?;
        Self::common(&entry, bits)
    }

    /// The entries of a map that are in this part and stand behind another key, in order.
    pub(super) fn entries<'a>(
        &'a self,
        map: &'a Map<Leaf>,
        after: Option<&Self>,
    ) -> impl Iterator<Item = (Key, &'a Leaf)> {
        let entry = self.entry();
        // What is shorter than a key stands right before all that it begins.
        let before = entry[..entry.len() - usize::from(self.is_key())].to_vec();
        let start = after.map(Self::entry).into_iter().chain([before]).max().unwrap_or_default();
        let whole = &entry[..entry.len() - usize::from(self.is_half)];
        let found = map.iter_after(whole, &start);
        found.take_while(|(key, _)| Self::of_entry(key).is_some_and(|key| self.contains(&key)))
    }
}

/// Bytes that are no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the beginning of a record's key")]
pub struct NoPart;

impl TryFrom<ByteBuf> for Part {
    type Error = NoPart;

    fn try_from(wire: ByteBuf) -> Result<Self, NoPart> {
        let (form, bytes) = wire.split_first().ok_or(NoPart)?;
        let is_half = match (form, bytes.last()) {
            (0, _) => false,
            (1, Some(last)) if last & 0x0f == 0 => true,
            _ => return Err(NoPart),
        };
        if bytes.len() > KEY_BYTES { Err(NoPart) } else { Ok(Self { bytes: bytes.to_vec(), is_half }) }
    }
}

impl From<Part> for ByteBuf {
    fn from(part: Part) -> Self {
        Self::from([&[u8::from(part.is_half)], &part.bytes[..]].concat())
    }
}
