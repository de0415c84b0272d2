//! What was signed and too few relays have yet: each record with its content in a file of its own, beside the key. A file is there before the
//! record is in the ledger or goes anywhere, and until two relays said that they keep it, or the one if only one was named: so whatever ends a
//! publication, and whichever relay lies, nothing signed is lost. Which relay has said so is an empty file beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ggen_shared::codec;
use ggen_shared::id::RecordId;
use ggen_shared::limits::{MAX_ARTIFACT_BYTES, MAX_README_BYTES};
use ggen_shared::record::{ContentId, Record};
use libp2p::PeerId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::files::{create_directory, sync_directory};

/// The largest content, with room for what is around it.
const MAX_FILE_BYTES: u64 = MAX_ARTIFACT_BYTES + MAX_README_BYTES + 1024 * 1024;
/// What stands between the name of what waits and a relay that keeps it, in the name of a file.
const KEPT_BY: &str = ".kept-by-";
/// What the name of a file begins with that is not whole.
const UNFINISHED: &str = ".tmp";

/// The blocks of a record's content.
pub type Blocks = BTreeMap<ContentId, Vec<u8>>;

/// Why something that waits can't be kept or read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", .path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// The directory of what waits. Whoever uses it holds the ledger's lock.
pub struct Outbox {
    directory: PathBuf,
}

/// Something that waits. They are ordered as they were signed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// The record's index.
    pub index: u32,
    /// The record's id.
    pub id: RecordId,
}

/// A record as it waits.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    record: ByteBuf,
    blocks: Vec<(ContentId, ByteBuf)>,
}

/// Where what waits for relays lies: beside the key.
pub fn path_of(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".waiting");
    name.into()
}

impl Waiting {
    /// Of a record that has an index, which all have that are published.
    pub fn of(record: &Record) -> Option<Self> {
        Some(Self { index: record.indexed()?.index(), id: record.id() })
    }

    fn named(name: &str) -> Option<Self> {
        let (index, id) = name.split_once('-')?;
        Some(Self { index: index.parse().ok()?, id: id.parse().ok()? })
    }

    fn name(&self) -> String {
        // As wide as the largest index, so that a listing is in order.
        format!("{:010}-{}", self.index, self.id)
    }
}

impl Outbox {
    /// The directory as it is, to look at: another run may be using it.
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.into() }
    }

    /// Opens the directory, if it is there, and removes what a crash left unfinished.
    ///
    /// # Errors
    /// [`Error`].
    pub fn open(directory: &Path) -> Result<Self, Error> {
        let outbox = Self::at(directory);
        for name in outbox.names()?.iter().filter(|name| name.starts_with(UNFINISHED)) {
            let path = directory.join(name);
            fs::remove_file(&path).map_err(|source| Error { path, source })?;
        }
        Ok(outbox)
    }

    /// What waits, in the order in which it was signed.
    ///
    /// # Errors
    /// [`Error`].
    pub fn list(&self) -> Result<Vec<Waiting>, Error> {
        let mut waiting: Vec<_> = self.names()?.iter().filter_map(|name| Waiting::named(name)).collect();
        waiting.sort();
        Ok(waiting)
    }

    /// Whether something waits, readable or not.
    pub fn has(&self, waiting: &Waiting) -> bool {
        self.path(waiting).exists()
    }

    /// Keeps records with their content, durably.
    ///
    /// # Errors
    /// [`Error`]; some of them may be kept then.
    pub fn put<'a>(&self, all: impl IntoIterator<Item = (&'a Record, &'a Blocks)>) -> Result<(), Error> {
        create_directory(&self.directory).map_err(|source| self.error(source))?;
        let mut placed = false;
        for (record, blocks) in all {
            let Some(waiting) = Waiting::of(record) else { continue };
            let blocks = blocks.iter().map(|(cid, data)| (*cid, ByteBuf::from(data.clone()))).collect();
            let entry = Entry { record: ByteBuf::from(record.bytes().to_vec()), blocks };
            self.place(&waiting, &codec::encode(&entry))?;
            placed = true;
        }
        if placed { sync_directory(&self.directory).map_err(|source| self.error(source)) } else { Ok(()) }
    }

    fn place(&self, waiting: &Waiting, bytes: &[u8]) -> Result<(), Error> {
        let path = self.path(waiting);
        let placed = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory).and_then(|mut file| {
            file.write_all(bytes)?;
            file.as_file().sync_data()?;
            file.persist(&path).map_err(|failed| failed.error)
        });
        placed.map(drop).map_err(|source| Error { path, source })
    }

    /// A record that waits, as it was signed, and its content.
    ///
    /// # Errors
    /// [`Error`], also for a file that is not what was written.
    pub fn read(&self, waiting: &Waiting) -> Result<(Vec<u8>, Blocks), Error> {
        let path = self.path(waiting);
        let read = || -> io::Result<(Vec<u8>, Blocks)> {
            let damaged = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
            let mut bytes = Vec::new();
            File::open(&path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
            let limit = usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX);
            let entry: Entry = codec::read(&bytes, limit).map_err(|error| damaged(error.to_string()))?;
            let blocks = entry.blocks.into_iter().map(|(cid, data)| (cid, data.into_vec()));
            Ok((entry.record.into_vec(), blocks.collect()))
        };
        read().map_err(|source| Error { path, source })
    }

    /// Notes that relays say that they keep something. It is a matter of another delivery at most: it is not synced.
    ///
    /// # Errors
    /// [`Error`].
    pub fn note_kept(&self, waiting: &Waiting, by: &BTreeSet<PeerId>) -> Result<(), Error> {
        for relay in by {
            let path = self.directory.join(format!("{}{KEPT_BY}{relay}", waiting.name()));
            File::create(&path).map_err(|source| Error { path, source })?;
        }
        Ok(())
    }

    /// The relays that have said that they keep something.
    ///
    /// # Errors
    /// [`Error`].
    pub fn kept_by(&self, waiting: &Waiting) -> Result<BTreeSet<PeerId>, Error> {
        let begin = waiting.name() + KEPT_BY;
        Ok(self.names()?.iter().filter_map(|name| name.strip_prefix(&begin)?.parse().ok()).collect())
    }

    /// Forgets what relays have now. If the power fails now it may still be there, and is sent once more, which changes nothing.
    ///
    /// # Errors
    /// [`Error`].
    pub fn remove(&self, waiting: &Waiting) -> Result<(), Error> {
        let begin = waiting.name();
        // What waits first: who kept what waits no more says nothing.
        let mut names = self.names()?;
        names.sort();
        for name in names.iter().filter(|name| **name == begin || name.starts_with(&(begin.clone() + KEPT_BY))) {
            let path = self.directory.join(name);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(Error { path, source }),
                _ => {}
            }
        }
        Ok(())
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let entries = match fs::read_dir(&self.directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|source| self.error(source))?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect::<io::Result<_>>().map_err(|source| self.error(source))
    }

    fn path(&self, waiting: &Waiting) -> PathBuf {
        self.directory.join(waiting.name())
    }

    fn error(&self, source: io::Error) -> Error {
        Error { path: self.directory.clone(), source }
    }
}
