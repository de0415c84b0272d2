//! The beginning of a key log: a key, a handle, and a commitment to the key that comes next.

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Payload};
use crate::id::{Handle, KeyCommitment, PublicKey};

/// The work that an identity proved; it sets the quota of record indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// How much was proven; 0 is none, and the only level of these rules.
    pub level: u8,
    /// What makes the work come out right; 0 at level 0.
    pub nonce: u64,
}

impl Work {
    /// No work.
    pub const NONE: Self = Self { level: 0, nonce: 0 };
}

/// The first event of a key log. Its id is the publisher's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inception {
    /// What the publisher calls itself.
    pub handle: Handle,
    /// The key that signs until a rotation.
    pub key: PublicKey,
    /// The commitment to the key that the first rotation reveals; kept offline by the publisher.
    pub next: KeyCommitment,
    /// The work proven.
    pub work: Work,
}

impl Payload for Inception {
    const KIND: Kind = Kind::Inception;

    fn check(&self) -> Result<(), Error> {
        if self.work != Work::NONE {
            return Err(Error::field("work", "has a level that these rules do not know"));
        }
        if self.next == KeyCommitment::to_key(&self.key) {
            return Err(Error::field("next", "commits to the present key: a thief of it could rotate"));
        }
        Ok(())
    }
}
