//! From blocks to bytes, from peers that nobody trusts.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::shape::Shape;
use super::unixfs::{self, Link};
use super::{Error, Hashed};
use crate::limits;
use crate::record::{Content, ContentId};

/// Takes blocks in any order in which their hashes become known and checks each as it comes: its hash, then that it is
/// what the promised size puts in its place. Holds at most as many entries as content of that size has blocks.
#[derive(Debug)]
pub struct Assembler {
    content: Content,
    shape: Shape,
    /// Blocks whose hash is known and whose bytes are not, each with the places where it stands.
    wanted: BTreeMap<ContentId, Vec<Place>>,
    /// Links of the inner nodes that came, for a node that stands in a second place.
    nodes: BTreeMap<ContentId, Vec<Link>>,
    /// Lengths of the leaves that came, and their bytes if this one keeps them.
    chunks: BTreeMap<ContentId, Chunk>,
    /// The leaves in order, as far as their hashes are known.
    leaves: Vec<Option<ContentId>>,
    /// What was found to stand in further places since it was last asked.
    repeats: Vec<Repeat>,
    keeps_bytes: bool,
    arrived_bytes: u64,
    /// Why the content itself is bad, once a block showed it whose hash holds: no other block can mend that.
    refused: Option<Error>,
}

/// Where a block stands: the promised size says what belongs there.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// Levels of links below; zero is a leaf.
    level: usize,
    /// Bytes of content below.
    size: u64,
    /// Bytes of all blocks below as the link to it claims; none for the root, to which no link leads.
    total_bytes: Option<u64>,
    /// Position of the first leaf below.
    first_leaf: usize,
}

#[derive(Debug)]
struct Chunk {
    size: u64,
    /// Where it stands; the first place of those that were known when it came.
    at: u64,
    bytes: Vec<u8>,
}

/// Bytes of the content that stand in a further place. Offsets count from its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Where they begin; what stands there came before.
    pub from: u64,
    /// Where they stand as well.
    pub to: u64,
    /// How many.
    pub length: u64,
}

impl Assembler {
    /// An assembler that holds the bytes in memory until [`Assembler::into_bytes`].
    ///
    /// # Errors
    /// [`Error::TooLarge`] for content that no release may promise; [`Error::WrongShape`] when the root's kind of block
    /// can't hold content of that size.
    pub fn new(content: Content) -> Result<Self, Error> {
        Self::as_shape(Shape::PROTOCOL, content, true)
    }

    /// An assembler that only checks: whoever feeds it keeps the blocks, and reads them back in the order of
    /// [`Assembler::leaves`].
    ///
    /// # Errors
    /// As [`Assembler::new`].
    pub fn checking_only(content: Content) -> Result<Self, Error> {
        Self::as_shape(Shape::PROTOCOL, content, false)
    }

    pub(super) fn as_shape(shape: Shape, content: Content, keeps_bytes: bool) -> Result<Self, Error> {
        let limit = limits::MAX_ARTIFACT_BYTES;
        if content.size > limit || shape.depth(content.size) > shape.max_depth {
            return Err(Error::TooLarge { size: content.size, limit });
        }
        let count = usize::try_from(shape.leaves(content.size)).expect("bounded by the size, just above");
        let mut assembler = Self {
            content,
            shape,
            wanted: BTreeMap::new(),
            nodes: BTreeMap::new(),
            chunks: BTreeMap::new(),
            leaves: vec![None; count],
            repeats: Vec::new(),
            keeps_bytes,
            arrived_bytes: 0,
            refused: None,
        };
        let level = shape.depth(content.size);
        assembler.expect(content.cid, Place { level, size: content.size, total_bytes: None, first_leaf: 0 })?;
        Ok(assembler)
    }

    /// What is being put together.
    pub const fn content(&self) -> Content {
        self.content
    }

    /// The blocks to ask for now, in the order of the content. Inner nodes that come add to them.
    pub fn wants(&self) -> Vec<ContentId> {
        let mut wants: Vec<_> =
            self.wanted.iter().map(|(cid, places)| (places.iter().map(|place| place.first_leaf).min(), *cid)).collect();
        wants.sort_unstable();
        wants.into_iter().map(|(_, cid)| cid).collect()
    }

    /// Which bytes of the content a leaf holds that is asked for now; the first place, if it stands in several.
    pub fn range_of(&self, cid: &ContentId) -> Option<Range<u64>> {
        let place =
            self.wanted.get(cid)?.iter().filter(|place| place.level == 0).min_by_key(|place| place.first_leaf)?;
        let start = self.start(place);
        Some(start..start + place.size)
    }

