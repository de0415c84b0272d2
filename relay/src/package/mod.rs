//! What is published: a ggen package directory or a `.crate` file becomes a manifest, an artifact and a README.
//!
//! A directory's artifact is made here, and is the same bytes on every machine. A `.crate` file *is* the artifact,
//! untouched. Names, versions and descriptions that a release can't hold are errors; optional metadata is left out with a
//! [`Warning`], so that one bad link does not stop a publisher. Lists that are too long are errors in a directory, whose
//! author can mend them, and are cut with a warning in a `.crate`, whose bytes are fixed.

mod archive;
mod cargo;
mod crate_file;
mod dependencies;
mod error;
mod fields;
mod ggen;
mod text;
mod tree;
pub mod unpack;

pub use error::{Error, Fault, Warning};

use std::fs;
use std::path::Path;

use ggen_shared::codec;
use ggen_shared::id::{PackageName, PublisherId, RecordId};
use ggen_shared::limits;
use ggen_shared::record::{self, Content, ContentId, Dependency, Payload, Release, Version};

/// Bytes of a package unpacked: what an installer must be ready to write, and a decompression bomb must not exceed.
pub const MAX_UNPACKED_BYTES: u64 = 256 * 1024 * 1024;
/// Files and directories of a package: an installer makes each of them.
pub const MAX_ENTRIES: usize = 16 * 1024;
/// A path inside a package. Some systems hold no more than 260 characters, their own directories included.
pub const MAX_PATH_BYTES: usize = 240;
/// A manifest. The largest of real crates, whose features are thousands, have a third of this.
pub const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;
/// What envelope and signature add to a record, with room.
const ENVELOPE_BYTES: usize = 256;

/// A package, ready to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// What the release says.
    pub manifest: Manifest,
    /// The `.tar.gz` that is delivered.
    pub artifact: Vec<u8>,
    /// The README, UTF-8 text, Markdown as a rule.
    pub readme: Option<Vec<u8>>,
    /// What of the manifest was left out or changed.
    pub warnings: Vec<Warning>,
}

/// What a manifest says, in the form that a release holds. It passes [`Release`]'s checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// What the publisher calls the package; of crates in lower case.
    pub name: PackageName,
    /// Which version it is.
    pub version: Version,
    /// A title for people, where it differs from the name.
    pub title: Option<String>,
    /// What it is, in a line.
    pub description: String,
    /// In lower case, each once.
    pub categories: Vec<String>,
    /// Tags and keywords, in lower case, each once.
    pub tags: Vec<String>,
    /// As the manifest says; `SEE LICENSE IN file` where it only names a file.
    pub license: Option<String>,
    /// As the manifest says.
    pub authors: Vec<String>,
    /// An http or https URL.
    pub homepage: Option<String>,
    /// An http or https URL.
    pub repository: Option<String>,
    /// An http or https URL.
    pub documentation: Option<String>,
    /// What it needs, each package once, sorted by name.
    pub dependencies: Vec<Dependency>,
}

/// What a release holds besides its manifest and content: where it stands among the publisher's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Who publishes.
    pub publisher: PublisherId,
    /// The key event that it will be signed under.
    pub signed_under: RecordId,
    /// An index that the publisher has not used.
    pub index: u32,
    /// Seconds since 1970.
    pub created: u64,
}

impl Manifest {
    /// The release of this manifest, ready to be signed.
    pub fn release(self, standing: Standing, artifact: Content, readme: Option<Content>) -> Release {
        Release {
            publisher: standing.publisher,
            signed_under: standing.signed_under,
            index: standing.index,
            created: standing.created,
            name: self.name,
            version: self.version,
            artifact,
            title: self.title,
            description: self.description,
            readme,
            categories: self.categories,
            tags: self.tags,
            license: self.license,
            authors: self.authors,
            homepage: self.homepage,
            repository: self.repository,
            documentation: self.documentation,
            dependencies: self.dependencies,
        }
    }

