//! The releases of one package: which stands for each version, which contests it, what statuses say of it, and which is the head.

use std::sync::Arc;

use super::delivery::Delivery;
use super::keys::{self, PackageKey, ShortId};
use super::leaf::{Decision, Leaf, Listed, Standing};
use crate::id::{PackageId, RecordId};
use crate::record::{State, Version, Weight};

/// A release of a version, as far as it matters to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Contender {
    pub(super) id: RecordId,
    pub(super) delivery: Delivery,
    /// Whether a rotation kept it.
    pub(super) is_kept: bool,
    /// Why the relay's operator excludes it; None: it does not.
    pub(super) excluded: Option<Arc<str>>,
}

/// What is said of one version. Mostly it is one release, and packages are many: a list takes a fraction of what a tree does. How long it can
/// get is bounded by the publisher's quota.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Said {
    /// The member releases, smallest id first.
    releases: Vec<Contender>,
    /// Few versions have any.
    more: Option<Box<More>>,
}

/// What few versions have: statuses, or a release that is excluded.
#[derive(Debug, Clone, PartialEq, Eq)]
struct More {
    /// Of the member statuses. The one that decides is the last.
    weights: Vec<Weight>,
    /// The value of the version's entries.
    leaf: Leaf,
}

/// How a version is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shown<'a> {
    pub(super) standing: RecordId,
    pub(super) contesting: Option<RecordId>,
    /// The value of its entries.
    pub(super) leaf: &'a Leaf,
}

impl Shown<'_> {
    /// The keys of its entries.
    pub(super) fn entries(&self, package: &PackageKey, version: &Version) -> Vec<Vec<u8>> {
        keys::version(package, version, &self.standing, self.contesting.as_ref())
    }
}

/// The value of the entries of a version of which nothing more is said.
static NOTHING: Leaf = Leaf::NONE;

impl Said {
    fn add(&mut self, contender: Contender) {
        if let Err(at) = self.releases.binary_search_by_key(&contender.id, |release| release.id) {
            self.releases.reserve_exact(1);
            self.releases.insert(at, contender);
        }
    }

    fn change_statuses(&mut self, change: impl FnOnce(&mut Vec<Weight>)) {
        let mut more = self.more.take().unwrap_or_else(|| Box::new(More { weights: Vec::new(), leaf: Leaf::NONE }));
        change(&mut more.weights);
        more.weights.sort_unstable();
        self.more = Some(more);
    }

    /// Makes the value of the entries what follows from all that is said.
    fn settle(&mut self) {
        let weights = self.more.take().map(|more| more.weights).unwrap_or_default();
        let decision = weights.last().map(|(_, _, state, id)| Decision { state: *state, status: ShortId::of(&id.0) });
        let excluded = self.excluded();
        if decision.is_some() || excluded.is_some() {
            let leaf = Leaf::standing(Standing { decision, excluded });
            self.more = Some(Box::new(More { weights, leaf }));
        }
    }

    /// Why what stands for the version is excluded: it, or another release here that delivers the same, for it is soon signed once more.
    fn excluded(&self) -> Option<&str> {
        let standing = self.standing()?;
        let same = self.releases.iter().filter(|release| release.delivery == standing.delivery);
        same.filter_map(|release| release.excluded.as_deref()).next()
    }

    /// The state, and the status that decides it.
    fn decision(&self) -> Option<(State, RecordId)> {
        let (_, _, state, id) = self.more.as_ref()?.weights.last()?;
        Some((*state, id.0))
    }

    /// Whether a status says that it is anything but active.
    fn is_stated(&self) -> bool {
        self.decision().is_some_and(|(state, _)| state != State::Active)
    }

    fn is_empty(&self) -> bool {
        self.releases.is_empty() && self.more.is_none()
    }

    /// The release that stands for the version: what a rotation kept, for good; else the smallest id.
    fn standing(&self) -> Option<&Contender> {
        self.releases.iter().find(|release| release.is_kept).or_else(|| self.releases.first())
    }

