//! From bytes to blocks.

use std::collections::BTreeSet;

use super::shape::Shape;
use super::unixfs::{self, Link};
use crate::record::{Content, ContentId};

/// A block and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The hash that names it.
    pub cid: ContentId,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// Content as blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dag {
    /// The block that everything else hangs from.
    pub root: ContentId,
    /// Bytes of the content.
    pub size: u64,
    /// Every block once: leaves in order, then the inner nodes, the root last.
    pub blocks: Vec<Block>,
}

impl Dag {
    /// The content as a record names it.
    pub const fn content(&self) -> Content {
        Content { cid: self.root, size: self.size }
    }
}

/// The DAG of content. It is the same for the same bytes, on every machine.
pub fn build(bytes: &[u8]) -> Dag {
    build_as(Shape::PROTOCOL, bytes)
}

pub(super) fn build_as(shape: Shape, bytes: &[u8]) -> Dag {
    let chunk_bytes = usize::try_from(shape.chunk_bytes).expect("a chunk is held in memory");
    let max_links = usize::try_from(shape.max_links).expect("a node's links are held in memory");
    let mut blocks = Blocks::default();
    let mut level: Vec<Link> = if bytes.is_empty() {
        // `chunks` yields nothing here, and empty content has a leaf all the same.
        vec![blocks.leaf(&[])]
    } else {
        bytes.chunks(chunk_bytes).map(|chunk| blocks.leaf(chunk)).collect()
    };
    while level.len() > 1 {
        level = level.chunks(max_links).map(|links| blocks.node(links)).collect();
    }
    Dag { root: level[0].cid, size: bytes.len() as u64, blocks: blocks.list }
}

#[derive(Default)]
struct Blocks {
    list: Vec<Block>,
    known: BTreeSet<ContentId>,
}

impl Blocks {
    fn leaf(&mut self, chunk: &[u8]) -> Link {
        let cid = ContentId::of_raw(chunk);
        if self.known.insert(cid) {
            self.list.push(Block { cid, data: chunk.to_vec() });
        }
        Link { cid, content_bytes: chunk.len() as u64, total_bytes: chunk.len() as u64 }
    }

    fn node(&mut self, links: &[Link]) -> Link {
        let data = unixfs::encode(links);
        let link = Link {
            cid: ContentId::of_dag_pb(&data),
            content_bytes: links.iter().map(|link| link.content_bytes).sum(),
            total_bytes: links.iter().map(|link| link.total_bytes).sum::<u64>() + data.len() as u64,
        };
        if self.known.insert(link.cid) {
            self.list.push(Block { cid: link.cid, data });
        }
        link
    }
}
