//! Makes the relay's checkpoints: at most one an epoch by each of the rules that are served, durable before anybody sees it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use ggen_shared::catalogue::snapshots::Snapshot;
use ggen_shared::checkpoint::{Checkpoint, Root, Signed};
use ggen_shared::id::PublicKey;
use ggen_shared::rules::Schedule;
use libp2p::identity::Keypair;

use crate::admission::Shelf;
use crate::derivation::Derivation;
use crate::store::{Batch, CommitError, LoadError};

/// How many epochs ahead of the clock a checkpoint may be made: a relay that is started again within an epoch, and holds more than it
/// committed to, could otherwise not answer before the next. Clients take as much for the difference of clocks.
const MAX_EPOCHS_AHEAD: u64 = 1;

/// Who signs, and what was signed last.
pub struct Checkpoints {
    key: SigningKey,
    relay: PublicKey,
    epoch_length: Duration,
    rules: Schedule,
    /// By the number of their rules.
    last: BTreeMap<u32, Signed<Checkpoint>>,
}

/// Why there can be no checkpoints.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What is stored can't be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What is stored is no checkpoint of this relay in this network. To sign without knowing what was signed could be fraud.
    #[error("the stored checkpoint is not this relay's ({0}): restore the data directory, or start with a new one")]
    Foreign(String),
    /// The relay's key can't sign.
    #[error("the relay's identity is no Ed25519 key")]
    Key,
}

