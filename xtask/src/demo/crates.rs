//! The crates in Cargo's cache, and who publishes which in the demo.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Handles of the demo's publishers. They mirror: the crates' authors have nothing to do with these keys.
pub(super) const HANDLES: [&str; 12] = [
    "mirror-alder",
    "mirror-ash",
    "mirror-birch",
    "mirror-cedar",
    "mirror-elm",
    "mirror-hazel",
    "mirror-linden",
    "mirror-maple",
    "mirror-oak",
    "mirror-pine",
    "mirror-rowan",
    "mirror-willow",
];

/// A `.crate` file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CrateFile {
    pub(super) name: String,
    /// Its version without build metadata, which records do not have.
    pub(super) version: String,
    pub(super) path: PathBuf,
}

impl CrateFile {
    /// The crate that a file is by its name.
    pub(super) fn at(path: PathBuf) -> Option<Self> {
        let (name, version) = name_and_version(path.file_name()?.to_str()?)?;
        Some(Self { name: name.to_owned(), version: version.to_owned(), path })
    }

    /// The name of the file, which the stamp lists.
    pub(super) fn file_name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The handle of its publisher in the demo.
    pub(super) fn handle(&self) -> &'static str {
        handle_for(&self.name)
    }
}

/// All crates in Cargo's cache, by name and version; one file for each.
pub(super) fn in_cache() -> Result<Vec<CrateFile>> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo")));
    let cache =
        home.context("neither CARGO_HOME nor HOME is set, so Cargo's cache cannot be found")?.join("registry/cache");
    let mut found = BTreeMap::new();
    for registry in entries(&cache)? {
        for file in entries(&registry)?.into_iter().filter_map(CrateFile::at) {
            found.entry((file.name.clone(), file.version.clone())).or_insert(file);
        }
    }
    if found.is_empty() {
        bail!(
            "{} holds no crates: build this project once from a registry, not from vendored sources",
            cache.display()
        );
    }
    Ok(found.into_values().collect())
}

fn entries(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Takes `toml-1.2.1+spec-1.1.0.crate` apart into `toml` and `1.2.1`: the version begins after the first dash that a
/// number and a dot follow.
fn name_and_version(file_name: &str) -> Option<(&str, &str)> {
    let stem = file_name.strip_suffix(".crate")?;
    let begins_version = |text: &str| {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        digits > 0 && text.as_bytes().get(digits) == Some(&b'.')
    };
    let (dash, _) = stem.match_indices('-').find(|(dash, _)| begins_version(&stem[dash + 1..]))?;
    let (name, version) = (&stem[..dash], &stem[dash + 1..]);
    Some((name, version.split_once('+').map_or(version, |(version, _)| version)))
}

/// The same handle for all crates of a family, such as `futures`, `futures-util` and `futures_codec`.
fn handle_for(name: &str) -> &'static str {
    let family = name.split(['-', '_']).next().unwrap_or(name);
    // FNV-1a: the same on every machine and with every version of Rust, so that a crate never changes its publisher.
    let hash = family
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    HANDLES[(hash % HANDLES.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_file_names_apart() {
        assert_eq!(name_and_version("tokio-1.53.0.crate"), Some(("tokio", "1.53.0")));
        assert_eq!(name_and_version("toml-1.2.1+spec-1.1.0.crate"), Some(("toml", "1.2.1")));
        assert_eq!(name_and_version("libp2p-stream-0.5.0-alpha.crate"), Some(("libp2p-stream", "0.5.0-alpha")));
        assert_eq!(name_and_version("windows-x86_64-2-0.1.0.crate"), Some(("windows-x86_64-2", "0.1.0")));
        assert_eq!(name_and_version("README.md"), None);
        assert_eq!(name_and_version("nameless.crate"), None);
    }

    #[test]
    fn a_family_has_one_publisher_and_keeps_it() {
        assert_eq!(handle_for("futures-util"), handle_for("futures"));
        assert_eq!(handle_for("futures_codec"), handle_for("futures"));
        assert_eq!(handle_for("serde"), handle_for("serde_json"));
        assert_eq!((handle_for("tokio"), handle_for("serde")), ("mirror-pine", "mirror-birch"));
    }
}
