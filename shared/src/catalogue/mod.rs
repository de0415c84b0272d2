//! The catalogue: a set of verified records, and every view of the marketplace as a pure function of that set.
//!
//! **Members.** Records are offered, and the members are a function of the records that were offered: in any order, any number of times.
//! - An *inception* is always a member.
//! - A *rotation* is one when the event that it follows is in force in its publisher's key log, when all its pages are here, and when it is
//!   one of the two smallest ids that follow that event ([`KeyLog`]). Its *keep pages* are members with it. Pages that no rotation names yet
//!   wait outside, a bounded number of them.
//! - Every other record belongs to the slot of its publisher and index. Of those that hold under the key log, the
//!   [`MAX_CONFLICTING_RECORDS`](crate::limits::MAX_CONFLICTING_RECORDS) smallest ids of a slot are members, and all that a rotation kept. What does not hold any more, since its key was rotated
//!   out or the log forked, leaves. Kinds that are unknown are members like any other, and nothing is derived from them.
//!
//! What left, or was not kept, is forgotten: if a later rotation makes it valid or gives it room again, it has to be offered again. A rotation
//! is refused until its pages were offered, a record until its key event was. So the members are the same wherever the same records are offered
//! *until nothing changes*: that is what sync does, as long as another relay has what this one lacks.
//!
//! **Versions** do not decide who is a member: they are derived from the members. The smallest id of a version stands for it, of those that a
//! rotation kept if there are any, which settles the version for good. Else it is *contested* when two of its members differ in artifact or
//! dependencies; then the smallest id among those that differ from the one that stands is shown beside it as evidence. That is at most two
//! releases a version, and further copies of either can't push the other out of sight. Of the statuses of a version one decides
//! ([`Weight`](crate::record::Weight)). A version that is contested, yanked or retracted is never the head of its package.
//!
//! **The map** has an entry for each thing that can be asked for ([`keys`]); its root is a function of the members and the exclusions. A clone of it is a
//! snapshot, and answers as the catalogue did then.
//!
//! **Exclusions** are an operator's own ([`Exclusions`]): what is excluded stays a member, and stays the release of its version, which says in the
//! map that it is excluded, and why; but it is never the head of its package, so that nothing lists it.
//!
//! Everything is in memory and ordered. Memory is bounded by the members: two records an index, below each publisher's quota, and beside them
//! all that rotations kept, which is at most what their pages list: [`MAX_KEPT_PER_PAGE`](crate::limits::MAX_KEPT_PER_PAGE) ids on each of
//! [`MAX_PAGES_PER_KEY_LOG`](crate::limits::MAX_PAGES_PER_KEY_LOG) pages, and on those of one more rotation where the log forks.
//! [`Catalogue::weight`] says how much that is, for whoever has less.

pub mod answer;
pub mod build;
pub mod delivery;
pub mod exclusions;
pub mod find;
pub mod keys;
mod leaf;
mod listing;
mod members;
mod package;
pub mod snapshots;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;

pub use exclusions::{ExclusionError, Exclusions};
use keys::{PackageKey, ShortId};
pub use leaf::{Decision, Leaf, Listed, Standing};
use package::{Package, Shown};

use crate::id::{FullName, PackageId, PublisherId, RecordId};
use crate::merkle::{Hash, Map};
use crate::record::{self, KeepPage, KeyLog, Record, Release, State, Status, Verified, Version};
use crate::rules::Rules;

/// Bytes that a record takes beside its own and its entries in ranges: its struct, and its places in the maps of its publisher,
/// its package and its version.
const RECORD_WEIGHT: u64 = 2048;
/// Bytes that a package takes as soon as others depend on it: the first node of a map.
const DEPENDEE_WEIGHT: u64 = 768;
/// Entries of a package with a long description.
const ENTRIES_PER_PACKAGE: u64 = 150;
/// Bytes that an entry of the map takes: its key, its value, its share of nodes.
const ENTRY_WEIGHT: u64 = 96;

