//! The releases of one package: which stands for each version, which contests it, and which is the head.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::delivery::Delivery;
use super::leaf::Listed;
use crate::id::{PackageId, RecordId};
use crate::record::Version;

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
    pub(super) listing: Option<Arc<Listed>>,
}

impl Package {
    pub(super) const fn new(id: PackageId) -> Self {
        Self { id, versions: BTreeMap::new(), settled: BTreeSet::new(), listing: None }
    }

    pub(super) fn add(&mut self, id: RecordId, version: &Version, delivery: Delivery) {
        self.change(version, delivery, |ids| _ = ids.insert(id));
    }

    pub(super) fn remove(&mut self, id: RecordId, version: &Version, delivery: Delivery) {
        self.change(version, delivery, |ids| _ = ids.remove(&id));
    }

    fn change(&mut self, version: &Version, delivery: Delivery, change: impl FnOnce(&mut BTreeSet<RecordId>)) {
        let contenders = self.versions.entry(version.clone()).or_default();
        contenders.change(delivery, change);
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

    /// Each version with the release that stands for it, and the one that contests it.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Version, RecordId, Option<RecordId>)> {
        let pair = |(version, contenders)| {
            Self::pair(contenders).map(|(standing, contesting)| (version, standing, contesting))
        };
        self.versions.iter().filter_map(pair)
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
