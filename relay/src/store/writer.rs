//! The one thread that writes. It takes what is waiting, up to a bound, and makes it durable together, so that many
//! publishers share a sync.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use super::blocks::Blocks;
use super::medium::Medium;
use super::records::Records;
use super::{Batch, CommitError, OpenError};

/// Batches that share a sync: enough that the sync is a small part of each, few enough that the first does not wait long.
const MAX_GROUP_BATCHES: usize = 64;
/// Bytes of blocks after which no more batches join a group: some tenths of a second on a plain disk.
const MAX_GROUP_BYTES: usize = 8 * 1024 * 1024;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Make a batch durable.
    Commit {
        /// The batch, whose blocks were checked.
        batch: Batch,
        /// Told once it is durable, or is not going to be.
        done: oneshot::Sender<Result<(), CommitError>>,
    },
    /// Find out whether the disk takes writes.
    Probe {
        /// Told the answer.
        done: oneshot::Sender<Result<(), CommitError>>,
    },
    /// Finish what is waiting, then let go of the data directory.
    Close {
        /// Told once the directory is free.
        done: oneshot::Sender<()>,
    },
}

/// The last failure that nothing has succeeded after.
#[derive(Debug, Default)]
pub(super) struct Health(Mutex<Option<CommitError>>);

impl Health {
    pub(super) fn failure(&self) -> Option<CommitError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, failure: Option<CommitError>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

/// Both halves of a store, and whether they work.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) records: Arc<Records>,
    pub(super) blocks: Arc<Blocks>,
    pub(super) health: Arc<Health>,
}

/// Who waits for a batch.
pub(super) type Waiter = oneshot::Sender<Result<(), CommitError>>;

impl Writer {
    /// Opens both halves.
    pub(super) fn open(medium: Box<dyn Medium>, directory: &Path) -> Result<Self, OpenError> {
        let blocks = Blocks::open(medium.files())
            .map_err(|source| OpenError::Io { directory: directory.into(), source: Arc::new(source) })?;
        let records = Records::open(medium, directory)?;
        Ok(Self { records: Arc::new(records), blocks: Arc::new(blocks), health: Arc::default() })
    }

    /// Serves the queue until it is closed and empty, then lets go of the data directory.
    pub(super) fn run(self, mut queue: mpsc::Receiver<Command>) {
        let mut closed = Vec::new();
        while let Some(command) = queue.blocking_recv() {
            let (mut batches, mut waiters) = (Vec::new(), Vec::new());
            let mut bytes = 0;
            let mut next = Some(command);
            while let Some(command) = next.take() {
                match command {
                    Command::Commit { batch, done } => {
                        bytes += batch.blocks.iter().map(|(_, block)| block.len()).sum::<usize>();
                        batches.push(batch);
                        waiters.push(done);
                    }
                    Command::Probe { done } => drop(done.send(self.probe())),
                    Command::Close { done } => {
                        queue.close();
                        closed.push(done);
                    }
                }
                if batches.len() < MAX_GROUP_BATCHES && bytes < MAX_GROUP_BYTES {
                    next = queue.try_recv().ok();
                }
            }
            self.commit(&batches, waiters);
        }
        self.records.close();
        for done in closed {
            let _ = done.send(());
        }
    }

    /// Makes a group durable: blocks, then the records that name them, then the answers. Never in another order.
    pub(super) fn commit(&self, batches: &[Batch], waiters: Vec<Waiter>) {
        let blocks: Vec<_> = batches.iter().map(|batch| &*batch.blocks).collect();
        let stored = self.blocks.store(&blocks);
        let mut sound = Vec::new();
        let mut waiting = Vec::new();
        for ((batch, waiter), stored) in batches.iter().zip(waiters).zip(stored) {
            match stored {
                Ok(()) => {
                    sound.push(batch);
                    waiting.push(waiter);
                }
                Err(error) => {
                    let error = CommitError::blocks(error);
                    self.health.set(Some(error.clone()));
                    answer(waiter, Err(error));
                }
            }
        }
        if sound.iter().all(|batch| batch.records.is_empty() && batch.removed.is_empty() && batch.checkpoint.is_none())
        {
            waiting.into_iter().for_each(|waiter| answer(waiter, Ok(())));
            return;
        }
        let result = self.records.commit(&sound).map_err(CommitError::records);
        match &result {
            // A group that was there already wrote nothing, and so tells nothing about the disk.
            Ok(wrote) if *wrote && sound.len() == batches.len() => self.health.set(None),
            Ok(_) => {}
            Err(error) => self.health.set(Some(error.clone())),
        }
        let result = result.map(|_| ());
        waiting.into_iter().for_each(|waiter| answer(waiter, result.clone()));
    }

    fn probe(&self) -> Result<(), CommitError> {
        let result = self
            .blocks
            .probe()
            .map_err(CommitError::blocks)
            .and_then(|()| self.records.probe().map_err(CommitError::records));
        self.health.set(result.clone().err());
        result
    }
}

/// Who asked may be gone: the batch is durable all the same.
fn answer(waiter: Waiter, result: Result<(), CommitError>) {
    drop(waiter.send(result));
}
