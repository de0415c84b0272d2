//! What a store is written to: the seam at which a test cuts the power.
//!
//! The steps are as small as those of a disk, so that their order is the store's own and is what the test examines.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ggen_shared::limits::MAX_BLOCK_BYTES;
use redb::backends::FileBackend;
use redb::{Builder, DatabaseError};

use super::OpenError;
use crate::files::{create_directory, sync_directory};

/// The two halves of a store's storage.
pub(super) trait Medium: Debug + Send + Sync {
    /// Opens a file as a database; called again after the database failed and was dropped.
    fn open_database(&self, file: DatabaseFile, builder: &Builder) -> Result<redb::Database, DatabaseError>;

    /// Whether the database is there under its final name.
    fn has_database(&self) -> io::Result<bool>;

    /// Gives the draft its final name, which may be lost until it is synced.
    fn install_database(&self) -> io::Result<()>;

    /// Makes the final name durable.
    fn sync_database_name(&self) -> io::Result<()>;

    /// The directory of blocks.
    fn files(&self) -> Arc<dyn Files>;
}

/// Which file a database is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DatabaseFile {
    /// A new, empty one, in place of any that a crash left.
    Draft,
    /// The one that holds the records.
    Final,
}

/// One directory tree. Paths are relative to its root; the empty path is the root.
pub(super) trait Files: Debug + Send + Sync {
    /// The bytes of a file; none if it is not there. A file longer than any block is cut off after its bound.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;

    /// Whether a file is there.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// The names in a directory.
    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>>;

    /// Creates a directory, unless it is there; whether it was not.
    fn create_directory(&self, directory: &Path) -> io::Result<bool>;

    /// Creates a file. Its name and its bytes may be lost until they are synced.
    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>>;

    /// Renames a file, over another if need be. Which name it has after a power cut is open until the directory is synced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// A file that is being written.
pub(super) trait NewFile {
    /// Appends bytes.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes durable, not the name.
    fn sync(&mut self) -> io::Result<()>;
}

/// A data directory on a real disk. It holds the directory's lock for as long as it lives.
#[derive(Debug)]
pub(super) struct Disk {
    directory: PathBuf,
    blocks: Arc<Tree>,
    _lock: File,
}

impl Disk {
    /// Takes a data directory, which is created if it is not there.
    pub(super) fn open(directory: &Path) -> Result<Self, OpenError> {
        let error = |source| OpenError::Io { directory: directory.into(), source: Arc::new(source) };
        let blocks = directory.join("blocks");
        create_directory(directory).map_err(error)?;
        let lock =
            OpenOptions::new().write(true).create(true).truncate(false).open(directory.join("lock")).map_err(error)?;
        // The system drops the lock with the process, however that ends. The file stays: removing it would open a race.
        lock.try_lock().map_err(|failed| match failed {
            TryLockError::WouldBlock => OpenError::InUse(directory.into()),
            TryLockError::Error(source) => error(source),
        })?;
        create_directory(&blocks).map_err(error)?;
        Ok(Self { directory: directory.into(), blocks: Arc::new(Tree(blocks)), _lock: lock })
    }
}

impl Disk {
    fn database(&self) -> PathBuf {
        self.directory.join("records.redb")
    }

    fn draft(&self) -> PathBuf {
        self.directory.join("records.redb.new")
    }
}

impl Medium for Disk {
    fn open_database(&self, file: DatabaseFile, builder: &Builder) -> Result<redb::Database, DatabaseError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = match file {
            DatabaseFile::Draft => options.create(true).truncate(true).open(self.draft())?,
            DatabaseFile::Final => options.open(self.database())?,
        };
        builder.create_with_backend(FileBackend::new(file)?)
    }

    fn has_database(&self) -> io::Result<bool> {
        fs::exists(self.database())
    }

    fn install_database(&self) -> io::Result<()> {
        fs::rename(self.draft(), self.database())
    }

    fn sync_database_name(&self) -> io::Result<()> {
        sync_directory(&self.directory)
    }

    fn files(&self) -> Arc<dyn Files> {
        Arc::clone(&self.blocks) as Arc<dyn Files>
    }
}

#[derive(Debug)]
struct Tree(PathBuf);

impl Files for Tree {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.0.join(path)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_BLOCK_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        fs::exists(self.0.join(path))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(self.0.join(directory))?.map(|entry| Ok(entry?.file_name().into())).collect()
    }

    fn create_directory(&self, directory: &Path) -> io::Result<bool> {
        match fs::create_dir(self.0.join(directory)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        Ok(Box::new(File::create_new(self.0.join(path))?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(self.0.join(path))
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        sync_directory(&self.0.join(directory))
    }
}

impl NewFile for File {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        Write::write_all(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}
