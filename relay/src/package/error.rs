//! Why something can't be published.

use std::io;
use std::path::PathBuf;

/// Why a package is refused. Each message names the file, and the field or entry where there is one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refuses.
    #[error("{}: {source}", .path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Neither a directory with a manifest nor a `.crate` file.
    #[error("{}: not a package: pass a directory with package.toml or pack.toml in it, or a .crate file", .0.display())]
    NotAPackage(PathBuf),
    /// The manifest is no TOML.
    #[error("{file}: line {line}, column {column}: {message}")]
    InvalidToml {
        /// Name of the manifest.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Character in the line, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// A field of the manifest holds what a release can't.
    #[error("{file}: field `{field}`: {reason}")]
    Field {
        /// Name of the manifest.
        file: String,
        /// The field as it is written in the manifest.
        field: String,
        /// Which rule it breaks.
        reason: String,
    },
    /// A file of the directory, or an entry of the archive, can't be published.
    #[error("{file}: {entry:?} {fault}")]
    Entry {
        /// The directory or the archive.
        file: String,
        /// Path of the entry in it; where it is not UTF-8, an approximation.
        entry: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Not a sound gzip or tar file.
    #[error("{file}: not a sound .tar.gz: {source}")]
    Archive {
        /// Name of the archive.
        file: String,
        /// What the decoder says.
        source: io::Error,
    },
    /// More of something than is read at all.
    #[error("{file}: {what}: at most {limit} are allowed")]
    TooLarge {
        /// The directory or file.
        file: String,
        /// What there is too much of.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
}

/// What is wrong with an entry of a directory or archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A link out of the directory: what it leads to is not the package's to publish.
    #[error("is a link that leads out of the package, to {0:?}")]
    LinkOutside(String),
    /// A link inside the directory, or in an archive.
    #[error("is a link, to {0:?}; packages hold only files: put the file itself there")]
    Link(String),
    /// A socket, a device, a pipe.
    #[error("is neither a file nor a directory")]
    Special,
    /// The name is not UTF-8.
    #[error("has a name that is not UTF-8")]
    NotUtf8,
    /// Characters that mean something else, or nothing readable, on another system.
    #[error("has a backslash, or a control or direction character, in its name")]
    NotPortable,
    /// `..`, `.`, an empty segment, or a path from the root.
    #[error("leads out of the package, or is not written as a plain relative path")]
    Traversal,
    /// Beside the one directory that holds everything in a `.crate` file.
    #[error("is outside of {0:?}, where all of the package is")]
    OutsideRoot(String),
    /// Twice in one archive: which of the two is unpacked depends on the tool.
    #[error("is in the archive twice")]
    Twice,
    /// A path that some systems can't hold.
    #[error("has a path of more than {} bytes", super::MAX_PATH_BYTES)]
    PathTooLong,
}

impl Error {
    /// A stable code for programs, such as `package/invalid-toml`.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Io { .. } => "package/io",
            Self::NotAPackage(_) => "package/not-a-package",
            Self::InvalidToml { .. } => "package/invalid-toml",
            Self::Field { .. } => "package/field",
            Self::Archive { .. } => "package/archive",
            Self::TooLarge { .. } => "package/too-large",
            Self::Entry { fault, .. } => match fault {
                Fault::LinkOutside(_) => "package/link-outside",
                Fault::Link(_) => "package/link",
                Fault::Special => "package/special-file",
                Fault::NotUtf8 => "package/name-not-utf8",
                Fault::NotPortable => "package/name-not-portable",
                Fault::Traversal => "package/traversal",
                Fault::OutsideRoot(_) => "package/outside-root",
                Fault::Twice => "package/twice",
                Fault::PathTooLong => "package/path-too-long",
            },
        }
    }
}

/// Something of a manifest that was left out or changed, without which the package can be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: field `{field}`: {reason}")]
pub struct Warning {
    /// Name of the manifest.
    pub file: String,
    /// The field as it is written in the manifest.
    pub field: String,
    /// What was done, and why.
    pub reason: String,
}
