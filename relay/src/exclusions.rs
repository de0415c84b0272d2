//! What the operator excludes: a file in the data directory that commands write, and that the running relay reads again before each checkpoint.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ggen_shared::catalogue::{ExclusionError, Exclusions};
use ggen_shared::id::RecordId;
use ggen_shared::limits::{MAX_EXCLUSIONS, MAX_REASON_BYTES};

use crate::files::{self, Existing};
use crate::identity;

/// The file, in the data directory: a line for each release or publisher, its id and the reason.
const FILE: &str = "exclusions";
/// A longer file is none of ours: a line has an id, a space, and the reason.
const MAX_FILE_BYTES: u64 = (MAX_EXCLUSIONS * (80 + MAX_REASON_BYTES)) as u64;

/// Why the list can't be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no relay's data directory.
    #[error("{} is no relay's data directory: name it with --data-dir, or the relay's file with --config", .0.display())]
    NoRelay(PathBuf),
    /// The system.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is written there is no such list.
    #[error("{}: {source}", path.display())]
    Format {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: ExclusionError,
    },
    /// What is to be written can't be.
    #[error(transparent)]
    Change(#[from] ExclusionError),
    /// It could not be written.
    #[error(transparent)]
    Write(#[from] files::Error),
}

/// The list of a relay's data directory.
///
/// # Errors
/// [`Error::NoRelay`], [`Error::Io`], [`Error::Format`].
pub fn of_relay(directory: &Path) -> Result<Exclusions, Error> {
    if identity::is_in(directory) { read(directory) } else { Err(Error::NoRelay(directory.into())) }
}

/// The list of a data directory; empty where there is none.
///
/// # Errors
/// [`Error::Io`], [`Error::Format`].
fn read(directory: &Path) -> Result<Exclusions, Error> {
    match read_file(&directory.join(FILE)) {
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(Exclusions::default()),
        read => read,
    }
}

fn read_file(path: &Path) -> Result<Exclusions, Error> {
    let text = read_text(path).map_err(|source| Error::Io { path: path.to_owned(), source })?;
    text.parse().map_err(|source| Error::Format { path: path.to_owned(), source })
}

/// Excludes a release or a publisher, or gives another reason for it. Whether that changed anything.
///
/// # Errors
/// [`Error`]: the list is as it was.
pub fn add(directory: &Path, id: RecordId, reason: &str) -> Result<bool, Error> {
    change(directory, |list| Ok(list.add(id, reason)?))
}

/// Excludes a release or a publisher no more. Whether it was excluded.
///
/// # Errors
/// [`Error`]: the list is as it was.
pub fn remove(directory: &Path, id: &RecordId) -> Result<bool, Error> {
    change(directory, |list| Ok(list.remove(id)))
}

fn change(directory: &Path, change: impl FnOnce(&mut Exclusions) -> Result<bool, Error>) -> Result<bool, Error> {
    if !identity::is_in(directory) {
        return Err(Error::NoRelay(directory.into()));
    }
    let io = |source| Error::Io { path: directory.to_owned(), source };
    // Two commands at once: neither undoes what the other did.
    let lock = File::open(directory).map_err(io)?;
    lock.lock().map_err(io)?;
    let mut list = read(directory)?;
    let is_changed = change(&mut list)?;
    if is_changed {
        // It is public, and another user may run the relay than the one who runs commands.
        files::write_public_atomically(&directory.join(FILE), list.to_string().as_bytes(), Existing::Replace)?;
    }
    Ok(is_changed)
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long to be a list of excluded releases"));
    }
    Ok(text)
}

/// The list that a running relay heeds.
pub(crate) struct Heeded {
    directory: PathBuf,
    /// Whether it was there: a list that is gone is not an empty one.
    was_there: bool,
    /// What was wrong with it when it was read last: said once.
    problem: Option<String>,
}

