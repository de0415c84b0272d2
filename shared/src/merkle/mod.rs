//! An ordered, counted Merkle map over byte keys: a crit-bit trie whose root is a function of its entries alone.
//!
//! # The tree
//!
//! A key of `n` bytes is read as `9 n + 1` bits: before each byte a bit 1, after the last byte a bit 0. So bit `9 i` says whether
//! there is a byte `i`, bits `9 i + 1` to `9 i + 8` are that byte, highest bit first; all nine belong to byte `i`. No key's bits begin
//! another's, and the order of the bits is the order of the bytes.
//!
//! Of two or more entries the *critical bit* is the first one in which not all keys agree. The entries whose key has a 0 there are
//! the left subtree, the others the right one. Hashes are keyed BLAKE3, the key is the 32 bytes of
//! `ggen marketplace 2026 merkle map`, integers are big endian, and what is hashed is filled up with zeros to a multiple of 64 bytes, the
//! function's block, so that many hashes can be computed side by side:
//!
//! | what | hash of |
//! | --- | --- |
//! | no entry | `00` |
//! | one entry | `01`, length of the key (2 bytes), length of the value (4), key, value |
//! | more | `02`, critical bit (2 bytes), entries on the left (8), entries on the right (8), hash of the left (32), hash of the right (32), prefix |
//!
//! The *prefix* is what all keys of the subtree begin with: the bytes that the bits before the critical bit belong to, which are the critical
//! bit's ninth, rounded up, with the bits from the critical bit on zeroed. The hash of a subtree therefore says where in the map it stands, and depends on nothing
//! outside of it: two maps agree on a range when they agree on one hash.
//!
//! # Proofs
//!
//! See [`proof`]: the entries of a range, or its first few, with how many there are, from a root.
//!
//! # In memory
//!
//! A [`Map`] is persistent: a clone costs nothing, and shares what does not change. Subtrees of at most [`BUCKET`] entries are
//! sorted lists; the tree inside them is only thought of, and hashed again when it is needed.

mod batch;
mod bits;
mod key;
mod map;
mod node;
pub mod proof;

use batch::BLOCK;
pub use key::Key;
use key::Parts;
pub use map::{Iter, KeyTooLong, Map};
pub use node::BUCKET;

/// The longest key. With it goes how deep a tree can be, which only somebody who pays for the records can make it.
pub const MAX_KEY_BYTES: usize = 192;

/// The value of an entry, as it is hashed.
pub trait Value: Clone {
    /// The bytes that the entry commits to.
    fn bytes(&self) -> &[u8];

    /// What keys of entries with this value mostly end with. A map does not keep it beside them once more.
    fn tail(&self) -> &[u8] {
        &[]
    }
}

impl Value for std::sync::Arc<[u8]> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// The hash of a subtree, or of the whole map: its root.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Bytes of a hash.
    pub const BYTES: usize = 32;

    /// The hash with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the hash.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// The root of a map without entries.
    pub fn empty() -> Self {
        hash(&[&[0]])
    }

    /// The hash of one entry.
    pub fn leaf(key: &[u8], value: &[u8]) -> Self {
        Self::entry(Parts(key, &[]), value)
    }

    /// The hash of an entry whose key is kept in two parts.
    fn entry(key: Parts<'_>, value: &[u8]) -> Self {
        hash(&[&Self::entry_head(key, value), key.0, key.1, value])
    }

    /// What is hashed of an entry before its key and value.
    fn entry_head(Parts(head, tail): Parts<'_>, value: &[u8]) -> [u8; 7] {
        // Keys and values are bounded far below what these can say.
        let key = u16::try_from(head.len() + tail.len()).unwrap_or(u16::MAX).to_be_bytes();
        let value = u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes();
        [1, key[0], key[1], value[0], value[1], value[2], value[3]]
    }

    /// The hash of two subtrees under one critical bit. `key`: any key below, or the prefix.
    fn inner(bit: u16, key: &[u8], left: (u64, &Self), right: (u64, &Self)) -> Self {
        let mut inner = Inner::of(bit, left.0, right.0);
        inner.put(Inner::LEFT, left.1);
        inner.put(Inner::RIGHT, right.1);
        let (whole, cut) = bits::prefix(key, bit);
        hash(&[&inner.0, whole, cut.as_slice()])
    }
}

/// What is hashed of two subtrees before their prefix.
struct Inner([u8; Inner::BYTES]);

impl Inner {
    const BYTES: usize = Self::RIGHT + Hash::BYTES;
    /// Where the hash of the left subtree stands.
    const LEFT: usize = 3 + 2 * size_of::<u64>();
    /// Where the hash of the right one stands.
    const RIGHT: usize = Self::LEFT + Hash::BYTES;

    fn of(bit: u16, left: u64, right: u64) -> Self {
        let mut bytes = [2; Self::BYTES];
        bytes[1..3].copy_from_slice(&bit.to_be_bytes());
        bytes[3..11].copy_from_slice(&left.to_be_bytes());
        bytes[11..19].copy_from_slice(&right.to_be_bytes());
        Self(bytes)
    }

    fn put(&mut self, place: usize, hash: &Hash) {
        self.0[place..place + Hash::BYTES].copy_from_slice(&hash.0);
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

const HASH_KEY: &[u8; 32] = b"ggen marketplace 2026 merkle map";

/// Bytes that are hashed at once: what almost every node and leaf fits in.
const AT_ONCE: usize = 4 * BLOCK;

/// The hash of one node, filled up to whole blocks.
#[inline]
fn hash(parts: &[&[u8]]) -> Hash {
    let mut buffer = [0; AT_ONCE];
    let mut length = 0;
    for part in parts {
        let Some(room) = buffer.get_mut(length..length + part.len()) else {
            let mut hasher = blake3::Hasher::new_keyed(HASH_KEY);
            parts.iter().for_each(|part| _ = hasher.update(part));
            let length: usize = parts.iter().map(|part| part.len()).sum();
            hasher.update(&[0; BLOCK][..length.next_multiple_of(BLOCK) - length]);
            return Hash(hasher.finalize().into());
        };
        room.copy_from_slice(part);
        length += part.len();
    }
    Hash(blake3::keyed_hash(HASH_KEY, &buffer[..length.next_multiple_of(BLOCK)]).into())
}

#[cfg(test)]
mod tests;
