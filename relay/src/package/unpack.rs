//! Unpacks an artifact: checked throughout before a byte of it is written, and visible only when all of it is there.

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::GzDecoder;
use tar::{Archive, EntryType};

use super::{Error, crate_file};

/// Unpacks a `.tar.gz` or `.crate` into a directory that does not exist yet, without the one directory that all of it stands in. `name`: what
/// errors call the archive.
///
/// # Errors
/// [`Error`]: [`Error::Io`] also when there is something at `to`. Nothing is left behind.
pub fn unpack(name: &str, archive: &[u8], to: &Path) -> Result<(), Error> {
    if to.symlink_metadata().is_ok() {
        return Err(io(to)(io::Error::new(io::ErrorKind::AlreadyExists, "is there already, and is not replaced")));
    }
    let contents = crate_file::scan(name, archive, |_| None)?;
    let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(parent).map_err(io(parent))?;
    // Beside the target, so that one step puts it there.
    let unpacked = tempfile::Builder::new().prefix(".tmp").tempdir_in(parent).map_err(io(parent))?;
    each_checked(name, archive, &contents.root, |file| write(name, unpacked.path(), file))?;
    let unpacked = unpacked.keep();
    make_readable(&unpacked).and_then(|()| fs::rename(&unpacked, to)).map_err(|source| {
        _ = fs::remove_dir_all(&unpacked);
        io(to)(source)
    })
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_path_buf();
    move |source| Error::Io { path, source }
}

fn write(name: &str, below: &Path, file: Packed<'_>) -> Result<(), Error> {
    let mut path: PathBuf = below.into();
    for part in file.path.split('/') {
        // On some systems a drive or a stream is named within a part.
        if Path::new(part).components().ne([Component::Normal(part.as_ref())]) || cfg!(windows) && part.contains(':') {
            let reason = format!("{:?} is no path of this system", file.path);
            let source = io::Error::new(io::ErrorKind::InvalidFilename, reason);
            return Err(Error::Archive { file: name.into(), source });
        }
        path.push(part);
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(io(&path))?;
    }
    let mut written = OpenOptions::new().write(true).create_new(true).open(&path).map_err(io(&path))?;
    io::copy(file.content, &mut written).map_err(io(&path))?;
    make_executable(&written, file.is_executable).map_err(io(&path))
}

/// A file of an archive.
pub struct Packed<'a> {
    /// Where it stands, without the one directory that all of it stands in; of plain parts with slashes between.
    pub path: &'a str,
    /// Whether its owner may execute it.
    pub is_executable: bool,
    /// Its bytes, to be read once.
    pub content: &'a mut dyn Read,
}

