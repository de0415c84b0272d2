//! Real packages: what publishes today's packages must go on doing so.

use std::fs;
use std::path::PathBuf;

use crate::package::{Error, read};

/// The crates that a build left in cargo's cache.
fn cached_crates() -> Vec<PathBuf> {
    let cargo = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let Some(registries) = cargo.and_then(|cargo| fs::read_dir(cargo.join("registry/cache")).ok()) else {
        return Vec::new();
    };
    let crates = registries.flatten().filter_map(|registry| fs::read_dir(registry.path()).ok()).flatten().flatten();
    crates.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "crate")).collect()
}

#[test]
fn reads_every_crate_of_the_cache_but_those_with_build_metadata_in_their_version() {
    let mut read_well = 0;
    for path in cached_crates() {
        match read(&path) {
            Ok(package) => {
                read_well += 1;
                assert!(package.artifact == fs::read(&path).unwrap(), "{}", path.display());
                for warning in package.warnings {
                    println!("warning: {warning}");
                }
            }
            Err(Error::Field { field, reason, .. }) if field == "version" => {
                println!("refused: {reason}");
                assert!(reason.contains("build metadata"), "{}: {reason}", path.display());
            }
            Err(error) => panic!("{error}"),
        }
    }
    println!("{read_well} crates");
}