    /// Where in the content the bytes begin that a block holds which is asked for now, or that the leaves below it hold; the first place, if it stands
    /// in several.
    pub fn start_of(&self, cid: &ContentId) -> Option<u64> {
        self.wanted.get(cid)?.iter().map(|place| self.start(place)).min()
    }

    const fn start(&self, place: &Place) -> u64 {
        place.first_leaf as u64 * self.shape.chunk_bytes
    }

    /// What was found to stand in further places than that of [`Assembler::range_of`], each once: for whoever keeps the bytes.
    pub fn take_repeats(&mut self) -> Vec<Repeat> {
        std::mem::take(&mut self.repeats)
    }

    /// Whether this block is asked for now.
    pub fn is_wanted(&self, cid: &ContentId) -> bool {
        self.wanted.contains_key(cid)
    }

    /// Bytes of the content that are there, counting a chunk once for each place where it stands.
    pub const fn arrived_bytes(&self) -> u64 {
        self.arrived_bytes
    }

    /// Whether every block is there.
    pub fn is_complete(&self) -> bool {
        self.wanted.is_empty() && self.refused.is_none()
    }

    /// Takes a block.
    ///
    /// # Errors
    /// [`Error::Surplus`], [`Error::BlockTooLarge`] and [`Error::WrongHash`] are the sender's fault and change nothing: the
    /// block is still wanted, and may come from another peer. [`Error::Malformed`], [`Error::WrongSize`] and
    /// [`Error::WrongShape`] are the publisher's: the hash holds, so no peer can send a better block, and every later call
    /// gives the same error.
    pub fn feed(&mut self, cid: &ContentId, block: &[u8]) -> Result<(), Error> {
        self.check_wanted(cid, block.len())?;
        if !cid.matches(block) {
            return Err(Error::WrongHash(*cid));
        }
        self.place(cid, block.into())
    }

    /// As [`Assembler::feed`], for a block that was hashed when it came.
    ///
    /// # Errors
    /// As [`Assembler::feed`], [`Error::WrongHash`] excepted.
    pub fn take(&mut self, block: Hashed) -> Result<(), Error> {
        let cid = block.cid();
        self.check_wanted(&cid, block.data().len())?;
        self.place(&cid, block.into_data().into())
    }