/// Shows every file of an archive, in its order. The whole archive is checked before the first.
///
/// # Errors
/// [`Error`], and what `each` says first.
pub fn each_file(name: &str, archive: &[u8], each: impl FnMut(Packed<'_>) -> Result<(), Error>) -> Result<(), Error> {
    let contents = crate_file::scan(name, archive, |_| None)?;
    each_checked(name, archive, &contents.root, each)
}

/// As [`each_file`], of an archive that was checked, and has this directory at its top.
fn each_checked(
    name: &str,
    archive: &[u8],
    root: &str,
    mut each: impl FnMut(Packed<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let broken = |source| Error::Archive { file: name.into(), source };
    for entry in Archive::new(GzDecoder::new(archive)).entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind == EntryType::XGlobalHeader {
            continue;
        }
        let path = entry.path_bytes().into_owned();
        // All of this was checked.
        let below = std::str::from_utf8(&path).ok().and_then(|path| path.strip_prefix(root)?.strip_prefix('/'));
        let Some(path) = below else { continue };
        let is_executable = entry.header().mode().is_ok_and(|mode| mode & 0o100 != 0);
        each(Packed { path, is_executable, content: &mut entry })?;
    }
    Ok(())
}

/// What a temporary directory is not, so that nobody looks into it.
#[cfg(unix)]
fn make_readable(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_readable(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn make_executable(file: &fs::File, is_executable: bool) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if is_executable { file.set_permissions(fs::Permissions::from_mode(0o755)) } else { Ok(()) }
}

#[cfg(not(unix))]
fn make_executable(_file: &fs::File, _is_executable: bool) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use tar::{Builder, Header};

    use super::*;

    /// An archive of some entries: path, kind, content or target, mode.
    fn archive(entries: &[(&str, EntryType, &[u8], u32)]) -> Vec<u8> {
        let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        for (path, kind, content, mode) in entries {
            let mut header = Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            // Past what the library would refuse to write.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            let is_link = matches!(kind, EntryType::Symlink | EntryType::Link);
            if is_link {
                header.as_gnu_mut().unwrap().linkname[..content.len()].copy_from_slice(content);
            }
            let content = if is_link { &[][..] } else { content };
            header.set_size(content.len() as u64);
            header.set_cksum();
            tar.append(&header, content).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn files_stand_where_the_archive_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let to = directory.path().join("deep/thing");
        let packed = archive(&[
            ("thing-1.0.0/", EntryType::Directory, b"", 0o755),
            ("thing-1.0.0/a.txt", FILE, b"a", 0o644),
            ("thing-1.0.0/bin/run", FILE, b"run", 0o755),
        ]);
        unpack("thing", &packed, &to).unwrap();
        assert_eq!((names(&to), names(&to.join("bin"))), (vec!["a.txt".into(), "bin".into()], vec!["run".into()]));
        assert_eq!(fs::read(to.join("bin/run")).unwrap(), b"run");
        #[cfg(unix)]
        for (path, mode) in [("bin/run", 0o111), ("a.txt", 0)] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(to.join(path)).unwrap().permissions().mode() & 0o111, mode, "{path}");
        }
        // Nothing else is left, and what is there stays.
        assert_eq!(names(&directory.path().join("deep")), ["thing"]);
        let again = unpack("thing", &archive(&[("thing/b", FILE, b"b", 0o644)]), &to).unwrap_err();
        assert!(again.to_string().contains("is there already"), "{again}");
        assert_eq!(names(&to), ["a.txt", "bin"]);
    }

    #[test]
    fn of_an_archive_with_anything_bad_nothing_is_written() {
        let good = ("thing/good", FILE, &b"good"[..], 0o644);
        for bad in [
            ("thing/../../evil", FILE, &b"x"[..], 0o644),
            ("/evil", FILE, b"x", 0o644),
            ("other/evil", FILE, b"x", 0o644),
            ("thing/good", FILE, b"twice", 0o644),
            ("thing/link", EntryType::Symlink, b"/etc", 0o777),
            ("thing/link", EntryType::Link, b"thing/good", 0o644),
            ("thing/device", EntryType::Char, b"", 0o644),
            ("thing/device", EntryType::Block, b"", 0o644),
            ("thing/pipe", EntryType::Fifo, b"", 0o644),
            // A file where a directory is to be.
            ("thing/good/below", FILE, b"x", 0o644),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let refused = unpack("thing", &archive(&[good, bad]), &directory.path().join("to"));
            assert!(refused.is_err(), "{bad:?}");
            assert_eq!(names(directory.path()), [""; 0], "{bad:?}");
        }
        let directory = tempfile::tempdir().unwrap();
        for cut in [&b""[..], b"no archive", &archive(&[good])[..60]] {
            assert!(unpack("thing", cut, &directory.path().join("to")).is_err());
            assert_eq!(names(directory.path()), [""; 0]);
        }
    }

    /// An archive of a first file, and whatever follows it.
    fn packed(follows: impl FnOnce(&mut Builder<GzEncoder<Vec<u8>>>)) -> Vec<u8> {
        let mut tar = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = Header::new_gnu();
        header.set_size(4);
        tar.append_data(&mut header, "thing/good", &b"good"[..]).unwrap();
        follows(&mut tar);
        tar.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn of_a_hundred_thousand_empty_files_or_a_bomb_nothing_is_written_and_no_more_is_read_than_a_package_may_have() {
        use super::super::{MAX_ENTRIES, MAX_UNPACKED_BYTES};
        let many = packed(|tar| {
            for number in 0..100_000 {
                let mut header = Header::new_gnu();
                header.set_size(0);
                tar.append_data(&mut header, format!("thing/{number}"), &[][..]).unwrap();
            }
        });
        let bomb = packed(|tar| {
            let mut header = Header::new_gnu();
            header.set_size(MAX_UNPACKED_BYTES);
            tar.append_data(&mut header, "thing/bomb", io::repeat(0).take(MAX_UNPACKED_BYTES)).unwrap();
        });
        for (bad, expected) in [(many, MAX_ENTRIES as u64), (bomb, MAX_UNPACKED_BYTES)] {
            let directory = tempfile::tempdir().unwrap();
            let refused = unpack("thing", &bad, &directory.path().join("to")).unwrap_err();
            assert!(matches!(refused, Error::TooLarge { limit, .. } if limit == expected), "{refused}");
            assert_eq!(names(directory.path()), [""; 0]);
        }
    }
}
