//! The durable store of a relay: records in redb, blocks of content on disk by hash.
//!
//! What was acknowledged survives a kill and a power cut at any moment. Blocks are durable before the records that name them,
//! and both before the acknowledgement, so a record that is found after a crash has its content. One thread writes; commits
//! that wait share a sync. The store believes nothing that it reads: blocks are hashed again, and records are handed out as
//! bytes, for the relay to verify as if a stranger had sent them.

mod blocks;
mod error;
mod key;
mod medium;
mod records;
mod writer;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::vec;

use ggen_shared::limits::MAX_BLOCK_BYTES;
use ggen_shared::record::{ContentId, Record, RecordBytes};
use tokio::sync::{mpsc, oneshot};

pub use error::{BlockError, CommitError, LoadError, OpenError};
pub use key::RecordKey;

use blocks::Blocks;
use medium::{Disk, Medium};
use records::Records;
use writer::{Command, Health, Writer};

/// Commits that wait for the writer, beyond which callers wait to be queued. Their bytes are the callers' to bound.
const QUEUE_COMMANDS: usize = 64;

/// What becomes durable together.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Records to keep.
    pub records: Vec<(RecordKey, RecordBytes)>,
    /// Records to forget; done before `records` are written.
    pub removed: Vec<RecordKey>,
    /// Blocks of content, each with the identifier that its bytes hash to.
    pub blocks: Vec<(ContentId, Vec<u8>)>,
    /// The number of rules, and the checkpoint by them that takes the place of the one before it, as signed.
    pub checkpoint: Option<(u32, Vec<u8>)>,
}

impl Batch {
    /// Keeps a verified record.
    pub fn keep(&mut self, record: &Record) {
        self.records.push((RecordKey::of(record), record.bytes().clone()));
    }

    fn check(&self) -> Result<(), CommitError> {
        for (id, block) in &self.blocks {
            if block.len() > MAX_BLOCK_BYTES {
                return Err(CommitError::LongBlock(*id));
            }
            if !id.matches(block) {
                return Err(CommitError::WrongBlock(*id));
            }
        }
        Ok(())
    }
}

/// A relay's records and content. Clones share it; when the last is dropped, what is queued is written first.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// None only while the store is dropped: that ends the writer.
    queue: Option<mpsc::Sender<Command>>,
    writer: Mutex<Option<thread::JoinHandle<()>>>,
    records: Arc<Records>,
    blocks: Arc<Blocks>,
    health: Arc<Health>,
}

