//! What a client makes of a relay's answer: the proof checked under the relay's checkpoint, every record verified or refused, one by
//! one. One bad record never hides the good ones beside it, and none that the proof names can be left out unseen.

mod candidate;
mod error;
mod known;
mod matches;
mod package;
mod records;
mod said;
mod versions;

use serde_bytes::ByteBuf;

use super::analyser::{Tokens, wholes};
use super::filter::Filter;
use super::query::Query;
use super::rank::Popularity;
use crate::catalogue::find::MAX_WALKED;
use crate::catalogue::keys::{self, Place, ShortId};
use crate::checkpoint::{Checkpoint, Signed};
use crate::id::{Network, PublicKey};
use crate::limits::{MAX_LEVELS, MAX_QUERY_BYTES, MAX_QUERY_TOKENS, MAX_RESULTS, MAX_SUGGESTIONS};
use crate::merkle::Hash;
use crate::merkle::proof::{self, Names, Piece, Prefix, Range, Run};
use crate::protocol::query::{Cursor, Evidence, RangeOf, Search, SearchAnswer, Show};
use crate::record::{self, PresumedKeyLog, Release, Status, Verified};
use crate::rules::Rules;

pub use error::{AnswerError, Refused, RefusedError};
pub use known::Known;
pub use package::{VerifiedPackage, verify_package};
pub use records::{VerifiedRecords, verify_key_log, verify_named, verify_records};
pub use versions::MappedVersions;

use candidate::{Candidate, KeyLogs};
use matches::Matches;
use said::Said;

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
    pub key_log: PresumedKeyLog,
    /// The release.
    pub release: Verified<Release>,
    /// What the publisher says of its version, as far as the relay tells: nothing proves that it is the last word.
    pub status: Option<Verified<Status>>,
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
    at_most("statuses", answer.statuses.len(), answer.releases.len() + answer.recent.len())?;
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
    let epoch = cursor.as_ref().map(|cursor| cursor.epoch);
    known.enter(asked.network);
    let checkpoint = expect_checkpoint(known.checkpoint(&evidence.checkpoint, asked.network)?, epoch, asked)?;
    let candidates: Vec<_> = answer
        .releases
        .iter()
        .map(|release| Candidate::read(release, known).map(|it| Derived::of(it, asked.rules, &bytes)))
        .collect();
    // What a proof leaves to be told by the records is what an honest relay's map has of them: nothing else gives the root.
    let filters: Vec<_> =
        candidates.iter().map(|derived| derived.as_ref().ok().map(|derived| derived.filter)).collect();
    let names = |number: u64, popularity: u8| {
        let at = usize::try_from(number).ok()?;
        let (derived, filter) = (candidates.get(at)?.as_ref().ok()?, filters.get(at)?.as_ref()?);
        let place = derived.place(&bytes, Popularity::from_byte(popularity)?)?;
        Some(([&bytes[..], &place].concat(), &filter.as_bytes()[..]))
    };
    let (run, proven) = verify_proof(checkpoint, evidence, &range, &bytes, &names)?;
    at_most("entries", run.entries.len(), MAX_WALKED)?;

    let key_logs = KeyLogs::of(&answer.key_logs, asked.network, known);
    let mut refused = Vec::new();
    let said = Said::read(&answer, asked.network, &mut refused);
    let mut found = Matches::new(&query, said, refused);
    let mut releases = candidates.into_iter().enumerate();
    let mut last = None;
    for (key, value) in &run.entries {
        let entry = Entry::read(key, value, &bytes).ok_or(AnswerError::NotAnAnswer)?;
        last = Some(entry.rest);
        if query.is_exact(answer.walk) || query.may_match(&entry.filter) {
            match releases.next() {
                Some((index, derived)) => {
                    match derived.and_then(|derived| entry.verify(derived, &bytes, &query, &key_logs, known)) {
                        // A filter lets some through that do not match.
                        Ok(None) => {}
                        Ok(Some(placed)) => found.take(index, placed),
                        Err(error) => found.refused.push(Refused { index, error }),
                    }
                }
                None => {
                    let error = RefusedError::Withheld(data_encoding::HEXLOWER.encode(entry.head.as_bytes()));
                    found.refused.push(Refused { index: answer.releases.len(), error });
                }
            }
        }
    }
    at_most("results", answer.releases.len(), answer.releases.len() - releases.len())?;
    for (index, release) in answer.recent.iter().enumerate() {
        let index = answer.releases.len() + index;
        match Candidate::read(release, known).and_then(|release| release.verify(&key_logs, known)) {
            Ok(hit) => found.take_recent(index, hit, asked.rules),
            Err(error) => found.refused.push(Refused { index, error }),
        }
    }
    found.trust_order_of_recent(&answer.recent);
    found.refused.extend(found.said.rest());

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

    /// Verifies the release that an entry names, and that the rules list it so. None: it is listed rightly, and does not match. Nobody is shown
    /// it, so nobody has to have signed it: that it is what the entry is about follows from its id alone.
    fn verify(
        &self,
        derived: Derived,
        range: &[u8],
        query: &Query,
        key_logs: &KeyLogs<'_>,
        known: &mut Known,
    ) -> Result<Option<Placed>, RefusedError> {
        let (release, id) = derived.candidate.claims();
        if ShortId::of(&id) != self.head {
            return Err(RefusedError::NotProven);
        }
        let popularity = self.popularity(range, &derived);
        if popularity.is_some() && !is_match(query, release, &derived.tokens) {
            return Ok(None);
        }
        let Derived { candidate, tokens, .. } = derived;
        let hit = Hit { in_checkpoint: true, ..candidate.verify(key_logs, known)? };
        popularity.map(|popularity| Some(Placed { hit, tokens, popularity })).ok_or(RefusedError::WrongEntry)
    }

    /// How popular the entry says that its package is, which can't be seen from its release; None when the rules do not list the release so.
    fn popularity(&self, range: &[u8], derived: &Derived) -> Option<Popularity> {
        let plain = derived.plain.as_deref()?;
        // Where only age or name counts, popularity moves nothing.
        let popularity = match (Place::from_bytes(plain), Place::from_bytes(self.rest)) {
            _ if plain == self.rest => Some(Popularity::default()),
            (Some(plain), Some(here)) if keys::is_by_popularity(range) => here.rank.popularity_beyond(&plain.rank),
            _ => None,
        };
        popularity.filter(|_| derived.filter == self.filter)
    }
}

