//! What a client makes of a relay's answer: every record verified or refused, one by one, and nothing believed but the
//! counts that only a proof can show. One bad record never hides the good ones beside it.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use serde_bytes::ByteBuf;

use super::analyser::Tokens;
use super::query::{self, Query};
use crate::catalogue::delivery::Delivery;
use crate::id::{Handle, Network, PackageId, PublisherId, RecordId};
use crate::limits::{MAX_CONFLICTING_RECORDS, MAX_CURSOR_BYTES, MAX_VERSIONS_PER_ANSWER};
use crate::protocol::query::{
    KeyLogAnswer, KeyLogOf, Package, PackageAnswer, Records, RecordsAnswer, Search, SearchAnswer,
};
use crate::record::{self, Inception, KeyLog, Record, Release, Unverified, UnverifiedRecord, Verified, Version};

/// Why a whole answer is refused: the relay broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The question was none.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// More of something than was asked for, or than makes sense.
    #[error("the answer has {actual} {what}, at most {limit} make sense")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many came.
        actual: usize,
        /// How many may.
        limit: usize,
    },
    /// Fewer are said to match than are shown.
    #[error("the answer shows {shown} and says that there are {total}")]
    BadTotal {
        /// How many there are said to be.
        total: u64,
        /// How many came.
        shown: usize,
    },
    /// A next page is promised behind an empty one: it would never end.
    #[error("the answer is empty and promises a next page")]
    EndlessPages,
    /// The publisher's key log is missing or refused, so nothing of the answer can be verified.
    #[error("the publisher's key log is refused: {0}")]
    KeyLog(#[source] record::Error),
    /// The key log is of another publisher than the one that was asked for.
    #[error("the answer is of {handle}, publisher {publisher}, who was not asked for")]
    WrongPublisher {
        /// Whose key log it is.
        publisher: PublisherId,
        /// What that publisher calls itself.
        handle: Handle,
    },
}

impl AnswerError {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Query(error) => error.code(),
            Self::KeyLog(error) => error.code(),
            Self::TooMany { .. } | Self::BadTotal { .. } | Self::EndlessPages => "relay/broke-protocol",
            Self::WrongPublisher { .. } => "record/wrong-publisher",
        }
    }
}

/// Why one record of an answer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedError {
    /// It is no valid record.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The answer has no key log of its publisher.
    #[error("the answer has no key log of publisher {0}")]
    NoKeyLog(PublisherId),
    /// The key log of its publisher is refused.
    #[error("the key log of publisher {publisher} is refused: {error}")]
    KeyLog {
        /// Whose key log.
        publisher: PublisherId,
        /// Why.
        #[source]
        error: record::Error,
    },
    /// It is valid, and no answer to the query.
    #[error("the release does not match the query")]
    DoesNotMatch,
    /// The answer has that package, or that record, already.
    #[error("the answer has it twice")]
    Twice,
    /// It is a release of another package than was asked for.
    #[error("the release is of another package: {0}")]
    WrongPackage(PackageId),
    /// It is another version than was asked for.
    #[error("the release is version {0}, which was not asked for")]
    WrongVersion(Version),
}

impl RefusedError {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Record(error) | Self::KeyLog { error, .. } => error.code(),
            Self::NoKeyLog(_) => "record/no-key-log",
            Self::DoesNotMatch => "record/does-not-match",
            Self::Twice => "record/twice",
            Self::WrongPackage(_) => "record/wrong-package",
            Self::WrongVersion(_) => "record/wrong-version",
        }
    }
}

/// A record of an answer that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {index} of the answer: {error}")]
pub struct Refused {
    /// Which one of the answer's list.
    pub index: usize,
    /// Why.
    #[source]
    pub error: RefusedError,
}

/// A verified result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The publisher's key log, which the release was verified with.
    pub key_log: KeyLog,
    /// The release.
    pub release: Verified<Release>,
}

/// A search answer, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSearch {
    /// In the relay's order; a refused one stays in its place.
    pub hits: Vec<Result<Hit, Refused>>,
    /// How many match, as the relay says.
    pub total: u64,
    /// Whether the relay says that `total` is exact.
    pub total_is_exact: bool,
    /// Where the next page begins.
    pub cursor: Option<ByteBuf>,
}

/// A package answer, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedPackage {
    /// The publisher's key log.
    pub key_log: KeyLog,
    /// The releases that hold: highest version first, then smallest id. Two of one version may contest each other.
    pub releases: Vec<Verified<Release>>,
    /// Those that don't.
    pub refused: Vec<Refused>,
    /// How many there are, as the relay says.
    pub total: u64,
}

impl VerifiedPackage {
    /// Puts a release in its place: the order is ours to make, so there is no lie in a relay's to look for.
    fn insert(&mut self, release: Verified<Release>) {
        let stands_before = |other: &Verified<Release>| match other.version.cmp(&release.version) {
            Ordering::Equal => other.id() < release.id(),
            order => order == Ordering::Greater,
        };
        let place = self.releases.partition_point(stands_before);
        self.releases.insert(place, release);
    }