    fn check_wanted(&self, cid: &ContentId, size: usize) -> Result<(), Error> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        if !self.wanted.contains_key(cid) {
            return Err(Error::Surplus(*cid));
        }
        if size > limits::MAX_BLOCK_BYTES {
            return Err(Error::BlockTooLarge { cid: *cid, size });
        }
        Ok(())
    }

    /// Puts a block whose hash holds where it belongs.
    fn place(&mut self, cid: &ContentId, block: Cow<'_, [u8]>) -> Result<(), Error> {
        let Some(places) = self.wanted.get(cid).cloned() else { return Err(Error::Surplus(*cid)) };
        let placed =
            if cid.is_raw() { self.place_leaf(cid, block, &places) } else { self.place_node(cid, &block, &places) };
        placed.inspect_err(|error| self.refused = Some(error.clone()))
    }

    fn place_leaf(&mut self, cid: &ContentId, block: Cow<'_, [u8]>, places: &[Place]) -> Result<(), Error> {
        let size = block.len() as u64;
        for place in places {
            check_leaf(cid, place, size)?;
        }
        let at = self.range_of(cid).map_or(0, |range| range.start);
        let further = places.iter().map(|place| self.start(place)).filter(|to| *to != at);
        let repeats: Vec<_> = further.map(|to| Repeat { from: at, to, length: size }).collect();
        self.repeats.extend(repeats);
        let bytes = if self.keeps_bytes { block.into_owned() } else { Vec::new() };
        self.chunks.insert(*cid, Chunk { size, at, bytes });
        self.arrived_bytes += size * places.len() as u64;
        self.wanted.remove(cid);
        Ok(())
    }

    fn place_node(&mut self, cid: &ContentId, block: &[u8], places: &[Place]) -> Result<(), Error> {
        let links = unixfs::decode(block).map_err(|reason| Error::Malformed { cid: *cid, reason })?;
        for place in places {
            check_node(self.shape, cid, place, &links, block.len() as u64)?;
        }
        self.nodes.insert(*cid, links);
        self.wanted.remove(cid);
        places.iter().try_for_each(|place| self.descend(*cid, *place))
    }

    /// The leaves in the order of the content, once all are there.
    ///
    /// # Errors
    /// [`Error::Incomplete`], or why the content was refused.
    pub fn leaves(&self) -> Result<Vec<ContentId>, Error> {
        if let Some(error) = &self.refused {
            return Err(error.clone());
        }
        let leaves: Option<Vec<_>> = self.leaves.iter().copied().collect();
        match leaves {
            Some(leaves) if self.is_complete() => Ok(leaves),
            _ => Err(Error::Incomplete(self.wanted.len())),
        }
    }

    /// The content's bytes, exactly as many as were promised.
    ///
    /// # Errors
    /// As [`Assembler::leaves`]; [`Error::Incomplete`] also when this assembler was made not to keep them.
    pub fn into_bytes(self) -> Result<Vec<u8>, Error> {
        let leaves = self.leaves()?;
        if !self.keeps_bytes && self.content.size > 0 {
            return Err(Error::Incomplete(leaves.len()));
        }
        let mut bytes = Vec::with_capacity(usize::try_from(self.content.size).expect("bounded when it was begun"));
        for leaf in leaves {
            bytes.extend_from_slice(&self.chunks[&leaf].bytes);
        }
        debug_assert_eq!(bytes.len() as u64, self.content.size);
        Ok(bytes)
    }

    /// Notes what must stand in a place: asks for it, or checks what is there already.
    fn expect(&mut self, cid: ContentId, place: Place) -> Result<(), Error> {
        if cid.is_raw() != (place.level == 0) {
            let reason =
                if cid.is_raw() { "a leaf where an inner node belongs" } else { "an inner node where a leaf belongs" };
            return Err(Error::WrongShape { cid, reason });
        }
        if place.level == 0 {
            self.leaves[place.first_leaf] = Some(cid);
            if let Some(chunk) = self.chunks.get(&cid) {
                check_leaf(&cid, &place, chunk.size)?;
                self.repeats.push(Repeat { from: chunk.at, to: self.start(&place), length: chunk.size });
                self.arrived_bytes += place.size;
                return Ok(());
            }
        } else if let Some(links) = self.nodes.get(&cid) {
            // Its own length is in the hash that already held, so only what the place demands is left to compare.
            let own_bytes = unixfs::encode(links).len() as u64;
            check_node(self.shape, &cid, &place, links, own_bytes)?;
            return self.descend(cid, place);
        }
        self.wanted.entry(cid).or_default().push(place);
        Ok(())
    }

    /// Expects what the links of a checked node lead to. Depth is bounded by the level, which falls with each step.
    fn descend(&mut self, cid: ContentId, place: Place) -> Result<(), Error> {
        let links = self.nodes[&cid].clone();
        let leaves_below = self.shape.leaves_below(place.level - 1);
        for (position, link) in links.into_iter().enumerate() {
            let first_leaf = place.first_leaf + position * usize::try_from(leaves_below).expect("bounded by the size");
            let child = Place {
                level: place.level - 1,
                size: link.content_bytes,
                total_bytes: Some(link.total_bytes),
                first_leaf,
            };
            self.expect(link.cid, child)?;
        }
        Ok(())
    }
}

fn check_leaf(cid: &ContentId, place: &Place, size: u64) -> Result<(), Error> {
    if size != place.size {
        return Err(Error::WrongSize { cid: *cid, expected: place.size, actual: size });
    }
    check_total(cid, place, size)
}

fn check_node(shape: Shape, cid: &ContentId, place: &Place, links: &[Link], own_bytes: u64) -> Result<(), Error> {
    let size = links.iter().map(|link| link.content_bytes).sum();
    if size != place.size {
        return Err(Error::WrongSize { cid: *cid, expected: place.size, actual: size });
    }
    if !shape.children(place.level, place.size).eq(links.iter().map(|link| link.content_bytes)) {
        return Err(Error::WrongShape { cid: *cid, reason: "the content is cut elsewhere" });
    }
    let below = links.iter().try_fold(own_bytes, |sum, link| sum.checked_add(link.total_bytes));
    check_total(cid, place, below.unwrap_or(u64::MAX))
}

/// The link to a block counts the bytes of all blocks below. Nothing here needs the count, but two counts would give one
/// content two names.
fn check_total(cid: &ContentId, place: &Place, actual: u64) -> Result<(), Error> {
    match place.total_bytes {
        Some(claimed) if claimed != actual => {
            Err(Error::WrongShape { cid: *cid, reason: "the link to it counts other bytes than its blocks have" })
        }
        _ => Ok(()),
    }
}
