//! The answers of the query protocol, from a catalogue and its last snapshots: what a relay sends. An answer stands on a checkpoint, with
//! what came since beside it. None is longer than its budget; what does not fit is left for the next question.

mod page;

use std::collections::{BTreeMap, BTreeSet};

use serde_bytes::ByteBuf;

use super::find::{self, MAX_WALKED};
use super::keys::{self, PackageKey, ShortId};
use super::snapshots::{Snapshot, Snapshots};
use super::{Catalogue, Leaf, Listed, Standing, VersionView};
use crate::id::{PackageId, PublisherId, RecordId};
use crate::limits::{
    MAX_ANSWER_BYTES, MAX_CONFLICTING_RECORDS, MAX_LEVELS, MAX_PAGES_PER_KEY_LOG, MAX_RECORD_BYTES,
    MAX_RECORDS_PER_REQUEST, MAX_RESULTS, MAX_SEARCH_BYTES, MAX_VERSIONS_PER_ANSWER,
};
use crate::merkle::proof::{Name, Range};
use crate::merkle::{MAX_KEY_BYTES, Map};
use crate::protocol::packed::PackedRecords;
use crate::protocol::query::{
    Evidence, KeyLogAnswer, KeyLogOf, Named, NamedAnswer, Package, PackageAnswer, PackedSearchAnswer, RangeOf, Records,
    RecordsAnswer, Refusal, Reply, Search, Show,
};
use crate::record::{KeyLog, Record, RecordBytes, Release, Status, Verified};
use crate::search::filter::FILTER_BYTES;

use page::{Budget, Page, Room};

/// What the encoding needs beside records: names of fields, numbers, a checkpoint, the sides of a proof.
const RESERVED_BYTES: usize = 16 * 1024;
/// What the encoding needs for each record or list: a dag-cbor head, and a tag of its variant.
const BYTES_PER_ITEM: usize = 16;
/// A release of the greatest length that does not get shorter by packing, with a key log as most publishers have one.
const BYTES_OF_LARGEST: usize = MAX_RECORD_BYTES + 4 * 1024;
/// What an entry that is walked adds to a proof: its place, its filter, its share of hashes.
const BYTES_PER_ENTRY: usize = 28 + FILTER_BYTES + 8;

/// A page of the packages that match.
///
/// # Errors
/// A refusal: `query/bad-limit`, `query/too-long`, `query/too-many-words`, `query/bad-filter`, `query/bad-cursor`, `query/old-cursor`,
/// `relay/no-checkpoint`.
pub fn search(catalogue: &Catalogue, snapshots: &Snapshots, question: &Search) -> Reply<PackedSearchAnswer> {
    search_within(catalogue, snapshots, question, MAX_SEARCH_BYTES - RESERVED_BYTES, true)
}

/// [`search`], with every entry written out in the proof, though the records tell what most of them are.
///
/// # Errors
/// As [`search`].
pub fn search_in_full(catalogue: &Catalogue, snapshots: &Snapshots, question: &Search) -> Reply<PackedSearchAnswer> {
    search_within(catalogue, snapshots, question, MAX_SEARCH_BYTES - RESERVED_BYTES, false)
}

/// Which release of an answer an entry is of, in order, and how popular its package is.
fn names(releases: &[&Listed]) -> impl FnMut(&[u8]) -> Option<(u64, u8)> {
    let mut left = releases.iter().zip(0..).peekable();
    move |key| {
        let head = keys::short_id(key)?;
        let (listed, number) = left.next_if(|(listed, _)| ShortId::of(&listed.head) == head)?;
        Some((number, listed.popularity.to_byte()))
    }
}

