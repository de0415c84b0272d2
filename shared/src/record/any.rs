//! A record of whatever kind.

use super::{
    Envelope, Error, Inception, KeepPage, KeyLog, Kind, Payload, RecordBytes, Release, Rotation, Status, Unknown,
    Unverified, Verified,
};
use crate::id::{Network, PublisherId, RecordId};

/// A record of any kind, not yet verified.
#[derive(Debug, Clone)]
#[allow(
    clippy::large_enum_variant,
    reason = "on 64 bits only: it lives for one verification; a box would only cost an allocation"
)]
pub enum UnverifiedRecord {
    /// The beginning of a key log.
    Inception(Unverified<Inception>),
    /// A list of records that a rotation keeps.
    KeepPage(Unverified<KeepPage>),
    /// The next key of a key log.
    Rotation(Unverified<Rotation>),
    /// A release of a package.
    Release(Box<Unverified<Release>>),
    /// What a version is good for.
    Status(Unverified<Status>),
    /// A record of a kind that these rules do not know.
    Unknown(Unverified<Unknown>),
}

impl UnverifiedRecord {
    /// Reads a record of any kind.
    ///
    /// # Errors
    /// [`Error::Encoding`], [`Error::UnknownKind`] for a number that is no kind, [`Error::Field`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let envelope = Envelope::decode(bytes)?;
        let Some(kind @ Kind::Unknown(number)) = Kind::from_number(envelope.kind) else {
            return Self::of_known(envelope, bytes);
        };
        let payload = Unknown::decode(number, &envelope.payload)?;
        Ok(Self::Unknown(Unverified::enveloped(kind, payload, &envelope, RecordBytes::new(bytes))))
    }

    /// Reads a record of a kind that these rules know: what a light peer does, which has no use for the others, and no room for what
    /// reads them.
    ///
    /// # Errors
    /// [`Error::Encoding`], [`Error::UnknownKind`], [`Error::Field`].
    pub fn decode_known(bytes: &[u8]) -> Result<Self, Error> {
        Self::of_known(Envelope::decode(bytes)?, bytes)
    }

    fn of_known(envelope: Envelope, bytes: &[u8]) -> Result<Self, Error> {
        let bytes = RecordBytes::new(bytes);
        match Kind::from_number(envelope.kind) {
            Some(Kind::Inception) => Unverified::from_envelope(envelope, bytes).map(Self::Inception),
            Some(Kind::KeepPage) => Unverified::from_envelope(envelope, bytes).map(Self::KeepPage),
            Some(Kind::Rotation) => Unverified::from_envelope(envelope, bytes).map(Self::Rotation),
            Some(Kind::Release) => {
                Unverified::from_envelope(envelope, bytes).map(|record| Self::Release(Box::new(record)))
            }
            Some(Kind::Status) => Unverified::from_envelope(envelope, bytes).map(Self::Status),
            Some(Kind::Unknown(_)) | None => Err(Error::UnknownKind(envelope.kind)),
        }
    }

    /// The record's id.
    pub fn id(&self) -> RecordId {
        match self {
            Self::Inception(record) => record.id(),
            Self::KeepPage(record) => record.id(),
            Self::Rotation(record) => record.id(),
            Self::Release(record) => record.id(),
            Self::Status(record) => record.id(),
            Self::Unknown(record) => record.id(),
        }
    }

    /// Whose record it says it is.
    pub fn publisher(&self) -> PublisherId {
        match self {
            Self::Inception(record) => PublisherId::from_inception(record.id()),
            Self::KeepPage(record) => record.payload.publisher,
            Self::Rotation(record) => record.payload.publisher,
            Self::Release(record) => record.publisher(),
            Self::Status(record) => record.publisher(),
            Self::Unknown(record) => record.publisher(),
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Inception(_) => Inception::KIND,
            Self::KeepPage(_) => KeepPage::KIND,
            Self::Rotation(_) => Rotation::KIND,
            Self::Release(_) => Release::KIND,
            Self::Status(_) => Status::KIND,
            Self::Unknown(record) => record.kind,
        }
    }

    /// Whether it is part of a key log: what others are verified against.
    pub const fn is_key_event(&self) -> bool {
        matches!(self, Self::Inception(_) | Self::KeepPage(_) | Self::Rotation(_))
    }

    /// Verifies it against its publisher's key log, as far as it is known; an inception needs none.
    ///
    /// # Errors
    /// [`Error::NoKeyLog`], and those of the record's kind.
    pub fn verify(self, key_log: Option<&KeyLog>, network: &Network) -> Result<Record, Error> {
        let of = self.publisher();
        let key_log = key_log.ok_or(Error::NoKeyLog(of));
        Ok(match self {
            Self::Inception(record) => Record::Inception(record.verify(network)?),
            Self::KeepPage(record) => Record::KeepPage(Box::new(record.verify(key_log?, network)?)),
            Self::Rotation(record) => Record::Rotation(Box::new(record.verify(key_log?, network)?)),
            Self::Release(record) => Record::Release(Box::new(record.verify(key_log?, network)?)),
            Self::Status(record) => Record::Status(Box::new(record.verify(key_log?, network)?)),
            Self::Unknown(record) => Record::Unknown(Box::new(record.verify(key_log?, network)?)),
        })
    }
}

