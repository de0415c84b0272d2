//! What a client makes of a relay's answer: the proof checked under the relay's checkpoint, every record verified or refused, one by
//! one. One bad record never hides the good ones beside it, and none that the proof names can be left out unseen.

mod error;
mod known;
mod package;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry as MapEntry;

use serde_bytes::ByteBuf;

use super::analyser::{Tokens, wholes};
use super::filter::Filter;
use super::query::Query;
use super::rank::Popularity;
use crate::catalogue::find::MAX_WALKED;
use crate::catalogue::keys::{self, Place, ShortId};
use crate::checkpoint::{Checkpoint, Signed};
use crate::id::{Network, PackageId, PublicKey, PublisherId, RecordId};
use crate::limits::{MAX_LEVELS, MAX_QUERY_BYTES, MAX_QUERY_TOKENS, MAX_RESULTS, MAX_SUGGESTIONS};
use crate::merkle::Hash;
use crate::merkle::proof::{self, Piece, Prefix, Range, Run};
use crate::protocol::query::{
    Cursor, Evidence, KeyLogAnswer, KeyLogOf, Named, NamedAnswer, RangeOf, Records, RecordsAnswer, Search,
    SearchAnswer, Show,
};
use crate::record::{self, Inception, KeyLog, Record, Release, Unverified, UnverifiedRecord, Verified, Version};
use crate::rules::Rules;

pub use error::{AnswerError, Refused, RefusedError};
pub use known::Known;
pub use package::{VerifiedPackage, verify_package};

/// Whose answer it is and when it came: what its checkpoint has to fit.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The network whose records count.
    pub network: &'a Network,
    /// The relay that answered.
    pub relay: &'a PublicKey,
    /// The epoch that it is now.
    pub epoch: u64,
    /// By which rules it was asked to answer.
    pub rules: Rules,
}

/// What a proof shows of a relay's map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proven {
    /// What the relay committed to.
    pub checkpoint: Signed<Checkpoint>,
    /// The range that the answer is of.
    pub range: Vec<u8>,
    /// The hash of all entries of the range; None when there is none. Another relay that has the same hash gives the same answer.
    pub hash: Option<Hash>,
    /// The entries of the range that the answer shows: their keys.
    pub keys: Vec<Vec<u8>>,
    /// Entries of the range.
    pub total: u64,
    /// Entries of the range that pages up to this one went through.
    pub walked: u64,
    /// Bytes of the proof.
    pub bytes: usize,
}

/// A verified result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The publisher's key log, which the release was verified with.
    pub key_log: KeyLog,
    /// The release.
    pub release: Verified<Release>,
    /// Whether the relay's checkpoint has it already.
    pub in_checkpoint: bool,
}

/// A search answer, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedSearch {
    /// Best first; what is refused comes last.
    pub hits: Vec<Result<Hit, Refused>>,
    /// How many packages match, those before this page included.
    pub total: u64,
    /// Whether `total` is exact, or only the least it can be.
    pub total_is_exact: bool,
    /// Where the next page begins.
    pub cursor: Option<ByteBuf>,
    /// What it stands on; None when nothing can match the question.
    pub proven: Option<Proven>,
    /// What the relay takes for what was meant: its guess, of which nothing is proven but that each is a query.
    pub suggestions: Vec<String>,
}

/// Verifies a search answer.
///
/// # Errors
/// [`AnswerError`] when the answer as a whole breaks the protocol, or what it stands on does not hold.
pub fn verify_search(
    question: &Search,
    answer: SearchAnswer,
    asked: &Asked<'_>,
) -> Result<VerifiedSearch, AnswerError> {
    verify_search_knowing(question, answer, asked, &mut Known::default())
}

