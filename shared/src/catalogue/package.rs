//! The releases of one package: which stands for each version, which contests it, and which is the head.

use std::sync::Arc;

use super::delivery::Delivery;
use super::leaf::Listed;
use crate::id::{PackageId, RecordId};
use crate::record::Version;

/// The member releases of one version with what they deliver, smallest id first. Mostly it is one, and packages are many: a list takes
/// a fraction of what a tree does. How long it can get is bounded by the publisher's quota.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Contenders(Vec<(RecordId, Delivery)>);

impl Contenders {
    fn add(&mut self, id: RecordId, delivery: Delivery) {
        if let Err(at) = self.0.binary_search_by_key(&id, |(id, _)| *id) {
            self.0.reserve_exact(1);
            self.0.insert(at, (id, delivery));
        }
    }

    fn remove(&mut self, id: RecordId) {
        self.0.retain(|(other, _)| *other != id);
    }

    /// The release that stands, and the one that contests it.
    fn pair(&self) -> Option<(RecordId, Option<RecordId>)> {
        let (standing, delivery) = self.0.first()?;
        let contesting = self.0.iter().find(|(_, other)| other != delivery);
        Some((*standing, contesting.map(|(id, _)| *id)))
    }

    fn is_contested(&self) -> bool {
        self.pair().is_some_and(|(_, contesting)| contesting.is_some())
    }
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) id: PackageId,
    /// In order.
    versions: Vec<(Version, Contenders)>,
    pub(super) listing: Option<Arc<Listed>>,
}

impl Package {
    pub(super) const fn new(id: PackageId) -> Self {
        Self { id, versions: Vec::new(), listing: None }
    }

    fn find(&self, version: &Version) -> Result<usize, usize> {
        self.versions.binary_search_by(|(other, _)| other.cmp(version))
    }

    pub(super) fn add(&mut self, id: RecordId, version: &Version, delivery: Delivery) {
        let at = self.find(version).unwrap_or_else(|at| {
            // Most packages that anybody publishes have few versions; for the others, the list doubles.
            if self.versions.is_empty() {
                self.versions.reserve_exact(1);
            }
            self.versions.insert(at, (version.clone(), Contenders::default()));
            at
        });
        self.versions[at].1.add(id, delivery);
    }

    pub(super) fn remove(&mut self, id: RecordId, version: &Version) {
        let Ok(at) = self.find(version) else { return };
        self.versions[at].1.remove(id);
        if self.versions[at].1.0.is_empty() {
            self.versions.remove(at);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// The newest version that is not contested and no pre-release; a pre-release if there is nothing else.
    pub(super) fn head(&self) -> Option<RecordId> {
        let settled = || self.versions.iter().rev().filter(|(_, contenders)| !contenders.is_contested());
        let newest = settled().find(|(version, _)| !version.is_pre_release());
        let (_, contenders) = newest.or_else(|| settled().next())?;
        contenders.pair().map(|(standing, _)| standing)
    }

    /// Each version, highest first: the release that stands, and the one that contests it.
    pub(super) fn versions(&self) -> impl Iterator<Item = (RecordId, Option<RecordId>)> {
        self.versions.iter().rev().filter_map(|(_, contenders)| contenders.pair())
    }

    /// Each version with the release that stands for it, and the one that contests it.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (&Version, RecordId, Option<RecordId>)> {
        self.versions.iter().filter_map(|(version, contenders)| {
            let (standing, contesting) = contenders.pair()?;
            Some((version, standing, contesting))
        })
    }

    pub(super) fn version(&self, version: &Version) -> Option<(RecordId, Option<RecordId>)> {
        self.versions[self.find(version).ok()?].1.pair()
    }

    /// How many releases the versions have, each with what contests it.
    pub(super) fn release_count(&self) -> usize {
        self.versions.len() + self.versions.iter().filter(|(_, contenders)| contenders.is_contested()).count()
    }
}