/// A set of verified records and its views. See the module for the rules.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// By which its views are made.
    rules: Rules,
    records: BTreeMap<RecordId, Record>,
    publishers: BTreeMap<PublisherId, Publisher>,
    packages: BTreeMap<PackageKey, Package>,
    /// Those of which some version is not just active: few, so that an answer need not look up what is said of all others.
    stated: BTreeSet<PackageKey>,
    /// How many packages of each publisher depend on a package, listed here or not; its own publisher's don't count.
    dependents: BTreeMap<PackageKey, BTreeMap<PublisherId, usize>>,
    map: Map<Leaf>,
    /// Packages whose head changed since [`Self::snapshot`].
    recent: BTreeSet<PackageKey>,
    /// Those that changed before it, and that no snapshot has which answers stand on.
    committing: BTreeSet<PackageKey>,
    /// What the relay's operator keeps off all lists.
    exclusions: Exclusions,
    /// Keep pages that no rotation names yet, the oldest first: no part of what the catalogue is.
    waiting: VecDeque<Verified<KeepPage>>,
    /// Bytes of all records.
    record_bytes: u64,
    /// While it is being built the map is empty: it is made at the end.
    is_deferred: bool,
}

/// Two catalogues are the same when they have the same members and views; when their snapshots were taken is no part of that.
impl PartialEq for Catalogue {
    fn eq(&self, other: &Self) -> bool {
        self.records == other.records
            && self.publishers == other.publishers
            && self.packages == other.packages
            && self.stated == other.stated
            && self.dependents == other.dependents
            && self.map == other.map
            && self.record_bytes == other.record_bytes
    }
}

impl Eq for Catalogue {}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Publisher {
    key_log: KeyLog,
    /// The members at each index, smallest id first: [`MAX_CONFLICTING_RECORDS`](crate::limits::MAX_CONFLICTING_RECORDS), and what rotations kept.
    slots: BTreeMap<u32, Vec<RecordId>>,
}

/// What became of a record that was offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is a member now.
    New {
        /// The records that left because of it: a store deletes them.
        left: Vec<Record>,
        /// Packages that have another head than before, or none any more.
        heads_changed: Vec<PackageId>,
    },
    /// It was a member already.
    AlreadyKnown,
    /// Its index is taken by records with smaller ids, or so is its place in the key log: a store does not keep it.
    NotKept,
    /// It is a keep page that no rotation names yet. It waits here for one, and is forgotten if too many come after it.
    Waits,
}

/// Why a record can't be offered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InsertError {
    /// The publisher's key log is not here: offer it first, then the release again.
    #[error("the key log of publisher {0} is not here yet")]
    UnknownPublisher(PublisherId),
    /// Not all pages of the rotation are here: offer them first, then the rotation again.
    #[error("the pages of rotation {0} are not all here yet")]
    MissingPages(RecordId),
    /// It does not hold under the publisher's key log as it is here.
    #[error(transparent)]
    Record(#[from] record::Error),
}

impl InsertError {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownPublisher(_) => "record/unknown-publisher",
            Self::MissingPages(_) => "record/missing-pages",
            Self::Record(error) => error.code(),
        }
    }
}

/// One version of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionView<'a> {
    /// The release that stands for the version.
    pub standing: &'a Verified<Release>,
    /// The release that contests it, as evidence. Neither is to be installed by version then.
    pub contesting: Option<&'a Verified<Release>>,
    /// What the version is good for.
    pub state: State,
    /// The status that says so; None while it is as it was released.
    pub status: Option<&'a Verified<Status>>,
}

impl<'a> VersionView<'a> {
    /// The release that stands, then the one that contests it.
    pub fn releases(self) -> impl Iterator<Item = &'a Verified<Release>> {
        std::iter::once(self.standing).chain(self.contesting)
    }
}

impl Catalogue {
    /// The catalogue of no records.
    pub fn new() -> Self {
        Self::default()
    }

