//! Records: what publishers sign. Bytes decode to [`Unverified`]; only `verify` makes a [`Verified`].

mod any;
mod envelope;
mod inception;
mod key_log;
mod presumed;
mod release;
mod rotation;
mod status;
#[cfg(test)]
mod tests;
mod text;
mod unknown;
mod work;

pub use any::{Record, UnverifiedRecord};
pub use envelope::{Envelope, Kind, RecordBytes};
pub use inception::Inception;
pub use key_log::{Followed, KeyLog};
pub use presumed::PresumedKeyLog;
pub use release::{Artifact, Content, ContentId, Dependency, Release, Version};
pub use rotation::{KeepPage, Rotation};
pub use status::{State, Status, Weight};
pub use unknown::{Unknown, sign_unknown};
pub use work::{Prover, Work};

pub(crate) use text::is_unprintable;

use std::sync::Arc;

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::id::{Network, PublicKey, PublisherId, RecordId};

/// Why a record is refused. Nothing of a refused record is stored or forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The envelope or the payload is not canonical dag-cbor of the expected shape, or too long.
    #[error("the record does not decode: {0}")]
    Encoding(#[from] codec::Error),
    /// A number that is no kind of record, or of another kind than was asked for.
    #[error("a record of kind {0} is not expected here")]
    UnknownKind(u16),
    /// A field holds what the rules do not allow.
    #[error("the field `{field}` {reason}")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// Which rule it breaks.
        reason: String,
    },
    /// The public key has small order, is no point, or is not the one encoding of it: signatures under it prove nothing.
    #[error("the public key is not a sound Ed25519 key")]
    WeakKey,
    /// The signature does not hold for this payload, kind and network.
    #[error("the signature does not match the record")]
    BadSignature,
    /// The hash of the payload is not the id that was asked for.
    #[error("the record is {actual}, not {expected}")]
    WrongId {
        /// What was asked for.
        expected: RecordId,
        /// What came.
        actual: RecordId,
    },
    /// The key log that the record is checked against is another publisher's.
    #[error("the record belongs to publisher {actual}, the key log to {expected}")]
    WrongPublisher {
        /// Whose key log it is.
        expected: PublisherId,
        /// Whom the record names.
        actual: PublisherId,
    },
    /// The key log that the record is checked against is missing.
    #[error("the key log of publisher {0} is not here")]
    NoKeyLog(PublisherId),
    /// The record names a key event that its publisher's key log does not hold, or not any more since it forked.
    #[error("the record is signed under key event {0}, which the key log does not hold")]
    UnknownKeyEvent(RecordId),
    /// The key that a rotation or a keep page reveals is not the one that the event before it committed to.
    #[error("the revealed key is not the one that key event {0} committed to")]
    NotCommitted(RecordId),
    /// The key that signed the record was rotated out, and the rotation does not keep the record.
    #[error("the record {0} is void: its key was rotated out, and the rotation does not keep it")]
    Void(RecordId),
    /// The key that signed the record was rotated out, and the page that would keep the record is not here.
    #[error("the key log comes without the page that would keep the record {0}")]
    NoKeepPage(RecordId),
    /// An identity has not done the work that its network asks for, or says that it has done some where none is asked for.
    #[error(
        "the identity has not proven the work that this network asks for, or has proven some where none is asked for"
    )]
    WrongWork,
    /// The record's index is not below the publisher's quota.
    #[error("the record index {index} is not below the publisher's quota of {quota}")]
    OverQuota {
        /// The record's index.
        index: u32,
        /// The first index that is too high.
        quota: u32,
    },
}