fn search_within(
    catalogue: &Catalogue,
    snapshots: &Snapshots,
    question: &Search,
    budget: usize,
    has_names: bool,
) -> Reply<PackedSearchAnswer> {
    let limit = usize::from(question.limit);
    if limit == 0 || limit > MAX_RESULTS {
        return Err(Refusal::new("query/bad-limit", format!("a page has 1 to {MAX_RESULTS} results")));
    }
    let (query, cursor) = question.read().map_err(|error| Refusal::new(error.code(), error.to_string()))?;
    let snapshot = match &cursor {
        None => latest(snapshots)?,
        Some(cursor) => snapshots.at(cursor.epoch).ok_or_else(|| {
            Refusal::new(
                "query/old-cursor",
                "the checkpoint that the cursor belongs to is no longer kept: search again",
            )
        })?,
    };

    // What is recent leaves room for entries of the range.
    let share = budget.saturating_sub(BYTES_OF_LARGEST).max(budget / 2);
    let (mut recent, rest) = (Room::new(share, MAX_ANSWER_BYTES / 2), Room::new(budget - share, MAX_ANSWER_BYTES / 4));
    let mut page = Page::new(catalogue, &query);
    let mut recently = Vec::new();
    // What is walked whole is also put in order with what is recent.
    if cursor.as_ref().is_none_or(|cursor| !query.is_ordered(cursor.walk)) {
        // As many as there may be: nothing else counts what was published in a burst.
        for listed in catalogue.find_recent(&query, MAX_RESULTS) {
            // One with a long key log does not keep others off the page.
            if page.admit(listed, &mut recent) {
                recently.push(listed.bytes.packed());
            }
        }
    }
    let (mut walk, mut proof, mut releases) = (0, None, Vec::new());
    let chosen = cursor.as_ref().map(|cursor| cursor.walk);
    let walks = chosen.into_iter().chain(find::walks(&snapshot.map, &query).filter(|_| chosen.is_none()));
    let after = cursor.as_ref().map(|cursor| &cursor.after[..]);
    for choice in walks {
        let (mut tried, mut room, mut is_first) = (page.clone(), rest.and(&recent), true);
        let found = find::find(&snapshot.map, &query, limit, choice, after, |listed, is_candidate| {
            if !room.spend(BYTES_PER_ENTRY, 0) {
                return false;
            }
            // The first fits in any case: a page that nothing fits on would be asked for again and again.
            let is_first = is_candidate && std::mem::take(&mut is_first);
            !is_candidate || tried.admit(listed, &mut room) || (is_first && tried.admit(listed, &mut room.of_first()))
        });
        if let Some(found) = found {
            walk = found.walk;
            releases = found.candidates;
            let mut name = names(if has_names { &releases } else { &[] });
            proof = Some(evidence(snapshot, &found.range, found.walked, &mut name));
            page = tried;
            break;
        }
    }
    if proof.is_none() && query.walks() > 0 {
        return Err(Refusal::new("query/bad-cursor", "what the cursor belongs to can't be walked whole: search again"));
    }
    let releases = releases.iter().map(|listed| listed.bytes.packed());
    let (recent, statuses) = (recently.len() as u16, page.statuses().len() as u16);
    let records = releases.chain(recently).chain(page.statuses());
    let records = PackedRecords::of(page.key_logs(), records);
    let suggestions = Vec::new();
    Ok(PackedSearchAnswer { walk, records, recent, statuses, evidence: proof, suggestions })
}

fn latest(snapshots: &Snapshots) -> Reply<&Snapshot> {
    snapshots
        .latest()
        .ok_or_else(|| Refusal::new("relay/no-checkpoint", "the relay has made no checkpoint yet: try again"))
}

fn evidence(snapshot: &Snapshot, range: &Range, entries: usize, name: &mut Name<'_>) -> Evidence {
    let proof = ByteBuf::from(snapshot.map.prove_with_names(range, entries, name));
    Evidence { checkpoint: snapshot.checkpoint.bytes().clone(), proof }
}

/// The releases of a package, highest version first; a version that is contested comes with what contests it.
///
/// # Errors
/// A refusal: `relay/no-checkpoint`.
pub fn package(catalogue: &Catalogue, snapshots: &Snapshots, question: &Package) -> Reply<PackageAnswer> {
    let snapshot = latest(snapshots)?;
    let mut answer = PackageAnswer {
        releases: Vec::new(),
        recent: Vec::new(),
        statuses: Vec::new(),
        key_log: Vec::new(),
        evidence: None,
    };
    let Some((package, key_log)) = meant(catalogue, question) else { return Ok(answer) };
    let key = PackageKey::of(&package);
    let range = Range::of(&match &question.version {
        Some(version) => keys::of_version(&key, version),
        None => keys::versions(&key),
    });
    let now: Vec<VersionView<'_>> = match &question.version {
        Some(version) => catalogue.version(&package, version).into_iter().collect(),
        None => catalogue.package(&package).take(MAX_VERSIONS_PER_ANSWER).collect(),
    };

    let mut sent = Sent::new(key_log);
    let (mut shown, mut proven) = (0, BTreeSet::new());
    for (entry, leaf) in
        snapshot.map.iter(range.prefix.parts().1).take(MAX_VERSIONS_PER_ANSWER * MAX_CONFLICTING_RECORDS)
    {
        let Some(id) = keys::short_id(&entry) else { break };
        // What left since the checkpoint is not here any more, and ends what can be shown of it.
        let Some(release) = catalogue.release_by_short_id(&package, &id) else { break };
        let decision = leaf.stands().decision;
        let status = decision.and_then(|decision| catalogue.status_by_short_id(&package, &decision.status));
        // Its entry is in the proof.
        if status.is_some() != decision.is_some()
            || !sent.admit(Some(release), status, entry.len() + Standing::MAX_BYTES)
        {
            break;
        }
        answer.releases.push(wire(release.bytes()));
        proven.insert(release.id());
        shown += 1;
    }
    for (release, status) in now.iter().flat_map(|view| view.releases().map(|release| (release, view.status))) {
        let is_proven = proven.contains(&release.id());
        let is_behind = !is_proven && shown == MAX_VERSIONS_PER_ANSWER * MAX_CONFLICTING_RECORDS;
        if is_behind || !sent.admit(Some(release).filter(|_| !is_proven), status, 0) {
            break;
        }
        if !is_proven {
            answer.recent.push(wire(release.bytes()));
        }
    }
    answer.statuses = sent.statuses.values().copied().map(wire).collect();
    answer.key_log = key_log.chain().chain(sent.pages.values().copied()).map(wire).collect();
    answer.evidence = Some(evidence(snapshot, &range, shown, &mut |_| None));
    Ok(answer)
}

