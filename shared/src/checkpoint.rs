//! Checkpoints: what a relay commits to, once an epoch. Whoever holds two of one relay for one epoch and by the same rules holds a proof of its
//! fraud.

use std::ops::Deref;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::codec;
use crate::id::{Network, PublicKey};
use crate::merkle::Hash;
use crate::rules::Rules;

/// Seconds of an epoch, unless a network is set up otherwise (tests are).
pub const EPOCH_SECONDS: u64 = 60;
/// Epochs by which a checkpoint may be from the asker's own: clocks differ, and so do the moments at which epochs begin.
pub const MAX_EPOCHS_APART: u64 = 2;
/// Bytes of a signed checkpoint.
pub const MAX_CHECKPOINT_BYTES: usize = 512;

const CONTEXT: &[u8] = b"ggen marketplace signed checkpoint\0";

/// What a relay commits to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoint {
    /// The network whose records count.
    pub network: Network,
    /// The relay: its identity key.
    pub relay: PublicKey,
    /// When: ⌊seconds since 1970 / seconds of an epoch⌋.
    pub epoch: u64,
    /// The root of its map.
    pub root: Root,
    /// The number of the [`Rules`] that the map was made by.
    pub rules: u32,
    /// The hash of the list of what the operator excludes; none when it is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclusions: Option<Root>,
    /// The hash of the relay's checkpoint before this one by these rules; none of its first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Root>,
}

/// A hash inside a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Root(#[serde(with = "serde_bytes")] [u8; Hash::BYTES]);

impl From<Hash> for Root {
    fn from(hash: Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl From<Root> for Hash {
    fn from(root: Root) -> Self {
        Self::from_bytes(root.0)
    }
}

/// Why a checkpoint is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is none.
    #[error("the checkpoint is malformed: {0}")]
    Encoding(#[from] codec::Error),
    /// The relay did not sign it.
    #[error("the checkpoint's signature does not hold")]
    BadSignature,
    /// It is another relay's.
    #[error("the checkpoint is of another relay")]
    WrongRelay,
    /// It is of another network.
    #[error("the checkpoint is of network {0}")]
    WrongNetwork(Network),
    /// It was made by other rules than those that were asked for, or that are known.
    #[error("the checkpoint was made by other rules: {0}")]
    OtherRules(u32),
    /// It is too old, or from the future.
    #[error("the checkpoint is of epoch {epoch}, and it is {now} now")]
    NotFresh {
        /// The checkpoint's epoch.
        epoch: u64,
        /// The asker's.
        now: u64,
    },
}

impl Error {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Encoding(_) => "checkpoint/encoding",
            Self::BadSignature => "checkpoint/bad-signature",
            Self::WrongRelay => "checkpoint/wrong-relay",
            Self::WrongNetwork(_) => "checkpoint/wrong-network",
            Self::OtherRules(_) => "checkpoint/other-rules",
            Self::NotFresh { .. } => "checkpoint/not-fresh",
        }
    }
}

/// Something with its signature, which holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed<T> {
    payload: T,
    bytes: ByteBuf,
}

impl<T> Deref for Signed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.payload
    }
}

impl<T> Signed<T> {
    /// The bytes as they are stored and sent, signature included.
    pub const fn bytes(&self) -> &ByteBuf {
        &self.bytes
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    #[serde(rename = "p", with = "serde_bytes")]
    payload: Vec<u8>,
    #[serde(rename = "s", with = "serde_bytes")]
    signature: [u8; 64],
}

impl Checkpoint {
    /// Signs it. The key must be the relay's own.
    ///
    /// # Errors
    /// [`Error::WrongRelay`] for another key.
    pub fn sign(self, key: &SigningKey) -> Result<Signed<Self>, Error> {
        if key.verifying_key().to_bytes() != *self.relay.as_bytes() {
            return Err(Error::WrongRelay);
        }
        let payload = codec::encode(&self);
        let signature = key.sign(&[CONTEXT, &payload].concat()).to_bytes();
        let bytes = codec::encode(&Envelope { payload, signature });
        Ok(Signed { payload: self, bytes: ByteBuf::from(bytes) })
    }

    /// Reads a checkpoint of a network and checks its signature.
    ///
    /// # Errors
    /// [`Error::Encoding`], [`Error::WrongNetwork`], [`Error::BadSignature`].
    pub fn verify(bytes: &[u8], network: &Network) -> Result<Signed<Self>, Error> {
        let envelope: Envelope = codec::decode(bytes, MAX_CHECKPOINT_BYTES)?;
        let payload: Self = codec::decode(&envelope.payload, MAX_CHECKPOINT_BYTES)?;
        if payload.network != *network {
            return Err(Error::WrongNetwork(payload.network));
        }
        let key = VerifyingKey::from_bytes(payload.relay.as_bytes()).map_err(|_| Error::BadSignature)?;
        let message = [CONTEXT, &envelope.payload].concat();
        key.verify_strict(&message, &Signature::from_bytes(&envelope.signature)).map_err(|_| Error::BadSignature)?;
        Ok(Signed { payload, bytes: ByteBuf::from(bytes.to_vec()) })
    }
}

/// The relay that a checkpoint names, which has not been verified to have signed it.
pub fn claimed_relay(bytes: &[u8]) -> Option<PublicKey> {
    let envelope: Envelope = codec::decode(bytes, MAX_CHECKPOINT_BYTES).ok()?;
    Some(codec::decode::<Checkpoint>(&envelope.payload, MAX_CHECKPOINT_BYTES).ok()?.relay)
}

impl Signed<Checkpoint> {
    /// What the relay's next checkpoint by the same rules names as the one before it.
    pub fn hash(&self) -> Root {
        Root(blake3::derive_key("ggen marketplace 2026 checkpoint", &self.bytes))
    }

