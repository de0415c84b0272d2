//! Content: bytes as a DAG of blocks, each named by its hash.
//!
//! The DAG is the UnixFS file that kubo and Helia make of the same bytes: CIDv1, SHA-256, raw leaves of
//! [`limits::CHUNK_BYTES`], balanced inner nodes of up to [`limits::MAX_LINKS`] links. Content of one chunk is just its
//! raw leaf, empty content the raw leaf of no bytes.
//!
//! How many bytes content has decides the whole shape of its DAG, and nothing but that one shape is accepted. So one
//! content has one CID, and the promised size alone bounds how many blocks are ever asked for, how deep and how large.

mod assemble;
pub mod bitswap;
mod dag;
mod hashed;
pub mod session;
mod shape;
mod unixfs;
mod walk;

pub use assemble::{Assembler, Repeat};
pub use dag::{Block, Dag, build};
pub use hashed::{Hashed, Unhashed};
pub use walk::{Walk, walk};

use crate::limits;
use crate::record::ContentId;

/// How many blocks content of this size has, counting a block once for each place where it stands.
pub fn block_count(size: u64) -> u64 {
    shape::Shape::PROTOCOL.blocks(size)
}

/// A block that another one links to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Which block.
    pub cid: ContentId,
    /// Where its content begins in the file, in bytes.
    pub at: u64,
    /// Bytes of content below it.
    pub bytes: u64,
}

/// What a block links to, in the order of the content: nothing, for a leaf. `at`: where the block's own content begins.
///
/// # Errors
/// [`Error::Malformed`].
pub fn children(cid: &ContentId, block: &[u8], mut at: u64) -> Result<Vec<Child>, Error> {
    if cid.is_raw() {
        return Ok(Vec::new());
    }
    let links = unixfs::decode(block).map_err(|reason| Error::Malformed { cid: *cid, reason })?;
    let child = |link: unixfs::Link| {
        let child = Child { cid: link.cid, at, bytes: link.content_bytes };
        at = at.saturating_add(link.content_bytes);
        child
    };
    Ok(links.into_iter().map(child).collect())
}

/// Why content or a block of it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes of a block do not have the hash that names it.
    #[error("block {0}: the bytes do not match the hash")]
    WrongHash(ContentId),
    /// The content is larger than any that is admitted, or deeper.
    #[error("content of {size} bytes, at most {limit} are allowed")]
    TooLarge {
        /// Size that was promised.
        size: u64,
        /// The bound.
        limit: u64,
    },
    /// A block is larger than any block may be; it was not even hashed.
    #[error("block {cid}: {size} bytes, at most {} are allowed", limits::MAX_BLOCK_BYTES)]
    BlockTooLarge {
        /// Which block was said to come.
        cid: ContentId,
        /// Bytes that came.
        size: usize,
    },
    /// An inner node is not the one encoding of a UnixFS file node.
    #[error("block {cid}: {reason}")]
    Malformed {
        /// Which block.
        cid: ContentId,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The block holds another part of content than the promised size puts in its place.
    #[error("block {cid}: holds {actual} bytes of content where the promised size puts {expected}")]
    WrongSize {
        /// Which block.
        cid: ContentId,
        /// What belongs there.
        expected: u64,
        /// What it holds.
        actual: u64,
    },
    /// The DAG is not the balanced one of the protocol's chunk size.
    #[error("block {cid}: not the balanced DAG of {}-byte chunks: {reason}", limits::CHUNK_BYTES)]
    WrongShape {
        /// Which block.
        cid: ContentId,
        /// How it differs.
        reason: &'static str,
    },
    /// A block that nobody asked for.
    #[error("block {0} is no part of the content that is still missing")]
    Surplus(ContentId),
    /// The content is asked for before all of its blocks are there.
    #[error("{0} blocks are still missing")]
    Incomplete(usize),
}

impl Error {
    /// A stable code for programs, such as `content/wrong-hash`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WrongHash(_) => "content/wrong-hash",
            Self::TooLarge { .. } => "content/too-large",
            Self::BlockTooLarge { .. } => "content/block-too-large",
            Self::Malformed { .. } => "content/malformed",
            Self::WrongSize { .. } => "content/wrong-size",
            Self::WrongShape { .. } => "content/wrong-shape",
            Self::Surplus(_) => "content/surplus",
            Self::Incomplete(_) => "content/incomplete",
        }
    }
}

#[cfg(test)]
mod tests;
