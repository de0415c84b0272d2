//! The beginning of a key log: a key, a handle, and a commitment to the key that comes next.

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Payload, Work};
use crate::id::{Handle, KeyCommitment, Network, PublicKey, RecordId};

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
    /// The work proven, as far as the network asks for any.
    pub work: Work,
}

impl Payload for Inception {
    const KIND: Kind = Kind::Inception;

    fn check(&self) -> Result<(), Error> {
        self.work.check()?;
        if self.next == KeyCommitment::to_key(&self.key) {
            return Err(Error::field("next", "commits to the present key: a thief of it could rotate"));
        }
        Ok(())
    }

    fn check_for(&self, id: &RecordId, network: &Network) -> Result<(), Error> {
        self.work.check_for(id, network)
    }
}