/// A release that an entry may be of, and what the rules make of it.
struct Derived {
    candidate: Candidate,
    tokens: Tokens,
    filter: Filter,
    /// What the key of its entry in the range that is searched has behind the range's bytes if nobody depends on the package; None when it has no
    /// entry there.
    plain: Option<Vec<u8>>,
}

impl Derived {
    fn of(candidate: Candidate, rules: Rules, range: &[u8]) -> Self {
        let (release, id) = candidate.claims();
        let tokens = rules.tokens(release);
        let filter = Filter::of(release, &tokens);
        let plain = keys::listing_in(range, &id, release, &tokens, Popularity::default());
        Self { candidate, tokens, filter, plain }
    }

    /// What the key of its entry has behind the range's bytes if the package is so popular; None when it has no entry there.
    fn place(&self, range: &[u8], popularity: Popularity) -> Option<Vec<u8>> {
        let plain = self.plain.as_ref()?;
        Some(match Place::from_bytes(plain) {
            Some(Place { rank, head }) if keys::is_by_popularity(range) => {
                Place { rank: rank.made_popular(popularity), head }.to_bytes().to_vec()
            }
            _ => plain.clone(),
        })
    }
}

/// A release that is verified, and what its place among others follows from.
struct Placed {
    hit: Hit,
    tokens: Tokens,
    popularity: Popularity,
}

fn is_match(query: &Query, release: &Release, tokens: &Tokens) -> bool {
    query.matches(tokens) && query.admits(release)
}

/// Verifies what an answer stands on, where its records tell nothing about it.
fn verify_evidence<'a>(
    evidence: &'a Evidence,
    range: &Range,
    bytes: &[u8],
    asked: &Asked<'_>,
) -> Result<(Run<'a>, Proven), AnswerError> {
    let checkpoint = Checkpoint::verify(&evidence.checkpoint, asked.network)?;
    verify_proof(expect_checkpoint(checkpoint, None, asked)?, evidence, range, bytes, &|_, _| None)
}

/// Demands that a checkpoint is what the answer may stand on. `epoch`: that of the checkpoint that a page before it stood on.
fn expect_checkpoint(
    checkpoint: Signed<Checkpoint>,
    epoch: Option<u64>,
    asked: &Asked<'_>,
) -> Result<Signed<Checkpoint>, AnswerError> {
    // A page that is read on stands on the checkpoint of the page before it, however old that is.
    let checkpoint = checkpoint.expect(asked.relay, epoch.unwrap_or(asked.epoch), asked.rules)?;
    if epoch.is_some_and(|epoch| epoch != checkpoint.epoch) {
        return Err(AnswerError::NotAnAnswer);
    }
    Ok(checkpoint)
}

fn verify_proof<'a>(
    checkpoint: Signed<Checkpoint>,
    evidence: &'a Evidence,
    range: &Range,
    bytes: &[u8],
    names: &Names<'_, 'a>,
) -> Result<(Run<'a>, Proven), AnswerError> {
    let run = proof::verify_run_with_names(&checkpoint.root.into(), range, &evidence.proof, names)?;
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
    let (run, proven) = verify_evidence(answer, &range, &question.range, asked)?;
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
            let pieces = proof::verify_levels(&root, &range.prefix, levels, &answer.proof)?.0;
            // The topmost join of all is always shown.
            at_most("pieces", pieces.len(), 1 << levels.clamp(1, MAX_LEVELS))?;
            pieces
        }
    };
    Ok((checkpoint, pieces))
}

const fn at_most(what: &'static str, actual: usize, limit: usize) -> Result<(), AnswerError> {
    if actual > limit { Err(AnswerError::TooMany { what, actual, limit }) } else { Ok(()) }
}

#[cfg(test)]
#[path = "verified_tests.rs"]
mod tests;