impl Heeded {
    /// The list as it is at the start.
    pub(crate) fn open(directory: &Path) -> Result<(Self, Exclusions), Error> {
        let (list, was_there) = (read(directory)?, directory.join(FILE).exists());
        Ok((Self { directory: directory.into(), was_there, problem: None }, list))
    }

    /// The list as it is now. None: it can't be read, and the old one stays.
    pub(crate) fn read(&mut self) -> Option<Exclusions> {
        let list = if self.was_there { read_file(&self.directory.join(FILE)) } else { read(&self.directory) };
        let problem = match list {
            Ok(list) => {
                self.was_there |= !list.is_empty();
                self.problem = None;
                return Some(list);
            }
            Err(error) => Some(error.to_string()),
        };
        if self.problem != problem {
            tracing::error!(problem, "what is excluded stays as it was: mend the file");
            self.problem = problem;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A relay's data directory.
    fn directory() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        identity::Identity::load_or_create(directory.path()).unwrap();
        directory
    }

    fn id(number: u8) -> RecordId {
        RecordId::from_bytes([number; 32])
    }

    #[test]
    fn what_is_added_and_removed_is_read_again() {
        let directory = directory();
        let directory = directory.path();
        assert!(read(directory).unwrap().is_empty());
        assert!(add(directory, id(1), "it is malware").unwrap() && add(directory, id(2), "").unwrap());
        assert!(!add(directory, id(1), "it is malware").unwrap(), "nothing new");
        let list: Vec<_> = read(directory).unwrap().iter().map(|(id, reason)| (*id, reason.to_owned())).collect();
        assert_eq!(list, [(id(1), "it is malware".to_owned()), (id(2), String::new())]);
        assert!(remove(directory, &id(1)).unwrap() && !remove(directory, &id(1)).unwrap());
        assert!(matches!(add(directory, id(3), "two\nlines"), Err(Error::Change(ExclusionError::Reason))));
        assert_eq!(read(directory).unwrap().iter().count(), 1);
        let elsewhere = directory.join("elsewhere");
        assert!(of_relay(directory).is_ok() && matches!(of_relay(&elsewhere), Err(Error::NoRelay(_))));
        assert!(matches!(add(&elsewhere, id(1), ""), Err(Error::NoRelay(named)) if named == elsewhere));
        let mode = fs::metadata(directory.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "whoever runs the relay reads it");
    }

    #[test]
    fn commands_at_once_lose_nothing() {
        let directory = directory();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let directory = directory.path();
                scope.spawn(move || add(directory, id(number), "").unwrap());
            }
        });
        assert_eq!(read(directory.path()).unwrap().iter().count(), 8);
    }

    #[test]
    fn a_file_that_is_no_list_is_named_and_stays_as_it_is() {
        let directory = directory();
        let (directory, path) = (directory.path(), directory.path().join(FILE));
        let (mut heeded, list) = Heeded::open(directory).unwrap();
        assert!(list.is_empty() && heeded.read() == Some(list));
        fs::write(&path, "a release that I do not like").unwrap();
        let error = add(directory, id(1), "").unwrap_err().to_string();
        assert!(error.contains("exclusions: line 1: not the id of a record or a publisher"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "a release that I do not like");
        assert!(Heeded::open(directory).is_err() && heeded.read().is_none(), "the old list stays");
        fs::remove_file(&path).unwrap();
        assert_eq!(heeded.read(), Some(Exclusions::default()), "there never was one");
        add(directory, id(1), "").unwrap();
        assert_eq!(heeded.read().map(|list| list.len()), Some(1));
        fs::remove_file(&path).unwrap();
        assert!(heeded.read().is_none(), "a list that is gone is not an empty one");
        add(directory, id(1), "").unwrap();
        remove(directory, &id(1)).unwrap();
        assert_eq!(heeded.read(), Some(Exclusions::default()));
        fs::write(&path, vec![b'a'; usize::try_from(MAX_FILE_BYTES).unwrap() + 1]).unwrap();
        assert!(heeded.read().is_none() && heeded.problem.is_some(), "too long");
    }
}
