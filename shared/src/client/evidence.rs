//! Evidence against a relay: what it signed contradicts itself, and anyone who was not there can see it.
//!
//! Two checkpoints for one epoch by the same rules are evidence as they are. All other evidence shows that a relay derived its map wrongly.
//!
//! A map says for each package which releases its versions have (`p/`), and how many publishers depend on it (`dp/`). From these two and
//! the record of the release that the package is listed by, all its other entries follow by the rules ([`keys::listing`]). Evidence is that record, with
//! its publisher's key log, and proofs of three parts of one map: an entry, the package's versions, its dependents. What they show is
//! judged here, in the same way by whoever found it and by whoever is shown it. A relay that merely lacks records is never accused:
//! its map is what the rules make of what it has. Nor is one whose operator excludes the release: its version is marked.
//!
//! Where the entry is that of a record (`r/`), it is looked at whether the map makes of the record what follows from it: a release has a
//! version, a status is said of its version, and no release stays that the publisher's key log makes void. For that, all rotations that the map
//! has of the publisher are proven in the place of the dependents: void is what is void by just these. Another rotation, of which the map knows
//! nothing, may void what it rightly has; or it may have one that keeps it.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::catalogue::Standing;
use crate::catalogue::keys::{self, PackageKey, ShortId, VersionEntry};
use crate::checkpoint::{self, Checkpoint, Signed};
use crate::codec;
use crate::id::{Network, PublicKey, RecordId};
use crate::limits::{MAX_EVIDENCE_BYTES, MAX_KEY_EVENTS, MAX_RECORD_BYTES};
use crate::merkle::proof::{self, Range, Run, verify_run};
use crate::protocol::query::{self, RangeOf};
use crate::record::{self, KeyLog, Kind, RecordBytes, Release, Status, Unverified, Verified};
use crate::rules::{Rules, Schedule};
use crate::search::filter::Filter;
use crate::search::rank::Popularity;

/// Versions of a package that are proven, at most: the release that it is listed by is among the first.
const MAX_VERSIONS: u16 = 64;
/// Rotations of a publisher that are proven: all that a key log may have, and one that forks it.
const MAX_ROTATIONS: u16 = MAX_KEY_EVENTS as u16;

/// Which rule a relay breaks, most by its map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misdeed {
    /// It signed two maps for one epoch.
    TwoRoots,
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
    /// A status is held, and nothing is said of its version.
    Unheeded,
    /// Rotations are held, and a release that they make void.
    Void,
}

impl Misdeed {
    /// A stable code for programs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::TwoRoots => "relay/two-roots",
            Self::Missing => "relay/missing-entry",
            Self::FalseFilter => "relay/false-filter",
            Self::Misplaced => "relay/wrong-entry",
            Self::NotHead => "relay/stale-entry",
            Self::NoVersion => "relay/missing-version",
            Self::Unheeded => "relay/unheeded-status",
            Self::Void => "relay/void-release",
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

/// Proof, for anyone who has the relay's key, that it breaks the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    relay: PublicKey,
    misdeed: Misdeed,
    release: Option<RecordId>,
    bytes: Vec<u8>,
}

/// What evidence of [`Misdeed::TwoRoots`] begins with: a list of two in CBOR, where other evidence is a map.
const LIST_OF_TWO: u8 = 0x82;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Parts {
    checkpoint: ByteBuf,
    /// The publisher's key log, as signed.
    key_log: Vec<ByteBuf>,
    /// The release, as signed.
    release: ByteBuf,
    /// The status of its version that is in question, as signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<ByteBuf>,
    /// The key of the entry that is in question.
    entry: ByteBuf,
    /// The entry, or that there is none; the versions of the package; how many depend on it. Of a record's entry: the entry; the version; the
    /// publisher's rotations.
    proofs: [ByteBuf; 3],
}

/// What to ask a relay about an entry that this release has, or names.
pub fn questions(release: &Release, entry: &[u8]) -> [RangeOf; 3] {
    let [_, versions, last] = ranges(release, entry);
    let limit = if is_record(entry) { MAX_ROTATIONS } else { 0 };
    [RangeOf::first(entry, 1), RangeOf::first(&versions, MAX_VERSIONS), RangeOf::first(&last, limit)]
}

fn ranges(release: &Release, entry: &[u8]) -> [Vec<u8>; 3] {
    let package = PackageKey::of(&release.package());
    let [versions, last] = match is_record(entry) {
        true => [keys::of_version(&package, &release.version), keys::records_of(&release.publisher, Kind::Rotation)],
        false => [keys::versions(&package), keys::dependent_publishers(&package)],
    };
    [entry.to_vec(), versions, last]
}

