//! Looks into a `.crate` file without unpacking it: what it holds is bounded, and nothing is written anywhere.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use tar::{Archive, Entry, EntryType};

use super::{Error, Fault, MAX_ENTRIES, MAX_PATH_BYTES, MAX_UNPACKED_BYTES, text};

/// What was found in an archive that is sound throughout.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// The one directory at the top.
    pub(super) root: String,
    /// The files that were asked for, by their path below it; none for those over their bound.
    pub(super) kept: BTreeMap<String, Option<Vec<u8>>>,
}

/// Checks every entry of an archive, and keeps the bytes of files for which `keep` gives a bound.
///
/// Any link is refused, inside the package or not: cargo puts none in, and what unpacks one may write through it.
pub(super) fn scan(file: &str, bytes: &[u8], keep: impl Fn(&str) -> Option<u64>) -> Result<Contents, Error> {
    let exceeded = Cell::new(false);
    let mut reader = Bounded { inner: GzDecoder::new(bytes), left: MAX_UNPACKED_BYTES, exceeded: &exceeded };
    let found = scan_entries(file, &mut reader, keep);
    // What the decoder says about an archive that was cut off at the bound is not what is wrong with it.
    let found = if exceeded.get() {
        Err(Error::TooLarge { file: file.into(), what: "bytes when unpacked", limit: MAX_UNPACKED_BYTES })
    } else {
        found
    }?;
    if !reader.inner.get_ref().is_empty() {
        let source = io::Error::new(io::ErrorKind::InvalidData, "bytes after the end of the archive");
        return Err(Error::Archive { file: file.into(), source });
    }
    Ok(found)
}

/// The bytes of the first entry of this path below the top directory, if they are at most `max_bytes`. What stands behind it is not read,
/// nor is more unpacked before it than a package may have.
pub(super) fn first(archive: impl io::BufRead, path: &str, max_bytes: u64) -> Option<Vec<u8>> {
    let exceeded = Cell::new(false);
    let reader = Bounded { inner: GzDecoder::new(archive), left: MAX_UNPACKED_BYTES, exceeded: &exceeded };
    for entry in Archive::new(reader).entries().ok()?.take(MAX_ENTRIES) {
        let entry = entry.ok()?;
        let raw = entry.path_bytes().into_owned();
        if check_path(&raw).ok()?.split_once('/').is_some_and(|(_, below)| below == path) {
            let mut bytes = Vec::new();
            entry.take(max_bytes + 1).read_to_end(&mut bytes).ok()?;
            return (bytes.len() as u64 <= max_bytes).then_some(bytes);
        }
    }
    None
}

fn scan_entries(file: &str, reader: &mut impl Read, keep: impl Fn(&str) -> Option<u64>) -> Result<Contents, Error> {
    let broken = |source| Error::Archive { file: file.into(), source };
    let mut contents = Contents::default();
    let mut seen = BTreeSet::new();
    let mut entries = 0;
    let mut archive = Archive::new(&mut *reader);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        // Metadata of the archive as a whole, which some tools write; it names no file.
        if entry.header().entry_type() == EntryType::XGlobalHeader {
            continue;
        }
        entries += 1;
        if entries > MAX_ENTRIES {
            return Err(Error::TooLarge { file: file.into(), what: "entries", limit: MAX_ENTRIES as u64 });
        }
        let raw = entry.path_bytes().into_owned();
        let refuse =
            |fault| Error::Entry { file: file.into(), entry: String::from_utf8_lossy(&raw).into_owned(), fault };
        let path = check_path(&raw).map_err(refuse)?;
        check_kind(&entry).map_err(refuse)?;
        let (root, below) = path.split_once('/').unwrap_or((path, ""));
        if contents.root.is_empty() {
            contents.root = root.into();
        }
        if contents.root != root || (below.is_empty() && !entry.header().entry_type().is_dir()) {
            return Err(refuse(Fault::OutsideRoot(contents.root.clone())));
        }
        if entry.header().entry_type().is_dir() {
            continue;
        }
        if !seen.insert(below.to_string()) {
            return Err(refuse(Fault::Twice));
        }
        if let Some(max_bytes) = keep(below) {
            let mut bytes = Vec::new();
            entry.by_ref().take(max_bytes + 1).read_to_end(&mut bytes).map_err(broken)?;
            let fits = bytes.len() as u64 <= max_bytes;
            contents.kept.insert(below.into(), fits.then_some(bytes));
        }
    }
    // The end holds the checksum of the whole.
    io::copy(reader, &mut io::sink()).map_err(broken)?;
    Ok(contents)
}

/// A path of plain segments, one way to write it: no `..`, no `.`, no empty segment, nothing from the root.
fn check_path(raw: &[u8]) -> Result<&str, Fault> {
    let path = std::str::from_utf8(raw).map_err(|_| Fault::NotUtf8)?;
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(Fault::Traversal);
    }
    if path.chars().any(|c| c == '\\' || text::is_unprintable(c)) {
        return Err(Fault::NotPortable);
    }
    if path.len() > MAX_PATH_BYTES { Err(Fault::PathTooLong) } else { Ok(path) }
}

fn check_kind<R: Read>(entry: &Entry<'_, R>) -> Result<(), Fault> {
    match entry.header().entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::Directory => Ok(()),
        EntryType::Symlink | EntryType::Link => {
            let target = entry.link_name_bytes().unwrap_or_default();
            let target = String::from_utf8_lossy(&target).into_owned();
            // The same two faults as in a directory, judged by what the link says.
            let outside = target.starts_with('/') || target.split('/').any(|part| part == "..");
            Err(if outside { Fault::LinkOutside(target) } else { Fault::Link(target) })
        }
        _ => Err(Fault::Special),
    }
}

/// A reader that fails, and remembers why, once more comes than is allowed.
struct Bounded<'a, R> {
    inner: R,
    left: u64,
    exceeded: &'a Cell<bool>,
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        match self.left.checked_sub(count as u64) {
            Some(left) => {
                self.left = left;
                Ok(count)
            }
            None => {
                self.exceeded.set(true);
                Err(io::Error::new(io::ErrorKind::FileTooLarge, "more than is allowed"))
            }
        }
    }
}
