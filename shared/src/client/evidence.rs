//! Evidence that a relay derived its map wrongly: what it committed to contradicts itself, and anyone who was not there can see it.
//!
//! A map says for each package which releases its versions have (`p/`), and how many publishers depend on it (`dp/`). From these two and
//! the record of the release that the package is listed by, all its other entries follow by the rules ([`keys::listing`]). Evidence is that record, with
//! its publisher's key log, and proofs of three parts of one map: an entry, the package's versions, its dependents. What they show is
//! judged here, in the same way by whoever found it and by whoever is shown it. A relay that merely lacks records is never accused:
//! its map is what the rules make of what it has.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::catalogue::keys::{self, PackageKey, ShortId, VersionEntry};
use crate::checkpoint::{self, Checkpoint, Signed};
use crate::codec;
use crate::id::{Network, PublicKey, RecordId};
use crate::limits::MAX_EVIDENCE_BYTES;
use crate::merkle::proof::{self, Range, Run, verify_run};
use crate::protocol::query::{self, RangeOf};
use crate::record::{self, KeyLog, Record, Release, Unverified, Verified};
use crate::search::analyser::Tokens;
use crate::search::filter::Filter;
use crate::search::rank::Popularity;

/// Versions of a package that are proven, at most: the release that it is listed by is among the first.
const MAX_VERSIONS: u16 = 64;

/// Which rule a map breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misdeed {
    /// The package is not where its release belongs.
    Missing,
    /// It is there with a filter that is not the one of its words.
    FalseFilter,
    /// It stands where its release does not belong.
    Misplaced,
    /// It is listed by another release than the one that its versions say.
    NotHead,
    /// A release is held, and its version does not exist.
    NoVersion,
}

impl Misdeed {
    /// A stable code for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Missing => "relay/missing-entry",
            Self::FalseFilter => "relay/false-filter",
            Self::Misplaced => "relay/wrong-entry",
            Self::NotHead => "relay/stale-entry",
            Self::NoVersion => "relay/missing-version",
        }
    }
}

/// Why there is no evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are none.
    #[error("the evidence is malformed: {0}")]
    Encoding(#[from] codec::Error),
    /// The checkpoint is no relay's.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The record or its key log does not hold.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// A proof does not hold.
    #[error(transparent)]
    Proof(#[from] proof::Error),
    /// The parts are not of one map: ask again.
    #[error("the proofs are not under one root")]
    NotOneRoot,
    /// What it shows is what the rules say.
    #[error("the evidence shows nothing wrong")]
    ShowsNothing,
}

/// Proof, for anyone who has the relay's key, that its map breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    relay: PublicKey,
    misdeed: Misdeed,
    release: RecordId,
    bytes: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    checkpoint: ByteBuf,
    /// The publisher's key log, as signed.
    key_log: Vec<ByteBuf>,
    /// The release, as signed.
    release: ByteBuf,
    /// The key of the entry that is in question.
    entry: ByteBuf,
    /// The entry, or that there is none; the versions of the package; how many depend on it.
    proofs: [ByteBuf; 3],
}

/// What to ask a relay about an entry that this release has, or names.
pub fn questions(release: &Release, entry: &[u8]) -> [RangeOf; 3] {
    let [_, versions, dependents] = ranges(release, entry);
    [RangeOf::first(entry, 1), RangeOf::first(&versions, MAX_VERSIONS), RangeOf::first(&dependents, 0)]
}

fn ranges(release: &Release, entry: &[u8]) -> [Vec<u8>; 3] {
    let package = PackageKey::of(&release.package());
    let versions = match is_record(entry) {
        true => keys::of_version(&package, &release.version),
        false => keys::versions(&package),
    };
    [entry.to_vec(), versions, keys::dependent_publishers(&package)]
}

/// The entry of a release among the records, where [`Misdeed::NoVersion`] is looked for.
pub fn record_entry(release: &Verified<Release>) -> Vec<u8> {
    keys::record(&Record::Release(Box::new(release.clone())))
}

fn is_record(entry: &[u8]) -> bool {
    entry.starts_with(&keys::records())
}

impl Evidence {
    /// What the answers of a relay to [`questions`] show.
    ///
    /// # Errors
    /// [`Error::ShowsNothing`] of an honest relay.
    pub fn of(
        key_log: &KeyLog,
        release: &Verified<Release>,
        entry: &[u8],
        answers: [query::Evidence; 3],
        network: &Network,
    ) -> Result<Self, Error> {
        let parts = Parts {
            checkpoint: answers[0].checkpoint.clone(),
            key_log: key_log.events().map(|event| ByteBuf::from(event.to_vec())).collect(),
            release: ByteBuf::from(release.bytes().to_vec()),
            entry: ByteBuf::from(entry.to_vec()),
            proofs: answers.each_ref().map(|answer| answer.proof.clone()),
        };
        let checkpoint = Checkpoint::verify(&parts.checkpoint, network)?;
        for answer in &answers[1..] {
            let other = Checkpoint::verify(&answer.checkpoint, network)?;
            if other.relay != checkpoint.relay || other.root != checkpoint.root {
                return Err(Error::NotOneRoot);
            }
        }
        let misdeed = judge(&checkpoint, release, entry, &parts.proofs)?;
        Ok(Self { relay: checkpoint.relay, misdeed, release: release.id(), bytes: codec::encode(&parts) })
    }