/// What goes with the releases of a package answer, each once: statuses, and the pages that keep any of them.
struct Sent<'a> {
    key_log: &'a KeyLog,
    statuses: BTreeMap<RecordId, &'a RecordBytes>,
    pages: BTreeMap<RecordId, &'a RecordBytes>,
    budget: Budget,
}

impl<'a> Sent<'a> {
    fn new(key_log: &'a KeyLog) -> Self {
        let mut budget = Budget(MAX_ANSWER_BYTES - RESERVED_BYTES);
        budget.spend(chain_bytes(key_log));
        Self { key_log, statuses: BTreeMap::new(), pages: BTreeMap::new(), budget }
    }

    /// Takes in a release and the status that decides about it, if all that they need fits, and `more` bytes.
    fn admit(
        &mut self,
        release: Option<&'a Verified<Release>>,
        status: Option<&'a Verified<Status>>,
        more: usize,
    ) -> bool {
        let status = status.filter(|status| !self.statuses.contains_key(&status.id()));
        let page_of_release = release.and_then(|release| self.key_log.page_for(&release.signed_under, &release.id()));
        let page_of_status = status.and_then(|status| self.key_log.page_for(&status.signed_under, &status.id()));
        let pages: BTreeMap<RecordId, &RecordBytes> = page_of_release
            .into_iter()
            .chain(page_of_status)
            .filter(|page| !self.pages.contains_key(&page.id()))
            .map(|page| (page.id(), page.bytes()))
            .collect();
        let bytes = release.map_or(0, |release| item(release.bytes()))
            + status.map_or(0, |status| item(status.bytes()))
            + pages.values().copied().map(item).sum::<usize>();
        if !self.budget.spend(bytes + more) {
            return false;
        }
        self.statuses.extend(status.map(|status| (status.id(), status.bytes())));
        self.pages.extend(pages);
        true
    }
}

/// What the map had in a range at the last checkpoint.
///
/// # Errors
/// A refusal: `query/bad-limit`, `query/bad-range`, `relay/no-checkpoint`.
pub fn range(snapshots: &Snapshots, question: &RangeOf) -> Reply<Evidence> {
    let snapshot = latest(snapshots)?;
    Ok(Evidence { checkpoint: snapshot.checkpoint.bytes().clone(), proof: prove(&snapshot.map, question)? })
}