/// [`verify_search`] by somebody who has verified others before: what is known already takes half the time.
///
/// # Errors
/// As [`verify_search`].
pub fn verify_search_knowing(
    question: &Search,
    answer: SearchAnswer,
    asked: &Asked<'_>,
    known: &mut Known,
) -> Result<VerifiedSearch, AnswerError> {
    let (query, cursor) = question.read()?;
    at_most("results", answer.releases.len(), MAX_WALKED)?;
    at_most("recent results", answer.recent.len(), MAX_RESULTS)?;
    at_most("key logs", answer.key_logs.len(), answer.releases.len() + answer.recent.len())?;
    at_most("suggestions", answer.suggestions.len(), MAX_SUGGESTIONS)?;
    let Some(evidence) = &answer.evidence else {
        // Only of punctuation nothing can be found, which needs no proof. Nothing is like it either.
        let is_nothing = query.walks() == 0
            && answer.releases.is_empty()
            && answer.recent.is_empty()
            && answer.suggestions.is_empty();
        let nothing = VerifiedSearch {
            hits: Vec::new(),
            total: 0,
            total_is_exact: true,
            cursor: None,
            proven: None,
            suggestions: Vec::new(),
        };
        return if is_nothing { Ok(nothing) } else { Err(AnswerError::NotAnAnswer) };
    };
    let bytes = query.range(answer.walk).ok_or(AnswerError::NotAnAnswer)?;
    if cursor.as_ref().is_some_and(|cursor| cursor.walk != answer.walk) {
        return Err(AnswerError::NotAnAnswer);
    }
    let is_ordered = query.is_ordered(answer.walk);
    let after = cursor.as_ref().map(|cursor| &cursor.after[..]);
    let behind = after.filter(|_| is_ordered).map(|after| [&bytes[..], after].concat());
    let range = Range { prefix: Prefix::of(&bytes), after: behind };
    let (run, proven) = verify_evidence(evidence, &range, &bytes, cursor.as_ref().map(|cursor| cursor.epoch), asked)?;
    at_most("entries", run.entries.len(), MAX_WALKED)?;

    known.enter(asked.network);
    let key_logs = verify_key_logs(&answer.key_logs, asked.network, known);
    let mut found = Matches { query: &query, hits: BTreeMap::new(), refused: Vec::new() };
    let mut releases = answer.releases.iter().enumerate();
    let mut last = None;
    for (key, value) in &run.entries {
        let entry = Entry::read(key, value, &bytes).ok_or(AnswerError::NotAnAnswer)?;
        last = Some(entry.rest);
        if query.is_exact(answer.walk) || query.may_match(&entry.filter) {
            match releases.next() {
                Some((index, release)) => {
                    found.take(index, entry.verify(release, &bytes, &key_logs, asked, known));
                }
                None => found.take(
                    answer.releases.len(),
                    Err(RefusedError::Withheld(data_encoding::HEXLOWER.encode(entry.head.as_bytes()))),
                ),
            }
        }
    }
    at_most("results", answer.releases.len(), answer.releases.len() - releases.len())?;
    for (index, release) in answer.recent.iter().enumerate() {
        let hit = verify_hit(release, &key_logs, asked.network, known).map(|hit| Placed::alone(hit, asked.rules));
        found.take(answer.releases.len() + index, hit);
    }
    found.trust_order_of_recent(&answer.recent);

    let matches = found.hits.len() as u64;
    let is_whole = run.rest == 0 && run.skipped == 0;
    let (total, total_is_exact) = match query.is_exact(answer.walk) {
        true => (run.total().max(matches), answer.recent.is_empty()),
        false => (matches, is_whole),
    };
    let cursor = |after: &[u8]| {
        let (epoch, query) = (proven.checkpoint.epoch, question.tag());
        Cursor { epoch, walk: answer.walk, query, after: after.to_vec() }.to_bytes()
    };
    let (hits, cursor) = match last {
        // Otherwise nobody knows what comes first.
        _ if !is_ordered && run.rest > 0 => return Err(AnswerError::NotAnAnswer),
        _ if !is_ordered => {
            let (hits, last) = found.page(after, question.limit.into());
            (hits, last.map(|last| cursor(&last)))
        }
        Some(rest) if run.rest > 0 => (found.in_order(), Some(cursor(rest))),
        // A run that shows nothing of a range that has something: it would never end.
        None if run.rest > 0 => return Err(AnswerError::NotAnAnswer),
        _ => (found.in_order(), None),
    };
    // Nothing rests on them: what can't be shown is left out, whoever typed it first.
    let mut suggestions = answer.suggestions;
    suggestions.retain(|text| is_query(text));
    Ok(VerifiedSearch { hits, total, total_is_exact, cursor, proven: Some(proven), suggestions })
}

/// Whether a text is a query with words, and one that may be shown.
fn is_query(text: &str) -> bool {
    text.len() <= MAX_QUERY_BYTES
        && !text.chars().any(record::is_unprintable)
        && (1..=MAX_QUERY_TOKENS).contains(&wholes(text).len())
}

/// An entry of a package in one of the ranges that are searched.
struct Entry<'a> {
    /// The key behind the range's bytes.
    rest: &'a [u8],
    head: ShortId,
    filter: Filter,
}

