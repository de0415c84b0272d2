//! The releases of one package: which stands for each version, which contests it, and which is the head.

use std::collections::{BTreeMap, BTreeSet};

use super::delivery::Delivery;
use crate::id::{PackageId, RecordId};
use crate::record::{Release, Version};
use crate::search::analyser::Tokens;
use crate::search::rank::Popularity;

/// The member releases of one version, by what they deliver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Contenders {
    by_delivery: BTreeMap<Delivery, BTreeSet<RecordId>>,
    /// The smallest id of each delivery.
    first: BTreeSet<RecordId>,
}

impl Contenders {
    fn change(&mut self, delivery: Delivery, change: impl FnOnce(&mut BTreeSet<RecordId>)) {
        let ids = self.by_delivery.entry(delivery).or_default();
        if let Some(first) = ids.first() {
            self.first.remove(first);
        }
        change(ids);
        match ids.first() {
            Some(first) => {
                self.first.insert(*first);
            }
            None => {
                self.by_delivery.remove(&delivery);
            }
        }
    }

    fn is_contested(&self) -> bool {
        self.first.len() > 1
    }
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) id: PackageId,
    versions: BTreeMap<Version, Contenders>,
    /// Versions that are not contested: those that are no pre-release after those that are.
    settled: BTreeSet<(bool, Version)>,
    pub(super) listing: Option<Listing>,
}

/// What the entries of a package in the keyspaces were derived from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) head: RecordId,
    pub(super) tokens: Tokens,
    pub(super) popularity: Popularity,
    /// When the head was made, as its publisher says; here, so that ranking a match looks up nothing else.
    pub(super) created: u64,
}

impl Package {
    pub(super) const fn new(id: PackageId) -> Self {
        Self { id, versions: BTreeMap::new(), settled: BTreeSet::new(), listing: None }
    }

    pub(super) fn add(&mut self, id: RecordId, release: &Release) {
        self.change(release, |ids| {
            ids.insert(id);
        });
    }

    pub(super) fn remove(&mut self, id: RecordId, release: &Release) {
        self.change(release, |ids| {
            ids.remove(&id);
        });
    }

    fn change(&mut self, release: &Release, change: impl FnOnce(&mut BTreeSet<RecordId>)) {
        let version = &release.version;
        let contenders = self.versions.entry(version.clone()).or_default();
        contenders.change(Delivery::of(release), change);
        let settled = (!version.is_pre_release(), version.clone());
        if contenders.first.len() == 1 {
            self.settled.insert(settled);
        } else {
            self.settled.remove(&settled);
        }
        if contenders.first.is_empty() {
            self.versions.remove(version);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// The newest version that is settled and no pre-release; a pre-release if there is nothing else.
    pub(super) fn head(&self) -> Option<RecordId> {
        let (_, version) = self.settled.last()?;
        self.versions.get(version)?.first.first().copied()
    }

    /// Each version, highest first: the release that stands, and the one that contests it.
    pub(super) fn versions(&self) -> impl Iterator<Item = (RecordId, Option<RecordId>)> {
        self.versions.values().rev().filter_map(Self::pair)
    }

    pub(super) fn version(&self, version: &Version) -> Option<(RecordId, Option<RecordId>)> {
        self.versions.get(version).and_then(Self::pair)
    }

    fn pair(contenders: &Contenders) -> Option<(RecordId, Option<RecordId>)> {
        let mut first = contenders.first.iter().copied();
        Some((first.next()?, first.next()))
    }

    /// How many releases the versions have, each with what contests it.
    pub(super) fn release_count(&self) -> usize {
        self.versions.len() + self.versions.values().filter(|contenders| contenders.is_contested()).count()
    }
}
