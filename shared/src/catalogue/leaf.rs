//! What an entry of the map carries besides its key: for entries of packages, what answers are made of.

use std::sync::Arc;

use super::keys::{PackageKey, ShortId};
use crate::id::{PublisherId, RecordId};
use crate::merkle::Value;
use crate::record::{Record, RecordBytes, Release, State, Verified};
use crate::rules::Rules;
use crate::search::analyser::Tokens;
use crate::search::filter::Filter;
use crate::search::rank::Popularity;

/// How a package is listed: a function of its head and of how many depend on it. A snapshot of the map keeps it, so that it
/// answers as it did even when the head has changed since.
///
/// What a map looks at for every entry comes first: it is in memory beside the count of who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct Listed {
    /// The release that the package is listed by.
    pub head: RecordId,
    /// What rules out most other words.
    pub filter: Filter,
    /// Whose it is.
    pub publisher: PublisherId,
    /// The package.
    pub package: PackageKey,
    /// The release as it was signed.
    pub bytes: RecordBytes,
    /// The words it is found by.
    pub tokens: Tokens,
    /// How many depend on it.
    pub popularity: Popularity,
    /// When the release was made, as its publisher says.
    pub created: u64,
}

impl Listed {
    pub(super) fn of(release: &Verified<Release>, popularity: Popularity, rules: Rules) -> Self {
        let tokens = rules.tokens(release);
        Self {
            head: release.id(),
            publisher: release.publisher,
            package: PackageKey::of(&release.package()),
            bytes: release.bytes().clone(),
            filter: Filter::of(release, &tokens),
            tokens,
            popularity,
            created: release.created,
        }
    }
}

/// What a status says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What the version is now.
    pub state: State,
    /// The status that says so.
    pub status: ShortId,
}

impl Decision {
    /// Bytes of a decision.
    pub const BYTES: usize = 1 + ShortId::BYTES;

    /// The decision as the value of an entry: the state's number, and the short id of the status.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [self.state.number(); Self::BYTES];
        bytes[1..].copy_from_slice(self.status.as_bytes());
        bytes
    }

    /// The decision with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (state, status) = bytes.split_first()?;
        Some(Self { state: State::from_number(*state)?, status: ShortId::from_bytes(status.try_into().ok()?) })
    }
}

/// The value of an entry: a pointer, because there are millions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf(Option<Arc<Said>>);

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Listed(Listed),
    Decided([u8; Decision::BYTES]),
}

impl Leaf {
    /// The value of entries that say all in their keys.
    pub const NONE: Self = Self(None);

    /// The value of an entry of a package that is listed so.
    pub fn of(listed: Listed) -> Self {
        Self(Some(Arc::new(Said::Listed(listed))))
    }

    /// The value of the entries of a version that a status decides about.
    pub fn decided(decision: &Decision) -> Self {
        Self(Some(Arc::new(Said::Decided(decision.to_bytes()))))
    }

    /// What a status says of the version that the entry is about.
    pub fn decision(&self) -> Option<Decision> {
        match self.0.as_deref() {
            Some(Said::Decided(bytes)) => Decision::from_bytes(bytes),
            Some(Said::Listed(_)) | None => None,
        }
    }

    /// How the package is listed that the entry is about.
    pub fn listed(&self) -> Option<&Listed> {
        match self.0.as_deref() {
            Some(Said::Listed(listed)) => Some(listed),
            Some(Said::Decided(_)) | None => None,
        }
    }
}

impl Value for Leaf {
    fn bytes(&self) -> &[u8] {
        match self.0.as_deref() {
            Some(Said::Listed(listed)) => listed.filter.as_bytes(),
            Some(Said::Decided(decision)) => decision,
            None => &[],
        }
    }

    fn tail(&self) -> &[u8] {
        // All entries by which a package is listed end with the release that it is listed by.
        self.listed().map_or(&[], |listed| &listed.head.as_bytes()[..ShortId::BYTES])
    }
}

/// The entries of a member that do not depend on any other.
pub(super) fn own_entries(record: &Record) -> Vec<Vec<u8>> {
    let mut entries = vec![super::keys::record(record)];
    if let Record::Inception(inception) = record {
        let publisher = PublisherId::from_inception(inception.id());
        entries.push([&super::keys::handle(&inception.handle), &publisher.as_bytes()[..]].concat());
    }
    entries
}