    /// The catalogue of no records, with views by some rules.
    pub fn by(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// The rules by which its views are made.
    pub const fn rules(&self) -> Rules {
        self.rules
    }

    fn set(&mut self, key: &[u8], leaf: Leaf) {
        if self.is_deferred {
            return;
        }
        // All keys are derived from fields whose bounds keep them short enough: a test makes the longest ones.
        let set = self.map.insert(key, leaf);
        debug_assert!(set.is_ok(), "{key:?}");
    }

    /// Memory that all of it takes, estimated in bytes: a function of the members, rather too much than too little.
    pub fn weight(&self) -> u64 {
        // A record is in memory as its bytes, as its fields, and packed for answers.
        3 * self.record_bytes
            + self.records.len() as u64 * RECORD_WEIGHT
            + self.dependents.len() as u64 * DEPENDEE_WEIGHT
            + self.entries() * ENTRY_WEIGHT
    }

    /// All entries as they are now.
    pub const fn map(&self) -> &Map<Leaf> {
        &self.map
    }

    /// The hash of all entries: a function of the members, and of what is excluded.
    pub fn root(&self) -> Hash {
        self.map.root()
    }

    /// All entries as they are now, to commit to. Until [`Self::committed`], what is in it and not in the snapshot before it counts as recent.
    pub fn snapshot(&mut self) -> Map<Leaf> {
        self.committing.append(&mut self.recent);
        self.map.clone()
    }

    /// Answers stand on the last snapshot from now on.
    pub fn committed(&mut self) {
        self.committing.clear();
    }

    /// How packages are listed whose head changed since the snapshot that answers stand on.
    pub fn recent(&self) -> impl Iterator<Item = &Listed> {
        let keys = self.recent.iter().chain(self.committing.iter().filter(|key| !self.recent.contains(*key)));
        keys.filter_map(|key| self.packages.get(key)?.listed())
    }

    /// How many entries there are, or will be about.
    fn entries(&self) -> u64 {
        if self.is_deferred { self.packages.len() as u64 * ENTRIES_PER_PACKAGE } else { self.map.len() }
    }

    /// How many records there are.
    pub fn record_count(&self) -> usize {
        self.records.len()
    }

    /// Every record, in the order of ids.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    /// The records whose ids stand behind this one, or all, in the order of ids.
    pub fn records_after(&self, after: Option<&RecordId>) -> impl Iterator<Item = &Record> {
        let start = after.map_or(Bound::Unbounded, |id| Bound::Excluded(*id));
        self.records.range((start, Bound::Unbounded)).map(|(_, record)| record)
    }

    /// The record with this id.
    pub fn record(&self, id: &RecordId) -> Option<&Record> {
        self.records.get(id)
    }

    /// The key log of a publisher.
    pub fn key_log(&self, publisher: &PublisherId) -> Option<&KeyLog> {
        self.publishers.get(publisher).map(|publisher| &publisher.key_log)
    }

    /// The lowest index that no record of a publisher stands at: what its next release takes.
    pub fn next_index(&self, publisher: &PublisherId) -> u32 {
        let slots = self.publishers.get(publisher).map(|publisher| &publisher.slots);
        let taken = slots.into_iter().flat_map(BTreeMap::keys);
        (0..)
            .zip(taken)
            .find(|(index, taken)| index != *taken)
            .map_or_else(|| slots.map_or(0, |slots| u32::try_from(slots.len()).unwrap_or(u32::MAX)), |(index, _)| index)
    }

    /// Every package that has a release, in the order of their keys.
    pub fn packages(&self) -> impl Iterator<Item = &PackageId> {
        self.packages.values().filter(|package| package.is_released()).map(|package| &package.id)
    }

    /// How many packages there are.
    pub fn package_count(&self) -> usize {
        self.packages().count()
    }

    /// Packages that a full name means: one, unless somebody found two publisher ids with the same first 80 bits.
    pub fn resolve(&self, name: &FullName) -> impl Iterator<Item = PackageId> {
        let (mut first, mut last) = ([0; 32], [0xff; 32]);
        first[..10].copy_from_slice(name.fingerprint.as_bytes());
        last[..10].copy_from_slice(name.fingerprint.as_bytes());
        let range = PublisherId::from_inception(RecordId::from_bytes(first))
            ..=PublisherId::from_inception(RecordId::from_bytes(last));
        let meant = self.publishers.range(range).filter(|(id, publisher)| name.means(id, publisher.key_log.handle()));
        let ids = meant.map(|(publisher, _)| PackageId { publisher: *publisher, name: name.name.clone() });
        ids.filter(|id| self.listed(id).is_some_and(Package::is_released))
    }

    /// The versions of a package, highest first; none when it is unknown.
    pub fn package(&self, package: &PackageId) -> impl Iterator<Item = VersionView<'_>> {
        let package = self.listed(package).into_iter();
        let versions = package.flat_map(|package| package.versions_shown().map(move |shown| (package, shown)));
        versions.filter_map(|(package, (version, shown))| self.version_view(package, version, shown))
    }

