//! The directory that packages are installed in: each stands there whole or not at all, and nobody else changes it meanwhile.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::lock::{self, Lock};
use crate::files::Fault;
use crate::package;
use crate::package::unpack::{Packed, each_file, unpack};

/// What is not finished stands below this one, and is removed by whoever comes next.
const UNFINISHED: &str = ".ggen-installing";

/// Why something can't be put in place, or compared.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system said so.
    #[error(transparent)]
    Io(#[from] Fault),
    /// Its archive is none that may be unpacked.
    #[error(transparent)]
    Archive(#[from] package::Error),
    /// What stands in its place is something else, or was changed.
    #[error("{} is not as it was installed ({}): move it away, or delete it", path.display(), shown(.differences))]
    Changed {
        /// The directory.
        path: PathBuf,
        /// What differs.
        differences: Vec<Difference>,
    },
    /// The lock file can't be written.
    #[error(transparent)]
    Lock(#[from] lock::Error),
}

fn io(path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let fault = Fault::at(path);
    move |error| fault(error).into()
}

/// A file of an installed package that is not as its archive has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Below the package's directory.
    pub path: String,
    /// How it differs.
    pub how: How,
}

/// How a file differs from its archive's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum How {
    /// It is not there.
    Missing,
    /// It has other bytes, is no plain file, or can be executed where it should not, or the other way round.
    Changed,
    /// The archive has no such file.
    Surplus,
}

impl How {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Surplus => "surplus",
        }
    }
}

/// The first of them, for a sentence.
fn shown(differences: &[Difference]) -> String {
    let shown = differences.iter().take(3).map(|it| format!("{} {}", it.how.as_str(), it.path));
    let more = if differences.len() > 3 { ", …" } else { "" };
    format!("{}{more}", shown.collect::<Vec<_>>().join(", "))
}

/// A directory that packages are installed in, as long as it is held by nobody else.
#[derive(Debug)]
pub struct Place {
    directory: PathBuf,
    /// Held until the end.
    _lock: File,
}

impl Place {
    /// Opens or creates it, waiting for another run to let go of it. What a run left that was killed is removed.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn open(directory: &Path) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(io(directory))?;
        let lock = File::open(directory).and_then(|lock| lock.lock().map(|()| lock)).map_err(io(directory))?;
        let place = Self { directory: directory.into(), _lock: lock };
        place.clear()?;
        Ok(place)
    }

    fn unfinished(&self) -> PathBuf {
        self.directory.join(UNFINISHED)
    }

    /// Removes what is not finished.
    fn clear(&self) -> Result<(), Error> {
        let unfinished = self.unfinished();
        match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io(&unfinished)(error)),
            _ => Ok(()),
        }
    }

    /// Puts an archive's files into a directory below, unless they are there already. Whether they were put there now.
    ///
    /// # Errors
    /// [`Error`]: [`Error::Changed`] when something else is there.
    pub fn put(&self, directory: &str, archive: &[u8]) -> Result<bool, Error> {
        let to = self.directory.join(directory);
        if to.symlink_metadata().is_ok() {
            let differences = compare(directory, archive, &to)?;
            if !differences.is_empty() {
                return Err(Error::Changed { path: to, differences });
            }
            return Ok(false);
        }
        let unfinished = self.unfinished().join(directory);
        unpack(directory, archive, &unfinished)?;
        fs::rename(&unfinished, &to).map_err(io(&to))?;
        Ok(true)
    }

    /// Writes the lock file.
    ///
    /// # Errors
    /// [`Error::Lock`].
    pub fn write(&self, lock: &Lock) -> Result<(), Error> {
        let unfinished = self.unfinished();
        fs::create_dir_all(&unfinished).map_err(io(&unfinished))?;
        Ok(lock.write(&self.directory, &unfinished.join(lock::FILE_NAME))?)
    }

    /// Removes a directory below that is as its archive has it. Whether it is gone: what was changed since stays.
    ///
    /// # Errors
    /// [`Error`].
    pub fn remove(&self, directory: &str, archive: &[u8]) -> Result<bool, Error> {
        let path = self.directory.join(directory);
        if path.symlink_metadata().is_err() {
            return Ok(true);
        }
        if !compare(directory, archive, &path)?.is_empty() {
            return Ok(false);
        }
        // Out of sight in one step, then away.
        let unfinished = self.unfinished();
        fs::create_dir_all(&unfinished).map_err(io(&unfinished))?;
        let hidden = unfinished.join(directory);
        fs::rename(&path, &hidden).map_err(io(&path))?;
        fs::remove_dir_all(&hidden).map_err(io(&hidden))?;
        Ok(true)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Whoever comes next does it otherwise.
        _ = self.clear();
    }
}

