//! Which versions of a package a relay's map has, and which of them its operator keeps off its lists.

use super::{AnswerError, Asked, shows, verify_evidence};
use crate::catalogue::Standing;
use crate::catalogue::keys::{self, PackageKey, ShortId, VersionEntry};
use crate::checkpoint::{Checkpoint, Signed};
use crate::limits::MAX_VERSIONS_PER_ANSWER;
use crate::merkle::proof::Range;
use crate::protocol::query::{Evidence, RangeOf};
use crate::record::{Release, Verified};

/// The versions of a package in a relay's map, the highest first: [`MAX_VERSIONS_PER_ANSWER`] at most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappedVersions {
    package: PackageKey,
    /// The key of each, and why it is excluded, if it is.
    entries: Vec<(Vec<u8>, Option<String>)>,
}

impl MappedVersions {
    /// What to ask a relay about a package.
    pub fn question(package: &PackageKey) -> RangeOf {
        RangeOf::first(&keys::versions(package), MAX_VERSIONS_PER_ANSWER as u16)
    }

    /// Verifies the answer to [`Self::question`]; with what the relay stands on.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn verify(
        package: &PackageKey,
        answer: &Evidence,
        asked: &Asked<'_>,
    ) -> Result<(Signed<Checkpoint>, Self), AnswerError> {
        let question = Self::question(package);
        let (run, proven) = verify_evidence(answer, &Range::of(&question.range), &question.range, asked)?;
        shows(&run, MAX_VERSIONS_PER_ANSWER as u16)?;
        // A relay that says nothing of a list in its checkpoint has none to go by.
        let has_list = proven.checkpoint.exclusions.is_some();
        let entry = |(key, value): &(Vec<u8>, &[u8])| {
            (key.clone(), Standing::of(value).excluded.filter(|_| has_list).map(str::to_owned))
        };
        Ok((proven.checkpoint, Self { package: *package, entries: run.entries.iter().map(entry).collect() }))
    }

    /// Why the operator excludes a release, which may be empty; None: it is not among what is excluded.
    pub fn excludes(&self, release: &Verified<Release>) -> Option<&str> {
        let version = keys::of_version(&PackageKey::of(&release.package()), &release.version);
        let id = ShortId::of(&release.id());
        let of_release = |key: &[u8]| key.starts_with(&version) && keys::short_id(key) == Some(id);
        self.entries.iter().find(|(key, _)| of_release(key)).and_then(|(_, reason)| reason.as_deref())
    }

    /// The later version that another relay has, too, and that is excluded here: a release is listed because it is. None: there is none.
    pub fn stands_in_for(&self, release: &Release, other: &Self) -> Option<ShortId> {
        let is_had = |key: &[u8]| other.entries.iter().any(|(known, reason)| known == key && reason.is_none());
        let replaces = |key: &[u8]| self.package == PackageKey::of(&release.package()) && precedes(key, release);
        let mut excluded = self.entries.iter().filter(|(_, reason)| reason.is_some()).map(|(key, _)| key);
        excluded.find(|key| replaces(key) && is_had(key)).and_then(|key| keys::short_id(key))
    }
}

/// Whether the version of an entry would be listed rather than a release of the same package.
fn precedes(entry: &[u8], release: &Release) -> bool {
    let Some(version) = VersionEntry::of(entry) else { return false };
    match (version.is_pre_release(), release.version.is_pre_release()) {
        (false, true) => true,
        (true, false) => false,
        // Highest first.
        _ => *entry < *keys::of_version(&PackageKey::of(&release.package()), &release.version),
    }
}