    fn shown(&self) -> Option<Shown<'_>> {
        let leaf = self.more.as_ref().map_or(&NOTHING, |more| &more.leaf);
        let standing = self.standing()?;
        // What a rotation kept stands for good; the others are evidence and no more.
        let mut others = self.releases.iter().filter(|_| !standing.is_kept);
        let contesting = others.find(|other| other.delivery != standing.delivery);
        Some(Shown { standing: standing.id, contesting: contesting.map(|release| release.id), leaf })
    }

    /// The release that the package may be listed by.
    fn listed(&self) -> Option<RecordId> {
        let shown = self.shown().filter(|shown| shown.contesting.is_none())?;
        shown.leaf.stands().may_be_listed().then_some(shown.standing)
    }
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Package {
    pub(super) id: PackageId,
    /// In order.
    versions: Vec<(Version, Said)>,
    /// How many of them are anything but active, as statuses say.
    stated: usize,
    /// How it is listed: the value of its entries.
    pub(super) listing: Option<Leaf>,
}

impl Package {
    pub(super) const fn new(id: PackageId) -> Self {
        Self { id, versions: Vec::new(), stated: 0, listing: None }
    }

    /// How it is listed.
    pub(super) fn listed(&self) -> Option<&Listed> {
        self.listing.as_ref()?.listed()
    }

    fn find(&self, version: &Version) -> Result<usize, usize> {
        self.versions.binary_search_by(|(other, _)| other.cmp(version))
    }

    pub(super) fn add(&mut self, version: &Version, contender: Contender) {
        self.change(version, |said| said.add(contender));
    }

    pub(super) fn remove(&mut self, version: &Version, id: &RecordId) {
        self.change(version, |said| said.releases.retain(|release| release.id != *id));
    }

    /// Excludes a release, or no more.
    pub(super) fn exclude(&mut self, version: &Version, id: &RecordId, reason: Option<Arc<str>>) {
        self.change(version, |said| {
            if let Some(release) = said.releases.iter_mut().find(|release| release.id == *id) {
                release.excluded = reason;
            }
        });
    }

    pub(super) fn add_status(&mut self, version: &Version, weight: Weight) {
        self.change(version, |said| said.change_statuses(|weights| weights.push(weight)));
    }

    pub(super) fn remove_status(&mut self, version: &Version, weight: &Weight) {
        self.change(version, |said| said.change_statuses(|weights| weights.retain(|other| other != weight)));
    }

    fn change(&mut self, version: &Version, change: impl FnOnce(&mut Said)) {
        let at = self.find(version).unwrap_or_else(|at| {
            // Most packages that anybody publishes have few versions; for the others, the list doubles.
            if self.versions.is_empty() {
                self.versions.reserve_exact(1);
            }
            self.versions.insert(at, (version.clone(), Said::default()));
            at
        });
        let said = &mut self.versions[at].1;
        self.stated -= usize::from(said.is_stated());
        change(said);
        said.settle();
        self.stated += usize::from(said.is_stated());
        if said.is_empty() {
            self.versions.remove(at);
        }
    }

    /// Whether nothing is known of it, not even a status.
    pub(super) fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// Whether it has a release.
    pub(super) fn is_released(&self) -> bool {
        self.versions.iter().any(|(_, said)| !said.releases.is_empty())
    }

    /// The newest version that is neither contested nor withdrawn, and no pre-release; a pre-release if there is nothing else.
    pub(super) fn head(&self) -> Option<RecordId> {
        let settled = || self.versions.iter().rev().filter_map(|(version, said)| Some((version, said.listed()?)));
        let newest = settled().find(|(version, _)| !version.is_pre_release());
        newest.or_else(|| settled().next()).map(|(_, id)| id)
    }

    /// Each version with a release, highest first.
    pub(super) fn versions_shown(&self) -> impl Iterator<Item = (&Version, Shown<'_>)> {
        self.versions.iter().rev().filter_map(|(version, said)| Some((version, said.shown()?)))
    }

    pub(super) fn version(&self, version: &Version) -> Option<Shown<'_>> {
        self.versions[self.find(version).ok()?].1.shown()
    }

    /// What a version is good for, and the status that says so.
    pub(super) fn decision(&self, version: &Version) -> Option<(State, RecordId)> {
        self.versions[self.find(version).ok()?].1.decision()
    }

    /// Whether any version is anything but active, as statuses say.
    pub(super) const fn is_stated(&self) -> bool {
        self.stated > 0
    }

    /// How many releases the versions have, each with what contests it.
    pub(super) fn release_count(&self) -> usize {
        self.versions_shown().map(|(_, shown)| 1 + usize::from(shown.contesting.is_some())).sum()
    }
}
