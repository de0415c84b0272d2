//! Hashes of many nodes at once. A processor hashes several inputs of one length side by side in little more than the time of one, and a tree
//! has many nodes that do not wait for each other: its entries first, then level by level what stands above them.

use std::sync::OnceLock;

use blake3::IncrementCounter;
use blake3::platform::{MAX_SIMD_DEGREE, Platform};

use super::key::Parts;
use super::{HASH_KEY, Hash, Inner, MAX_KEY_BYTES};

/// What the hash function takes at a time. Nodes are padded to whole blocks, so that many have the same length.
pub(super) const BLOCK: usize = blake3::BLOCK_LEN;
/// Bytes of the largest node that is hashed beside others: one above entries of the longest keys. An entry can be larger.
const MAX_BYTES: usize = (Inner::BYTES + MAX_KEY_BYTES).next_multiple_of(BLOCK);
/// Nodes that are worth hashing at once. Their bytes stay close to the processor.
const FULL: usize = 512;

/// One node of a [`Batch`], or one that is hashed already.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Known(Hash),
    /// The node of this number.
    Waits(u32),
}

/// Nodes that wait to be hashed.
pub(super) struct Batch<'a> {
    /// Their bytes, one node behind the other.
    bytes: Vec<u8>,
    nodes: Vec<Waiting<'a>>,
}

struct Waiting<'a> {
    start: u32,
    blocks: u8,
    /// How many levels below it wait too.
    level: u16,
    /// Where its hash belongs in the bytes of the node above it.
    above: Option<u32>,
    /// Where its hash is kept.
    kept: Option<&'a OnceLock<Hash>>,
}

impl<'a> Batch<'a> {
    /// With room for a tree of so many entries.
    pub(super) fn for_entries(count: usize) -> Self {
        let nodes = (2 * count).min(FULL + 1);
        Self { bytes: Vec::with_capacity(nodes * 2 * BLOCK), nodes: Vec::with_capacity(nodes) }
    }

    /// Adds an entry.
    pub(super) fn entry(&mut self, key: Parts<'_>, value: &[u8]) -> Part {
        let head = Hash::entry_head(key, value);
        let parts = [&head[..], key.0, key.1, value];
        if parts.iter().map(|part| part.len()).sum::<usize>() > MAX_BYTES {
            return Part::Known(Hash::entry(key, value));
        }
        self.add(&parts, 0)
    }

    /// Adds what stands above two subtrees. `key`: any key below, or the prefix.
    pub(super) fn inner(&mut self, bit: u16, key: &[u8], left: (u64, Part), right: (u64, Part)) -> Part {
        let mut inner = Inner::of(bit, left.0, right.0);
        let start = self.bytes.len();
        let mut level = 0;
        for ((_, part), place) in [(left, Inner::LEFT), (right, Inner::RIGHT)] {
            match part {
                Part::Known(hash) => inner.put(place, &hash),
                Part::Waits(node) => {
                    let below = &mut self.nodes[node as usize];
                    below.above = Some((start + place) as u32);
                    level = level.max(below.level + 1);
                }
            }
        }
        let (whole, cut) = super::bits::prefix(key, bit);
        self.add(&[&inner.0, whole, cut.as_slice()], level)
    }

    fn add(&mut self, parts: &[&[u8]], level: u16) -> Part {
        let start = self.bytes.len();
        parts.iter().for_each(|part| self.bytes.extend_from_slice(part));
        let end = start + (self.bytes.len() - start).next_multiple_of(BLOCK);
        self.bytes.resize(end, 0);
        let blocks = ((end - start) / BLOCK) as u8;
        self.nodes.push(Waiting { start: start as u32, blocks, level, above: None, kept: None });
        Part::Waits(self.nodes.len() as u32 - 1)
    }

    /// Says where the hash of a part is to be kept.
    pub(super) fn keep(&mut self, part: Part, kept: &'a OnceLock<Hash>) {
        match part {
            Part::Known(hash) => _ = kept.set(hash),
            Part::Waits(node) => self.nodes[node as usize].kept = Some(kept),
        }
    }

