//! What a publisher has signed, beside its key: which record indices are used, and the very record of each version and of what was said of
//! it, so that to publish or to say the same again sends the same bytes.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ggen_shared::id::{Network, PackageName, RecordId};
use ggen_shared::limits::MAX_QUOTA;
use ggen_shared::record::{self, KeyLog, Record, Release, Status, UnverifiedRecord, Verified, Version};

/// Why the ledger can't be used.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct Error {
    path: PathBuf,
    reason: String,
}

/// An open ledger; it is locked, so that two runs can't use one index.
pub struct Ledger {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    written: Written,
    /// Lines that are to be written.
    staged: String,
    /// Whether what is remembered may not be written.
    is_broken: bool,
}

/// What is written in a ledger.
#[derive(Default)]
struct Written {
    releases: BTreeMap<(PackageName, Version), Verified<Release>>,
    /// Of each version the one that decides.
    statuses: BTreeMap<(PackageName, Version), Verified<Status>>,
    next_index: u32,
    /// What was signed under which key event, and of which version it is.
    signed: Vec<Signed>,
}

/// A record that is written here.
struct Signed {
    under: RecordId,
    id: RecordId,
    of: (PackageName, Version),
}

/// Where the ledger of a key lies: beside it.
pub fn path_of(key: &Path) -> PathBuf {
    let mut name = key.as_os_str().to_owned();
    name.push(".ledger");
    name.into()
}

/// A ledger that nobody else uses. Whoever rotates the key holds it too, so the key is read behind it.
pub struct Locked {
    path: PathBuf,
    file: File,
}

impl Locked {
    /// Opens or creates the ledger of a key, waiting for another run to let go of it.
    ///
    /// # Errors
    /// [`Error`] with the path.
    pub fn of(path: &Path) -> Result<Self, Error> {
        let io = |source: std::io::Error| Error { path: path.into(), reason: source.to_string() };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        file.lock().map_err(io)?;
        Ok(Self { path: path.into(), file })
    }

    /// Reads it. Every line is verified; a last line that a crash cut off is dropped.
    ///
    /// # Errors
    /// [`Error`] with the path, and the line where one does not verify.
    pub fn read(self, key_log: &KeyLog, network: &Network) -> Result<Ledger, Error> {
        let Self { path, mut file } = self;
        let io = |source: std::io::Error| Error { path: path.clone(), reason: source.to_string() };
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(io)?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        file.set_len(whole as u64).map_err(io)?;
        let written = Written::parse(&path, &text[..whole], key_log, network)?;
        Ok(Ledger { path, file, length: whole as u64, written, staged: String::new(), is_broken: false })
    }
}

/// Demands that a text is a ledger of a key; `path` is where errors say it is.
///
/// # Errors
/// [`Error`] with the line that does not verify.
pub fn check(path: &Path, text: &str, key_log: &KeyLog, network: &Network) -> Result<(), Error> {
    Written::parse(path, text, key_log, network).map(drop)
}

/// How much a ledger has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Versions that were released.
    pub releases: usize,
    /// Versions of which something was said since.
    pub statuses: usize,
    /// The first index that was never used.
    pub next_index: u32,
}

/// How much a ledger has now. Another run may be writing to it.
///
/// # Errors
/// [`Error`] with the path, and the line where one does not verify.
pub fn extent(path: &Path, key_log: &KeyLog, network: &Network) -> Result<Extent, Error> {
    let text = match std::fs::read_to_string(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|source| Error { path: path.into(), reason: source.to_string() })?,
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let written = Written::parse(path, whole, key_log, network)?;
    let Written { releases, statuses, next_index, .. } = written;
    Ok(Extent { releases: releases.len(), statuses: statuses.len(), next_index })
}

impl Written {
    fn parse(path: &Path, text: &str, key_log: &KeyLog, network: &Network) -> Result<Self, Error> {
        let error = |reason: String| Error { path: path.into(), reason };
        let mut written = Self::default();
        for (number, line) in text.lines().enumerate() {
            let bytes =
                BASE64.decode(line.as_bytes()).map_err(|_| error(format!("line {}: not base64", number + 1)))?;
            match UnverifiedRecord::decode(&bytes).and_then(|record| record.verify(Some(key_log), network)) {
                Ok(record) => written.remember(record),
                // A rotation left it out: as if it had never been.
                Err(record::Error::Void(_)) => {}
                Err(refused) => return Err(error(format!("line {}: {refused}", number + 1))),
            }
        }
        Ok(written)
    }