    /// The release that the package is shown by: the highest version that no release contests and that is no pre-release; a
    /// pre-release if there is nothing else. None when every version is contested, or nothing was accepted.
    pub fn head(&self) -> Option<&Verified<Release>> {
        let settled = || self.releases.iter().filter(|release| self.standing(&release.version) == Some(release));
        settled().find(|release| !release.version.is_pre_release()).or_else(|| settled().next())
    }

    /// The release that stands for a version: the smallest id, None when another delivers something else.
    pub fn standing(&self, version: &Version) -> Option<&Verified<Release>> {
        let mut releases = self.releases.iter().filter(|release| release.version == *version);
        let standing = releases.next()?;
        releases.all(|release| Delivery::of(release) == Delivery::of(standing)).then_some(standing)
    }
}

/// Verifies a search answer.
///
/// # Errors
/// [`AnswerError`] when the answer as a whole breaks the protocol.
pub fn verify_search(
    question: &Search,
    answer: SearchAnswer,
    network: &Network,
) -> Result<VerifiedSearch, AnswerError> {
    let query = Query::parse(&question.text)?;
    let shown = answer.releases.len();
    at_most("results", shown, usize::from(question.limit))?;
    at_most("key logs", answer.key_logs.len(), shown)?;
    at_most("cursor bytes", answer.cursor.as_ref().map_or(0, |cursor| cursor.len()), MAX_CURSOR_BYTES)?;
    check_total(answer.total, shown)?;
    if shown == 0 && answer.cursor.is_some() {
        return Err(AnswerError::EndlessPages);
    }

    let key_logs = verify_key_logs(&answer.key_logs, network);
    let mut seen = BTreeSet::new();
    let mut verify = |bytes: &[u8]| {
        let hit = verify_hit(bytes, &key_logs, network)?;
        if !query.matches(&Tokens::of(&hit.release)) {
            return Err(RefusedError::DoesNotMatch);
        }
        if seen.insert(hit.release.package()) { Ok(hit) } else { Err(RefusedError::Twice) }
    };
    let numbered = answer.releases.iter().enumerate();
    let hits = numbered.map(|(index, bytes)| verify(bytes).map_err(|error| Refused { index, error })).collect();
    Ok(VerifiedSearch { hits, total: answer.total, total_is_exact: answer.total_is_exact, cursor: answer.cursor })
}

/// Verifies a package answer. None: the relay says that it does not know the package.
///
/// # Errors
/// [`AnswerError`] when the answer as a whole breaks the protocol, or its key log is refused.
pub fn verify_package(
    question: &Package,
    answer: PackageAnswer,
    network: &Network,
) -> Result<Option<VerifiedPackage>, AnswerError> {
    let shown = answer.releases.len();
    let versions = if question.version.is_some() { 1 } else { MAX_VERSIONS_PER_ANSWER };
    at_most("releases", shown, versions * MAX_CONFLICTING_RECORDS)?;
    check_total(answer.total, shown)?;
    if shown == 0 && answer.key_log.is_empty() {
        return Ok(None);
    }
    let publisher = publisher_of(&answer.key_log).map_err(AnswerError::KeyLog)?;
    let key_log = KeyLog::verify(&answer.key_log, publisher, network).map_err(AnswerError::KeyLog)?;
    if !question.name.means(&publisher, key_log.handle()) {
        return Err(AnswerError::WrongPublisher { publisher, handle: key_log.handle().clone() });
    }

    let mut package = VerifiedPackage { key_log, releases: Vec::new(), refused: Vec::new(), total: answer.total };
    let mut seen = BTreeSet::new();
    for (index, bytes) in answer.releases.iter().enumerate() {
        match verify_release(bytes, question, &package.key_log, network) {
            Ok(release) if seen.insert(release.id()) => package.insert(release),
            Ok(_) => package.refused.push(Refused { index, error: RefusedError::Twice }),
            Err(error) => package.refused.push(Refused { index, error }),
        }
    }
    Ok(Some(package))
}

/// Records that were asked for by id, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedRecords {
    /// One for each id that the relay answered, in the order asked for; None where it lacks the record.
    pub records: Vec<Option<Result<Record, Refused>>>,
    /// The ids that did not fit into the answer: ask for them again.
    pub unanswered: Vec<RecordId>,
}

