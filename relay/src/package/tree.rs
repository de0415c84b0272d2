//! The files of a package directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, Fault, MAX_ENTRIES, MAX_PATH_BYTES, MAX_UNPACKED_BYTES, text};

/// A file of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Path in the package, with `/` between its parts.
    pub(super) path: String,
    /// Where it is on this machine.
    pub(super) location: PathBuf,
    /// Whether its owner may execute it. Where a system has no such mark, nothing is executable.
    pub(super) executable: bool,
}

/// The files of a directory and all below it, sorted by path, byte by byte. Empty directories don't count.
///
/// Left out, at any depth: `.git`, `node_modules`, `.DS_Store`, and names that end in `~` or `.swp`, which editors leave
/// behind; and `target` at the top. Everything else is published: there is no ignore file, for what it left out would
/// depend on a reading of its rules.
pub(super) fn list(directory: &Path) -> Result<Vec<File>, Error> {
    let io = |path: &Path| {
        let path = path.to_path_buf();
        move |source| Error::Io { path, source }
    };
    // The directory itself may be named through a link; nothing in it may be one.
    let root = fs::canonicalize(directory).map_err(io(directory))?;
    let shown = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let too_many = |what, limit| Error::TooLarge { file: shown.clone(), what, limit };
    let mut files = Vec::new();
    let (mut entries, mut bytes) = (0usize, 0u64);
    let mut pending = vec![(root.clone(), String::new())];
    while let Some((directory, prefix)) = pending.pop() {
        for entry in fs::read_dir(&directory).map_err(io(&directory))? {
            let location = entry.map_err(io(&directory))?.path();
            let raw = location.file_name().unwrap_or_default();
            if raw.to_str().is_some_and(|name| is_left_out(name, prefix.is_empty())) {
                continue;
            }
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(too_many("files and directories", MAX_ENTRIES as u64));
            }
            let path = format!("{prefix}{}", raw.to_string_lossy());
            let refuse = |fault| Error::Entry { file: shown.clone(), entry: path.clone(), fault };
            let name = raw.to_str().ok_or_else(|| refuse(Fault::NotUtf8))?;
            if name.chars().any(|c| c == '\\' || text::is_unprintable(c)) {
                return Err(refuse(Fault::NotPortable));
            }
            if path.len() > MAX_PATH_BYTES {
                return Err(refuse(Fault::PathTooLong));
            }
            let metadata = fs::symlink_metadata(&location).map_err(io(&location))?;
            if metadata.is_symlink() {
                return Err(refuse(link_fault(&root, &location)));
            } else if metadata.is_dir() {
                pending.push((location, format!("{path}/")));
            } else if metadata.is_file() {
                bytes = bytes.saturating_add(metadata.len());
                if bytes > MAX_UNPACKED_BYTES {
                    return Err(too_many("bytes of all files together", MAX_UNPACKED_BYTES));
                }
                files.push(File { path, location, executable: is_executable(&metadata) });
            } else {
                return Err(refuse(Fault::Special));
            }
        }
    }
    // The order of a directory's entries is the file system's; this one is everyone's.
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn is_left_out(name: &str, at_top: bool) -> bool {
    matches!(name, ".git" | "node_modules" | ".DS_Store")
        || (at_top && name == "target")
        || name.ends_with('~')
        || name.ends_with(".swp")
}

fn link_fault(root: &Path, link: &Path) -> Fault {
    let target = fs::read_link(link).unwrap_or_default();
    let shown = target.to_string_lossy().into_owned();
    // A link that leads nowhere is judged by what it says.
    let inside = match fs::canonicalize(link) {
        Ok(resolved) => resolved.starts_with(root),
        Err(_) => target.is_relative() && !target.components().any(|part| part == std::path::Component::ParentDir),
    };
    if inside { Fault::Link(shown) } else { Fault::LinkOutside(shown) }
}

#[cfg(unix)]
fn is_executable(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o100 != 0
}

#[cfg(not(unix))]
fn is_executable(_: &fs::Metadata) -> bool {
    false
}