    /// Checks that it is this relay's, of about this epoch, and by these rules.
    ///
    /// # Errors
    /// [`Error::WrongRelay`], [`Error::OtherRules`], [`Error::NotFresh`].
    pub fn expect(self, relay: &PublicKey, now: u64, rules: Rules) -> Result<Self, Error> {
        if self.relay != *relay {
            return Err(Error::WrongRelay);
        }
        if self.rules != rules.number {
            return Err(Error::OtherRules(self.rules));
        }
        if self.epoch.abs_diff(now) > MAX_EPOCHS_APART {
            return Err(Error::NotFresh { epoch: self.epoch, now });
        }
        Ok(self)
    }

    /// Whether both prove that their relay lied: two roots for one epoch. By other rules, the same records make another map.
    pub fn contradicts(&self, other: &Self) -> bool {
        self.relay == other.relay
            && self.network == other.network
            && self.epoch == other.epoch
            && self.rules == other.rules
            && self.bytes != other.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn network() -> Network {
        Network::named("test").unwrap()
    }

    fn checkpoint(seed: u8, epoch: u64, root: Hash) -> Checkpoint {
        let relay = PublicKey::from_bytes(key(seed).verifying_key().to_bytes());
        Checkpoint {
            network: network(),
            relay,
            epoch,
            root: root.into(),
            rules: Rules::FIRST.number,
            exclusions: None,
            previous: None,
        }
    }

    #[test]
    fn what_is_signed_is_read_again() {
        let signed = checkpoint(1, 7, Hash::empty()).sign(&key(1)).unwrap();
        let read = Checkpoint::verify(signed.bytes(), &network()).unwrap();
        assert_eq!(read, signed);
        assert!(signed.bytes().len() < MAX_CHECKPOINT_BYTES);
        let relay = read.relay;
        for epoch in 5..=9 {
            assert!(read.clone().expect(&relay, epoch, Rules::FIRST).is_ok());
        }
        for now in [4, 10] {
            assert_eq!(read.clone().expect(&relay, now, Rules::FIRST), Err(Error::NotFresh { epoch: 7, now }));
        }
        let other = checkpoint(2, 7, Hash::empty()).relay;
        assert_eq!(read.clone().expect(&other, 7, Rules::FIRST), Err(Error::WrongRelay));
        let second = Rules { number: 2, ..Rules::FIRST };
        assert_eq!(read.expect(&relay, 7, second), Err(Error::OtherRules(1)));
    }

    #[test]
    fn a_changed_one_is_refused() {
        let signed = checkpoint(1, 7, Hash::empty()).sign(&key(1)).unwrap();
        for at in 0..signed.bytes().len() {
            let mut bytes = signed.bytes().to_vec();
            bytes[at] ^= 1;
            assert!(Checkpoint::verify(&bytes, &network()).is_err(), "byte {at}");
        }
        assert!(Checkpoint::verify(&[&signed.bytes()[..], b"\0"].concat(), &network()).is_err());
        let other = Network::named("other").unwrap();
        assert_eq!(Checkpoint::verify(signed.bytes(), &other), Err(Error::WrongNetwork(network())));
        assert_eq!(checkpoint(1, 7, Hash::empty()).sign(&key(2)), Err(Error::WrongRelay));
    }

    #[test]
    fn two_roots_for_one_epoch_contradict_each_other() {
        let one = checkpoint(1, 7, Hash::empty()).sign(&key(1)).unwrap();
        let other = checkpoint(1, 7, Hash::leaf(b"", b"")).sign(&key(1)).unwrap();
        let later = checkpoint(1, 8, Hash::leaf(b"", b"")).sign(&key(1)).unwrap();
        let anothers = checkpoint(2, 7, Hash::leaf(b"", b"")).sign(&key(2)).unwrap();
        let by_others = Checkpoint { rules: 2, ..checkpoint(1, 7, Hash::leaf(b"", b"")) }.sign(&key(1)).unwrap();
        assert!(one.contradicts(&other) && other.contradicts(&one));
        assert!(!one.contradicts(&by_others), "two maps of the same records");
        assert!(!one.contradicts(&one) && !one.contradicts(&later) && !one.contradicts(&anothers));
    }
}
