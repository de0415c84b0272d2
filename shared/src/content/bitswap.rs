//! The message of Bitswap 1.2.0, by which blocks are asked for and sent.
//!
//! Specification: <https://specs.ipfs.tech/bitswap-protocol/>. A message is protobuf with its length before it; what of it is
//! not known is skipped, as protobuf demands. Blocks come without their name: whoever gets one computes it. So a block with
//! wrong bytes is one that nobody asked for.
//!
//! ```text
//! Message   1 wantlist { 1 entry*, 2 full }, 3 block*, 4 presence*, 5 pendingBytes
//! entry     1 cid, 2 priority, 3 cancel, 4 wantType (0 block, 1 have), 5 sendDontHave
//! block     1 prefix (version, codec, hash function, hash length), 2 data
//! presence  1 cid, 2 type (0 have, 1 don't have)
//! ```

mod proto;

use cid::Cid;

use self::proto::{Fields, Value};
use super::Unhashed;
use crate::limits::{
    MAX_BITSWAP_MESSAGE_BYTES, MAX_BLOCK_BYTES, MAX_BLOCKS_PER_MESSAGE, MAX_PRESENCES_PER_MESSAGE,
    MAX_WANTS_PER_MESSAGE,
};
use crate::record::ContentId;
use crate::varint;

/// How CIDs of raw leaves, and of dag-pb nodes, begin: version 1, codec, SHA-256, 32 bytes.
const RAW_PREFIX: [u8; 4] = [1, 0x55, 0x12, 32];
const DAG_PB_PREFIX: [u8; 4] = [1, 0x70, 0x12, 32];
/// The longest name of a block that is looked at: SHA-512 in version 1 has 68 bytes.
const MAX_CID_BYTES: usize = 80;

/// Why a message is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is longer than it may be; nothing of it was read.
    #[error("a message of {actual} bytes, at most {limit} are allowed")]
    TooLong {
        /// The bound.
        limit: usize,
        /// What was announced.
        actual: usize,
    },
    /// It has too many parts of a kind: the rest was not looked at.
    #[error("more than {limit} {what} in one message")]
    TooMany {
        /// Which parts.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// It is no protobuf, or not of these types.
    #[error("not a message of Bitswap: {0}")]
    Malformed(&'static str),
    /// A block is larger than any block may be; it was not hashed.
    #[error("a block of {0} bytes, at most {MAX_BLOCK_BYTES} are allowed")]
    BlockTooLarge(usize),
    /// A block of another codec or hash, which nobody here asks for.
    #[error("a block of an unknown codec or hash")]
    ForeignBlock,
}

/// What is asked about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// To have it.
    Block,
    /// Whether the other has it.
    Have,
    /// Nothing any more.
    Cancel,
}

/// One entry of a want-list. `Cid` because others ask for blocks here that no package consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// Which block.
    pub cid: Cid,
    /// What is asked.
    pub ask: Ask,
    /// Whether to be told if the other lacks it.
    pub send_dont_have: bool,
}

impl Want {
    /// An entry that wants an answer either way.
    pub const fn new(cid: ContentId, ask: Ask) -> Self {
        Self { cid: *cid.cid(), ask, send_dont_have: !matches!(ask, Ask::Cancel) }
    }
}

/// Whether somebody has a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presence {
    /// Which block.
    pub cid: Cid,
    /// Whether it is there.
    pub has: bool,
}

/// A message: any of its parts may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Entries of the sender's want-list.
    pub wants: Vec<Want>,
    /// Whether these are all of them: others that were there before are withdrawn.
    pub full: bool,
    /// Blocks.
    pub blocks: Vec<Unhashed>,
    /// What the sender has, and what not.
    pub presences: Vec<Presence>,
}

impl Message {
    /// A message with these entries.
    pub fn of_wants(wants: Vec<Want>) -> Self {
        Self { wants, ..Self::default() }
    }

    /// Its encoding, with its length before it.
    pub fn encode(&self) -> Vec<u8> {
        let blocks: Vec<_> = self.blocks.iter().map(|block| (block.is_raw, &block.data[..])).collect();
        encode(&self.wants, self.full, &blocks, &self.presences)
    }

