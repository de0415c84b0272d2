//! What goes wrong with a store, by operation. Errors are cheap to copy: one failed sync fails every commit that shared it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use ggen_shared::record::ContentId;

/// Why a store did not open.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// The directory's lock is held.
    #[error("another relay is using {}; stop it, or give this one another data directory", .0.display())]
    InUse(PathBuf),
    /// The store was written under a schema that this version does not know.
    #[error(
        "{} holds a store of schema {found}, and this ggen-relay knows {known} at most; run the version that wrote it or a \
         later one, or use another data directory",
        directory.display()
    )]
    NewerSchema {
        /// The data directory.
        directory: PathBuf,
        /// The schema of the store.
        found: u64,
        /// The newest schema that is known.
        known: u64,
    },
    /// The records are not what was written.
    #[error(
        "the records in {} are damaged; restore the directory from a backup, or move it away and let the relay fetch \
         everything again from others",
        directory.display()
    )]
    Damaged {
        /// The data directory.
        directory: PathBuf,
        /// What the database said.
        source: Arc<redb::Error>,
    },
    /// The system refused something.
    #[error("cannot open the store in {}", directory.display())]
    Io {
        /// The data directory.
        directory: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

/// Why a batch is not known to be durable. Nothing of a failed batch is promised; it may be committed again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// A block's bytes are another block's. Nothing of the batch was stored.
    #[error("the bytes given as {0} are not that block")]
    WrongBlock(ContentId),
    /// A block is longer than any that is ever read back. Nothing of the batch was stored.
    #[error("the block {0} is too long")]
    LongBlock(ContentId),
    /// There is no room. The store goes on, and takes commits again once there is.
    #[error("the disk is full: free some space, and the relay goes on by itself")]
    DiskFull(#[source] Arc<io::Error>),
    /// A block could not be written. The store goes on.
    #[error("cannot write blocks")]
    Blocks(#[source] Arc<io::Error>),
    /// The records could not be written. The store opens its database again for the next commit.
    #[error("cannot write records")]
    Records(#[source] Arc<redb::Error>),
    /// The store was closed, or its writer died of a bug.
    #[error("the store is closed")]
    Closed,
}

impl CommitError {
    pub(super) fn blocks(error: io::Error) -> Self {
        if is_full(&error) { Self::DiskFull(Arc::new(error)) } else { Self::Blocks(Arc::new(error)) }
    }

    pub(super) fn records(error: impl Into<redb::Error>) -> Self {
        match error.into() {
            redb::Error::Io(error) if is_full(&error) => Self::DiskFull(Arc::new(error)),
            error => Self::Records(Arc::new(error)),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Why the records can't be read on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LoadError {
    /// The database failed.
    #[error("cannot read records")]
    Records(#[source] Arc<redb::Error>),
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
}

impl LoadError {
    pub(super) fn records(error: impl Into<redb::Error>) -> Self {
        Self::Records(Arc::new(error.into()))
    }
}

/// Why a block that may be there was not read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlockError {
    /// The disk gave other bytes than were written. The block is missing from now on, until it is committed again.
    #[error("the block {0} was damaged on disk and is dropped")]
    Damaged(ContentId),
    /// The system refused to read it.
    #[error("cannot read the block {id}")]
    Io {
        /// The block.
        id: ContentId,
        /// What the system said.
        source: Arc<io::Error>,
    },
}

impl BlockError {
    pub(super) fn io(id: ContentId, source: io::Error) -> Self {
        Self::Io { id, source: Arc::new(source) }
    }
}
