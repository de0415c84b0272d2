//! A key log that is good enough to show a release by.

use std::sync::Arc;

use super::{Error, Inception, Indexed, KeyLog, Payload, RecordBytes, Unverified, Verified};
use crate::id::{Handle, Network, PublisherId};

/// A key log whose inception nobody may have signed, as long as it is nothing but that inception.
///
/// To show a release that holds under it, no more is needed: a release names its publisher, which is the hash of all that the inception says,
/// and is signed by the very key that the inception introduces. So who has that key stands by the inception, and its own signature says
/// nothing besides; it is bytes that others demand, and is looked at before the key log goes to anybody else. Of the signatures of a page
/// of results, those of inceptions are two fifths.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PresumedKeyLog {
    key_log: KeyLog,
    is_signed: bool,
}

impl PresumedKeyLog {
    /// Reads a key log, of which the inception is read already. What follows it is verified, and the inception too then: by what a key signs
    /// that was rotated in, the one before it says nothing.
    ///
    /// # Errors
    /// As [`KeyLog::verify`].
    pub(crate) fn read<B: AsRef<[u8]>>(
        inception: Unverified<Inception>,
        rest: &[B],
        network: &Network,
    ) -> Result<Self, Error> {
        if rest.is_empty() {
            let Unverified { payload, id, bytes, .. } = inception;
            return Ok(Self {
                key_log: KeyLog::new(Verified { payload: Arc::new(payload), id, bytes }),
                is_signed: false,
            });
        }
        Ok(KeyLog::continued(inception.verify(network)?, rest, network)?.into())
    }

    /// Whose key log it is.
    pub const fn publisher(&self) -> PublisherId {
        self.key_log.publisher()
    }

    /// The handle that the publisher claims.
    pub fn handle(&self) -> &Handle {
        self.key_log.handle()
    }

    /// The events as they came.
    pub fn events(&self) -> impl Iterator<Item = &RecordBytes> {
        self.key_log.events()
    }

    /// Verifies a release of the publisher, or what it says of one: after that, what the key log says is no presumption any more.
    ///
    /// # Errors
    /// As [`Unverified::verify`].
    pub(crate) fn verify<T: Payload + Indexed>(
        &self,
        record: Unverified<T>,
        network: &Network,
    ) -> Result<Verified<T>, Error> {
        record.verify(&self.key_log, network)
    }

    /// The key log, verified whole: for whoever passes it on, or convinces others by it.
    ///
    /// # Errors
    /// [`Error::WeakKey`], [`Error::BadSignature`].
    pub fn verified(&self, network: &Network) -> Result<KeyLog, Error> {
        if self.is_signed {
            return Ok(self.key_log.clone());
        }
        let inception = self.key_log.events().next().map_or(&[][..], |inception| inception);
        Ok(KeyLog::new(Unverified::<Inception>::decode(inception)?.verify(network)?))
    }
}

impl From<KeyLog> for PresumedKeyLog {
    fn from(key_log: KeyLog) -> Self {
        Self { key_log, is_signed: true }
    }
}
