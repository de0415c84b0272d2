//! Who is a member: takes in what is offered, and says what leaves because of it.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use super::delivery::Delivery;
use super::keys::PackageKey;
use super::leaf::{self, Leaf};
use super::package::{Contender, Package};
use super::{Catalogue, InsertError, Inserted, Publisher};
use crate::id::{PackageId, PublisherId, RecordId};
use crate::limits::{MAX_CONFLICTING_RECORDS, MAX_WAITING_PAGES};
use crate::record::{Followed, Inception, Indexed, KeepPage, KeyLog, Record, Rotation, Verified, Version};

impl Catalogue {
    /// Offers a record. The result of many offers that are made until nothing changes does not depend on their order.
    ///
    /// # Errors
    /// [`InsertError::UnknownPublisher`] for a record without its publisher's inception, [`InsertError::MissingPages`] for a rotation
    /// before its pages, [`InsertError::Record`] for one that does not hold under the key log that is here.
    pub fn insert(&mut self, record: Record) -> Result<Inserted, InsertError> {
        if self.records.contains_key(&record.id()) {
            return Ok(Inserted::AlreadyKnown);
        }
        match record {
            Record::Inception(inception) => Ok(self.insert_inception(inception)),
            Record::KeepPage(page) => self.insert_page(*page),
            Record::Rotation(rotation) => self.insert_rotation(*rotation),
            Record::Release(_) | Record::Status(_) | Record::Unknown(_) => self.insert_indexed(record),
        }
    }

    fn insert_inception(&mut self, inception: Verified<Inception>) -> Inserted {
        let publisher = PublisherId::from_inception(inception.id());
        let key_log = KeyLog::new(inception.clone());
        self.publishers.insert(publisher, Publisher { key_log, slots: BTreeMap::new() });
        self.keep(Record::Inception(inception));
        Inserted::New { left: Vec::new(), heads_changed: Vec::new() }
    }

    fn publisher(&self, publisher: PublisherId) -> Result<&Publisher, InsertError> {
        self.publishers.get(&publisher).ok_or(InsertError::UnknownPublisher(publisher))
    }

    /// A rotation is a member only with all its pages, so a page that is none is one that no rotation names.
    fn insert_page(&mut self, page: Verified<KeepPage>) -> Result<Inserted, InsertError> {
        // Only who has the next key of a publisher can make one that waits.
        self.publisher(page.publisher)?.key_log.clone().add_page(page.clone())?;
        if self.waiting.iter().all(|waiting| waiting.id() != page.id()) {
            self.waiting.push_back(page);
            if self.waiting.len() > MAX_WAITING_PAGES {
                self.forget_waiting();
            }
        }
        Ok(Inserted::Waits)
    }

    /// Forgets the oldest page of the publisher that has most of those that wait: many pages push out none of another publisher's few.
    fn forget_waiting(&mut self) {
        let mut counts: BTreeMap<PublisherId, usize> = BTreeMap::new();
        for page in &self.waiting {
            *counts.entry(page.publisher).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count).map(|(publisher, _)| publisher);
        if let Some(at) = self.waiting.iter().position(|page| Some(page.publisher) == most) {
            self.waiting.remove(at);
        }
    }

    /// The pages of a rotation that wait for it, those that are here.
    pub fn waiting_pages(&self, rotation: &Rotation) -> impl Iterator<Item = &Verified<KeepPage>> {
        self.waiting.iter().filter(|page| rotation.names(page))
    }

    fn insert_rotation(&mut self, rotation: Verified<Rotation>) -> Result<Inserted, InsertError> {
        let publisher = self.publisher(rotation.publisher)?;
        let mut key_log = publisher.key_log.clone();
        if key_log.follow(rotation.clone())? != Followed::New {
            return Ok(Inserted::NotKept);
        }
        let named = |page: &&Verified<KeepPage>| rotation.names(page);
        let waiting: Vec<Verified<KeepPage>> = self.waiting_pages(&rotation).cloned().collect();
        for page in publisher.key_log.pages().filter(named).chain(&waiting) {
            key_log.add_page(page.clone())?;
        }
        if key_log.pages().filter(named).count() < rotation.pages.len() {
            return Err(InsertError::MissingPages(rotation.id()));
        }
        let left = self.continue_key_log(key_log, rotation.prev);
        self.waiting.retain(|page| waiting.iter().all(|joined| joined.id() != page.id()));
        Ok(left)
    }

