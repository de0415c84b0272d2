//! Keeps the entries of packages as the heads are: when a head changes, and when so many more publishers depend on a package that
//! its rank changes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Catalogue;
use super::keys::{self, PackageKey, dependencies};
use super::leaf::{Leaf, Listed};
use crate::id::{PackageId, PublisherId, RecordId};
use crate::record::Release;
use crate::search::rank::Popularity;

impl Catalogue {
    /// Lists a package by its head as it is now. The package's id when that is another head than the one it was listed by.
    pub(super) fn list_again(&mut self, key: PackageKey) -> Option<PackageId> {
        let package = self.packages.get_mut(&key)?;
        if self.is_deferred {
            // Heads are listed when all is known.
            if package.is_empty() {
                self.packages.remove(&key);
            }
            return None;
        }
        let id = package.id.clone();
        let (old, new) = (package.listing.take(), package.head());
        if old.as_ref().map(|listed| listed.head) == new {
            package.listing = old;
            if package.is_empty() {
                self.packages.remove(&key);
            }
            return None;
        }
        if package.is_empty() {
            self.packages.remove(&key);
        }

        let mut dependees = BTreeSet::new();
        if let Some(listed) = &old {
            dependees.extend(self.unlist(listed));
        }
        if let Some(head) = new {
            dependees.extend(self.list(key, head));
        }
        for dependee in dependees {
            self.rank_again(dependee);
        }
        self.recent.insert(key);
        Some(id)
    }

    /// Adds the entries of a head, and counts what it depends on.
    fn list(&mut self, key: PackageKey, head: RecordId) -> Vec<PackageKey> {
        let popularity = self.popularity(&key);
        let Some(release) = self.release(&head) else { return Vec::new() };
        let listed = Arc::new(Listed::of(release, popularity));
        let (publisher, dependees) = (release.publisher, counted(release));
        self.enter(&listed);
        if let Some(package) = self.packages.get_mut(&key) {
            package.listing = Some(listed);
        }
        for dependee in &dependees {
            self.count(dependee, publisher);
        }
        dependees
    }

    /// Takes back what [`Self::list`] added.
    fn unlist(&mut self, listed: &Listed) -> Vec<PackageKey> {
        let Some(release) = self.release(&listed.head) else { return Vec::new() };
        let (publisher, dependees) = (release.publisher, counted(release));
        self.leave(listed);
        for dependee in &dependees {
            self.count_no_more(dependee, publisher);
        }
        dependees
    }

    fn count(&mut self, dependee: &PackageKey, publisher: PublisherId) {
        let packages = self.dependents.entry(*dependee).or_default().entry(publisher).or_default();
        *packages += 1;
        if *packages == 1 {
            self.set(&[&keys::dependent_publishers(dependee), &publisher.as_bytes()[..]].concat(), Leaf::NONE);
        }
    }

    fn count_no_more(&mut self, dependee: &PackageKey, publisher: PublisherId) {
        let Some(publishers) = self.dependents.get_mut(dependee) else { return };
        let Some(packages) = publishers.get_mut(&publisher) else { return };
        *packages -= 1;
        if *packages == 0 {
            publishers.remove(&publisher);
            if publishers.is_empty() {
                self.dependents.remove(dependee);
            }
            self.map.remove(&[&keys::dependent_publishers(dependee), &publisher.as_bytes()[..]].concat());
        }
    }

    /// Moves a package's entries when its popularity is no longer the one that it was listed with.
    fn rank_again(&mut self, key: PackageKey) {
        let popularity = self.popularity(&key);
        let Some(package) = self.packages.get_mut(&key) else { return };
        let Some(old) = package.listing.take_if(|listed| listed.popularity != popularity) else { return };
        self.leave(&old);
        let listed = Arc::new(Listed { popularity, ..(*old).clone() });
        self.enter(&listed);
        if let Some(package) = self.packages.get_mut(&key) {
            package.listing = Some(listed);
        }
    }

    fn enter(&mut self, listed: &Arc<Listed>) {
        let leaf = Leaf::of(listed.clone());
        for entry in self.entries_of(listed) {
            self.set(&entry, leaf.clone());
        }
    }

    fn leave(&mut self, listed: &Listed) {
        for entry in self.entries_of(listed) {
            self.map.remove(&entry);
        }
    }

    pub(super) fn entries_of(&self, listed: &Listed) -> Vec<Vec<u8>> {
        let release = self.release(&listed.head);
        release.map_or_else(Vec::new, |release| keys::listing(&listed.head, release, &listed.tokens, listed.popularity))
    }

    pub(super) fn popularity(&self, key: &PackageKey) -> Popularity {
        Popularity::of(self.dependents.get(key).map_or(0, |publishers| publishers.len()))
    }
}

/// The packages whose popularity a release counts for: what it depends on, its own publisher's packages excepted.
pub(super) fn counted(release: &Release) -> Vec<PackageKey> {
    let others = dependencies(release).filter(|package| package.publisher != release.publisher);
    let others: BTreeSet<_> = others.map(|package| PackageKey::of(&package)).collect();
    others.into_iter().collect()
}