impl<'a> Entry<'a> {
    fn read(key: &'a [u8], value: &[u8], range: &[u8]) -> Option<Self> {
        let rest = key.strip_prefix(range)?;
        // What stands before the id of a name is told by the name.
        if range != keys::by_name() {
            Place::from_bytes(rest)?;
        }
        Some(Self { rest, head: keys::short_id(rest)?, filter: Filter::from_bytes(value.try_into().ok()?) })
    }

    /// Verifies the release that an entry names, and that the rules list it so. How popular the entry says that the package is
    /// can't be seen from its record.
    fn verify(
        &self,
        bytes: &[u8],
        range: &[u8],
        key_logs: &KeyLogs,
        asked: &Asked<'_>,
        known: &mut Known,
    ) -> Result<Placed, RefusedError> {
        let hit = Hit { in_checkpoint: true, ..verify_hit(bytes, key_logs, asked.network, known)? };
        if ShortId::of(&hit.release.id()) != self.head {
            return Err(RefusedError::NotProven);
        }
        let mut placed = Placed::alone(hit, asked.rules);
        let (release, tokens) = (&placed.hit.release, &placed.tokens);
        let derived = keys::listing_in(range, &release.id(), release, tokens, Popularity::default());
        let derived = derived.as_deref();
        // Where only age or name counts, popularity moves nothing.
        let popularity = match (derived.and_then(Place::from_bytes), Place::from_bytes(self.rest)) {
            _ if derived == Some(self.rest) => Some(Popularity::default()),
            (Some(derived), Some(here)) if keys::is_by_popularity(range) => here.rank.popularity_beyond(&derived.rank),
            _ => None,
        };
        match popularity {
            Some(popularity) if Filter::of(release, tokens) == self.filter => {
                placed.popularity = popularity;
                Ok(placed)
            }
            _ => Err(RefusedError::WrongEntry),
        }
    }
}

/// A release that is verified, and what its place among others follows from.
struct Placed {
    hit: Hit,
    tokens: Tokens,
    popularity: Popularity,
}

impl Placed {
    /// As if nothing depended on it.
    fn alone(hit: Hit, rules: Rules) -> Self {
        Self { tokens: rules.tokens(&hit.release), popularity: Popularity::default(), hit }
    }
}

/// The packages that match, each once.
struct Matches<'a> {
    query: &'a Query,
    /// By package, with their places.
    hits: BTreeMap<PackageId, (Vec<u8>, Hit)>,
    refused: Vec<Refused>,
}

impl Matches<'_> {
    fn take(&mut self, index: usize, placed: Result<Placed, RefusedError>) {
        let Placed { hit, tokens, popularity } = match placed {
            Ok(placed) => placed,
            Err(error) => return self.refused.push(Refused { index, error }),
        };
        if !self.query.matches(&tokens) || !self.query.admits(&hit.release) {
            // A filter lets some through that do not match; a relay has no reason to say of those that they came since.
            if !hit.in_checkpoint {
                self.refused.push(Refused { index, error: RefusedError::DoesNotMatch });
            }
            return;
        }
        let place = self.query.place(&hit.release, &tokens, popularity);
        let package = hit.release.package();
        match self.hits.get(&package) {
            Some((_, known)) if known.in_checkpoint == hit.in_checkpoint => {
                self.refused.push(Refused { index, error: RefusedError::Twice });
            }
            // What came since the checkpoint takes the place of what was there before. Nothing proves that it is the newest, so it must not
            // take a package back.
            Some((_, known)) if standing(&hit.release) < standing(&known.release) => {}
            _ => _ = self.hits.insert(package, (place, hit)),
        }
    }

    /// How popular a recent package is can't be seen, and the relay's word is all there is: what it puts before another stands before it.
    fn trust_order_of_recent(&mut self, recent: &[ByteBuf]) {
        let mut best: Option<Vec<u8>> = None;
        for bytes in recent.iter().rev() {
            let here =
                self.hits.values_mut().find(|(_, hit)| !hit.in_checkpoint && hit.release.bytes()[..] == bytes[..]);
            if let Some((place, _)) = here {
                let first = best.map_or_else(|| place.clone(), |best| best.min(place.clone()));
                place.clone_from(&first);
                best = Some(first);
            }
        }
    }

    fn in_order(self) -> Vec<Result<Hit, Refused>> {
        self.page(None, usize::MAX).0
    }

    /// The first matches behind a place, what is refused behind them, and the place where more follow.
    fn page(self, after: Option<&[u8]>, limit: usize) -> (Vec<Result<Hit, Refused>>, Option<Vec<u8>>) {
        let mut hits: Vec<_> = self.hits.into_values().collect();
        hits.retain(|(place, _)| after.is_none_or(|after| place[..] > *after));
        hits.sort_by(|(place, hit), (other_place, other)| {
            (place, hit.release.id()).cmp(&(other_place, other.release.id()))
        });
        let last = limit.checked_sub(1).and_then(|last| hits.get(last)).filter(|_| hits.len() > limit);
        let last = last.map(|(place, _)| place.clone());
        let hits = hits.into_iter().take(limit).map(|(_, hit)| Ok(hit));
        (hits.chain(self.refused.into_iter().map(Err)).collect(), last)
    }
}