/// Verifies records that were asked for by id. `key_log` gives the key logs that are known; those of inceptions in the same answer
/// are used besides.
///
/// # Errors
/// [`AnswerError`] when the answer as a whole breaks the protocol.
pub fn verify_records(
    question: &Records,
    answer: RecordsAnswer,
    network: &Network,
    key_log: impl Fn(&PublisherId) -> Option<KeyLog>,
) -> Result<VerifiedRecords, AnswerError> {
    at_most("records", answer.records.len(), question.ids.len())?;
    let inceptions: Vec<Vec<ByteBuf>> = answer.records.iter().flatten().map(|bytes| vec![bytes.clone()]).collect();
    let found = verify_key_logs(&inceptions, network);
    let key_log = |publisher: &PublisherId| match key_log(publisher) {
        Some(key_log) => Ok(key_log),
        None => known(&found, publisher).cloned(),
    };
    let verify = |(index, (bytes, id)): (usize, (&Option<ByteBuf>, &RecordId))| {
        let record = verify_record(bytes.as_ref()?, *id, key_log, network);
        Some(record.map_err(|error| Refused { index, error }))
    };
    let records = answer.records.iter().zip(&question.ids).enumerate().map(verify).collect::<Vec<_>>();
    let unanswered = question.ids[records.len()..].to_vec();
    Ok(VerifiedRecords { records, unanswered })
}

/// Verifies a key log. None: the relay says that it does not know the publisher.
///
/// # Errors
/// [`AnswerError::KeyLog`].
pub fn verify_key_log(
    question: &KeyLogOf,
    answer: &KeyLogAnswer,
    network: &Network,
) -> Result<Option<KeyLog>, AnswerError> {
    if answer.events.is_empty() {
        return Ok(None);
    }
    KeyLog::verify(&answer.events, question.publisher, network).map(Some).map_err(AnswerError::KeyLog)
}

const fn at_most(what: &'static str, actual: usize, limit: usize) -> Result<(), AnswerError> {
    if actual > limit { Err(AnswerError::TooMany { what, actual, limit }) } else { Ok(()) }
}

const fn check_total(total: u64, shown: usize) -> Result<(), AnswerError> {
    if total < shown as u64 { Err(AnswerError::BadTotal { total, shown }) } else { Ok(()) }
}

type KeyLogs = BTreeMap<PublisherId, Result<KeyLog, record::Error>>;

/// Key logs by publisher. They are found by what they say, not by their place in the answer, so that one that can't be read
/// does not shift the others. One that names no publisher is left out: the releases that needed it are then without.
fn verify_key_logs(key_logs: &[Vec<ByteBuf>], network: &Network) -> KeyLogs {
    let mut verified = KeyLogs::new();
    for events in key_logs {
        if let Ok(publisher) = publisher_of(events) {
            verified.entry(publisher).or_insert_with(|| KeyLog::verify(events, publisher, network));
        }
    }
    verified
}

/// Whose key log it says it is.
fn publisher_of(events: &[ByteBuf]) -> Result<PublisherId, record::Error> {
    let inception = events.first().map_or(&[][..], |event| &event[..]);
    Ok(PublisherId::from_inception(Unverified::<Inception>::decode(inception)?.id()))
}

fn known<'a>(key_logs: &'a KeyLogs, publisher: &PublisherId) -> Result<&'a KeyLog, RefusedError> {
    match key_logs.get(publisher) {
        None => Err(RefusedError::NoKeyLog(*publisher)),
        Some(Err(error)) => Err(RefusedError::KeyLog { publisher: *publisher, error: error.clone() }),
        Some(Ok(key_log)) => Ok(key_log),
    }
}

fn verify_hit(bytes: &[u8], key_logs: &KeyLogs, network: &Network) -> Result<Hit, RefusedError> {
    let release = Unverified::<Release>::decode(bytes)?;
    let key_log = known(key_logs, &release.publisher())?;
    Ok(Hit { release: release.verify(key_log, network)?, key_log: key_log.clone() })
}

fn verify_release(
    bytes: &[u8],
    question: &Package,
    key_log: &KeyLog,
    network: &Network,
) -> Result<Verified<Release>, RefusedError> {
    let release = Unverified::<Release>::decode(bytes)?.verify(key_log, network)?;
    if release.name != question.name.name {
        return Err(RefusedError::WrongPackage(release.package()));
    }
    if question.version.as_ref().is_some_and(|version| *version != release.version) {
        return Err(RefusedError::WrongVersion(release.version.clone()));
    }
    Ok(release)
}

fn verify_record(
    bytes: &[u8],
    expected: RecordId,
    key_log: impl Fn(&PublisherId) -> Result<KeyLog, RefusedError>,
    network: &Network,
) -> Result<Record, RefusedError> {
    match UnverifiedRecord::decode(bytes)? {
        UnverifiedRecord::Inception(inception) => {
            Ok(Record::Inception(inception.verify(network)?.expect_id(expected)?))
        }
        UnverifiedRecord::Release(release) => {
            let actual = release.id();
            if actual != expected {
                return Err(record::Error::WrongId { expected, actual }.into());
            }
            let key_log = key_log(&release.publisher())?;
            Ok(Record::Release(Box::new(release.verify(&key_log, network)?)))
        }
    }
}

#[cfg(test)]
#[path = "verified_tests.rs"]
mod tests;