impl Checkpoints {
    /// Goes on from the checkpoints that the store holds.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(shelf: &Shelf, keypair: &Keypair, epoch_length: Duration, rules: Schedule) -> Result<Self, Error> {
        let keypair = keypair.clone().try_into_ed25519().map_err(|_| Error::Key)?;
        let secret = keypair.secret().as_ref().try_into().map_err(|_| Error::Key)?;
        let key = SigningKey::from_bytes(&secret);
        let relay = PublicKey::from_bytes(key.verifying_key().to_bytes());
        let foreign = |error: ggen_shared::checkpoint::Error| Error::Foreign(error.to_string());
        let mut last = BTreeMap::new();
        for bytes in shelf.store().checkpoints()? {
            let checkpoint = Checkpoint::verify(&bytes, shelf.network()).map_err(foreign)?;
            if checkpoint.relay != relay {
                return Err(foreign(ggen_shared::checkpoint::Error::WrongRelay));
            }
            last.insert(checkpoint.rules, checkpoint);
        }
        Ok(Self { key, relay, epoch_length, rules, last })
    }

    /// The epoch of a time since 1970.
    fn epoch(&self, now: Duration) -> u64 {
        u64::try_from(now.as_nanos() / self.epoch_length.as_nanos().max(1)).unwrap_or(u64::MAX)
    }

    /// How long it is until the next epoch begins.
    pub fn until_next(&self, now: Duration) -> Duration {
        let length = self.epoch_length.as_nanos().max(1);
        let left = length - now.as_nanos() % length;
        Duration::from_nanos(u64::try_from(left).unwrap_or(u64::MAX))
    }

    /// Commits to what the shelf holds now, by the rules that are served in this epoch, as far as it has no checkpoint by them yet. At the start,
    /// what was committed to before is taken up again when nothing has changed since.
    ///
    /// # Errors
    /// [`CommitError`]: a checkpoint is not durable, and nobody has seen it.
    pub async fn make(&mut self, shelf: &Arc<Shelf>, now: Duration) -> Result<(), CommitError> {
        let now = self.epoch(now);
        let (held, beside) = (shelf.clone(), self.rules.beside(now));
        tokio::task::spawn_blocking(move || held.serve_beside(beside)).await.map_err(|_| CommitError::Closed)?;
        for derivation in shelf.derivations() {
            self.make_of(&derivation, shelf, now).await?;
        }
        Ok(())
    }

    async fn make_of(&mut self, derivation: &Derivation, shelf: &Shelf, now: u64) -> Result<(), CommitError> {
        let (rules, is_start) = (derivation.rules().number, derivation.snapshots().latest().is_none());
        let last = self.last.get(&rules);
        let next = match last {
            Some(last) if last.epoch < now => Some(now),
            Some(last) if is_start && last.epoch < now + MAX_EPOCHS_AHEAD => Some(last.epoch + 1),
            Some(last) => {
                if last.epoch > now + MAX_EPOCHS_AHEAD {
                    tracing::warn!(
                        last = last.epoch,
                        now,
                        "the clock is behind the last checkpoint: none is made until then"
                    );
                }
                None
            }
            None => Some(now),
        };
        let before = last.filter(|last| is_start && last.epoch >= now);
        if next.is_none() && before.is_none() {
            return Ok(());
        }
        let (map, exclusions) = derivation.snapshot();
        // Of tens of thousands of packages a burst leaves much to hash: not on a thread that serves others.
        let hashing = map.clone();
        let root = tokio::task::spawn_blocking(move || hashing.root()).await.map_err(|_| CommitError::Closed)?;
        // It is this snapshot that answers stand on, whatever came to the shelf since.
        let Some(epoch) = before.filter(|last| last.root == Root::from(root)).map(|last| last.epoch).or(next) else {
            return Ok(());
        };
        let checkpoint = match last {
            Some(last) if last.epoch == epoch => last.clone(),
            _ => {
                let checkpoint = Checkpoint {
                    network: shelf.network().clone(),
                    relay: self.relay,
                    epoch,
                    root: root.into(),
                    rules,
                    exclusions,
                    previous: last.map(Signed::hash),
                };
                let signed = checkpoint.sign(&self.key).expect("the key is the relay's own");
                let checkpoint = Some((rules, signed.bytes().to_vec()));
                shelf.store().commit(Batch { checkpoint, ..Batch::default() }).await?;
                signed
            }
        };
        tracing::debug!(epoch, rules, entries = map.len(), %root, "checkpoint");
        self.last.insert(rules, checkpoint.clone());
        derivation.keep_snapshot(Snapshot { checkpoint, map });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ggen_shared::id::Network;
    use ggen_shared::rules::{Before, Rules};

    use super::*;
    use crate::store::Store;

    const LENGTH: Duration = Duration::from_secs(60);
    const NEXT: Rules = Rules { number: 2, ..Rules::FIRST };
    const RULES: Schedule =
        Schedule { rules: NEXT, before: Some(Before { rules: Rules::FIRST, switch: 10, overlap: 2 }) };

    fn open(directory: &std::path::Path) -> (Arc<Shelf>, Checkpoints) {
        let network = Network::named("test").unwrap();
        let (shelf, _) = Shelf::open(Store::open(directory).unwrap(), network, RULES.rules).unwrap();
        let keypair = Keypair::ed25519_from_bytes([7; 32]).unwrap();
        let checkpoints = Checkpoints::open(&shelf, &keypair, LENGTH, RULES).unwrap();
        (Arc::new(shelf), checkpoints)
    }

    /// The last checkpoint by each of the rules that are served.
    fn last(shelf: &Shelf) -> Vec<Signed<Checkpoint>> {
        let last = |it: Arc<Derivation>| it.snapshots().latest().unwrap().checkpoint.clone();
        shelf.derivations().map(last).collect()
    }

    #[tokio::test]
    async fn each_of_the_rules_has_its_own_checkpoints_which_go_on_over_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let (shelf, mut checkpoints) = open(directory.path());
        checkpoints.make(&shelf, LENGTH * 9).await.unwrap();
        let first = last(&shelf);
        let what = |last: &[Signed<Checkpoint>]| last.iter().map(|it| (it.rules, it.epoch)).collect::<Vec<_>>();
        assert_eq!(what(&first), [(2, 9), (1, 9)]);
        drop((shelf, checkpoints));

        let (shelf, mut checkpoints) = open(directory.path());
        checkpoints.make(&shelf, LENGTH * 9).await.unwrap();
        assert_eq!(last(&shelf), first, "nothing new is signed for an epoch that has a checkpoint");
        checkpoints.make(&shelf, LENGTH * 11).await.unwrap();
        let second = last(&shelf);
        assert_eq!(what(&second), [(2, 11), (1, 11)]);
        for (before, after) in first.iter().zip(&second) {
            assert_eq!(after.previous, Some(before.hash()));
        }
        assert!(shelf.by(1).is_ok() && shelf.by(2).is_ok());
        checkpoints.make(&shelf, LENGTH * 12).await.unwrap();
        assert_eq!(what(&last(&shelf)), [(2, 12)], "the overlap is over");
        assert_eq!(shelf.by(1).err().unwrap().code, "relay/other-rules");
    }
}