/// What differs between an archive and the directory that it was unpacked into, in the order of paths. A directory that is not there lacks all
/// files.
///
/// # Errors
/// [`Error::Io`], [`Error::Archive`].
pub fn compare(name: &str, archive: &[u8], directory: &Path) -> Result<Vec<Difference>, Error> {
    let mut there = BTreeMap::new();
    match directory.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => list(directory, "", &mut there)?,
        Ok(_) => _ = there.insert(String::new(), false),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(io(directory)(error)),
    }
    let mut differences = Vec::new();
    each_file(name, archive, |file| {
        let path = file.path.to_owned();
        let how = match there.remove(&path) {
            None => Some(How::Missing),
            Some(false) => Some(How::Changed),
            Some(true) => (!is_same(file, directory)?).then_some(How::Changed),
        };
        differences.extend(how.map(|how| Difference { path, how }));
        Ok(())
    })?;
    differences.extend(there.into_keys().map(|path| Difference { path, how: How::Surplus }));
    differences.sort();
    Ok(differences)
}

/// Everything below a directory that is no directory, and whether it is a plain file. An empty directory says nothing.
fn list(directory: &Path, below: &str, there: &mut BTreeMap<String, bool>) -> Result<(), Error> {
    for entry in fs::read_dir(directory).map_err(io(directory))? {
        let entry = entry.map_err(io(directory))?;
        let name = entry.file_name();
        let path = match below {
            "" => name.to_string_lossy().into_owned(),
            below => format!("{below}/{}", name.to_string_lossy()),
        };
        let kind = entry.file_type().map_err(io(&entry.path()))?;
        if kind.is_dir() {
            list(&entry.path(), &path, there)?;
        } else {
            // No archive has a name that is not UTF-8; such a one may read like another that it has.
            let is_plain = kind.is_file() && name.to_str().is_some();
            let path = if name.to_str().is_some() { path } else { format!("{path}\u{fffd}") };
            there.insert(path, is_plain);
        }
    }
    Ok(())
}

fn is_same(file: Packed<'_>, directory: &Path) -> Result<bool, package::Error> {
    let path = directory.join(file.path);
    let io = |source| package::Error::Io { path: path.clone(), source };
    let there = File::open(&path).map_err(io)?;
    if is_executable(&there.metadata().map_err(io)?).is_some_and(|there| there != file.is_executable) {
        return Ok(false);
    }
    let mut there = io::BufReader::new(there);
    let (mut ours, mut theirs) = ([0; 8192], [0; 8192]);
    loop {
        let count = file.content.read(&mut ours).map_err(io)?;
        if count == 0 {
            return Ok(there.read(&mut theirs[..1]).map_err(io)? == 0);
        }
        match there.read_exact(&mut theirs[..count]) {
            Ok(()) if ours[..count] == theirs[..count] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(io(error)),
        }
    }
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> Option<bool> {
    use std::os::unix::fs::PermissionsExt;
    Some(metadata.permissions().mode() & 0o100 != 0)
}

#[cfg(not(unix))]
fn is_executable(_metadata: &fs::Metadata) -> Option<bool> {
    None
}

#[cfg(test)]
#[cfg(unix)]
#[path = "place_tests.rs"]
mod tests;