/// What a release stands for its package by: a version that is no pre-release before all that are.
fn standing(release: &Release) -> (bool, &Version) {
    (!release.version.is_pre_release(), &release.version)
}

/// Verifies what an answer stands on. `epoch`: that of the checkpoint that a page before it stood on.
fn verify_evidence<'a>(
    evidence: &'a Evidence,
    range: &Range,
    bytes: &[u8],
    epoch: Option<u64>,
    asked: &Asked<'_>,
) -> Result<(Run<'a>, Proven), AnswerError> {
    let checkpoint = Checkpoint::verify(&evidence.checkpoint, asked.network)?;
    // A page that is read on stands on the checkpoint of the page before it, however old that is.
    let checkpoint = checkpoint.expect(asked.relay, epoch.unwrap_or(asked.epoch), asked.rules)?;
    if epoch.is_some_and(|epoch| epoch != checkpoint.epoch) {
        return Err(AnswerError::NotAnAnswer);
    }
    let run = proof::verify_run(&checkpoint.root.into(), range, &evidence.proof)?;
    let proven = Proven {
        checkpoint,
        range: bytes.to_vec(),
        hash: run.hash,
        keys: run.entries.iter().map(|(key, _)| key.clone()).collect(),
        total: run.total(),
        walked: run.skipped + run.entries.len() as u64,
        bytes: evidence.proof.len(),
    };
    Ok((run, proven))
}

/// Verifies an answer about a range: what the relay's map has there.
///
/// # Errors
/// [`AnswerError`].
pub fn verify_range(question: &RangeOf, answer: &Evidence, asked: &Asked<'_>) -> Result<Proven, AnswerError> {
    let (range, Show::First(limit)) = (question.meant().ok_or(AnswerError::NotAnAnswer)?, question.show) else {
        return Err(AnswerError::NotAnAnswer);
    };
    let (run, proven) = verify_evidence(answer, &range, &question.range, None, asked)?;
    shows(&run, limit)?;
    Ok(proven)
}

/// Whether as many entries are shown as were asked for, or all there are.
fn shows(run: &Run<'_>, limit: u16) -> Result<(), AnswerError> {
    // Of none, one is shown if the proof can't do without.
    at_most("entries", run.entries.len(), usize::from(limit).max(1))?;
    if run.rest > 0 && run.entries.len() < limit.into() { Err(proof::Error::Incomplete.into()) } else { Ok(()) }
}

/// Verifies an answer to a step of a descent: the pieces that the relay's map has there, and what it stands on.
///
/// # Errors
/// [`AnswerError`].
pub fn verify_pieces<'a>(
    question: &RangeOf,
    answer: &'a Evidence,
    asked: &Asked<'_>,
) -> Result<(Signed<Checkpoint>, Vec<Piece<'a>>), AnswerError> {
    let range = question.meant().ok_or(AnswerError::NotAnAnswer)?;
    let checkpoint =
        Checkpoint::verify(&answer.checkpoint, asked.network)?.expect(asked.relay, asked.epoch, asked.rules)?;
    let root = checkpoint.root.into();
    let pieces = match question.show {
        Show::First(limit) => {
            let run = proof::verify_run(&root, &range, &answer.proof)?;
            shows(&run, limit)?;
            run.into_pieces()
        }
        Show::Levels(levels) => {
            let pieces = proof::verify_levels(&root, &range.prefix, &answer.proof)?.0;
            // The topmost join of all is always shown.
            at_most("pieces", pieces.len(), 1 << levels.clamp(1, MAX_LEVELS))?;
            pieces
        }
    };
    Ok((checkpoint, pieces))
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
    let found = verify_key_logs(&inceptions, network, &mut Known::default());
    let key_log = |publisher: &PublisherId| match key_log(publisher) {
        Some(key_log) => Ok(key_log),
        None => key_log_of(&found, publisher).cloned(),
    };
    let verify = |(index, (bytes, id)): (usize, (&Option<ByteBuf>, &RecordId))| {
        let record = verify_record(bytes.as_ref()?, *id, key_log, network);
        Some(record.map_err(|error| Refused { index, error }))
    };
    let records = answer.records.iter().zip(&question.ids).enumerate().map(verify).collect::<Vec<_>>();
    let unanswered = question.ids[records.len()..].to_vec();
    Ok(VerifiedRecords { records, unanswered })
}

