//! What a page of results is made of, and what it has room for.

use std::collections::{BTreeMap, BTreeSet};

use super::BYTES_PER_ITEM;
use crate::catalogue::{Catalogue, Listed};
use crate::id::{PublisherId, RecordId};
use crate::limits::{MAX_ANSWER_BYTES, MAX_SEARCH_BYTES};
use crate::protocol::packed::{Ids, Packed};
use crate::record::{KeepPage, KeyLog, RecordBytes, State, Status, Verified};
use crate::search::query::Query;

/// What an answer has room for: releases, what is said of them, and the key logs that both need, each once, with those of their pages
/// that they need.
#[derive(Clone)]
pub(super) struct Page<'a> {
    catalogue: &'a Catalogue,
    query: &'a Query,
    /// The key log of a publisher, and where it is on the page.
    seen: BTreeMap<PublisherId, (usize, &'a KeyLog)>,
    pages: BTreeSet<RecordId>,
    statuses: BTreeMap<RecordId, &'a Packed>,
    /// Ids that records refer to.
    ids: Ids,
    key_logs: Vec<(PublisherId, Vec<&'a Packed>)>,
}

impl<'a> Page<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, query: &'a Query) -> Self {
        Self {
            catalogue,
            query,
            seen: BTreeMap::new(),
            pages: BTreeSet::new(),
            statuses: BTreeMap::new(),
            ids: Ids::default(),
            key_logs: Vec::new(),
        }
    }

    /// Takes in a release that is to be sent, what is said of it, and what both need of their publisher's key log, if all of it fits.
    pub(super) fn admit(&mut self, listed: &Listed, room: &mut Room) -> bool {
        let seen = self.seen.get(&listed.publisher).copied();
        let key_log = seen.map(|(_, key_log)| key_log).or_else(|| self.catalogue.key_log(&listed.publisher));
        let chain = key_log.filter(|_| seen.is_none());
        let status = self.status_of(listed).filter(|status| !self.statuses.contains_key(&status.id()));
        let pages = key_log.map(|key_log| self.pages_for(key_log, &listed.head, status)).unwrap_or_default();
        let events = chain.into_iter().flat_map(KeyLog::chain).chain(pages.iter().map(|page| page.bytes()));
        let events: Vec<&'a RecordBytes> = events.collect();
        let records = status.map(Verified::bytes).into_iter().chain([&listed.bytes]);
        let (mut cost, mut unpacked, mut new) = (0, 0, Vec::new());
        for record in records.chain(events.iter().copied()) {
            let is_known = |id: &[u8; 32]| {
                let is_new = self.ids.insert(*id);
                new.extend(is_new.then_some(*id));
                !is_new
            };
            cost += BYTES_PER_ITEM + record.packed().cost(is_known);
            unpacked += record.len();
        }
        if !room.spend(cost, unpacked) {
            new.iter().for_each(|id| _ = self.ids.remove(id));
            return false;
        }
        self.pages.extend(pages.into_iter().map(Verified::id));
        self.statuses.extend(status.map(|status| (status.id(), status.bytes().packed())));
        let events = events.into_iter().map(RecordBytes::packed);
        match (seen, key_log) {
            (Some((at, _)), _) => {
                self.key_logs.get_mut(at).into_iter().for_each(|(_, known)| known.extend(events.clone()))
            }
            (None, Some(key_log)) => {
                self.seen.insert(listed.publisher, (self.key_logs.len(), key_log));
                self.key_logs.push((listed.publisher, events.collect()));
            }
            (None, None) => {}
        }
        true
    }

    /// What the publisher says of a release that matches, if it is anything but that nothing is the matter. A snapshot lists what was withdrawn
    /// since.
    fn status_of(&self, listed: &Listed) -> Option<&'a Verified<Status>> {
        if !self.catalogue.stated.contains(&listed.package) {
            return None;
        }
        let release = self.catalogue.record(&listed.head)?.release()?;
        let (state, id) = self.catalogue.packages.get(&listed.package)?.decision(&release.version)?;
        let is_shown = || self.query.matches(&listed.tokens) && self.query.admits(release);
        if state == State::Active || !is_shown() { None } else { self.catalogue.record(&id)?.status() }
    }

    /// The pages that keep a release and a status, and that are not here yet. Most key logs have none, and the release need not be looked up.
    fn pages_for(
        &self,
        key_log: &'a KeyLog,
        id: &RecordId,
        status: Option<&'a Verified<Status>>,
    ) -> Vec<&'a Verified<KeepPage>> {
        if key_log.pages().next().is_none() {
            return Vec::new();
        }
        let release = self.catalogue.record(id).and_then(|record| record.release());
        let page_of_release = release.and_then(|release| key_log.page_for(&release.signed_under, id));
        let page_of_status = status.and_then(|status| key_log.page_for(&status.signed_under, &status.id()));
        let mut pages: Vec<_> = page_of_release.into_iter().chain(page_of_status).collect();
        pages.dedup_by_key(|page| page.id());
        pages.retain(|page| !self.pages.contains(&page.id()));
        pages
    }

    pub(super) fn key_logs(&self) -> impl Iterator<Item = (Option<PublisherId>, Vec<&'a Packed>)> {
        self.key_logs.iter().map(|(publisher, events)| (Some(*publisher), events.clone()))
    }

    /// What is said of releases of the page: one at most of each.
    pub(super) fn statuses(&self) -> impl ExactSizeIterator<Item = &'a Packed> {
        self.statuses.values().copied()
    }
}

/// What a page has room for: packed, as it is sent, and unpacked, as it is read. Some kilobytes can unpack to as much as an answer may have.
pub(super) struct Room {
    packed: Budget,
    unpacked: Budget,
}

impl Room {
    pub(super) const fn new(packed: usize, unpacked: usize) -> Self {
        Self { packed: Budget(packed), unpacked: Budget(unpacked) }
    }

    /// With what another one has left.
    pub(super) const fn and(&self, other: &Self) -> Self {
        Self::new(self.packed.0 + other.packed.0, self.unpacked.0 + other.unpacked.0)
    }

    /// Takes all that is left. What the first entry of a page may take instead: the longest release with the longest key log is far less.
    pub(super) fn of_first(&mut self) -> Self {
        self.packed.0 = 0;
        Self::new(MAX_ANSWER_BYTES - MAX_SEARCH_BYTES, MAX_ANSWER_BYTES / 4)
    }

    /// Takes as many bytes of both, if they are there.
    pub(super) fn spend(&mut self, packed: usize, unpacked: usize) -> bool {
        unpacked <= self.unpacked.0 && self.packed.spend(packed) && self.unpacked.spend(unpacked)
    }
}

/// How much of an answer is left.
pub(super) struct Budget(pub(super) usize);

impl Budget {
    /// Takes as many bytes, if they are there.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}
