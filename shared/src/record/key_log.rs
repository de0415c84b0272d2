//! A publisher's key log: which key signs under which event. Today it is one inception; rotations extend it.

use super::{Error, Inception, Unverified, Verified};
use crate::id::{Handle, Network, PublicKey, PublisherId, RecordId};
use crate::limits::{BASE_QUOTA, MAX_KEY_EVENTS};

/// The verified key events of one publisher, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLog {
    inception: Verified<Inception>,
}

impl KeyLog {
    /// The key log that begins with an inception.
    pub const fn new(inception: Verified<Inception>) -> Self {
        Self { inception }
    }

    /// Decodes and verifies the key events of one publisher as a peer sends them: the inception first.
    ///
    /// # Errors
    /// Those of decoding and verifying; [`Error::Field`] for an empty or overlong list; [`Error::WrongId`] when it is
    /// not the key log of `publisher`.
    pub fn verify<B: AsRef<[u8]>>(events: &[B], publisher: PublisherId, network: &Network) -> Result<Self, Error> {
        let [inception, rest @ ..] = events else {
            return Err(Error::field("key_log", "is empty"));
        };
        if events.len() > MAX_KEY_EVENTS {
            return Err(Error::field("key_log", "has more events than a key log may have"));
        }
        if let Some(unknown) = rest.first() {
            // No other kind of key event is known to these rules, so whatever follows is refused by its own number.
            let envelope = super::Envelope::decode(unknown.as_ref())?;
            return Err(Error::UnknownKind(envelope.kind));
        }
        let inception = Unverified::<Inception>::decode(inception.as_ref())?.verify(network)?;
        Ok(Self::new(inception.expect_id(publisher.inception())?))
    }

    /// Whose key log it is.
    pub const fn publisher(&self) -> PublisherId {
        PublisherId::from_inception(self.inception.id())
    }

    /// The handle that the publisher claims.
    pub fn handle(&self) -> &Handle {
        &self.inception.handle
    }

    /// The key that an event put in force.
    pub fn key_at(&self, event: &RecordId) -> Option<&PublicKey> {
        (*event == self.inception.id()).then(|| &self.inception.key)
    }

    /// The event that is in force now: what new records are signed under.
    pub const fn head(&self) -> RecordId {
        self.inception.id()
    }

    /// How many record indices the publisher has.
    pub const fn quota(&self) -> u32 {
        BASE_QUOTA
    }

    /// The events as records, in order.
    pub fn into_records(self) -> Vec<super::Record> {
        vec![super::Record::Inception(self.inception)]
    }

    /// The events as they are stored and sent, in order.
    pub fn events(&self) -> impl Iterator<Item = &super::RecordBytes> {
        std::iter::once(self.inception.bytes())
    }
}
