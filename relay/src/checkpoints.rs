//! Makes the relay's checkpoints: at most one an epoch, durable before anybody sees it.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use ggen_shared::catalogue::snapshots::Snapshot;
use ggen_shared::checkpoint::{Checkpoint, RULES, Root, Signed};
use ggen_shared::id::PublicKey;
use libp2p::identity::Keypair;

use crate::admission::Shelf;
use crate::store::{Batch, CommitError, LoadError};

/// How many epochs ahead of the clock a checkpoint may be made: a relay that is started again within an epoch, and holds more than it
/// committed to, could otherwise not answer before the next. Clients take as much for the difference of clocks.
const MAX_EPOCHS_AHEAD: u64 = 1;

/// Who signs, and what was signed last.
pub struct Checkpoints {
    key: SigningKey,
    relay: PublicKey,
    epoch_length: Duration,
    last: Option<Signed<Checkpoint>>,
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
    /// Goes on from the checkpoint that the store holds.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(shelf: &Shelf, keypair: &Keypair, epoch_length: Duration) -> Result<Self, Error> {
        let keypair = keypair.clone().try_into_ed25519().map_err(|_| Error::Key)?;
        let secret = keypair.secret().as_ref().try_into().map_err(|_| Error::Key)?;
        let key = SigningKey::from_bytes(&secret);
        let relay = PublicKey::from_bytes(key.verifying_key().to_bytes());
        let foreign = |error: ggen_shared::checkpoint::Error| Error::Foreign(error.to_string());
        let last = match shelf.store().checkpoint()? {
            None => None,
            Some(bytes) => {
                let last = Checkpoint::verify(&bytes, shelf.network()).map_err(foreign)?;
                if last.relay != relay {
                    return Err(foreign(ggen_shared::checkpoint::Error::WrongRelay));
                }
                Some(last)
            }
        };
        Ok(Self { key, relay, epoch_length, last })
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

    /// Commits to what the shelf holds now, if this epoch has no checkpoint yet. At the start, what was committed to before is taken up
    /// again when nothing has changed since.
    ///
    /// # Errors
    /// [`CommitError`]: the checkpoint is not durable, and nobody has seen it.
    pub async fn make(&mut self, shelf: &Shelf, now: Duration) -> Result<(), CommitError> {
        let (now, is_start) = (self.epoch(now), shelf.snapshots().latest().is_none());
        let next = match &self.last {
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
        let before = self.last.as_ref().filter(|last| is_start && last.epoch >= now);
        if next.is_none() && before.is_none() {
            return Ok(());
        }
        let map = shelf.snapshot();
        // Of tens of thousands of packages a burst leaves much to hash: not on a thread that serves others.
        let hashing = map.clone();
        let root = tokio::task::spawn_blocking(move || hashing.root()).await.map_err(|_| CommitError::Closed)?;
        // It is this snapshot that answers stand on, whatever came to the shelf since.
        let Some(epoch) = before.filter(|last| last.root == Root::from(root)).map(|last| last.epoch).or(next) else {
            return Ok(());
        };
        let checkpoint = match &self.last {
            Some(last) if last.epoch == epoch => last.clone(),
            last => {
                let checkpoint = Checkpoint {
                    network: shelf.network().clone(),
                    relay: self.relay,
                    epoch,
                    root: root.into(),
                    rules: RULES,
                    exclusions: None,
                    previous: last.as_ref().map(Signed::hash),
                };
                let signed = checkpoint.sign(&self.key).expect("the key is the relay's own");
                shelf.store().commit(Batch { checkpoint: Some(signed.bytes().to_vec()), ..Batch::default() }).await?;
                signed
            }
        };
        tracing::debug!(epoch, entries = map.len(), %root, "checkpoint");
        self.last = Some(checkpoint.clone());
        shelf.keep_snapshot(Snapshot { checkpoint, map });
        Ok(())
    }
}
