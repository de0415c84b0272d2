//! An inner node of a file: dag-pb around UnixFS, in the one encoding that kubo writes.
//!
//! Specifications: <https://ipld.io/specs/codecs/dag-pb/spec/> (links before data, each field at most once, in order)
//! and <https://specs.ipfs.tech/unixfs/>. Both are protobuf, whose parsers usually skip what they don't know; this one
//! refuses it, for two encodings of a node would give one content two names.

use cid::Cid;

use crate::record::ContentId;
use crate::varint;

/// PBNode.Links, PBNode.Data.
const NODE_LINK: u8 = 0x12;
const NODE_DATA: u8 = 0x0a;
/// PBLink.Hash, PBLink.Name, PBLink.Tsize.
const LINK_HASH: u8 = 0x0a;
const LINK_NAME: u8 = 0x12;
const LINK_TSIZE: u8 = 0x18;
/// UnixFS Data.Type, Data.filesize, Data.blocksizes, and the type of a file.
const FILE_TYPE: u8 = 0x08;
const FILE_SIZE: u8 = 0x18;
const BLOCK_SIZE: u8 = 0x20;
const TYPE_FILE: u64 = 2;

/// A link of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link {
    /// The block it leads to.
    pub(super) cid: ContentId,
    /// Bytes of content below it.
    pub(super) content_bytes: u64,
    /// Bytes of all blocks below it, that block included, each counted as often as it is linked.
    pub(super) total_bytes: u64,
}

/// The encoding of a file's inner node.
pub(super) fn encode(links: &[Link]) -> Vec<u8> {
    let mut node = Vec::with_capacity(links.len() * 60 + 16);
    let mut data = vec![FILE_TYPE];
    varint::put(&mut data, TYPE_FILE);
    data.push(FILE_SIZE);
    varint::put(&mut data, links.iter().map(|link| link.content_bytes).sum());
    for link in links {
        let mut encoded = Vec::with_capacity(56);
        put_bytes(&mut encoded, LINK_HASH, &link.cid.cid().to_bytes());
        // Links of a file have no name, and kubo writes the empty one.
        put_bytes(&mut encoded, LINK_NAME, &[]);
        encoded.push(LINK_TSIZE);
        varint::put(&mut encoded, link.total_bytes);
        put_bytes(&mut node, NODE_LINK, &encoded);
        data.push(BLOCK_SIZE);
        varint::put(&mut data, link.content_bytes);
    }
    put_bytes(&mut node, NODE_DATA, &data);
    node
}

/// Reads a file's inner node; refuses every other encoding of it and every other kind of node.
pub(super) fn decode(node: &[u8]) -> Result<Vec<Link>, &'static str> {
    let mut reader = Reader(node);
    let mut links = Vec::new();
    while reader.peek() == Some(NODE_LINK) {
        links.push(decode_link(reader.bytes(NODE_LINK, "a link is cut off")?)?);
    }
    let data = reader.bytes(NODE_DATA, "no data after the links, or unknown fields")?;
    reader.end("bytes after the data")?;
    decode_sizes(data, &mut links)?;
    // Catches nothing that the reader lets through today; it makes "one encoding" hold whatever becomes of the reader.
    if encode(&links) != node {
        return Err("not the canonical encoding");
    }
    Ok(links)
}

fn decode_link(link: &[u8]) -> Result<Link, &'static str> {
    let mut reader = Reader(link);
    let hash = reader.bytes(LINK_HASH, "a link has no hash")?;
    let cid = Cid::try_from(hash).map_err(|_| "a link's hash is no CID")?;
    if cid.encoded_len() != hash.len() {
        return Err("bytes after a link's CID");
    }
    let cid =
        ContentId::try_from(cid).map_err(|_| "a link's CID is not a CIDv1 of raw or dag-pb content by SHA-256")?;
    if !reader.bytes(LINK_NAME, "a link has no name field")?.is_empty() {
        return Err("a link of a file has a name");
    }
    let total_bytes = reader.number(LINK_TSIZE, "a link has no total size")?;
    reader.end("unknown fields in a link")?;
    Ok(Link { cid, content_bytes: 0, total_bytes })
}

fn decode_sizes(data: &[u8], links: &mut [Link]) -> Result<(), &'static str> {
    let mut reader = Reader(data);
    if reader.number(FILE_TYPE, "no UnixFS type")? != TYPE_FILE {
        return Err("not a UnixFS file");
    }
    let size = reader.number(FILE_SIZE, "no file size, or data in an inner node")?;
    let mut sum = 0u64;
    for link in &mut *links {
        link.content_bytes = reader.number(BLOCK_SIZE, "fewer sizes than links")?;
        sum = sum.checked_add(link.content_bytes).ok_or("the sizes of the links overflow")?;
    }
    reader.end("more sizes than links, or unknown fields")?;
    if sum != size { Err("the sizes of the links do not add up to the file size") } else { Ok(()) }
}

fn put_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    varint::put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads fields in the order in which they must stand. Each tag here fits one byte.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn tag(&mut self, tag: u8, otherwise: &'static str) -> Result<(), &'static str> {
        match self.0.split_first() {
            Some((&first, rest)) if first == tag => {
                self.0 = rest;
                Ok(())
            }
            _ => Err(otherwise),
        }
    }

    fn number(&mut self, tag: u8, otherwise: &'static str) -> Result<u64, &'static str> {
        self.tag(tag, otherwise)?;
        self.varint()
    }

    fn bytes(&mut self, tag: u8, otherwise: &'static str) -> Result<&'a [u8], &'static str> {
        self.tag(tag, otherwise)?;
        let length = usize::try_from(self.varint()?).map_err(|_| "a length beyond the end")?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or("a length beyond the end")?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A varint of at most 64 bits in its shortest form.
    fn varint(&mut self) -> Result<u64, &'static str> {
        varint::take(&mut self.0).map_err(|error| match error {
            varint::Error::Insufficient => "a number is cut off",
            varint::Error::NotMinimal => "a number is not in its shortest form",
            _ => "a number has more than 64 bits",
        })
    }

    fn end(&self, otherwise: &'static str) -> Result<(), &'static str> {
        if self.0.is_empty() { Ok(()) } else { Err(otherwise) }
    }
}

#[cfg(test)]
mod tests;
