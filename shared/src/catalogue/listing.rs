//! Keeps the keyspaces as the heads are: when a head changes, and when so many more publishers depend on a package that
//! its rank changes.

use std::collections::BTreeSet;

use super::Catalogue;
use super::keys::{PackageKey, dependencies, entries};
use super::package::Listing;
use crate::id::{PackageId, RecordId};
use crate::record::Release;
use crate::search::analyser::Tokens;
use crate::search::rank::Popularity;

impl Catalogue {
    /// Lists a package by its head as it is now. The package's id when that is another head than the one it was listed by.
    pub(super) fn list_again(&mut self, key: PackageKey) -> Option<PackageId> {
        let package = self.packages.get_mut(&key)?;
        let id = package.id.clone();
        let (old, new) = (package.listing.take(), package.head());
        if package.is_empty() {
            self.packages.remove(&key);
        } else if old.as_ref().map(|listing| listing.head) == new {
            package.listing = old;
            return None;
        }

        let mut dependees = BTreeSet::new();
        if let Some(listing) = &old {
            dependees.extend(self.unlist(key, listing));
        }
        if let Some(head) = new {
            dependees.extend(self.list(key, head));
        }
        for dependee in dependees {
            self.rank_again(dependee);
        }
        Some(id)
    }

    /// Adds the entries of a head, and counts what it depends on.
    fn list(&mut self, key: PackageKey, head: RecordId) -> Vec<PackageKey> {
        let Some(release) = self.release(&head).cloned() else { return Vec::new() };
        let popularity = self.popularity(&key);
        let listing = Listing { head, tokens: Tokens::of(&release), popularity, created: release.created };
        self.enter(key, &release, &listing);
        if let Some(package) = self.packages.get_mut(&key) {
            package.listing = Some(listing);
        }
        let dependees = counted(&release);
        for dependee in &dependees {
            *self.dependents.entry(*dependee).or_default().entry(release.publisher).or_default() += 1;
        }
        dependees
    }

    /// Takes back what [`Self::list`] added.
    fn unlist(&mut self, key: PackageKey, listing: &Listing) -> Vec<PackageKey> {
        let Some(release) = self.release(&listing.head).cloned() else { return Vec::new() };
        self.leave(key, &release, listing);
        let dependees = counted(&release);
        for dependee in &dependees {
            let Some(publishers) = self.dependents.get_mut(dependee) else { continue };
            if let Some(packages) = publishers.get_mut(&release.publisher) {
                *packages -= 1;
            }
            publishers.retain(|_, packages| *packages > 0);
            if publishers.is_empty() {
                self.dependents.remove(dependee);
            }
        }
        dependees
    }

    /// Moves a package's entries when its popularity is no longer the one that it was listed with.
    fn rank_again(&mut self, key: PackageKey) {
        let popularity = self.popularity(&key);
        let Some(package) = self.packages.get_mut(&key) else { return };
        let Some(mut listing) = package.listing.take_if(|listing| listing.popularity != popularity) else { return };
        if let Some(release) = self.release(&listing.head).cloned() {
            self.leave(key, &release, &listing);
            listing.popularity = popularity;
            self.enter(key, &release, &listing);
        }
        if let Some(package) = self.packages.get_mut(&key) {
            package.listing = Some(listing);
        }
    }

    fn enter(&mut self, key: PackageKey, head: &Release, listing: &Listing) {
        for entry in entries(key, head, &listing.tokens, listing.popularity) {
            self.ranges.insert(entry);
        }
    }

    fn leave(&mut self, key: PackageKey, head: &Release, listing: &Listing) {
        for entry in entries(key, head, &listing.tokens, listing.popularity) {
            self.ranges.remove(&entry);
        }
    }

    fn popularity(&self, key: &PackageKey) -> Popularity {
        Popularity::of(self.dependents.get(key).map_or(0, |publishers| publishers.len()))
    }
}

/// The packages whose popularity a release counts for: what it depends on, its own publisher's packages excepted.
fn counted(release: &Release) -> Vec<PackageKey> {
    let others = dependencies(release).filter(|package| package.publisher != release.publisher);
    others.map(|package| PackageKey::of(&package)).collect()
}
