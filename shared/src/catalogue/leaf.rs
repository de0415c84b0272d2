//! What an entry of the map carries besides its key: for entries of packages, what answers are made of.

use std::sync::Arc;

use super::keys::PackageKey;
use crate::id::{PublisherId, RecordId};
use crate::merkle::Value;
use crate::record::{Record, RecordBytes, Release, Verified};
use crate::search::analyser::Tokens;
use crate::search::filter::Filter;
use crate::search::rank::Popularity;

/// How a package is listed: a function of its head and of how many depend on it. A snapshot of the map keeps it, so that it
/// answers as it did even when the head has changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The release that the package is listed by.
    pub head: RecordId,
    /// Whose it is.
    pub publisher: PublisherId,
    /// The package.
    pub package: PackageKey,
    /// The release as it was signed.
    pub bytes: RecordBytes,
    /// The words it is found by.
    pub tokens: Tokens,
    /// What rules out most other words.
    pub filter: Filter,
    /// How many depend on it.
    pub popularity: Popularity,
    /// When the release was made, as its publisher says.
    pub created: u64,
}

impl Listed {
    pub(super) fn of(release: &Verified<Release>, popularity: Popularity) -> Self {
        let tokens = Tokens::of(release);
        Self {
            head: release.id(),
            publisher: release.publisher,
            package: PackageKey::of(&release.package()),
            bytes: release.bytes().clone(),
            filter: Filter::of(&tokens),
            tokens,
            popularity,
            created: release.created,
        }
    }
}

/// The value of an entry.
#[derive(Debug, Clone)]
pub struct Leaf(Option<Arc<Listed>>);

impl Leaf {
    /// The value of entries that say all in their keys.
    pub const NONE: Self = Self(None);

    /// The value of an entry of a package that is listed so.
    pub const fn of(listed: Arc<Listed>) -> Self {
        Self(Some(listed))
    }

    /// How the package is listed that the entry is about.
    pub fn listed(&self) -> Option<&Arc<Listed>> {
        self.0.as_ref()
    }
}

impl Value for Leaf {
    fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |listed| listed.filter.as_bytes())
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