/// Verifies releases that were asked for by the short ids of entries: one for each that the relay answered; None where it lacks it.
///
/// # Errors
/// [`AnswerError`] when the answer as a whole breaks the protocol.
pub fn verify_named(
    question: &Named,
    answer: &NamedAnswer,
    network: &Network,
) -> Result<Vec<Option<Result<Hit, RefusedError>>>, AnswerError> {
    at_most("releases", answer.releases.len(), question.ids.len())?;
    at_most("key logs", answer.key_logs.len(), answer.releases.len())?;
    let mut known = Known::default();
    let key_logs = verify_key_logs(&answer.key_logs, network, &mut known);
    let verify = |(bytes, id): (&Option<ByteBuf>, &ShortId)| {
        let hit = verify_hit(bytes.as_ref()?, &key_logs, network, &mut known);
        Some(hit.and_then(|hit| match ShortId::of(&hit.release.id()) == *id {
            true => Ok(hit),
            false => Err(RefusedError::NotProven),
        }))
    };
    Ok(answer.releases.iter().zip(&question.ids).map(verify).collect())
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

type KeyLogs = BTreeMap<PublisherId, Result<KeyLog, record::Error>>;

/// Key logs by publisher. They are found by what they say, not by their place in the answer, so that one that can't be read
/// does not shift the others. One that names no publisher is left out: the releases that needed it are then without.
fn verify_key_logs(key_logs: &[Vec<ByteBuf>], network: &Network, known: &mut Known) -> KeyLogs {
    let mut verified = KeyLogs::new();
    for events in key_logs {
        if let Some((publisher, key_log)) = known.key_log(events) {
            verified.entry(publisher).or_insert(Ok(key_log));
        } else if let Ok(publisher) = publisher_of(events)
            && let MapEntry::Vacant(place) = verified.entry(publisher)
            && let Ok(key_log) = place.insert(KeyLog::verify(events, publisher, network))
        {
            known.keep_key_log(events, publisher, key_log);
        }
    }
    verified
}

/// Whose key log it says it is.
fn publisher_of(events: &[ByteBuf]) -> Result<PublisherId, record::Error> {
    let inception = events.first().map_or(&[][..], |event| &event[..]);
    Ok(PublisherId::from_inception(Unverified::<Inception>::decode(inception)?.id()))
}

fn key_log_of<'a>(key_logs: &'a KeyLogs, publisher: &PublisherId) -> Result<&'a KeyLog, RefusedError> {
    match key_logs.get(publisher) {
        None => Err(RefusedError::NoKeyLog(*publisher)),
        Some(Err(error)) => Err(RefusedError::KeyLog { publisher: *publisher, error: error.clone() }),
        Some(Ok(key_log)) => Ok(key_log),
    }
}

fn verify_hit(bytes: &[u8], key_logs: &KeyLogs, network: &Network, known: &mut Known) -> Result<Hit, RefusedError> {
    // What holds under one key log may not hold under another.
    let holds = |hit: &&Hit| key_log_of(key_logs, &hit.release.publisher) == Ok(&hit.key_log);
    if let Some(hit) = known.release(bytes).filter(holds) {
        return Ok(hit.clone());
    }
    let release = Unverified::<Release>::decode(bytes)?;
    let key_log = key_log_of(key_logs, &release.publisher())?;
    let hit = Hit { release: release.verify(key_log, network)?, key_log: key_log.clone(), in_checkpoint: false };
    known.keep_release(&hit);
    Ok(hit)
}

fn verify_record(
    bytes: &[u8],
    expected: RecordId,
    key_log: impl Fn(&PublisherId) -> Result<KeyLog, RefusedError>,
    network: &Network,
) -> Result<Record, RefusedError> {
    let record = UnverifiedRecord::decode_known(bytes)?;
    let actual = record.id();
    if actual != expected {
        return Err(record::Error::WrongId { expected, actual }.into());
    }
    // An inception is the key log that it is verified with.
    let key_log = key_log(&record.publisher())?;
    Ok(record.verify(Some(&key_log), network)?)
}

#[cfg(test)]
#[path = "verified_tests.rs"]
mod tests;