    fn remember(&mut self, record: Record) {
        if let Some(indexed) = record.indexed() {
            self.next_index = self.next_index.max(indexed.index().saturating_add(1));
        }
        let of = match &record {
            Record::Release(release) => Some((release.signed_under, release.name.clone(), release.version.clone())),
            Record::Status(status) => Some((status.signed_under, status.name.clone(), status.version.clone())),
            _ => None,
        };
        let id = record.id();
        self.signed.extend(of.map(|(under, name, version)| Signed { under, id, of: (name, version) }));
        match record {
            Record::Release(release) => {
                _ = self.releases.insert((release.name.clone(), release.version.clone()), *release);
            }
            Record::Status(status) => {
                let key = (status.name.clone(), status.version.clone());
                if self.statuses.get(&key).is_none_or(|known| known.weight(known.id()) < status.weight(status.id())) {
                    self.statuses.insert(key, *status);
                }
            }
            // Nothing else is written here.
            _ => {}
        }
    }
}

impl Ledger {
    /// All its lines, as they are on disk.
    ///
    /// # Errors
    /// [`Error`] with the path.
    pub fn text(&self) -> Result<String, Error> {
        let error = |reason: String| Error { path: self.path.clone(), reason };
        let mut text = std::fs::read_to_string(&self.path).map_err(|source| error(source.to_string()))?;
        text.truncate(usize::try_from(self.length).map_err(|_| error("it is too long".into()))?);
        Ok(text)
    }

    /// What was said of a version: the status that decides.
    pub fn status(&self, name: &PackageName, version: &Version) -> Option<&Verified<Status>> {
        self.written.statuses.get(&(name.clone(), version.clone()))
    }

    /// The record of a version, if it was signed before.
    pub fn release(&self, name: &PackageName, version: &Version) -> Option<&Verified<Release>> {
        self.written.releases.get(&(name.clone(), version.clone()))
    }

    /// What was signed under a key event, but for what is about some versions.
    pub fn signed_under(&self, event: RecordId, but: &[(PackageName, Version)]) -> impl Iterator<Item = RecordId> {
        self.written.signed.iter().filter(move |it| it.under == event && !but.contains(&it.of)).map(|it| it.id)
    }

    /// The bytes of the record of each version, and of what decides of what was said of it.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        let releases = self.written.releases.values().map(|release| &release.bytes()[..]);
        releases.chain(self.written.statuses.values().map(|status| &status.bytes()[..]))
    }

    /// The names of all packages that were signed.
    pub fn names(&self) -> impl Iterator<Item = &PackageName> {
        self.written.releases.keys().map(|(name, _)| name)
    }

    /// The first index that was never used.
    pub const fn next_index(&self) -> u32 {
        self.written.next_index
    }

    /// The ids of all records.
    pub fn ids(&self) -> impl Iterator<Item = RecordId> {
        self.written.signed.iter().map(|it| it.id)
    }

    /// Takes up a signed record, which must not go anywhere before [`Self::commit`].
    ///
    /// # Errors
    /// [`Error`]: every index is used, or a commit failed before.
    pub fn stage(&mut self, record: Record) -> Result<(), Error> {
        let error = |reason: &str| Error { path: self.path.clone(), reason: reason.into() };
        if self.is_broken {
            return Err(error("it could not be written before"));
        }
        if record.indexed().is_some_and(|indexed| indexed.index() >= MAX_QUOTA) {
            return Err(error("every index of this key is used: it can sign nothing more"));
        }
        self.staged.push_str(&BASE64.encode(record.bytes()));
        self.staged.push('\n');
        self.written.remember(record);
        Ok(())
    }

    /// Makes what was staged durable, by one sync of the disk.
    ///
    /// # Errors
    /// [`Error`]; nothing that was staged must be sent then, and nothing more is taken up.
    pub fn commit(&mut self) -> Result<(), Error> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let lines = std::mem::take(&mut self.staged);
        let written = self
            .file
            .seek(SeekFrom::Start(self.length))
            .and_then(|_| self.file.write_all(lines.as_bytes()))
            .and_then(|()| self.file.sync_data());
        if let Err(source) = written {
            // Half a line would make all that follow unreadable. What was staged is remembered here and not written, so this is the end.
            _ = self.file.set_len(self.length);
            self.is_broken = true;
            return Err(Error { path: self.path.clone(), reason: source.to_string() });
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}
