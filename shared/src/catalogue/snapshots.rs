//! The catalogue as it was at recent checkpoints: what answers stand on.

use std::collections::VecDeque;

use ed25519_dalek::SigningKey;

use super::{Catalogue, Leaf};
use crate::checkpoint::{Checkpoint, Root, Signed};
use crate::id::{Network, PublicKey};
use crate::merkle::Map;

/// How many snapshots are kept: as long as clients take a checkpoint for a fresh one, and a page of results is read on.
pub const MAX_SNAPSHOTS: usize = 5;

/// The catalogue at one checkpoint.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The checkpoint, whose root is the map's.
    pub checkpoint: Signed<Checkpoint>,
    /// All entries.
    pub map: Map<Leaf>,
}

impl Snapshot {
    /// The catalogue as it is now, signed by a relay as its checkpoint of an epoch. `previous`: [`Signed::hash`] of its checkpoint before
    /// this one. Two of one epoch prove fraud: whoever signs remembers the last epoch.
    ///
    /// # Panics
    /// Never: the relay is named by the key that signs.
    pub fn sign(
        catalogue: &mut Catalogue,
        network: &Network,
        relay: &SigningKey,
        epoch: u64,
        previous: Option<Root>,
    ) -> Self {
        let map = catalogue.snapshot();
        catalogue.committed();
        let checkpoint = Checkpoint {
            network: network.clone(),
            relay: PublicKey::from_bytes(relay.verifying_key().to_bytes()),
            epoch,
            root: map.root().into(),
            rules: catalogue.rules().number,
            exclusions: catalogue.exclusions().hash(),
            previous,
        };
        let checkpoint = checkpoint.sign(relay).expect("the relay is named by the key that signs");
        Self { checkpoint, map }
    }
}

/// The snapshots of the last checkpoints.
#[derive(Debug, Clone, Default)]
pub struct Snapshots(VecDeque<Snapshot>);

impl Snapshots {
    /// Adds the newest, and forgets the oldest of more than [`MAX_SNAPSHOTS`].
    pub fn push(&mut self, snapshot: Snapshot) {
        self.0.push_back(snapshot);
        if self.0.len() > MAX_SNAPSHOTS {
            self.0.pop_front();
        }
    }

    /// The newest.
    pub fn latest(&self) -> Option<&Snapshot> {
        self.0.back()
    }

    /// The one of an epoch.
    pub fn at(&self, epoch: u64) -> Option<&Snapshot> {
        self.0.iter().find(|snapshot| snapshot.checkpoint.epoch == epoch)
    }
}