impl Error {
    /// A stable code for programs, such as `record/bad-signature`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Encoding(_) => "record/encoding",
            Self::UnknownKind(_) => "record/unknown-kind",
            Self::Field { .. } => "record/field",
            Self::WeakKey => "record/weak-key",
            Self::BadSignature => "record/bad-signature",
            Self::WrongId { .. } => "record/wrong-id",
            Self::WrongPublisher { .. } => "record/wrong-publisher",
            Self::NoKeyLog(_) => "record/no-key-log",
            Self::UnknownKeyEvent(_) => "record/unknown-key-event",
            Self::NotCommitted(_) => "record/not-committed",
            Self::Void(_) => "record/void",
            Self::NoKeepPage(_) => "record/no-keep-page",
            Self::WrongWork => "record/wrong-work",
            Self::OverQuota { .. } => "record/over-quota",
        }
    }

    /// Whether the record may hold all the same where more, or less, is known of its publisher's key log. Whoever passed it on is not at fault.
    pub const fn depends_on_key_log(&self) -> bool {
        matches!(self, Self::NoKeyLog(_) | Self::UnknownKeyEvent(_) | Self::Void(_) | Self::NoKeepPage(_))
    }

    fn field(field: &'static str, reason: impl Into<String>) -> Self {
        Self::Field { field, reason: reason.into() }
    }
}

/// What the payload of a kind of record is, and which of its fields are allowed to hold what.
pub trait Payload: Serialize + DeserializeOwned + Clone {
    /// The kind that stands in the envelope and separates the hashes and signatures of kinds.
    const KIND: Kind;

    /// Checks everything that can be checked without a key.
    ///
    /// # Errors
    /// [`Error::Field`] for the first field that breaks a rule.
    fn check(&self) -> Result<(), Error>;

    /// Checks what depends on the network and the record's id: costly, so it comes last.
    ///
    /// # Errors
    /// [`Error::WrongWork`].
    fn check_for(&self, _id: &RecordId, _network: &Network) -> Result<(), Error> {
        Ok(())
    }
}

/// A record whose shape is right. Its signature has not been looked at: show nothing of it, store nothing of it.
#[derive(Debug, Clone)]
pub struct Unverified<T> {
    kind: Kind,
    payload: T,
    id: RecordId,
    signature: [u8; 64],
    bytes: RecordBytes,
}

impl<T: Payload> Unverified<T> {
    /// Reads a record of one kind.
    ///
    /// # Errors
    /// [`Error::Encoding`], [`Error::UnknownKind`] for any other kind, [`Error::Field`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let envelope = Envelope::decode(bytes)?;
        Self::from_envelope(envelope, RecordBytes::new(bytes))
    }

    fn from_envelope(envelope: Envelope, bytes: RecordBytes) -> Result<Self, Error> {
        if envelope.kind != u16::from(T::KIND.number()) {
            return Err(Error::UnknownKind(envelope.kind));
        }
        let payload: T = codec::decode(&envelope.payload, crate::limits::MAX_RECORD_BYTES)?;
        payload.check()?;
        Ok(Self::enveloped(T::KIND, payload, &envelope, bytes))
    }
}

impl<T> Unverified<T> {
    /// The record's id: the hash of the payload, whatever the signature is.
    pub const fn id(&self) -> RecordId {
        self.id
    }

    fn enveloped(kind: Kind, payload: T, envelope: &Envelope, bytes: RecordBytes) -> Self {
        Self { kind, payload, id: kind.id_of(&envelope.payload), signature: envelope.signature, bytes }
    }

    fn verify_under(self, key: &PublicKey, network: &Network) -> Result<Verified<T>, Error> {
        let id = self.id;
        let key = sound_key(key)?;
        verify_strictly(&key, &self.kind.signed_message(network, &id), &self.signature)?;
        Ok(Verified { payload: Arc::new(self.payload), id, bytes: self.bytes })
    }
}

/// The key, if signatures under it prove anything. A second encoding of a point is refused too: one key has one name.
fn sound_key(key: &PublicKey) -> Result<VerifyingKey, Error> {
    let sound = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| Error::WeakKey)?;
    if is_reduced(key.as_bytes()) && !sound.is_weak() { Ok(sound) } else { Err(Error::WeakKey) }
}