    /// Puts another key log in the place of a publisher's, in which something else follows `prev`.
    fn continue_key_log(&mut self, key_log: KeyLog, prev: RecordId) -> Inserted {
        let id = key_log.publisher();
        let Some(publisher) = self.publishers.get_mut(&id) else { return Inserted::NotKept };
        // What was kept before, its versions know as kept.
        let was_settled = publisher.key_log.is_settled(&prev);
        let old: BTreeSet<RecordId> = publisher.key_log.clone().into_records().iter().map(Record::id).collect();
        publisher.key_log = key_log.clone();
        let events = key_log.clone().into_records();
        let new: BTreeSet<RecordId> = events.iter().map(Record::id).collect();
        let mut out: Vec<RecordId> = old.difference(&new).copied().collect();
        for event in events.into_iter().filter(|event| !old.contains(&event.id())) {
            self.keep(event);
        }

        // Nothing changes for what was signed under other events, if they are still there: each record is looked up in one list.
        let pages = key_log.pages().filter(|page| page.prev == prev);
        let mut listed: Vec<RecordId> = pages.flat_map(|page| page.keep.iter().copied()).collect();
        listed.sort_unstable();
        let mut touched = BTreeSet::new();
        let slots = self.publishers.get_mut(&id).map(|publisher| mem::take(&mut publisher.slots)).unwrap_or_default();
        let mut kept = BTreeMap::new();
        for (index, slot) in slots {
            let mut stays = Vec::new();
            for id in slot {
                let Some(record) = self.records.get(&id) else { continue };
                let Some(under) = record.indexed().map(Indexed::signed_under) else { continue };
                let is_under = under == prev;
                let holds = if is_under { listed.binary_search(&id).is_ok() } else { key_log.key_at(&under).is_some() };
                if holds {
                    stays.push(id);
                    if !is_under || was_settled {
                        continue;
                    }
                } else {
                    out.push(id);
                }
                let record = record.clone();
                touched.extend(self.withdraw(&record));
                if holds {
                    // What it keeps, it settles.
                    touched.extend(self.enlist(&record, true));
                }
            }
            if !stays.is_empty() {
                kept.insert(index, stays);
            }
        }
        if let Some(publisher) = self.publishers.get_mut(&id) {
            publisher.slots = kept;
        }
        self.finish_change(touched, out)
    }

    fn insert_indexed(&mut self, record: Record) -> Result<Inserted, InsertError> {
        let Some(indexed) = record.indexed() else { return Ok(Inserted::NotKept) };
        let publisher = self.publisher(indexed.publisher())?;
        publisher.key_log.check(indexed, &record.id())?;
        let is_kept = publisher.key_log.is_settled(&indexed.signed_under());
        let Some(displaced) = self.displaced_by(indexed, &record.id(), is_kept) else {
            return Ok(Inserted::NotKept);
        };
        let slot = self.publishers.get_mut(&indexed.publisher()).map(|publisher| &mut publisher.slots);
        if let Some(slot) = slot.map(|slots| slots.entry(indexed.index()).or_default()) {
            slot.retain(|id| Some(*id) != displaced);
            let (Ok(at) | Err(at)) = slot.binary_search(&record.id());
            slot.reserve_exact(1);
            slot.insert(at, record.id());
        }

        let mut touched = BTreeSet::new();
        if let Some(old) = displaced.and_then(|id| self.records.get(&id).cloned()) {
            touched.extend(self.withdraw(&old));
        }
        touched.extend(self.enlist(&record, is_kept));
        self.keep(record);
        Ok(self.finish_change(touched, displaced.into_iter().collect()))
    }

    /// Whether a record that holds has a place at its index, and which record gives way to it. Smaller ids go first, and what a rotation
    /// kept gives way to nothing.
    fn displaced_by(&self, indexed: &dyn Indexed, id: &RecordId, is_kept: bool) -> Option<Option<RecordId>> {
        let Some(publisher) = self.publishers.get(&indexed.publisher()) else { return Some(None) };
        let slot = publisher.slots.get(&indexed.index()).map_or(&[][..], Vec::as_slice);
        let (Ok(at) | Err(at)) = slot.binary_search(id);
        if at >= MAX_CONFLICTING_RECORDS {
            return is_kept.then_some(None);
        }
        let last = slot.get(MAX_CONFLICTING_RECORDS - 1);
        Some(last.copied().filter(|last| {
            let record = self.records.get(last).and_then(Record::indexed);
            record.is_some_and(|record| !publisher.key_log.is_settled(&record.signed_under()))
        }))
    }