fn prove(map: &Map<Leaf>, question: &RangeOf) -> Reply<ByteBuf> {
    let range = question.meant().ok_or_else(|| {
        Refusal::new("query/bad-range", format!("a range is at most {MAX_KEY_BYTES} bytes, with zeros behind its bits"))
    })?;
    match question.show {
        Show::First(limit) if usize::from(limit) <= MAX_WALKED => Ok(map.prove(&range, limit.into())),
        Show::Levels(levels) if levels <= MAX_LEVELS && range.after.is_none() => {
            Ok(map.prove_levels(&range.prefix, levels))
        }
        Show::First(_) => {
            Err(Refusal::new("query/bad-limit", format!("at most {MAX_WALKED} entries are shown at once")))
        }
        Show::Levels(_) => {
            Err(Refusal::new("query/bad-limit", format!("at most {MAX_LEVELS} levels of a whole range are shown")))
        }
    }
    .map(ByteBuf::from)
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
    let mut budget = Budget(MAX_ANSWER_BYTES - RESERVED_BYTES);
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

/// The releases with these short ids, in the order asked for. A list shorter than what was asked for leaves the rest for another question.
///
/// # Errors
/// A refusal: `query/too-many-ids`.
pub fn named(catalogue: &Catalogue, question: &Named) -> Reply<NamedAnswer> {
    if question.ids.len() > MAX_RECORDS_PER_REQUEST {
        let message = format!("at most {MAX_RECORDS_PER_REQUEST} releases may be asked for at once");
        return Err(Refusal::new("query/too-many-ids", message));
    }
    let mut budget = Budget(MAX_ANSWER_BYTES - RESERVED_BYTES);
    let mut publishers = Publishers { catalogue, seen: BTreeMap::new(), pages: BTreeSet::new(), key_logs: Vec::new() };
    let mut releases = Vec::with_capacity(question.ids.len());
    for id in &question.ids {
        let release = catalogue.named(id);
        let fits = match release {
            Some(release) => publishers.admit(&release.publisher, &release.id(), release.bytes(), &mut budget),
            None => budget.spend(BYTES_PER_ITEM),
        };
        if !fits {
            break;
        }
        releases.push(release.map(|release| wire(release.bytes())));
    }
    Ok(NamedAnswer { releases, key_logs: publishers.key_logs })
}

/// The key logs that an answer needs, each once, with those of their pages that it needs.
struct Publishers<'a> {
    catalogue: &'a Catalogue,
    /// Where the key log of a publisher is.
    seen: BTreeMap<PublisherId, usize>,
    pages: BTreeSet<RecordId>,
    key_logs: Vec<Vec<ByteBuf>>,
}

impl Publishers<'_> {
    /// Takes in the publisher of a release that is to be sent, if all of it fits.
    fn admit(&mut self, publisher: &PublisherId, id: &RecordId, release: &RecordBytes, budget: &mut Budget) -> bool {
        let key_log = self.catalogue.key_log(publisher);
        let chain = key_log.filter(|_| !self.seen.contains_key(publisher));
        let release_now = self.catalogue.record(id).and_then(Record::release);
        let page = release_now.and_then(|release| key_log?.page_for(&release.signed_under, id));
        let page = page.filter(|page| !self.pages.contains(&page.id()));
        let more = chain.map_or(0, chain_bytes) + page.map_or(0, |page| item(page.bytes()));
        if !budget.spend(item(release) + more) {
            return false;
        }
        if let Some(chain) = chain {
            self.seen.insert(*publisher, self.key_logs.len());
            self.key_logs.push(chain.chain().map(wire).collect());
        }
        if let Some(page) = page
            && let Some(events) = self.seen.get(publisher).and_then(|at| self.key_logs.get_mut(*at))
        {
            self.pages.insert(page.id());
            events.push(wire(page.bytes()));
        }
        true
    }
}

/// The key log of a publisher; no event when it is unknown. Of its pages, those that fit.
///
/// # Errors
/// None today.
pub fn key_log_of(catalogue: &Catalogue, question: &KeyLogOf) -> Reply<KeyLogAnswer> {
    let Some(key_log) = catalogue.key_log(&question.publisher) else {
        return Ok(KeyLogAnswer { events: Vec::new() });
    };
    let mut budget = Budget(MAX_ANSWER_BYTES - RESERVED_BYTES);
    let pages = key_log.pages().map(Verified::bytes).take(MAX_PAGES_PER_KEY_LOG);
    let events = key_log.chain().chain(pages).take_while(|event| budget.spend(item(event)));
    Ok(KeyLogAnswer { events: events.map(wire).collect() })
}

/// The package that a question means. Of several, the one with the smallest publisher id: the client sees whose it is.
fn meant<'a>(catalogue: &'a Catalogue, question: &Package) -> Option<(PackageId, &'a KeyLog)> {
    let package = catalogue.resolve(&question.name).next()?;
    let key_log = catalogue.key_log(&package.publisher)?;
    Some((package, key_log))
}

fn item(bytes: &RecordBytes) -> usize {
    bytes.len() + BYTES_PER_ITEM
}

fn chain_bytes(key_log: &KeyLog) -> usize {
    BYTES_PER_ITEM + key_log.chain().map(item).sum::<usize>()
}

fn wire(bytes: &RecordBytes) -> ByteBuf {
    ByteBuf::from(bytes.to_vec())
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