/// Whether a point is written with a coordinate below the field's prime. Beside that, only points of small order have two encodings: those
/// without an x, whose sign says nothing.
fn is_reduced(point: &[u8; 32]) -> bool {
    let [lowest, rest @ .., highest] = point;
    let is_beyond = highest & 0x7f == 0x7f && rest.iter().all(|byte| *byte == 0xff) && *lowest >= 0xed;
    !is_beyond
}

/// Holds for what [`VerifyingKey::verify_strict`] holds for, given a [sound key](sound_key), and nothing else: that the point of a signature
/// can be decompressed follows from its being the compressed form of the one that is computed, and it has small order if it is the compressed
/// form of one that has. To look at the bytes saves a square root of each signature.
fn verify_strictly(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> Result<(), Error> {
    let signature = Signature::from_bytes(signature);
    match key.verify(message, &signature) {
        Ok(()) if !is_small_order(signature.r_bytes()) => Ok(()),
        _ => Err(Error::BadSignature),
    }
}

/// Whether this is the compressed form of one of the eight points of small order.
fn is_small_order(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}

/// The y coordinates of the points of small order: 0, one, minus one, and those of the points of order eight.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    filled(0x01, 0x00, 0x00),
    filled(0xec, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn filled(lowest: u8, between: u8, highest: u8) -> [u8; 32] {
    let mut y = [between; 32];
    (y[0], y[31]) = (lowest, highest);
    y
}

impl Unverified<Inception> {
    /// Verifies an inception: it is signed by the key that it introduces, and proves the work that the network asks for. Takes some
    /// milliseconds where that is any, the first time.
    ///
    /// # Errors
    /// [`Error::WeakKey`], [`Error::BadSignature`], [`Error::WrongWork`].
    pub fn verify(self, network: &Network) -> Result<Verified<Inception>, Error> {
        let verified = self.verify_again(network)?;
        verified.check_for(&verified.id, network)?;
        Ok(verified)
    }

    /// As [`Self::verify`], of an inception that was verified when it was stored: what its work hashes to is not looked at again.
    ///
    /// # Errors
    /// As [`Self::verify`].
    pub fn verify_again(self, network: &Network) -> Result<Verified<Inception>, Error> {
        let key = self.payload.key;
        let verified = self.verify_under(&key, network)?;
        verified.work.check_claim(network)?;
        Ok(verified)
    }

    /// Whether to verify it takes milliseconds: whoever sends it has to pay for that.
    pub const fn claims_work(&self) -> bool {
        self.payload.work.level > 0
    }
}

/// What a record says of itself that is signed by the key in force: whose it is, under which key event, and at which index it stands.
pub trait Indexed {
    /// Who publishes it.
    fn publisher(&self) -> PublisherId;
    /// The key event that it is signed under.
    fn signed_under(&self) -> RecordId;
    /// Its index below the publisher's quota.
    fn index(&self) -> u32;
}

macro_rules! indexed {
    ($($payload:ty),*) => { $(
        impl Indexed for $payload {
            fn publisher(&self) -> PublisherId {
                self.publisher
            }

            fn signed_under(&self) -> RecordId {
                self.signed_under
            }

            fn index(&self) -> u32 {
                self.index
            }
        }
    )* };
}

indexed!(Release, Status, Unknown);

impl<T: Indexed> Unverified<T> {
    /// What it says. Nobody may have signed that.
    pub(crate) const fn claims(&self) -> &T {
        &self.payload
    }

    /// Who is said to publish it: whose key log is needed to verify it.
    pub fn publisher(&self) -> PublisherId {
        self.payload.publisher()
    }

    /// The key event that it says it is signed under.
    pub fn signed_under(&self) -> RecordId {
        self.payload.signed_under()
    }

    /// Verifies a record against its publisher's key log.
    ///
    /// # Errors
    /// [`Error::WrongPublisher`], [`Error::UnknownKeyEvent`], [`Error::Void`], [`Error::NoKeepPage`], [`Error::OverQuota`],
    /// [`Error::WeakKey`], [`Error::BadSignature`].
    pub fn verify(self, key_log: &KeyLog, network: &Network) -> Result<Verified<T>, Error> {
        let key = *key_log.check(&self.payload, &self.id)?;
        self.verify_under(&key, network)
    }
}

impl Unverified<Rotation> {
    /// Verifies a rotation: it is signed by the key that it reveals, and the event before it committed to that key. The key that it puts in
    /// force need not sign it: to name another's key gives nobody anything, since every record says whose it is.
    ///
    /// # Errors
    /// [`Error::WrongPublisher`], [`Error::UnknownKeyEvent`], [`Error::NotCommitted`], [`Error::WeakKey`], [`Error::BadSignature`].
    pub fn verify(self, key_log: &KeyLog, network: &Network) -> Result<Verified<Rotation>, Error> {
        key_log.check_follower(&self.payload)?;
        // As an inception's key, which signs it: no key log has a key in force that proves nothing.
        _ = sound_key(&self.payload.key)?;
        let revealed = self.payload.revealed;
        self.verify_under(&revealed, network)
    }
}

impl Unverified<KeepPage> {
    /// Verifies a keep page: it is signed by the key that the event committed to whose records it keeps.
    ///
    /// # Errors
    /// [`Error::WrongPublisher`], [`Error::UnknownKeyEvent`], [`Error::NotCommitted`], [`Error::WeakKey`], [`Error::BadSignature`].
    pub fn verify(self, key_log: &KeyLog, network: &Network) -> Result<Verified<KeepPage>, Error> {
        key_log.check_follower(&self.payload)?;
        let revealed = self.payload.revealed;
        self.verify_under(&revealed, network)
    }
}

/// A record whose encoding, fields, hash and signature hold. There is no other way to one than `verify` and
/// [`sign`], but inside of a [`PresumedKeyLog`]. Clones share what it says.
#[derive(PartialEq, Eq)]
pub struct Verified<T> {
    payload: Arc<T>,
    id: RecordId,
    bytes: RecordBytes,
}

impl<T> Clone for Verified<T> {
    fn clone(&self) -> Self {
        Self { payload: Arc::clone(&self.payload), id: self.id, bytes: self.bytes.clone() }
    }
}

impl<T> Verified<T> {
    /// The record's id.
    pub const fn id(&self) -> RecordId {
        self.id
    }

    /// The record as it is stored and sent: the envelope with its signature.
    pub const fn bytes(&self) -> &RecordBytes {
        &self.bytes
    }

    /// Demands that this is the record that was asked for.
    ///
    /// # Errors
    /// [`Error::WrongId`].
    pub fn expect_id(self, expected: RecordId) -> Result<Self, Error> {
        if self.id == expected { Ok(self) } else { Err(Error::WrongId { expected, actual: self.id }) }
    }
}

impl<T> std::ops::Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.payload
    }
}

impl<T: std::fmt::Debug> std::fmt::Debug for Verified<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified").field("id", &self.id).field("payload", &self.payload).finish_non_exhaustive()
    }
}

/// Signs a payload. The result went through the same checks as a record from a peer, the signature excepted.
///
/// # Errors
/// [`Error::Field`] for a payload that breaks a rule, [`Error::WrongWork`] for an inception without the work that the network asks for,
/// [`Error::Encoding`] when the record would be too long.
pub fn sign<T: Payload>(payload: T, key: &SigningKey, network: &Network) -> Result<Verified<T>, Error> {
    payload.check()?;
    let encoded = codec::encode(&payload);
    let id = T::KIND.id_of(&encoded);
    payload.check_for(&id, network)?;
    let signature = key.sign(&T::KIND.signed_message(network, &id)).to_bytes();
    let bytes = Envelope { kind: T::KIND.number().into(), payload: encoded, signature }.encode()?;
    Ok(Verified { payload: Arc::new(payload), id, bytes })
}
