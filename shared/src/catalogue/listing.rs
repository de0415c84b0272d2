//! Keeps the entries of packages as the heads are: when a head changes, and when so many more publishers depend on a package that
//! its rank changes.

use std::collections::BTreeSet;

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
        if old.as_ref().and_then(Leaf::listed).map(|listed| listed.head) == new {
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
        if let Some(listed) = old.as_ref().and_then(Leaf::listed) {
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
        let leaf = Leaf::of(Listed::of(release, popularity, self.rules));
        let (publisher, dependees) = (release.publisher, counted(release));
        self.enter(key, leaf);
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
        let Some(old) = package.listing.take_if(|leaf| leaf.listed().is_some_and(|it| it.popularity != popularity))
        else {
            return;
        };
        let Some(old) = old.listed() else { return };
        self.leave(old);
        self.enter(key, Leaf::of(Listed { popularity, ..old.clone() }));
    }

    /// Adds the entries of a package, which is listed so from now on.
    fn enter(&mut self, key: PackageKey, leaf: Leaf) {
        for entry in leaf.listed().map_or_else(Entries::default, |listed| self.entries_of(listed)).iter() {
            self.set(entry, leaf.clone());
        }
        if let Some(package) = self.packages.get_mut(&key) {
            package.listing = Some(leaf);
        }
    }

    fn leave(&mut self, listed: &Listed) {
        for entry in self.entries_of(listed).iter() {
            self.map.remove(entry);
        }
    }

    fn entries_of(&self, listed: &Listed) -> Entries {
        let mut entries = Entries::default();
        self.each_entry_of(listed, |entry| entries.push(entry));
        entries
    }

    /// Gives the keys of the entries by which a package is listed.
    pub(super) fn each_entry_of(&self, listed: &Listed, each: impl FnMut(&[u8])) {
        if let Some(release) = self.release(&listed.head) {
            keys::each_listing(&listed.head, release, &listed.tokens, listed.popularity, each);
        }
    }

    pub(super) fn popularity(&self, key: &PackageKey) -> Popularity {
        Popularity::of(self.dependents.get(key).map_or(0, |publishers| publishers.len()))
    }
}

/// Keys of entries, one behind the other, and where each of them ends.
#[derive(Default)]
struct Entries {
    keys: Vec<u8>,
    ends: Vec<usize>,
}

impl Entries {
    fn push(&mut self, key: &[u8]) {
        self.keys.extend_from_slice(key);
        self.ends.push(self.keys.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.keys[start..*end])
    }
}

/// The packages whose popularity a release counts for: what it depends on, its own publisher's packages excepted.
pub(super) fn counted(release: &Release) -> Vec<PackageKey> {
    let others = dependencies(release).filter(|package| package.publisher != release.publisher);
    let others: BTreeSet<_> = others.map(|package| PackageKey::of(&package)).collect();
    others.into_iter().collect()
}