    /// Verifies evidence that somebody else found.
    ///
    /// # Errors
    /// [`Error`].
    pub fn verify(bytes: &[u8], network: &Network) -> Result<Self, Error> {
        let parts: Parts = codec::read(bytes, MAX_EVIDENCE_BYTES)?;
        let checkpoint = Checkpoint::verify(&parts.checkpoint, network)?;
        let release = Unverified::<Release>::decode(&parts.release)?;
        let key_log = KeyLog::verify(&parts.key_log, release.publisher(), network)?;
        let release = release.verify(&key_log, network)?;
        let misdeed = judge(&checkpoint, &release, &parts.entry, &parts.proofs)?;
        Ok(Self { relay: checkpoint.relay, misdeed, release: release.id(), bytes: bytes.to_vec() })
    }

    /// Whose map it is.
    pub const fn relay(&self) -> &PublicKey {
        &self.relay
    }

    /// What is wrong with it.
    pub const fn misdeed(&self) -> Misdeed {
        self.misdeed
    }

    /// The release whose entry shows it.
    pub const fn release(&self) -> RecordId {
        self.release
    }

    /// The evidence, to be shown to others.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn judge(
    checkpoint: &Signed<Checkpoint>,
    release: &Verified<Release>,
    entry: &[u8],
    proofs: &[ByteBuf; 3],
) -> Result<Misdeed, Error> {
    let root = checkpoint.root.into();
    let [at, versions, dependents] = ranges(release, entry);
    let at = verify_run(&root, &Range::of(&at), &proofs[0])?;
    let versions = verify_run(&root, &Range::of(&versions), &proofs[1])?;
    let dependents = verify_run(&root, &Range::of(&dependents), &proofs[2])?.total();
    let found = at.entries.first().filter(|(key, _)| key == entry).map(|(_, value)| *value);
    // It would be the first of all keys that begin with it: any other that is shown says that it is not there, and what is hidden could be it.
    if at.entries.is_empty() && at.rest > 0 {
        return Err(Error::ShowsNothing);
    }
    if is_record(entry) {
        let is_held = found.is_some() && entry == record_entry(release);
        return if is_held && versions.total() == 0 { Ok(Misdeed::NoVersion) } else { Err(Error::ShowsNothing) };
    }
    let popularity = Popularity::of(usize::try_from(dependents).unwrap_or(usize::MAX));
    let tokens = Tokens::of(release);
    let short_id = ShortId::of(&release.id());
    let is_head = match head_of(&versions) {
        Head::Unknown => return Err(Error::ShowsNothing),
        Head::None => false,
        Head::Is(head) => head == short_id,
    };
    let belongs = keys::listing(&release.id(), release, &tokens, popularity).iter().any(|key| key == entry);
    let counts = || keys::counted(release).any(|key| key == entry);
    match found {
        None if is_head && (belongs || counts()) => Ok(Misdeed::Missing),
        Some(value) if is_head && belongs && value != Filter::of(release, &tokens).as_bytes() => {
            Ok(Misdeed::FalseFilter)
        }
        Some(_) if keys::lists(entry, &short_id) && !is_head => Ok(Misdeed::NotHead),
        Some(_) if keys::lists(entry, &short_id) && !belongs => Ok(Misdeed::Misplaced),
        _ => Err(Error::ShowsNothing),
    }
}

/// The release that a package is listed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Head {
    Is(ShortId),
    /// No version can stand for it.
    None,
    /// Not among the versions that are shown.
    Unknown,
}

/// What the versions of a package say: the highest that no release contests, that may be listed and is no pre-release; a pre-release if there is
/// nothing else.
fn head_of(versions: &Run<'_>) -> Head {
    let entries = versions.entries.iter().filter_map(|(key, value)| Some((VersionEntry::of(key)?, *value)));
    let entries: Vec<_> = entries.collect();
    let is_contested = |at: usize| {
        entries.get(at + 1).is_some_and(|(next, _)| next.is_contesting && next.precedence == entries[at].0.precedence)
    };
    // Whether the last one that is shown is contested stands behind it.
    let certain = if versions.rest > 0 { entries.len().saturating_sub(1) } else { entries.len() };
    let mut pre_release = None;
    for (at, (version, value)) in entries[..certain].iter().enumerate() {
        if version.is_contesting || is_contested(at) || !VersionEntry::may_be_listed(value) {
            continue;
        }
        if !version.is_pre_release() {
            return Head::Is(version.release);
        }
        pre_release = pre_release.or(Some(version.release));
    }
    match pre_release {
        _ if versions.rest > 0 => Head::Unknown,
        Some(release) => Head::Is(release),
        None => Head::None,
    }
}

#[cfg(test)]
#[path = "evidence_tests.rs"]
mod tests;
