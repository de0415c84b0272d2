//! The envelope: kind, payload, signature. The payload is bytes, so that its hash needs no second encoding.

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Serialize};

use super::Error;
use crate::codec;
use crate::id::{Network, RecordId};
use crate::limits::MAX_RECORD_BYTES;
use crate::protocol::packed::Packed;

/// The kinds of records. Numbers are never used twice. Of one publisher, keep pages sort before rotations, and both before what they keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The beginning of a key log.
    Inception,
    /// A list of records that a rotation keeps.
    KeepPage,
    /// The next key of a key log.
    Rotation,
    /// A release of a package.
    Release,
    /// What a version is good for.
    Status,
    /// A kind that these rules do not know, by its number.
    Unknown(u8),
}

impl Kind {
    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Inception => 1,
            Self::KeepPage => 2,
            Self::Rotation => 3,
            Self::Release => 4,
            Self::Status => 5,
            Self::Unknown(number) => number,
        }
    }

    /// The kind with this number, known or not. None: it is the number of no kind, and never will be.
    pub fn from_number(number: u16) -> Option<Self> {
        Some(match u8::try_from(number).ok()? {
            0 => return None,
            1 => Self::Inception,
            2 => Self::KeepPage,
            3 => Self::Rotation,
            4 => Self::Release,
            5 => Self::Status,
            unknown => Self::Unknown(unknown),
        })
    }

    /// The id of the record with this payload: BLAKE3 in the context of the kind. The context of a kind that is unknown today is its
    /// number, and stays so when it is known: an id must not depend on who computes it.
    pub fn id_of(self, payload: &[u8]) -> RecordId {
        let name = match self {
            Self::Inception => "inception",
            Self::KeepPage => "keep page",
            Self::Rotation => "rotation",
            Self::Release => "release",
            Self::Status => "status",
            Self::Unknown(number) => &number.to_string(),
        };
        RecordId::from_bytes(blake3::derive_key(&["ggen marketplace 2026 record id: ", name].concat(), payload))
    }

    /// What is signed: the id, bound to kind and network. The network's length comes first, so no two readings exist.
    pub fn signed_message(self, network: &Network, id: &RecordId) -> Vec<u8> {
        let name = network.as_str().as_bytes();
        let length = u8::try_from(name.len()).expect("a network's name is bounded far below 256 bytes");
        let mut message = b"ggen marketplace signed record\0".to_vec();
        message.push(length);
        message.extend_from_slice(name);
        message.extend_from_slice(&u16::from(self.number()).to_be_bytes());
        message.extend_from_slice(id.as_bytes());
        message
    }
}

/// A record as bytes: shared, never changed.
#[derive(Clone)]
pub struct RecordBytes(Arc<Shared>);

struct Shared {
    bytes: Box<[u8]>,
    packed: OnceLock<Box<Packed>>,
}

impl RecordBytes {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(Arc::new(Shared { bytes: bytes.into(), packed: OnceLock::new() }))
    }

    /// The record as it travels in answers: packed when it is first asked for, and kept.
    pub fn packed(&self) -> &Packed {
        self.0.packed.get_or_init(|| Box::new(Packed::of(self)))
    }
}

impl PartialEq for RecordBytes {
    fn eq(&self, other: &Self) -> bool {
        self.0.bytes == other.0.bytes
    }
}

impl Eq for RecordBytes {}

impl std::ops::Deref for RecordBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl fmt::Debug for RecordBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecordBytes({} bytes)", self.len())
    }
}

/// Kind, payload and signature: a dag-cbor map of `k`, `p` and `s`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The kind's number.
    #[serde(rename = "k")]
    pub kind: u16,
    /// The dag-cbor of the payload.
    #[serde(rename = "p", with = "serde_bytes")]
    pub payload: Vec<u8>,
    /// Ed25519, over [`Kind::signed_message`].
    #[serde(rename = "s", with = "serde_bytes")]
    pub signature: [u8; 64],
}

impl Envelope {
    /// Reads an envelope of at most [`MAX_RECORD_BYTES`].
    ///
    /// # Errors
    /// [`Error::Encoding`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        Ok(codec::decode(bytes, MAX_RECORD_BYTES)?)
    }

    /// The envelope's bytes.
    ///
    /// # Errors
    /// [`Error::Encoding`] when it would be longer than [`MAX_RECORD_BYTES`].
    pub fn encode(&self) -> Result<RecordBytes, Error> {
        let bytes = codec::encode(self);
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(codec::Error::TooLong { limit: MAX_RECORD_BYTES, actual: bytes.len() }.into());
        }
        Ok(RecordBytes::new(&bytes))
    }
}
