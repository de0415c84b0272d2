//! The key logs that a light peer remembers from announcements, so that nobody makes it forget a rotation.
//!
//! Who announces a record of a publisher is asked for its key log, and may leave out a rotation that made the record void. What is
//! remembered tells so. Publishers cost nothing, so whatever is bounded here can be flooded: key logs without rotations, of which
//! forgetting nothing but time is lost, leave first; of one with rotations there stays a mark, and no mark ever leaves.

use std::collections::{BTreeSet, HashMap};

use ggen_shared::id::{PublisherId, RecordId};
use ggen_shared::record::{KeyLog, Record, Verified};

/// Memory for key logs, as [`cost`] estimates it: some thousands that are nothing but an inception.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Marks of publishers whose key logs are not here any more: some three megabytes. Past it, rotations of further publishers are forgotten
/// with their key logs.
const MAX_MARKS: usize = 32 * 1024;
/// A key log that costs more is remembered without its keep pages, which are asked for again when a record needs them.
const MAX_PART: usize = 32;

/// What is known of publishers' keys.
pub(super) struct KeyLogs {
    max_bytes: usize,
    max_marks: usize,
    logs: HashMap<PublisherId, Known>,
    /// What leaves first is first: those without rotations, then by their last use.
    order: BTreeSet<(bool, u64, PublisherId)>,
    bytes: usize,
    uses: u64,
    marks: HashMap<PublisherId, Mark>,
}

struct Known {
    key_log: KeyLog,
    cost: usize,
    last_use: u64,
}

/// What is left of a key log with rotations.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Rotations that follow one another.
    depth: usize,
    /// The last of them; None: the log is frozen behind them.
    last: Option<RecordId>,
}

impl KeyLogs {
    pub(super) fn new() -> Self {
        Self::bounded(MAX_BYTES, MAX_MARKS)
    }

    fn bounded(max_bytes: usize, max_marks: usize) -> Self {
        Self {
            max_bytes,
            max_marks,
            logs: HashMap::new(),
            order: BTreeSet::new(),
            bytes: 0,
            uses: 0,
            marks: HashMap::new(),
        }
    }

    /// The key log of a publisher, if it is here.
    pub(super) fn get(&self, publisher: &PublisherId) -> Option<&KeyLog> {
        self.logs.get(publisher).map(|known| &known.key_log)
    }

    /// Remembers a key log as a peer tells it, and gives it with everything that was known before. None: it lacks a rotation that was known
    /// once, so nothing that it says of a record counts.
    pub(super) fn remember(&mut self, mut key_log: KeyLog) -> Option<KeyLog> {
        let publisher = key_log.publisher();
        if let Some(known) = self.get(&publisher) {
            // What does not follow any more, since the log forked, is no part of it.
            known.rotations().for_each(|rotation| _ = key_log.follow(rotation.clone()));
            known.pages().for_each(|page| _ = key_log.add_page(page.clone()));
        } else if self.marks.get(&publisher).is_some_and(|mark| !mark.is_in(&key_log)) {
            return None;
        }
        self.keep(key_log.clone());
        Some(key_log)
    }

    /// Keeps a key log in the place of the one that is here, and makes room for it.
    fn keep(&mut self, key_log: KeyLog) {
        let publisher = key_log.publisher();
        self.take(&publisher);
        let most = self.max_bytes / MAX_PART;
        let key_log = if cost(&key_log) > most { without_pages(key_log) } else { key_log };
        let cost = cost(&key_log);
        while self.bytes + cost > self.max_bytes {
            let Some((_, _, first)) = self.order.first().copied() else { break };
            let left = self.take(&first);
            left.as_ref().and_then(Mark::of).into_iter().for_each(|mark| self.mark(first, mark));
        }
        self.uses += 1;
        self.bytes += cost;
        self.order.insert((Mark::of(&key_log).is_some(), self.uses, publisher));
        self.logs.insert(publisher, Known { key_log, cost, last_use: self.uses });
    }

    fn take(&mut self, publisher: &PublisherId) -> Option<KeyLog> {
        let Known { key_log, cost, last_use } = self.logs.remove(publisher)?;
        self.bytes -= cost;
        self.order.remove(&(Mark::of(&key_log).is_some(), last_use, *publisher));
        Some(key_log)
    }

    fn mark(&mut self, publisher: PublisherId, mark: Mark) {
        // Those that were here first stay: a flood does not displace them.
        if self.marks.len() < self.max_marks || self.marks.contains_key(&publisher) {
            self.marks.insert(publisher, mark);
        }
    }
}

impl Mark {
    /// None for a key log without rotations.
    fn of(key_log: &KeyLog) -> Option<Self> {
        key_log.rotations().next()?;
        let depth = depth(key_log);
        Some(Self { depth, last: (!key_log.is_frozen()).then(|| key_log.head()) })
    }

    /// Whether a key log has all that was known, or is frozen where it was known to go on, so that what followed is no part of it.
    fn is_in(&self, key_log: &KeyLog) -> bool {
        let depth = depth(key_log);
        match self.last {
            Some(last) => key_log.key_at(&last).is_some() || key_log.is_frozen() && depth < self.depth,
            None => key_log.is_frozen() && depth <= self.depth,
        }
    }
}

/// Rotations that follow one another, without those of a fork.
fn depth(key_log: &KeyLog) -> usize {
    let of_fork = if key_log.is_frozen() { 2 } else { 0 };
    key_log.rotations().count() - of_fork
}

/// What a key log costs in memory, in bytes: its events as they are sent and as they are read, and what else is kept of each.
fn cost(key_log: &KeyLog) -> usize {
    key_log.events().map(|event| 2 * event.as_ref().len() + 256).sum::<usize>() + 256
}

/// The same rotations, without the pages that say what they keep.
fn without_pages(key_log: KeyLog) -> KeyLog {
    let mut records = key_log.clone().into_records().into_iter();
    let Some(Record::Inception(inception)) = records.next() else { return key_log };
    let mut bare = KeyLog::new(inception);
    for record in records {
        if let Record::Rotation(rotation) = record {
            let rotation: Verified<_> = *rotation;
            _ = bare.follow(rotation);
        }
    }
    bare
}

#[cfg(test)]
#[path = "key_logs_tests.rs"]
mod tests;