    /// Reads a message without its length.
    ///
    /// # Errors
    /// [`Error`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        check_length(bytes.len(), MAX_BITSWAP_MESSAGE_BYTES)?;
        let mut message = Self::default();
        for field in Fields(bytes) {
            match field? {
                (1, Value::Bytes(list)) => message.decode_wants(list)?,
                (3, Value::Bytes(block)) => {
                    room("blocks", message.blocks.len(), MAX_BLOCKS_PER_MESSAGE)?;
                    message.blocks.push(decode_block(block)?);
                }
                (4, Value::Bytes(presence)) => {
                    room("presences", message.presences.len(), MAX_PRESENCES_PER_MESSAGE)?;
                    message.presences.push(decode_presence(presence)?);
                }
                (1 | 3 | 4, _) => return Err(Error::Malformed("a part is no message")),
                _ => {}
            }
        }
        Ok(message)
    }

    fn decode_wants(&mut self, list: &[u8]) -> Result<(), Error> {
        for field in Fields(list) {
            match field? {
                (1, Value::Bytes(entry)) => {
                    room("wants", self.wants.len(), MAX_WANTS_PER_MESSAGE)?;
                    self.wants.push(decode_want(entry)?);
                }
                (2, Value::Number(full)) => self.full = full != 0,
                (1 | 2, _) => return Err(Error::Malformed("a want-list's field is of another type")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether a message of so many bytes may be read at all.
///
/// # Errors
/// [`Error::TooLong`].
pub fn check_length(actual: usize, limit: usize) -> Result<(), Error> {
    if actual > limit { Err(Error::TooLong { limit, actual }) } else { Ok(()) }
}

/// The encoding of a message with one block, with its length before it. The bytes are sent as they are, whatever they hash to.
pub fn encode_block(cid: ContentId, data: &[u8], presences: &[Presence]) -> Vec<u8> {
    encode(&[], false, &[(cid.is_raw(), data)], presences)
}

fn encode(wants: &[Want], full: bool, blocks: &[(bool, &[u8])], presences: &[Presence]) -> Vec<u8> {
    let data: usize = blocks.iter().map(|(_, data)| data.len() + 32).sum();
    let mut message = Vec::with_capacity(data + 64 * (wants.len() + presences.len()) + 8);
    if !wants.is_empty() || full {
        let mut list = Vec::with_capacity(wants.len() * 56 + 8);
        for want in wants {
            let mut entry = Vec::with_capacity(48);
            proto::put_bytes(&mut entry, 1, &want.cid.to_bytes());
            proto::put_number(&mut entry, 2, 1);
            match want.ask {
                Ask::Block => {}
                Ask::Have => proto::put_number(&mut entry, 4, 1),
                Ask::Cancel => proto::put_number(&mut entry, 3, 1),
            }
            if want.send_dont_have {
                proto::put_number(&mut entry, 5, 1);
            }
            proto::put_bytes(&mut list, 1, &entry);
        }
        if full {
            proto::put_number(&mut list, 2, 1);
        }
        proto::put_bytes(&mut message, 1, &list);
    }
    for (is_raw, data) in blocks {
        proto::put_key(&mut message, 3, proto::BYTES);
        // Tag, length and prefix; tag and length of the data.
        let length = 2 + RAW_PREFIX.len() + 1 + varint_length(data.len()) + data.len();
        varint::put(&mut message, length as u64);
        proto::put_bytes(&mut message, 1, if *is_raw { &RAW_PREFIX } else { &DAG_PB_PREFIX });
        proto::put_bytes(&mut message, 2, data);
    }
    for presence in presences {
        let mut entry = Vec::with_capacity(48);
        proto::put_bytes(&mut entry, 1, &presence.cid.to_bytes());
        proto::put_number(&mut entry, 2, u64::from(!presence.has));
        proto::put_bytes(&mut message, 4, &entry);
    }
    let mut framed = Vec::with_capacity(message.len() + 4);
    varint::put(&mut framed, message.len() as u64);
    framed.append(&mut message);
    framed
}

fn varint_length(number: usize) -> usize {
    let bits = usize::BITS - number.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

fn room(what: &'static str, there: usize, limit: usize) -> Result<(), Error> {
    if there < limit { Ok(()) } else { Err(Error::TooMany { what, limit }) }
}

fn decode_want(entry: &[u8]) -> Result<Want, Error> {
    let (mut cid, mut cancel, mut have, mut send_dont_have) = (None, false, false, false);
    for field in Fields(entry) {
        match field? {
            (1, Value::Bytes(bytes)) => cid = Some(decode_cid(bytes)?),
            (3, Value::Number(number)) => cancel = number != 0,
            (4, Value::Number(number)) => have = number == 1,
            (5, Value::Number(number)) => send_dont_have = number != 0,
            (1 | 3..=5, _) => return Err(Error::Malformed("a want's field is of another type")),
            _ => {}
        }
    }
    let ask = match (cancel, have) {
        (true, _) => Ask::Cancel,
        (false, true) => Ask::Have,
        (false, false) => Ask::Block,
    };
    Ok(Want { cid: cid.ok_or(Error::Malformed("a want without a CID"))?, ask, send_dont_have })
}

fn decode_block(block: &[u8]) -> Result<Unhashed, Error> {
    let (mut prefix, mut data) = (&[][..], &[][..]);
    for field in Fields(block) {
        match field? {
            (1, Value::Bytes(bytes)) => prefix = bytes,
            (2, Value::Bytes(bytes)) => data = bytes,
            (1 | 2, _) => return Err(Error::Malformed("a block's field is of another type")),
            _ => {}
        }
    }
    if data.len() > MAX_BLOCK_BYTES {
        return Err(Error::BlockTooLarge(data.len()));
    }
    if prefix != RAW_PREFIX && prefix != DAG_PB_PREFIX {
        return Err(Error::ForeignBlock);
    }
    Ok(Unhashed { is_raw: prefix == RAW_PREFIX, data: data.to_vec() })
}

fn decode_presence(presence: &[u8]) -> Result<Presence, Error> {
    let (mut cid, mut has) = (None, true);
    for field in Fields(presence) {
        match field? {
            (1, Value::Bytes(bytes)) => cid = Some(decode_cid(bytes)?),
            // A type that is not known says nothing good of the block.
            (2, Value::Number(number)) => has = number == 0,
            (1 | 2, _) => return Err(Error::Malformed("a presence's field is of another type")),
            _ => {}
        }
    }
    Ok(Presence { cid: cid.ok_or(Error::Malformed("a presence without a CID"))?, has })
}

fn decode_cid(bytes: &[u8]) -> Result<Cid, Error> {
    if bytes.len() > MAX_CID_BYTES {
        return Err(Error::Malformed("a CID is too long"));
    }
    let cid = Cid::try_from(bytes).map_err(|_| Error::Malformed("a CID is none"))?;
    if cid.encoded_len() != bytes.len() {
        return Err(Error::Malformed("bytes after a CID"));
    }
    Ok(cid)
}

#[cfg(test)]
mod tests;