/// The entry of a release among the records, where [`Misdeed::NoVersion`] and [`Misdeed::Void`] are looked for.
pub fn record_entry(release: &Verified<Release>) -> Vec<u8> {
    keys::record_entry(&release.publisher, Kind::Release, &release.id())
}

/// The entry of a status among the records, where [`Misdeed::Unheeded`] is looked for.
pub fn status_entry(status: &Verified<Status>) -> Vec<u8> {
    keys::record_entry(&status.publisher, Kind::Status, &status.id())
}

fn is_record(entry: &[u8]) -> bool {
    entry.starts_with(&keys::records())
}

impl Evidence {
    /// What the answers of a relay to [`questions`] show. `key_log`: what is known of it, which the release need not hold under. `status`: one of
    /// its version, which holds, if it is the one whose entry is in question.
    ///
    /// # Errors
    /// [`Error::ShowsNothing`] of an honest relay.
    pub fn of(
        key_log: &KeyLog,
        release: &Verified<Release>,
        status: Option<&Verified<Status>>,
        entry: &[u8],
        answers: [query::Evidence; 3],
        network: &Network,
        known: &Schedule,
    ) -> Result<Self, Error> {
        let wire = |bytes: &RecordBytes| ByteBuf::from(bytes.to_vec());
        // Only what is needed to see what holds, for there is a bound; that something is void is seen of all pages.
        let kept = std::iter::once((release.signed_under, release.id()))
            .chain(status.map(|status| (status.signed_under, status.id())));
        let key_log = match key_log.check(&**release, &release.id()) {
            Ok(_) => key_log.events_for(kept).into_iter().map(wire).collect(),
            Err(_) => key_log.events().map(wire).collect(),
        };
        let parts = Parts {
            checkpoint: answers[0].checkpoint.clone(),
            key_log,
            release: wire(release.bytes()),
            status: status.map(|status| wire(status.bytes())),
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
        // Judged as by whoever was not there.
        Self::verify(&codec::encode(&parts), network, known)
    }

    /// What two checkpoints of one relay show. None: nothing wrong.
    pub fn of_two(one: &Signed<Checkpoint>, other: &Signed<Checkpoint>) -> Option<Self> {
        let bytes = || codec::encode(&[one.bytes(), other.bytes()]);
        let (relay, misdeed) = (one.relay, Misdeed::TwoRoots);
        one.contradicts(other).then(|| Self { relay, misdeed, release: None, bytes: bytes() })
    }

    /// Verifies evidence that somebody else found: by the rules that the map was made by, which must be known.
    ///
    /// # Errors
    /// [`Error`].
    pub fn verify(bytes: &[u8], network: &Network, known: &Schedule) -> Result<Self, Error> {
        if bytes.first() == Some(&LIST_OF_TWO) {
            let [one, other] = codec::read::<[ByteBuf; 2]>(bytes, MAX_EVIDENCE_BYTES)?;
            let [one, other] = [Checkpoint::verify(&one, network)?, Checkpoint::verify(&other, network)?];
            return Self::of_two(&one, &other).ok_or(Error::ShowsNothing);
        }
        let parts: Parts = codec::read(bytes, MAX_EVIDENCE_BYTES)?;
        let checkpoint = Checkpoint::verify(&parts.checkpoint, network)?;
        let rules = known.numbered(checkpoint.rules).ok_or(checkpoint::Error::OtherRules(checkpoint.rules))?;
        let release = Unverified::<Release>::decode(&parts.release)?;
        let key_log = &KeyLog::verify(&parts.key_log, release.publisher(), network)?;
        let status = parts.status.as_ref().map(|status| Unverified::<Status>::decode(status)?.verify(key_log, network));
        let status = status.transpose()?;
        let subject = Subject { key_log, release: release.claims(), id: release.id(), status: status.as_ref(), rules };
        let misdeed = subject.judge(&checkpoint, &parts.entry, &parts.proofs)?;
        let id = subject.id;
        // What is void does not hold, and that is the point: nor does it matter who signed it.
        if misdeed != Misdeed::Void {
            release.verify(key_log, network)?;
        }
        Ok(Self { relay: checkpoint.relay, misdeed, release: Some(id), bytes: bytes.to_vec() })
    }

    /// Whom bytes accuse that came by gossip and are not verified; none if they are no evidence, or more than gossip carries. It costs little.
    pub fn accused(bytes: &[u8]) -> Option<PublicKey> {
        if bytes.first() == Some(&LIST_OF_TWO) {
            let [one, _] = codec::read::<[ByteBuf; 2]>(bytes, MAX_RECORD_BYTES).ok()?;
            return checkpoint::claimed_relay(&one);
        }
        checkpoint::claimed_relay(&codec::read::<Parts>(bytes, MAX_RECORD_BYTES).ok()?.checkpoint)
    }

    /// Whom it is against.
    pub const fn relay(&self) -> &PublicKey {
        &self.relay
    }

    /// What it shows.
    pub const fn misdeed(&self) -> Misdeed {
        self.misdeed
    }

    /// The release whose entry shows it; none where the checkpoints themselves do.
    pub const fn release(&self) -> Option<RecordId> {
        self.release
    }

    /// The evidence, to be shown to others.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// What a map is held against.
struct Subject<'a> {
    key_log: &'a KeyLog,
    release: &'a Release,
    id: RecordId,
    status: Option<&'a Verified<Status>>,
    /// By which it was made.
    rules: Rules,
}

impl Subject<'_> {
    fn judge(&self, checkpoint: &Signed<Checkpoint>, entry: &[u8], proofs: &[ByteBuf; 3]) -> Result<Misdeed, Error> {
        let root = checkpoint.root.into();
        let [at, versions, last] = ranges(self.release, entry);
        let at = verify_run(&root, &Range::of(&at), &proofs[0])?;
        let versions = verify_run(&root, &Range::of(&versions), &proofs[1])?;
        let last = verify_run(&root, &Range::of(&last), &proofs[2])?;
        let found = at.entries.first().filter(|(key, _)| key == entry).map(|(_, value)| *value);
        // It would be the first of all keys that begin with it: any other that is shown says that it is not there, and what is hidden could be it.
        let is_shown = !at.entries.is_empty() || at.rest == 0;
        let misdeed = match (is_record(entry), found) {
            (true, Some(_)) => self.of_record(entry, &versions, &last),
            (false, found) if is_shown && self.status.is_none() => self.of_entry(entry, found, &versions, last.total()),
            _ => None,
        };
        misdeed.ok_or(Error::ShowsNothing)
    }