/// A verified record of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The beginning of a key log.
    Inception(Verified<Inception>),
    /// A list of records that a rotation keeps.
    KeepPage(Box<Verified<KeepPage>>),
    /// The next key of a key log.
    Rotation(Box<Verified<Rotation>>),
    /// A release of a package.
    Release(Box<Verified<Release>>),
    /// What a version is good for.
    Status(Box<Verified<Status>>),
    /// A record of a kind that these rules do not know.
    Unknown(Box<Verified<Unknown>>),
}

impl Record {
    /// The record's id.
    pub const fn id(&self) -> RecordId {
        match self {
            Self::Inception(record) => record.id(),
            Self::KeepPage(record) => record.id(),
            Self::Rotation(record) => record.id(),
            Self::Release(record) => record.id(),
            Self::Status(record) => record.id(),
            Self::Unknown(record) => record.id(),
        }
    }

    /// The record as it is stored and sent.
    pub const fn bytes(&self) -> &RecordBytes {
        match self {
            Self::Inception(record) => record.bytes(),
            Self::KeepPage(record) => record.bytes(),
            Self::Rotation(record) => record.bytes(),
            Self::Release(record) => record.bytes(),
            Self::Status(record) => record.bytes(),
            Self::Unknown(record) => record.bytes(),
        }
    }

    /// Whose record it is.
    pub fn publisher(&self) -> PublisherId {
        match self {
            Self::Inception(record) => PublisherId::from_inception(record.id()),
            Self::KeepPage(record) => record.publisher,
            Self::Rotation(record) => record.publisher,
            Self::Release(record) => record.publisher,
            Self::Status(record) => record.publisher,
            Self::Unknown(record) => record.publisher,
        }
    }

    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Inception(_) => Inception::KIND,
            Self::KeepPage(_) => KeepPage::KIND,
            Self::Rotation(_) => Rotation::KIND,
            Self::Release(_) => Release::KIND,
            Self::Status(_) => Status::KIND,
            Self::Unknown(record) => Kind::Unknown(record.kind),
        }
    }

    /// The release, if it is one.
    pub const fn release(&self) -> Option<&Verified<Release>> {
        match self {
            Self::Release(release) => Some(release),
            _ => None,
        }
    }

    /// The status, if it is one.
    pub const fn status(&self) -> Option<&Verified<Status>> {
        match self {
            Self::Status(status) => Some(status),
            _ => None,
        }
    }

    /// What it says of itself that is signed by the key in force; None for key events.
    pub fn indexed(&self) -> Option<&dyn super::Indexed> {
        match self {
            Self::Inception(_) | Self::KeepPage(_) | Self::Rotation(_) => None,
            Self::Release(record) => Some(&***record),
            Self::Status(record) => Some(&***record),
            Self::Unknown(record) => Some(&***record),
        }
    }
}
