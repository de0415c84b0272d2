//! What a client makes of the answer about one package.

use std::collections::BTreeSet;

use super::candidate::inception_of;
use super::{AnswerError, Asked, Proven, Refused, RefusedError, at_most, verify_evidence};
use crate::catalogue::Standing;
use crate::catalogue::delivery::Delivery;
use crate::catalogue::keys::{self, PackageKey, ShortId};
use crate::id::{Network, PackageId, PublisherId, RecordId};
use crate::limits::{MAX_CONFLICTING_RECORDS, MAX_VERSIONS_PER_ANSWER};
use crate::merkle::proof::Range;
use crate::protocol::query::{Package, PackageAnswer};
use crate::record::{Indexed, KeyLog, Payload, Release, State, Status, Unverified, Verified, Version};

/// A package answer, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPackage {
    /// The publisher's key log.
    pub key_log: KeyLog,
    /// The releases that hold: highest version first, then smallest id. Two of one version may contest each other.
    pub releases: Vec<Verified<Release>>,
    /// Those of them that no checkpoint has yet.
    pub recent: BTreeSet<RecordId>,
    /// Those of versions that the relay's proof does not show to the end: what it leaves out may contest them.
    pub uncertain: BTreeSet<RecordId>,
    /// What the publisher says of versions; [`Self::status`] is what decides.
    pub statuses: Vec<Verified<Status>>,
    /// Those that don't hold: releases, then statuses.
    pub refused: Vec<Refused>,
    /// How many there are.
    pub total: u64,
    /// What it stands on.
    pub proven: Proven,
}

impl VerifiedPackage {
    /// Puts a release in its place: the order is ours to make, so there is no lie in a relay's to look for.
    pub(super) fn insert(&mut self, release: Verified<Release>) {
        let stands_before = |other: &Verified<Release>| {
            release.version.cmp(&other.version).then_with(|| other.id().cmp(&release.id())).is_lt()
        };
        let place = self.releases.partition_point(stands_before);
        self.releases.insert(place, release);
    }

    /// The release that the package is shown by: the highest version that no release contests, that was neither yanked nor retracted, and
    /// that is no pre-release; a pre-release if there is nothing else. None when there is no such version, or nothing was accepted.
    pub fn head(&self) -> Option<&Verified<Release>> {
        let is_settled = |release: &&Verified<Release>| {
            self.state(&release.version).is_listed() && self.standing(&release.version) == Some(*release)
        };
        let settled = || self.releases.iter().filter(is_settled);
        settled().find(|release| !release.version.is_pre_release()).or_else(|| settled().next())
    }

    /// The release that stands for a version: what a rotation kept, else the smallest id, None when another delivers something else, or may.
    pub fn standing(&self, version: &Version) -> Option<&Verified<Release>> {
        let mut releases = self.releases.iter().filter(|release| release.version == *version);
        let kept = releases.clone().find(|release| self.key_log.is_settled(&release.signed_under));
        if kept.is_some() {
            return kept;
        }
        let standing = releases.next()?;
        let is_alone = releases.all(|release| Delivery::of(release) == Delivery::of(standing));
        (is_alone && !self.uncertain.contains(&standing.id())).then_some(standing)
    }
}

impl VerifiedPackage {
    /// The release that is shown for a version, or for the package: a yanked version only to whoever asks for it, a retracted one to nobody.
    pub fn shown(&self, version: Option<&Version>) -> Option<&Verified<Release>> {
        match version {
            Some(version) if self.state(version) == State::Retracted => None,
            Some(version) => self.standing(version),
            None => self.head(),
        }
    }

    /// The status that decides about a version.
    pub fn status(&self, version: &Version) -> Option<&Verified<Status>> {
        let of_version = self.statuses.iter().filter(|status| status.version == *version);
        of_version.max_by_key(|status| status.weight(status.id()))
    }

    /// What a version is good for.
    pub fn state(&self, version: &Version) -> State {
        self.status(version).map_or(State::Active, |status| status.state)
    }

    /// Checks what an entry says of the state of its version: the status that it names was sent, and says so.
    fn check_decision(&self, version: &Version, value: &[u8]) -> Result<(), RefusedError> {
        let standing = Standing::from_bytes(value).ok_or(RefusedError::WrongEntry)?;
        // What its operator excludes a relay marks and no more: it is a version like any other.
        let Some(decision) = standing.decision else { return Ok(()) };
        match self.statuses.iter().find(|status| ShortId::of(&status.id()) == decision.status) {
            None => Err(RefusedError::Withheld(data_encoding::HEXLOWER.encode(decision.status.as_bytes()))),
            Some(status) if status.version == *version && status.state == decision.state => Ok(()),
            Some(_) => Err(RefusedError::WrongEntry),
        }
    }
}

