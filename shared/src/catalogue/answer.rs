//! The answers of the query protocol, from a catalogue: what a relay sends. No answer is longer than [`MAX_ANSWER_BYTES`]; what
//! does not fit is left for the next question, and the answer says so.

use std::collections::BTreeSet;

use serde_bytes::ByteBuf;

use super::{Catalogue, VersionView};
use crate::id::PackageId;
use crate::limits::{
    MAX_ANSWER_BYTES, MAX_CURSOR_BYTES, MAX_RECORDS_PER_REQUEST, MAX_RESULTS, MAX_VERSIONS_PER_ANSWER,
};
use crate::protocol::query::{
    Evidence, KeyLogAnswer, KeyLogOf, Package, PackageAnswer, Records, RecordsAnswer, Refusal, Reply, Search,
    SearchAnswer,
};
use crate::record::{KeyLog, RecordBytes};
use crate::search::query::Query;

/// What the encoding needs beside records: names of fields, numbers, a cursor, the place of a checkpoint and a proof.
const RESERVED_BYTES: usize = 16 * 1024;
/// What the encoding needs for each record or list: a dag-cbor head, and a tag of its variant.
const BYTES_PER_ITEM: usize = 16;

/// The packages that match, best first.
///
/// # Errors
/// A refusal: `query/bad-limit`, `query/too-long`, `query/too-many-words`, `query/bad-cursor`.
pub fn search(catalogue: &Catalogue, question: &Search) -> Reply<SearchAnswer> {
    search_within(catalogue, question, Budget::new())
}

fn search_within(catalogue: &Catalogue, question: &Search, mut budget: Budget) -> Reply<SearchAnswer> {
    let limit = usize::from(question.limit);
    if limit == 0 || limit > MAX_RESULTS {
        return Err(Refusal::new("query/bad-limit", format!("a page has 1 to {MAX_RESULTS} results")));
    }
    let query = Query::parse(&question.text).map_err(|error| Refusal::new(error.code(), error.to_string()))?;
    let cursor = question.cursor.as_ref().map(|cursor| &cursor[..]);
    let bad_cursor = |reason: String| Refusal::new("query/bad-cursor", reason);
    if cursor.is_some_and(|cursor| cursor.len() > MAX_CURSOR_BYTES) {
        return Err(bad_cursor(format!("a cursor has at most {MAX_CURSOR_BYTES} bytes")));
    }
    let page = catalogue.search(&query, limit, cursor).map_err(|error| bad_cursor(error.to_string()))?;

    let mut seen = BTreeSet::new();
    let mut answer = SearchAnswer {
        releases: Vec::new(),
        key_logs: Vec::new(),
        total: page.total as u64,
        total_is_exact: page.total_is_exact,
        cursor: page.cursor().map(|cursor| ByteBuf::from(cursor.to_vec())),
        evidence: Evidence::default(),
    };
    let mut taken: Option<&[u8]> = None;
    for hit in &page.hits {
        // A member's key log is a member; without one there would be nothing to verify the release with.
        let Some(key_log) = catalogue.key_log(&hit.release.publisher) else { continue };
        let is_new = seen.insert(hit.release.publisher);
        let key_log_bytes = if is_new { key_log_bytes(key_log) } else { 0 };
        if !budget.spend(item(hit.release.bytes()) + key_log_bytes) {
            answer.cursor = taken.map(|cursor| ByteBuf::from(cursor.to_vec()));
            break;
        }
        answer.releases.push(wire(hit.release.bytes()));
        if is_new {
            answer.key_logs.push(events(key_log));
        }
        taken = Some(&hit.cursor);
    }
    Ok(answer)
}

/// The releases of a package, highest version first; a version that is contested comes with what contests it.
///
/// # Errors
/// None today.
pub fn package(catalogue: &Catalogue, question: &Package) -> Reply<PackageAnswer> {
    let mut answer =
        PackageAnswer { releases: Vec::new(), key_log: Vec::new(), total: 0, evidence: Evidence::default() };
    let Some((package, key_log)) = meant(catalogue, question) else { return Ok(answer) };
    let versions: Vec<VersionView<'_>> = match &question.version {
        Some(version) => catalogue.version(&package, version).into_iter().collect(),
        None => catalogue.package(&package).take(MAX_VERSIONS_PER_ANSWER).collect(),
    };
    answer.total = match &question.version {
        Some(_) => versions.iter().flat_map(|version| version.releases()).count(),
        None => catalogue.release_count(&package),
    } as u64;

    let mut budget = Budget::new();
    budget.spend(key_log_bytes(key_log));
    answer.key_log = events(key_log);
    for version in versions {
        // A version goes whole or not at all: without what contests it, it would look settled.
        if !budget.spend(version.releases().map(|release| item(release.bytes())).sum()) {
            break;
        }
        answer.releases.extend(version.releases().map(|release| wire(release.bytes())));
    }
    Ok(answer)
}

/// The records with these ids, in the order asked for. A list shorter than what was asked for leaves the rest for another question.
///
/// # Errors
/// A refusal: `query/too-many-ids`.
pub fn records(catalogue: &Catalogue, question: &Records) -> Reply<RecordsAnswer> {
    if question.ids.len() > MAX_RECORDS_PER_REQUEST {
        let message = format!("at most {MAX_RECORDS_PER_REQUEST} records may be asked for at once");
        return Err(Refusal::new("query/too-many-ids", message));
    }
    let mut budget = Budget::new();
    let mut records = Vec::with_capacity(question.ids.len());
    for id in &question.ids {
        let bytes = catalogue.record(id).map(|record| record.bytes());
        if !budget.spend(bytes.map_or(BYTES_PER_ITEM, item)) {
            break;
        }
        records.push(bytes.map(wire));
    }
    Ok(RecordsAnswer { records })
}

/// The key log of a publisher; no event when it is unknown.
///
/// # Errors
/// None today.
pub fn key_log_of(catalogue: &Catalogue, question: &KeyLogOf) -> Reply<KeyLogAnswer> {
    Ok(KeyLogAnswer { events: catalogue.key_log(&question.publisher).map(events).unwrap_or_default() })
}

/// The package that a question means. Of several, the one with the smallest publisher id: the client sees whose it is.
fn meant<'a>(catalogue: &'a Catalogue, question: &Package) -> Option<(PackageId, &'a KeyLog)> {
    let package = catalogue.resolve(&question.name).next()?;
    let key_log = catalogue.key_log(&package.publisher)?;
    Some((package, key_log))
}

/// How much of an answer is left.
struct Budget(usize);

impl Budget {
    const fn new() -> Self {
        Self(MAX_ANSWER_BYTES - RESERVED_BYTES)
    }

    /// Takes as many bytes, if they are there.
    fn spend(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

fn item(bytes: &RecordBytes) -> usize {
    bytes.len() + BYTES_PER_ITEM
}

fn key_log_bytes(key_log: &KeyLog) -> usize {
    BYTES_PER_ITEM + key_log.events().map(item).sum::<usize>()
}

fn wire(bytes: &RecordBytes) -> ByteBuf {
    ByteBuf::from(bytes.to_vec())
}

fn events(key_log: &KeyLog) -> Vec<ByteBuf> {
    key_log.events().map(wire).collect()
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
