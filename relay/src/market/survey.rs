//! What packages there are below a directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ggen_shared::id::PackageName;
use ggen_shared::record::Version;

use crate::package;

/// How deep below the directory is looked: deeper than anybody nests by hand.
const MAX_DEPTH: usize = 32;

/// A place where a package is, or seems to be.
#[derive(Debug)]
pub struct Found {
    /// The package directory or `.crate` file.
    pub path: PathBuf,
    /// What is there.
    pub finding: Finding,
}

/// What is at a place.
#[derive(Debug)]
pub enum Finding {
    /// A package; its name and version, if they could be read. If not, reading it as a whole tells why.
    Package(Option<(PackageName, Version)>),
    /// Something that is not to be published, and why.
    Skipped(String),
    /// What could not be looked at.
    Unreadable(io::Error),
}

/// Looks for package directories and `.crate` files below a directory, itself included, in the order of their paths.
///
/// A package in another one's directory belongs to that, and is skipped; so is what is reached by a link. Left out without a word: names that begin with a dot, `node_modules`, and what cargo builds in `target`.
/// Blocks.
pub fn below(directory: &Path) -> Vec<Found> {
    let mut survey = Survey::default();
    survey.look(directory, None, 0);
    survey.found
}

#[derive(Default)]
struct Survey {
    found: Vec<Found>,
}

impl Survey {
    /// `inside`: the package whose directory this is in.
    fn look(&mut self, directory: &Path, inside: Option<&Path>, depth: usize) {
        let is_package = package::is_directory_of_package(directory);
        if is_package {
            self.meet(directory, inside);
        }
        let inside = inside.or(is_package.then_some(directory));
        let entries = match fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.note(directory, Finding::Unreadable(error)),
        };
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths.iter().filter(|path| !is_left_out(path)) {
            let is_crate = path.extension().is_some_and(|extension| extension == "crate");
            match path.symlink_metadata() {
                Err(error) => self.note(path, Finding::Unreadable(error)),
                Ok(metadata) if metadata.is_symlink() => {
                    if is_crate || package::is_directory_of_package(path) {
                        self.note(path, Finding::Skipped("it is a link".into()));
                    }
                }
                Ok(metadata) if metadata.is_dir() && depth == MAX_DEPTH => {
                    self.note(path, Finding::Skipped(format!("it is more than {MAX_DEPTH} directories deep")));
                }
                Ok(metadata) if metadata.is_dir() => self.look(path, inside, depth + 1),
                Ok(_) if is_crate => self.meet(path, inside),
                Ok(_) => {}
            }
        }
    }

    fn meet(&mut self, path: &Path, inside: Option<&Path>) {
        if let Some(outer) = inside {
            let reason = format!("it is in the directory of the package {}", outer.display());
            return self.note(path, Finding::Skipped(reason));
        }
        self.note(path, Finding::Package(package::glance(path)));
    }

    fn note(&mut self, path: &Path, finding: Finding) {
        self.found.push(Found { path: path.into(), finding });
    }
}

fn is_left_out(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with('.') || name == "node_modules" || (name == "target" && path.join("CACHEDIR.TAG").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, path: &str, name: &str) {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"x\"\n")).unwrap();
    }

    #[test]
    fn every_package_is_found_once_and_what_is_skipped_is_said() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "b/package.toml", "bee");
        write(root, "a/deep/er/package.toml", "ay");
        write(root, "a/deep/er/templates/one/package.toml", "inner");
        write(root, "c-copy/pack.toml", "bee");
        write(root, "broken/package.toml", "Not A Name");
        write(root, ".git/package.toml", "hidden");
        write(root, "node_modules/x/package.toml", "foreign");
        write(root, "target/package.toml", "built");
        fs::write(root.join("target/CACHEDIR.TAG"), "").unwrap();
        fs::write(root.join("odd.crate"), "no archive").unwrap();
        fs::write(root.join("README.md"), "nothing").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.join("b"), root.join("link")).unwrap();

        let shown: Vec<String> = below(root)
            .iter()
            .map(|Found { path, finding }| {
                let path = path.strip_prefix(root).unwrap().display().to_string();
                match finding {
                    Finding::Package(Some((name, version))) => format!("{path}: {name} {version}"),
                    Finding::Package(None) => format!("{path}: ?"),
                    Finding::Skipped(reason) => {
                        format!("{path}: {}", reason.replace(&format!("{}/", root.display()), ""))
                    }
                    Finding::Unreadable(error) => format!("{path}: {error}"),
                }
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a/deep/er: ay 1.0.0",
                "a/deep/er/templates/one: it is in the directory of the package a/deep/er",
                "b: bee 1.0.0",
                "broken: ?",
                "c-copy: bee 1.0.0",
                #[cfg(unix)]
                "link: it is a link",
                "odd.crate: ?",
            ]
        );
    }

    #[test]
    fn a_directory_that_can_not_be_looked_at_is_said() {
        let found = below(Path::new("no/such/directory"));
        assert!(matches!(&found[..], [Found { finding: Finding::Unreadable(_), .. }]));
    }
}