    /// What is wrong with what the map makes of a record that it has.
    fn of_record(&self, entry: &[u8], version: &Run<'_>, rotations: &Run<'_>) -> Option<Misdeed> {
        if let Some(status) = self.status {
            let is_of = (status.package(), &status.version) == (self.release.package(), &self.release.version);
            // Another status may decide; then it is named.
            let says_nothing = |key: &[u8], value: &[u8]| {
                keys::short_id(key) == Some(ShortId::of(&self.id)) && Standing::of(value).decision.is_none()
            };
            let is_unheeded = version.entries.iter().any(|(key, value)| says_nothing(key, value));
            return (is_of && is_unheeded && entry == status_entry(status)).then_some(Misdeed::Unheeded);
        }
        if entry != keys::record_entry(&self.release.publisher, Kind::Release, &self.id) {
            return None;
        }
        match self.key_log.check(self.release, &self.id) {
            Ok(_) => (version.total() == 0).then_some(Misdeed::NoVersion),
            Err(record::Error::Void(_) | record::Error::UnknownKeyEvent(_)) => {
                let count = self.key_log.rotations().count();
                let is_of_log = |id| self.key_log.rotations().any(|rotation| Some(rotation.id()) == id);
                let mut held = rotations.entries.iter().map(|(key, _)| keys::record_of(key));
                let is_all = rotations.rest == 0 && rotations.entries.len() == count && held.all(is_of_log);
                is_all.then_some(Misdeed::Void)
            }
            Err(_) => None,
        }
    }

    /// What is wrong with an entry of the package, or with there being none.
    fn of_entry(&self, entry: &[u8], found: Option<&[u8]>, versions: &Run<'_>, dependents: u64) -> Option<Misdeed> {
        let popularity = Popularity::of(usize::try_from(dependents).unwrap_or(usize::MAX));
        let tokens = self.rules.tokens(self.release);
        let short_id = ShortId::of(&self.id);
        let is_head = match head_of(versions) {
            Head::Unknown => return None,
            Head::None => false,
            Head::Is(head) => head == short_id,
        };
        let belongs = keys::listing(&self.id, self.release, &tokens, popularity).iter().any(|key| key == entry);
        let counts = || keys::counted(self.release).any(|key| key == entry);
        match found {
            None if is_head && (belongs || counts()) => Some(Misdeed::Missing),
            Some(value) if is_head && belongs && value != Filter::of(self.release, &tokens).as_bytes() => {
                Some(Misdeed::FalseFilter)
            }
            Some(_) if keys::lists(entry, &short_id) && !is_head => Some(Misdeed::NotHead),
            Some(_) if keys::lists(entry, &short_id) && !belongs => Some(Misdeed::Misplaced),
            _ => None,
        }
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
