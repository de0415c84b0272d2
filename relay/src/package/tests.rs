//! Claims about what can be published, and what is refused and why.

mod artifact;
mod corpus;
mod crates;
mod manifests;

use std::fs;
use std::path::{Path, PathBuf};

use super::{Error, Package, read};

/// A package directory for one test.
struct Directory(tempfile::TempDir);

impl Directory {
    /// A directory with this `package.toml` and no more.
    fn with(manifest: &str) -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        directory.file("package.toml", manifest);
        directory
    }

    /// A sound package.
    fn sound() -> Self {
        let directory = Self::with("[package]\nname = \"sound\"\nversion = \"1.0.0\"\ndescription = \"Sound.\"\n");
        directory.file("README.md", "# Sound\n");
        directory.file("templates/main.rs.tmpl", "fn main() {}\n");
        directory
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, path: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    fn read(&self) -> Result<Package, Error> {
        read(self.path())
    }

    /// The error of a directory that is refused.
    fn error(&self) -> Error {
        self.read().unwrap_err()
    }
}

/// A package of this repository.
fn sample(name: &str) -> PathBuf {
    Path::new(SAMPLES).join(name)
}

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/packages");
