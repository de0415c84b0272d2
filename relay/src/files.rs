//! Files that must survive a crash whole, and files that only their owner may read.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Longest private file that is read: keys and certificates are a few kilobytes, and a path given by mistake may be anything.
const MAX_PRIVATE_FILE_BYTES: u64 = 256 * 1024;

/// What to do when the file to be written is already there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Put the new file in its place, in one step.
    Replace,
    /// Leave it as it is and say so.
    Refuse,
}

/// What the system said of a file or a directory.
#[derive(Debug, thiserror::Error)]
#[error("{}", path.display())]
pub struct Fault {
    path: PathBuf,
    source: io::Error,
}

impl Fault {
    /// Where it is, to go with what is said of it.
    pub fn at(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self { path: path.clone(), source }
    }
}

/// Why a private file was not written. What stood at the path before still stands there, unless [`Error::Unsettled`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is at that path, and it was not to be replaced.
    #[error("{} is already there and is not overwritten", .0.display())]
    AlreadyThere(PathBuf),
    /// The file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The new file is in place, but whether it would survive a power cut is not known.
    #[error("{} is written, but its directory could not be synced", path.display())]
    Unsettled {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A private file as it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Private {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether its mode lets its group or everyone read or change it: the caller warns, the file is used all the same.
    pub exposed: bool,
}

impl std::fmt::Debug for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The bytes are secret: they must not reach a log.
        f.debug_struct("Private").field("exposed", &self.exposed).finish_non_exhaustive()
    }
}

/// Writes a file that only its owner can read (mode 0600) so that after a crash at any moment the path holds the old file,
/// nothing, or the whole new file. Returns when it would survive a power cut.
///
/// # Errors
/// [`Error`]. No half-written file is left, save a temporary one (named `.tmp…`) when the process is killed.
pub fn write_private_atomically(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), Error> {
    write_atomically(path, bytes, existing, None)
}

/// As [`write_private_atomically`], a file that everyone can read (mode 0644).
///
/// # Errors
/// [`Error`].
pub fn write_public_atomically(path: &Path, bytes: &[u8], existing: Existing) -> Result<(), Error> {
    write_atomically(path, bytes, existing, Some(0o644))
}

fn write_atomically(path: &Path, bytes: &[u8], existing: Existing, mode: Option<u32>) -> Result<(), Error> {
    let error = |source| Error::Write { path: path.into(), source };
    let directory = parent(path);
    // The temporary file is created with mode 0600, before a byte is in it.
    let mut file = tempfile::Builder::new().prefix(".tmp").tempfile_in(directory).map_err(error)?;
    file.write_all(bytes).map_err(error)?;
    if let Some(mode) = mode {
        set_mode(file.as_file(), mode).map_err(error)?;
    }
    file.as_file().sync_all().map_err(error)?;
    let placed = match existing {
        Existing::Replace => file.persist(path),
        Existing::Refuse => file.persist_noclobber(path),
    };
    placed.map_err(|failed| match failed.error.kind() {
        io::ErrorKind::AlreadyExists => Error::AlreadyThere(path.into()),
        _ => error(failed.error),
    })?;
    sync_directory(directory).map_err(|source| Error::Unsettled { path: path.into(), source })
}

/// Reads a private file; none if nothing is at that path.
///
/// # Errors
/// What the system says; [`io::ErrorKind::InvalidData`] for a file that is too long to be a key or a certificate.
pub fn read_private(path: &Path) -> io::Result<Option<Private>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let exposed = is_exposed(&file.metadata()?);
    let mut bytes = Vec::new();
    file.take(MAX_PRIVATE_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PRIVATE_FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long to be a key or a certificate"));
    }
    Ok(Some(Private { bytes, exposed }))
}

#[cfg(unix)]
fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(mode))
}

#[cfg(not(unix))]
fn set_mode(_: &File, _: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_exposed(_metadata: &fs::Metadata) -> bool {
    false
}

/// Makes the names in a directory durable: without it, a new or renamed file can be gone after a power cut though its bytes
/// were synced.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a directory and those above it; each name is durable on return.
pub(crate) fn create_directory(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> =
        path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).collect();
    fs::create_dir_all(path)?;
    missing.into_iter().try_for_each(|created| sync_directory(parent(created)))
}

/// The directory that a path's last name stands in.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_private_file_is_readable_by_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write_private_atomically(&path, b"secret", Existing::Refuse).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(read_private(&path).unwrap(), Some(Private { bytes: b"secret".to_vec(), exposed: false }));
        assert_eq!(names(directory.path()), ["key"]);
    }

    #[test]
    fn an_exposed_private_file_is_read_and_reported() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write_private_atomically(&path, b"secret", Existing::Refuse).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(read_private(&path).unwrap().unwrap().exposed, "{mode:o}");
        }
    }

    #[test]
    fn a_private_file_is_overwritten_only_when_asked() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        write_private_atomically(&path, b"first", Existing::Refuse).unwrap();
        let refused = write_private_atomically(&path, b"second", Existing::Refuse);
        assert!(matches!(refused, Err(Error::AlreadyThere(at)) if at == path));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(directory.path()), ["key"]);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private_atomically(&path, b"second", Existing::Replace).unwrap();
        assert_eq!(read_private(&path).unwrap(), Some(Private { bytes: b"second".to_vec(), exposed: false }));
        assert_eq!(names(directory.path()), ["key"]);
    }

    #[test]
    fn a_write_that_fails_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        // A directory that is not empty can't be replaced by a file.
        fs::create_dir_all(path.join("inner")).unwrap();
        assert!(matches!(write_private_atomically(&path, b"x", Existing::Replace), Err(Error::Write { .. })));
        assert_eq!(names(directory.path()), ["key"]);
        assert_eq!(read_private(&directory.path().join("none")).unwrap(), None);
    }

    #[test]
    fn a_file_too_long_for_a_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        fs::write(&path, vec![0; 256 * 1024 + 1]).unwrap();
        assert_eq!(read_private(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn directories_are_created_with_those_above_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/c");
        create_directory(&path).unwrap();
        create_directory(&path).unwrap();
        assert!(path.is_dir());
    }
}
