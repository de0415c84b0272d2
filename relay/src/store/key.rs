//! Where a record stands: publisher, kind, id, so that one publisher's records are one range, its key log first.

use ggen_shared::id::{PublisherId, RecordId};
use ggen_shared::record::Record;

/// Bytes of an encoded key.
pub(super) const KEY_BYTES: usize = 32 + 2 + 32;

/// The key of a record, in the order of the design's `r/` keyspace.
///
/// The kind is a number: records of kinds that this version does not know are kept too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    /// Whose record it is.
    pub publisher: PublisherId,
    /// The number of its kind.
    pub kind: u16,
    /// Its id.
    pub id: RecordId,
}

impl RecordKey {
    /// The key of a verified record.
    pub fn of(record: &Record) -> Self {
        Self { publisher: record.publisher(), kind: record.kind().number().into(), id: record.id() }
    }

    pub(super) fn to_bytes(self) -> [u8; KEY_BYTES] {
        let mut bytes = [0; KEY_BYTES];
        bytes[..32].copy_from_slice(self.publisher.as_bytes());
        bytes[32..34].copy_from_slice(&self.kind.to_be_bytes());
        bytes[34..].copy_from_slice(self.id.as_bytes());
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; KEY_BYTES]) -> Self {
        let (mut publisher, mut id) = ([0; 32], [0; 32]);
        publisher.copy_from_slice(&bytes[..32]);
        id.copy_from_slice(&bytes[34..]);
        Self {
            publisher: PublisherId::from_inception(RecordId::from_bytes(publisher)),
            kind: u16::from_be_bytes([bytes[32], bytes[33]]),
            id: RecordId::from_bytes(id),
        }
    }
}