    /// Whether a record is a member, or would be one if it were offered now.
    pub fn has_place(&self, record: &Record) -> bool {
        let Some(indexed) = record.indexed() else { return true };
        let is_kept =
            self.key_log(&indexed.publisher()).is_some_and(|key_log| key_log.is_settled(&indexed.signed_under()));
        self.records.contains_key(&record.id()) || self.displaced_by(indexed, &record.id(), is_kept).is_some()
    }

    /// Adds what a record says to its package. The package, if it is about one.
    fn enlist(&mut self, record: &Record, is_kept: bool) -> Option<PackageKey> {
        let (package, version) = subject(record)?;
        let key = PackageKey::of(&package);
        let excluded = record.release().and_then(|release| self.exclusions.reason(release).cloned());
        self.packages.entry(key).or_insert_with(|| Package::new(package));
        self.change_version(key, version, |package| match record {
            Record::Status(status) => package.add_status(version, status.weight(status.id())),
            Record::Release(release) => {
                let (id, delivery) = (release.id(), Delivery::of(release));
                package.add(version, Contender { id, delivery, is_kept, excluded });
            }
            _ => {}
        });
        Some(key)
    }

    /// Takes back what [`Self::enlist`] added.
    fn withdraw(&mut self, record: &Record) -> Option<PackageKey> {
        let (package, version) = subject(record)?;
        let key = PackageKey::of(&package);
        self.change_version(key, version, |package| match record {
            Record::Status(status) => package.remove_status(version, &status.weight(status.id())),
            Record::Release(release) => package.remove(version, &release.id()),
            _ => {}
        });
        Some(key)
    }

    /// Changes what is said of a version, and its entries with it.
    pub(super) fn change_version(&mut self, key: PackageKey, version: &Version, change: impl FnOnce(&mut Package)) {
        let Some(package) = self.packages.get_mut(&key) else { return };
        let entries = |package: &Package| {
            let shown = package.version(version);
            shown.map_or_else(|| (Vec::new(), Leaf::NONE), |shown| (shown.entries(&key, version), shown.leaf.clone()))
        };
        let before: (Vec<Vec<u8>>, Leaf) = entries(package);
        change(package);
        if package.is_stated() {
            self.stated.insert(key);
        } else {
            self.stated.remove(&key);
        }
        let after = entries(package);
        if before == after {
            return;
        }
        for entry in before.0 {
            self.map.remove(&entry);
        }
        for entry in after.0 {
            self.set(&entry, after.1.clone());
        }
    }

    /// Lists packages again whose versions changed, then forgets what left: old listings were derived from it.
    fn finish_change(&mut self, touched: BTreeSet<PackageKey>, out: Vec<RecordId>) -> Inserted {
        let heads_changed: Vec<PackageId> = touched.into_iter().filter_map(|key| self.list_again(key)).collect();
        let mut left = Vec::new();
        for record in out.iter().filter_map(|id| self.records.remove(id)) {
            self.record_bytes -= record.bytes().len() as u64;
            for entry in leaf::own_entries(&record) {
                self.map.remove(&entry);
            }
            left.push(record);
        }
        Inserted::New { left, heads_changed }
    }

    fn keep(&mut self, record: Record) {
        self.record_bytes += record.bytes().len() as u64;
        for entry in leaf::own_entries(&record) {
            self.set(&entry, Leaf::NONE);
        }
        self.records.insert(record.id(), record);
    }
}

/// The version that a record says something of.
fn subject(record: &Record) -> Option<(PackageId, &Version)> {
    match record {
        Record::Release(release) => Some((release.package(), &release.version)),
        Record::Status(status) => Some((status.package(), &status.version)),
        Record::Inception(_) | Record::KeepPage(_) | Record::Rotation(_) | Record::Unknown(_) => None,
    }
}
