//! The one shape of a DAG: how many levels, and how many bytes below each node, follow from the content's size.

use crate::limits;

/// How content is cut and how its nodes are filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of every leaf but the last.
    pub(super) chunk_bytes: u64,
    /// Links of every inner node but the last of its level.
    pub(super) max_links: u64,
    /// Levels of inner nodes that a DAG may have.
    pub(super) max_depth: usize,
}

impl Shape {
    /// The shape that everyone uses. Tests use smaller ones, to reach depths that no admitted artifact has.
    pub(super) const PROTOCOL: Self = Self {
        chunk_bytes: limits::CHUNK_BYTES as u64,
        max_links: limits::MAX_LINKS as u64,
        max_depth: limits::MAX_DAG_DEPTH,
    };

    /// Leaves of content of this size: at least one, for empty content has the empty leaf.
    pub(super) fn leaves(self, size: u64) -> u64 {
        size.div_ceil(self.chunk_bytes).max(1)
    }

    /// Levels of inner nodes above the leaves; none for a single leaf.
    pub(super) fn depth(self, size: u64) -> usize {
        let mut width = self.leaves(size);
        let mut depth = 0;
        while width > 1 {
            width = width.div_ceil(self.max_links);
            depth += 1;
        }
        depth
    }

    /// Leaves and inner nodes together.
    pub(super) fn blocks(self, size: u64) -> u64 {
        let mut width = self.leaves(size);
        let mut total = width;
        while width > 1 {
            width = width.div_ceil(self.max_links);
            total += width;
        }
        total
    }

    /// Leaves below a full node with `level` levels of links below it. Saturates: no size reaches that far.
    pub(super) fn leaves_below(self, level: usize) -> u64 {
        (0..level).fold(1, |leaves: u64, _| leaves.saturating_mul(self.max_links))
    }

    /// The bytes below each link of a node at `level` (1 is just above the leaves) with `size` bytes below it, in order.
    pub(super) fn children(self, level: usize, size: u64) -> impl ExactSizeIterator<Item = u64> {
        let full = self.leaves_below(level.saturating_sub(1)).saturating_mul(self.chunk_bytes);
        // Bounded by the caller, which knows that a node of this level has no more bytes than it can hold.
        let count = usize::try_from(size.div_ceil(full)).unwrap_or(usize::MAX);
        (0..count).map(move |position| full.min(size - full * position as u64))
    }
}