    /// Whether it should be hashed before more is added.
    pub(super) const fn is_full(&self) -> bool {
        self.nodes.len() >= FULL
    }

    /// Hashes all that waits, and says what the hash of one of them is.
    pub(super) fn hash(&mut self, part: Part) -> Hash {
        let (last, mut found) = match part {
            Part::Known(hash) => (None, hash),
            Part::Waits(node) => (Some(node), Hash([0; Hash::BYTES])),
        };
        let mut order: Vec<u32> = (0..self.nodes.len() as u32).collect();
        // What nothing waits below first; those of one length beside each other.
        let class = |node: &u32| (self.nodes[*node as usize].level, self.nodes[*node as usize].blocks);
        order.sort_unstable_by_key(class);
        let mut left = &order[..];
        while let Some(first) = left.first() {
            let (level, blocks) = class(first);
            let alike = left.iter().take(MAX_SIMD_DEGREE).take_while(|node| class(node) == (level, blocks)).count();
            let (here, rest) = left.split_at(alike);
            left = rest;
            let mut hashes = [0; MAX_SIMD_DEGREE * Hash::BYTES];
            let hashes = &mut hashes[..alike * Hash::BYTES];
            match blocks {
                1 => self.hash_alike::<BLOCK>(here, hashes),
                2 => self.hash_alike::<{ 2 * BLOCK }>(here, hashes),
                3 => self.hash_alike::<{ 3 * BLOCK }>(here, hashes),
                4 => self.hash_alike::<{ 4 * BLOCK }>(here, hashes),
                _ => self.hash_alike::<MAX_BYTES>(here, hashes),
            }
            for (node, hash) in here.iter().zip(hashes.as_chunks().0) {
                let waiting = &self.nodes[*node as usize];
                if let Some(above) = waiting.above {
                    self.bytes[above as usize..][..Hash::BYTES].copy_from_slice(hash);
                }
                if let Some(kept) = waiting.kept {
                    _ = kept.set(Hash(*hash));
                }
                if last == Some(*node) {
                    found = Hash(*hash);
                }
            }
        }
        self.bytes.clear();
        self.nodes.clear();
        found
    }

    fn hash_alike<const BYTES: usize>(&self, nodes: &[u32], hashes: &mut [u8]) {
        let mut inputs = [&[0; BYTES]; MAX_SIMD_DEGREE];
        for (input, node) in inputs.iter_mut().zip(nodes) {
            let start = self.nodes[*node as usize].start as usize;
            *input = self.bytes[start..].first_chunk().expect("a node has its blocks");
        }
        hash_many(&inputs[..nodes.len()], hashes);
    }
}

/// Flags of the function: one chunk that is also the root, hashed with a key.
const CHUNK_START: u8 = 1 << 0;
const CHUNK_END: u8 = 1 << 1;
const ROOT: u8 = 1 << 3;
const KEYED_HASH: u8 = 1 << 4;

/// Keyed BLAKE3 of inputs of the same length, which is some whole blocks of one chunk.
fn hash_many<const BYTES: usize>(inputs: &[&[u8; BYTES]], hashes: &mut [u8]) {
    let key = std::array::from_fn(|at| u32::from_le_bytes(std::array::from_fn(|byte| HASH_KEY[4 * at + byte])));
    let (counter, increment) = (0, IncrementCounter::No);
    Platform::detect().hash_many(inputs, &key, counter, increment, KEYED_HASH, CHUNK_START, CHUNK_END | ROOT, hashes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_at_once_are_hashed_as_one_alone() {
        let byte = |at: usize| (at * 31 % 251) as u8;
        for count in 0..=MAX_SIMD_DEGREE {
            let inputs: Vec<[u8; 3 * BLOCK]> = (0..count).map(|one| std::array::from_fn(|at| byte(one + at))).collect();
            let mut hashes = vec![0; count * Hash::BYTES];
            hash_many(&inputs.iter().collect::<Vec<_>>(), &mut hashes);
            for (input, hash) in inputs.iter().zip(hashes.as_chunks().0) {
                assert_eq!(blake3::keyed_hash(HASH_KEY, input), blake3::Hash::from_bytes(*hash));
            }
        }
    }
}
