//! Blocks of content: one file each, named by its hash.
//!
//! A block is written under `incoming/`, synced, renamed to `<shard>/<cid>`, and then the shard is synced: a file under its
//! own name is whole. Shards are the two letters before the last of the CID, as in kubo, since the first letters of CIDs are
//! all alike.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ggen_shared::record::ContentId;

use super::BlockError;
use super::medium::{Files, NewFile};

const INCOMING: &str = "incoming";

/// The directory of blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    files: Arc<dyn Files>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Directories that were synced in this life of the process after their last change: at most the root and one per shard.
    /// A file found in any other may be there only until the power fails, whoever wrote it.
    settled: HashSet<PathBuf>,
    /// The name of the next file under `incoming/`.
    next: u64,
}

impl Blocks {
    /// Opens the directory and removes what a crash left unfinished.
    pub(super) fn open(files: Arc<dyn Files>) -> io::Result<Self> {
        let incoming = Path::new(INCOMING);
        files.create_directory(incoming)?;
        for orphan in files.list(incoming)? {
            files.remove(&incoming.join(orphan))?;
        }
        Ok(Self { files, state: Mutex::new(State { settled: HashSet::new(), next: 0 }) })
    }

    /// Stores blocks, some of which may be there. For each batch: whether all its blocks are durable.
    ///
    /// The directories that several batches touch are synced once for all of them.
    pub(super) fn store(&self, batches: &[&[(ContentId, Vec<u8>)]]) -> Vec<io::Result<()>> {
        let mut state = self.lock();
        let mut placed = Vec::new();
        let mut results: Vec<io::Result<()>> = batches
            .iter()
            .map(|blocks| blocks.iter().try_for_each(|(id, bytes)| self.place(&mut state, id, bytes, &mut placed)))
            .collect();
        for (blocks, result) in batches.iter().zip(&mut results) {
            for (id, _) in *blocks {
                if result.is_ok() {
                    *result = self.settle(&mut state, id);
                }
            }
        }
        // What may vanish must not be mistaken for stored by whoever looks next.
        for id in placed {
            if !state.is_settled(&id) {
                let _ = self.files.remove(&path_of(&id));
            }
        }
        results
    }

    /// Puts a block under its name, unless it is there whole.
    fn place(&self, state: &mut State, id: &ContentId, bytes: &[u8], placed: &mut Vec<ContentId>) -> io::Result<()> {
        let path = path_of(id);
        // A file that can't be read or holds other bytes is replaced.
        if self.files.read(&path).is_ok_and(|found| found.is_some_and(|found| id.matches(&found))) {
            return Ok(());
        }
        let shard = shard_of(id);
        if !state.settled.contains(&shard) && self.files.create_directory(&shard)? {
            state.settled.remove(Path::new(""));
        }
        let incoming = Path::new(INCOMING).join(state.next.to_string());
        state.next += 1;
        let mut file = self.files.create(&incoming)?;
        let written = write_synced(&mut *file, bytes).and_then(|()| {
            state.settled.remove(&shard);
            self.files.rename(&incoming, &path)
        });
        match written {
            Ok(()) => placed.push(*id),
            Err(_) => drop(self.files.remove(&incoming)),
        }
        written
    }

    /// Makes the name of a block durable, if it may not be.
    fn settle(&self, state: &mut State, id: &ContentId) -> io::Result<()> {
        for directory in [PathBuf::new(), shard_of(id)] {
            if !state.settled.contains(&directory) {
                self.files.sync_directory(&directory)?;
                state.settled.insert(directory);
            }
        }
        Ok(())
    }

    /// Whether a block is there and durable. Its bytes are not looked at.
    pub(super) fn has(&self, id: &ContentId) -> Result<bool, BlockError> {
        // The lock is held so that no block is seen between its renaming and its directory's sync.
        let mut state = self.lock();
        let error = |source| BlockError::io(*id, source);
        if !self.files.exists(&path_of(id)).map_err(error)? {
            return Ok(false);
        }
        self.settle(&mut state, id).map_err(error)?;
        Ok(true)
    }

    /// Whether a block is there, durable or not.
    pub(super) fn seems_to_have(&self, id: &ContentId) -> bool {
        self.files.exists(&path_of(id)).unwrap_or(false)
    }

    /// The bytes of a block, which are checked; a damaged block is removed.
    pub(super) fn read(&self, id: &ContentId) -> Result<Option<Vec<u8>>, BlockError> {
        let path = path_of(id);
        let read = || self.files.read(&path).map_err(|source| BlockError::io(*id, source));
        match read()? {
            Some(bytes) if !id.matches(&bytes) => {}
            other => return Ok(other),
        }
        // The writer may be replacing it at this moment: only what is damaged under the lock is removed.
        let _state = self.lock();
        match read()? {
            Some(bytes) if !id.matches(&bytes) => {
                self.files.remove(&path).map_err(|source| BlockError::io(*id, source))?;
                Err(BlockError::Damaged(*id))
            }
            other => Ok(other),
        }
    }

    /// Writes, syncs and removes a file: whether the disk takes blocks.
    pub(super) fn probe(&self) -> io::Result<()> {
        let mut state = self.lock();
        let incoming = Path::new(INCOMING).join(state.next.to_string());
        state.next += 1;
        let written = self.files.create(&incoming).and_then(|mut file| write_synced(&mut *file, &[0; 4096]));
        let removed = self.files.remove(&incoming);
        written.and(removed)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Each change of the state keeps it true on its own, so a panic elsewhere leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_settled(&self, id: &ContentId) -> bool {
        self.settled.contains(Path::new("")) && self.settled.contains(&shard_of(id))
    }
}

fn write_synced(file: &mut dyn NewFile, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    file.sync()
}

fn shard_of(id: &ContentId) -> PathBuf {
    let name = id.to_string();
    // A CID's text is ASCII and far longer than three letters.
    name[name.len() - 3..name.len() - 1].into()
}

/// Where a block stands, relative to the directory of blocks.
pub(super) fn path_of(id: &ContentId) -> PathBuf {
    shard_of(id).join(id.to_string())
}