impl Store {
    /// Opens the store in a data directory, which is created if need be, and takes the directory's lock. Removes what a crash
    /// left unfinished. Blocks: the database is checked page by page.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(directory: &Path) -> Result<Self, OpenError> {
        Self::open_on(Box::new(Disk::open(directory)?), directory)
    }

    fn open_on(medium: Box<dyn Medium>, directory: &Path) -> Result<Self, OpenError> {
        let writer = Writer::open(medium, directory)?;
        let (records, blocks) = (Arc::clone(&writer.records), Arc::clone(&writer.blocks));
        let health = Arc::clone(&writer.health);
        let (queue, commands) = mpsc::channel(QUEUE_COMMANDS);
        let writer = thread::Builder::new()
            .name("store-writer".into())
            .spawn(|| writer.run(commands))
            .map_err(|source| OpenError::Io { directory: directory.into(), source: Arc::new(source) })?;
        Ok(Self(Arc::new(Inner { queue: Some(queue), writer: Mutex::new(Some(writer)), records, blocks, health })))
    }

    /// Makes a batch durable. What is there already costs no write. When the future is dropped, the batch may be written all
    /// the same.
    ///
    /// # Errors
    /// [`CommitError`]; the store stays usable after each but [`CommitError::Closed`]. After an error the batch may be durable,
    /// in part or as a whole: a record never without the blocks of its batch.
    pub async fn commit(&self, batch: Batch) -> Result<(), CommitError> {
        // Hashing 64 MiB takes a while: not on a thread that serves others.
        let batch = tokio::task::spawn_blocking(move || batch.check().map(|()| batch))
            .await
            .map_err(|_| CommitError::Closed)??;
        self.ask(|done| Command::Commit { batch, done }).await?
    }

    /// Whether the store takes commits. It costs nothing unless the last write failed; then the disk is tried again.
    ///
    /// # Errors
    /// [`CommitError`], as a commit would give.
    pub async fn ready(&self) -> Result<(), CommitError> {
        if self.0.queue.as_ref().is_none_or(mpsc::Sender::is_closed) {
            return Err(CommitError::Closed);
        }
        match self.0.health.failure() {
            None => Ok(()),
            Some(_) => self.ask(|done| Command::Probe { done }).await?,
        }
    }

    /// All records in the order of their keys: of each publisher the key log first. For the start, before commits: with
    /// commits in between, those are or are not among them. Blocks while a page is read.
    pub fn load(&self) -> Load {
        Load::new(Arc::clone(&self.0.records))
    }

    /// The last checkpoint by each of the rules, as it was signed. For the start, as [`Self::load`].
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn checkpoints(&self) -> Result<Vec<Vec<u8>>, LoadError> {
        self.0.records.checkpoints()
    }

    /// The bytes of a block, checked against its hash; none if it is not there.
    ///
    /// # Errors
    /// [`BlockError`]. A block that was damaged on disk is missing from then on, so that it can be fetched and committed again.
    pub async fn block(&self, id: &ContentId) -> Result<Option<Vec<u8>>, BlockError> {
        let id = *id;
        self.with_blocks(id, move |blocks| blocks.read(&id)).await
    }

    /// Whether a block is there and durable. Its bytes are not read: only [`Store::block`] finds damage.
    ///
    /// # Errors
    /// [`BlockError::Io`].
    pub async fn has_block(&self, id: &ContentId) -> Result<bool, BlockError> {
        let id = *id;
        self.with_blocks(id, move |blocks| blocks.has(&id)).await
    }

    /// Whether a block is there, without waiting: one look at the directory. What may vanish with the power counts too.
    pub fn seems_to_have(&self, id: &ContentId) -> bool {
        self.0.blocks.seems_to_have(id)
    }

    /// Those of some blocks that are not there, in the order given: what a publisher is to send.
    ///
    /// # Errors
    /// [`BlockError::Io`].
    pub async fn missing(&self, ids: Vec<ContentId>) -> Result<Vec<ContentId>, BlockError> {
        let Some(first) = ids.first().copied() else { return Ok(ids) };
        self.with_blocks(first, move |blocks| {
            let mut missing = Vec::new();
            for id in ids {
                if !blocks.has(&id)? {
                    missing.push(id);
                }
            }
            Ok(missing)
        })
        .await
    }

    /// Writes what is queued and lets go of the data directory. Commits from then on give [`CommitError::Closed`]; blocks can
    /// still be read.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if let Some(queue) = &self.0.queue
            && queue.send(Command::Close { done }).await.is_ok()
        {
            // An error means that the writer is gone, and the lock with it.
            let _ = closed.await;
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, CommitError> {
        let (done, answer) = oneshot::channel();
        let queue = self.0.queue.as_ref().ok_or(CommitError::Closed)?;
        queue.send(command(done)).await.map_err(|_| CommitError::Closed)?;
        answer.await.map_err(|_| CommitError::Closed)
    }

    async fn with_blocks<T: Send + 'static>(
        &self,
        id: ContentId,
        work: impl FnOnce(&Blocks) -> Result<T, BlockError> + Send + 'static,
    ) -> Result<T, BlockError> {
        let blocks = Arc::clone(&self.0.blocks);
        tokio::task::spawn_blocking(move || work(&blocks))
            .await
            .unwrap_or_else(|error| Err(BlockError::io(id, std::io::Error::other(error))))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.queue = None;
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        // A panic of the writer was reported by its thread.
        drop(writer.map(thread::JoinHandle::join));
    }
}

/// Records as they are on disk, with the key they are kept under. An error ends it.
#[derive(Debug)]
pub struct Load {
    records: Arc<Records>,
    page: vec::IntoIter<(RecordKey, Vec<u8>)>,
    last: Option<RecordKey>,
    ended: bool,
}

impl Load {
    fn new(records: Arc<Records>) -> Self {
        Self { records, page: Vec::new().into_iter(), last: None, ended: false }
    }
}

impl Iterator for Load {
    type Item = Result<(RecordKey, Vec<u8>), LoadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.as_slice().is_empty() && !self.ended {
            match self.records.page(self.last) {
                Ok(page) => {
                    self.ended = page.is_empty();
                    self.page = page.into_iter();
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        let (key, bytes) = self.page.next()?;
        self.last = Some(key);
        Some(Ok((key, bytes)))
    }
}
