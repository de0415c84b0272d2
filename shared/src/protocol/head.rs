//! Package heads: what the DHT says of a package's newest release. Self-certifying: the head carries the records it stands on.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::names::PACKAGE_HEAD_PREFIX;
use crate::codec;
use crate::id::{Network, PackageId};
use crate::limits::MAX_HEAD_BYTES;
use crate::record::{self, KeyLog, Release, Unverified, Verified};

/// A package head as it is stored in the DHT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    key_log: Vec<ByteBuf>,
    release: ByteBuf,
}

/// Why a head is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not the encoding of a head.
    #[error("the package head does not decode: {0}")]
    Encoding(#[from] codec::Error),
    /// A record in it is refused.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The key is not that of a package head.
    #[error("the key is not that of a package head")]
    NotAHeadKey,
    /// The release belongs to another package than the key says.
    #[error("the head under the key of {expected} is of {actual}")]
    WrongPackage {
        /// What the key says.
        expected: PackageId,
        /// What the release says.
        actual: PackageId,
    },
}

impl Error {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Encoding(_) => "record/encoding",
            Self::Record(error) => error.code(),
            Self::NotAHeadKey => "head/bad-key",
            Self::WrongPackage { .. } => "head/wrong-package",
        }
    }
}

/// The DHT key of a package's head: `/ggen/package/<publisher>/<name>`.
pub fn key(package: &PackageId) -> Vec<u8> {
    format!("{PACKAGE_HEAD_PREFIX}{}/{}", package.publisher, package.name).into_bytes()
}

/// The package whose head is under a DHT key.
///
/// # Errors
/// [`Error::NotAHeadKey`].
pub fn package_of(key: &[u8]) -> Result<PackageId, Error> {
    let text = std::str::from_utf8(key).map_err(|_| Error::NotAHeadKey)?;
    let rest = text.strip_prefix(PACKAGE_HEAD_PREFIX).ok_or(Error::NotAHeadKey)?;
    let (publisher, name) = rest.split_once('/').ok_or(Error::NotAHeadKey)?;
    Ok(PackageId {
        publisher: publisher.parse().map_err(|_| Error::NotAHeadKey)?,
        name: name.parse().map_err(|_| Error::NotAHeadKey)?,
    })
}

/// The value to store for a release. None when the records are too long for the DHT; such a package is found by query only.
pub fn encode(key_log: &KeyLog, release: &Verified<Release>) -> Option<Vec<u8>> {
    let head = Head {
        key_log: key_log
            .events_for([(release.signed_under, release.id())])
            .into_iter()
            .map(|event| ByteBuf::from(event.to_vec()))
            .collect(),
        release: ByteBuf::from(release.bytes().to_vec()),
    };
    let bytes = codec::encode(&head);
    (bytes.len() <= MAX_HEAD_BYTES).then_some(bytes)
}

/// Reads and verifies a head that came from the DHT under `key`: both on put and on get.
///
/// # Errors
/// [`Error`]; nothing of a refused head is stored or shown.
pub fn verify(key: &[u8], value: &[u8], network: &Network) -> Result<(KeyLog, Verified<Release>), Error> {
    let expected = package_of(key)?;
    let head: Head = codec::decode(value, MAX_HEAD_BYTES)?;
    let release = Unverified::<Release>::decode(&head.release)?;
    let key_log = KeyLog::verify(&head.key_log, expected.publisher, network)?;
    let release = release.verify(&key_log, network)?;
    let actual = release.package();
    if actual != expected {
        return Err(Error::WrongPackage { expected, actual });
    }
    Ok((key_log, release))
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