    /// Demands what will be demanded of the signed record, while the error can still name the file.
    fn check(&self, file: &str) -> Result<(), Error> {
        let zero = [0; 32];
        let standing = Standing {
            publisher: PublisherId::from_bytes(zero),
            signed_under: RecordId::from_bytes(zero),
            index: u32::MAX,
            created: u64::MAX,
        };
        let cid = ContentId::of_dag_pb(&[]);
        let readme = Content { cid, size: limits::MAX_README_BYTES };
        let release = self.clone().release(standing, Content { cid, size: limits::MAX_ARTIFACT_BYTES }, Some(readme));
        match release.check() {
            Ok(()) => {}
            Err(record::Error::Field { field, reason }) => {
                return Err(Error::Field { file: file.into(), field: field.into(), reason });
            }
            Err(other) => {
                return Err(Error::Field { file: file.into(), field: "package".into(), reason: other.to_string() });
            }
        }
        if codec::encode(&release).len() + ENVELOPE_BYTES > limits::MAX_RECORD_BYTES {
            let limit = limits::MAX_RECORD_BYTES as u64;
            return Err(Error::TooLarge { file: file.into(), what: "bytes of all metadata together", limit });
        }
        Ok(())
    }
}

/// A manifest that was read, and what it says about the README.
#[derive(Debug)]
struct Parsed {
    manifest: Manifest,
    readme: ReadmeKey,
    /// The whole description, where the record holds only its beginning.
    long_description: Option<String>,
    warnings: Vec<Warning>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum ReadmeKey {
    /// Nothing is said: a `README.md` at the top counts.
    Default,
    /// There is none, says the manifest.
    None,
    /// It is at this path.
    At(String),
}

impl Parsed {
    /// Puts the parts together. A README that can't be shown is left out; a long description stands in where there is none.
    fn package(mut self, artifact: Vec<u8>, readme: Result<Option<Vec<u8>>, &'static str>, file: &str) -> Package {
        let readme = match readme {
            Ok(Some(readme)) if std::str::from_utf8(&readme).is_err() => Err("is not UTF-8 text; left out"),
            other => other,
        };
        let readme = readme.unwrap_or_else(|reason| {
            self.warnings.push(Warning { file: file.into(), field: "readme".into(), reason: reason.into() });
            None
        });
        let readme = readme.or(self.long_description.map(String::into_bytes));
        Package { manifest: self.manifest, artifact, readme, warnings: self.warnings }
    }
}

/// Reads a package: a directory with `package.toml` (or, if there is none, `pack.toml`), which may be named by that file, or a
/// `.crate` file.
///
/// # Errors
/// [`Error`]: nothing can be published of it then.
pub fn read(path: &Path) -> Result<Package, Error> {
    let io = |source| Error::Io { path: path.into(), source };
    let metadata = fs::metadata(path).map_err(io)?;
    if metadata.is_dir() {
        return ggen::read(path);
    }
    if metadata.is_file() && ggen::is_manifest(path) {
        // Of a bare name the parent is empty: the working directory.
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        return ggen::read(directory.unwrap_or(Path::new(".")));
    }
    if !metadata.is_file() || path.extension().is_none_or(|extension| extension != "crate") {
        return Err(Error::NotAPackage(path.into()));
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if metadata.len() > limits::MAX_ARTIFACT_BYTES {
        return Err(Error::TooLarge { file, what: "bytes", limit: limits::MAX_ARTIFACT_BYTES });
    }
    cargo::read(&file, fs::read(path).map_err(io)?)
}

/// Whether a directory has a package's manifest. It need not be a good one.
pub fn is_directory_of_package(directory: &Path) -> bool {
    ggen::manifest_of(directory).is_some()
}

/// The name and version of a package, without a look at the rest of it; none where only [`read`] can tell what is wrong with it.
pub fn glance(path: &Path) -> Option<(PackageName, Version)> {
    if fs::metadata(path).ok()?.is_dir() {
        return ggen::glance(path);
    }
    cargo::glance(fs::File::open(path).ok()?)
}

/// Reads a `.crate` file that is already in memory. `file` is what errors call it.
///
/// # Errors
/// As [`read`].
pub fn read_crate(file: &str, bytes: Vec<u8>) -> Result<Package, Error> {
    if bytes.len() as u64 > limits::MAX_ARTIFACT_BYTES {
        return Err(Error::TooLarge { file: file.into(), what: "bytes", limit: limits::MAX_ARTIFACT_BYTES });
    }
    cargo::read(file, bytes)
}

#[cfg(test)]
mod tests;