    /// One version of a package.
    pub fn version(&self, package: &PackageId, version: &Version) -> Option<VersionView<'_>> {
        let package = self.listed(package)?;
        self.version_view(package, version, package.version(version)?)
    }

    /// The release with this short id.
    fn named(&self, id: &ShortId) -> Option<&Verified<Release>> {
        self.with_short_id(id).find_map(|record| match record {
            Record::Release(release) => Some(&**release),
            _ => None,
        })
    }

    /// The records whose ids begin so: one, or none.
    fn with_short_id(&self, id: &ShortId) -> impl Iterator<Item = &Record> {
        let (mut first, mut last) = ([0; 32], [0xff; 32]);
        first[..ShortId::BYTES].copy_from_slice(id.as_bytes());
        last[..ShortId::BYTES].copy_from_slice(id.as_bytes());
        let range = RecordId::from_bytes(first)..=RecordId::from_bytes(last);
        self.records.range(range).map(|(_, record)| record)
    }

    /// A release of a package.
    fn release_by_short_id(&self, package: &PackageId, id: &ShortId) -> Option<&Verified<Release>> {
        let mut releases = self.with_short_id(id).filter_map(Record::release);
        releases.find(|release| release.package() == *package)
    }

    /// A status of a package.
    fn status_by_short_id(&self, package: &PackageId, id: &ShortId) -> Option<&Verified<Status>> {
        let mut statuses = self.with_short_id(id).filter_map(Record::status);
        statuses.find(|status| status.package() == *package)
    }

    /// How many releases [`Self::package`] shows.
    pub fn release_count(&self, package: &PackageId) -> usize {
        self.listed(package).map_or(0, Package::release_count)
    }

    /// The release that a package is listed by: the highest version that is neither contested, yanked nor retracted, and no pre-release; a
    /// pre-release if there is nothing else.
    pub fn head(&self, package: &PackageId) -> Option<&Verified<Release>> {
        self.release(&self.listed(package)?.head()?)
    }

    /// Packages whose head depends on this package, those first that most publishers depend on.
    pub fn dependents(&self, package: &PackageId) -> impl Iterator<Item = &PackageId> {
        let leaves = self.map.iter(&keys::dependents(&PackageKey::of(package))).values();
        leaves.filter_map(|leaf| self.packages.get(&leaf.listed()?.package).map(|package| &package.id))
    }

    fn listed(&self, package: &PackageId) -> Option<&Package> {
        self.packages.get(&PackageKey::of(package))
    }

    fn release(&self, id: &RecordId) -> Option<&Verified<Release>> {
        self.records.get(id)?.release()
    }

    fn version_view(&self, package: &Package, version: &Version, shown: Shown<'_>) -> Option<VersionView<'_>> {
        let decision = package.decision(version);
        Some(VersionView {
            standing: self.release(&shown.standing)?,
            contesting: shown.contesting.and_then(|id| self.release(&id)),
            state: decision.map_or(State::Active, |(state, _)| state),
            status: decision.and_then(|(_, id)| self.records.get(&id)?.status()),
        })
    }
}

#[cfg(test)]
mod tests;
