//! What a relay makes of its records by one set of rules: the views, and what it committed to of them.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ggen_shared::catalogue::snapshots::{Snapshot, Snapshots};
use ggen_shared::catalogue::{Catalogue, Leaf};
use ggen_shared::checkpoint::Root;
use ggen_shared::merkle::Map;
use ggen_shared::rules::Rules;

/// A catalogue, and its last checkpoints.
#[derive(Debug)]
pub(crate) struct Derivation {
    rules: Rules,
    catalogue: RwLock<Catalogue>,
    snapshots: RwLock<Snapshots>,
}

impl Derivation {
    pub(crate) fn new(catalogue: Catalogue) -> Self {
        Self { rules: catalogue.rules(), catalogue: RwLock::new(catalogue), snapshots: RwLock::default() }
    }

    pub(crate) const fn rules(&self) -> Rules {
        self.rules
    }

    /// The catalogue, to read. Don't hold it over an await.
    pub(crate) fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn catalogue_mut(&self) -> RwLockWriteGuard<'_, Catalogue> {
        self.catalogue.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the last checkpoints committed to. Don't hold it over an await.
    pub(crate) fn snapshots(&self) -> RwLockReadGuard<'_, Snapshots> {
        self.snapshots.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// All entries as they are now, and the hash of what the operator excludes.
    pub(crate) fn snapshot(&self) -> (Map<Leaf>, Option<Root>) {
        let mut catalogue = self.catalogue_mut();
        (catalogue.snapshot(), catalogue.exclusions().hash())
    }

    /// Answers from a snapshot from now on. It is there before what it has stops to count as recent: in between, a package would be
    /// in neither.
    pub(crate) fn keep_snapshot(&self, snapshot: Snapshot) {
        self.snapshots.write().unwrap_or_else(PoisonError::into_inner).push(snapshot);
        self.catalogue_mut().committed();
    }
}