/// Verifies a package answer. None: the relay says that it does not know the package.
///
/// # Errors
/// [`AnswerError`] when the answer as a whole breaks the protocol, or its key log or what it stands on is refused.
pub fn verify_package(
    question: &Package,
    answer: PackageAnswer,
    asked: &Asked<'_>,
) -> Result<Option<VerifiedPackage>, AnswerError> {
    let versions = if question.version.is_some() { 1 } else { MAX_VERSIONS_PER_ANSWER };
    at_most("releases", answer.releases.len(), versions * MAX_CONFLICTING_RECORDS)?;
    at_most("recent releases", answer.recent.len(), versions * MAX_CONFLICTING_RECORDS)?;
    // Of each version the one that decides, and the one that did at the checkpoint.
    at_most("statuses", answer.statuses.len(), 2 * versions * MAX_CONFLICTING_RECORDS)?;
    if answer.releases.is_empty() && answer.recent.is_empty() && answer.key_log.is_empty() {
        return Ok(None);
    }
    let evidence = answer.evidence.as_ref().ok_or(AnswerError::NotAnAnswer)?;
    let publisher = PublisherId::from_inception(inception_of(&answer.key_log).map_err(AnswerError::KeyLog)?.id());
    let key_log = KeyLog::verify(&answer.key_log, publisher, asked.network).map_err(AnswerError::KeyLog)?;
    if !question.name.means(&publisher, key_log.handle()) {
        return Err(AnswerError::WrongPublisher { publisher, handle: key_log.handle().clone() });
    }
    let key = PackageKey::of(&PackageId { publisher, name: question.name.name.clone() });
    let range = match &question.version {
        Some(version) => keys::of_version(&key, version),
        None => keys::versions(&key),
    };
    let (run, proven) = verify_evidence(evidence, &Range::of(&range), &range, asked)?;

    let mut package = VerifiedPackage {
        key_log,
        releases: Vec::new(),
        recent: BTreeSet::new(),
        uncertain: BTreeSet::new(),
        statuses: Vec::new(),
        refused: Vec::new(),
        total: run.total(),
        proven,
    };
    let of_release: Subject<Release> = |release| (release.package(), &release.version);
    let of_status: Subject<Status> = |status| (status.package(), &status.version);
    for (at, bytes) in answer.statuses.iter().enumerate() {
        match verify_about(bytes, of_status, question, &package.key_log, asked.network) {
            Ok(status) => package.statuses.push(status),
            Err(error) => {
                package.refused.push(Refused { index: answer.releases.len() + answer.recent.len() + at, error });
            }
        }
    }
    let mut seen = BTreeSet::new();
    let mut releases = answer.releases.iter().enumerate();
    for (entry, value) in &run.entries {
        let (index, release) = match releases.next() {
            Some((index, bytes)) => (index, verify_about(bytes, of_release, question, &package.key_log, asked.network)),
            None => {
                let id = entry.get(entry.len().saturating_sub(ShortId::BYTES)..).unwrap_or_default();
                (answer.releases.len(), Err(RefusedError::Withheld(data_encoding::HEXLOWER.encode(id))))
            }
        };
        // Which of two releases of a version stands for it is seen from both; the entry only has to name this one.
        let is_named = |release: &Verified<Release>| {
            let entries = keys::version(&key, &release.version, &release.id(), Some(&release.id()));
            entries.contains(entry)
        };
        let release = release.and_then(|release| match is_named(&release) {
            true => package.check_decision(&release.version, value).map(|()| release),
            false => Err(RefusedError::NotProven),
        });
        match release {
            Ok(release) if seen.insert(release.id()) => package.insert(release),
            Ok(_) => package.refused.push(Refused { index, error: RefusedError::Twice }),
            Err(error) => package.refused.push(Refused { index, error }),
        }
    }
    at_most("releases", answer.releases.len(), answer.releases.len() - releases.len())?;
    for (at, bytes) in answer.recent.iter().enumerate() {
        let index = answer.releases.len() + at;
        match verify_about(bytes, of_release, question, &package.key_log, asked.network) {
            Ok(release) if seen.insert(release.id()) => {
                package.recent.insert(release.id());
                package.total += 1;
                package.insert(release);
            }
            Ok(_) => package.refused.push(Refused { index, error: RefusedError::Twice }),
            Err(error) => package.refused.push(Refused { index, error }),
        }
    }
    if run.rest > 0 {
        // The entries of a version stand beside each other: the last that is shown may be followed by more of them.
        let last = run.entries.last().map_or(&range, |(entry, _)| entry);
        let is_shown = |release: &&Verified<Release>| {
            let version = keys::of_version(&key, &release.version);
            version < *last && !last.starts_with(&version)
        };
        let uncertain = package.releases.iter().filter(|release| !is_shown(release));
        package.uncertain.extend(uncertain.map(Verified::id));
    }
    Ok(Some(package))
}

/// Which version of which package a record is about.
type Subject<T> = fn(&T) -> (PackageId, &Version);

/// Verifies a record that is about a version of what was asked for.
fn verify_about<T: Payload + Indexed>(
    bytes: &[u8],
    subject: Subject<T>,
    question: &Package,
    key_log: &KeyLog,
    network: &Network,
) -> Result<Verified<T>, RefusedError> {
    let record = Unverified::<T>::decode(bytes)?.verify(key_log, network)?;
    let (package, version) = subject(&record);
    check_subject(question, package, version)?;
    Ok(record)
}

/// Demands that a record is about what was asked for. Whose it is, its key log has told.
fn check_subject(question: &Package, package: PackageId, version: &Version) -> Result<(), RefusedError> {
    if package.name != question.name.name {
        return Err(RefusedError::WrongPackage(package));
    }
    if question.version.as_ref().is_some_and(|asked| asked != version) {
        return Err(RefusedError::WrongVersion(version.clone()));
    }
    Ok(())
}

#[cfg(test)]
#[path = "package_tests.rs"]
mod tests;
