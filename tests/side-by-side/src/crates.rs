//! The crates in Cargo's cache as the demo publishes them: by twelve publishers, each with families of crates.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use ggen_bench::Publisher;
use ggen_relay::package::{self, Standing};
use ggen_shared::id::RecordId;
use ggen_shared::record::{Content, ContentId, Record};

/// Publishers of the demo.
const PUBLISHERS: usize = 12;
/// The demo publishes all of it within minutes.
const CREATED: u64 = 1_790_000_000;

/// Their records, key logs first. What can't be published is left out, as in the demo.
///
/// # Errors
/// When there is no cache, or a record can't be signed.
pub fn records() -> Result<Vec<Record>> {
    let packages: Vec<_> = files()?.iter().filter_map(|path| package::read(path).ok()).collect();
    let mut publishers: Vec<_> = (0..PUBLISHERS).map(Publisher::new).collect();
    let ids: Vec<_> = publishers.iter().map(Publisher::id).collect();
    let owners: BTreeMap<_, _> = packages
        .iter()
        .map(|package| (package.manifest.name.clone(), publisher_of(package.manifest.name.as_str())))
        .collect();
    let mut records: Vec<_> = publishers.iter().map(Publisher::record).collect();
    let mut versions = BTreeSet::new();
    for package in packages {
        let mut manifest = package.manifest;
        if !versions.insert((manifest.name.clone(), manifest.version.clone())) {
            continue;
        }
        for dependency in &mut manifest.dependencies {
            dependency.publisher = owners.get(&dependency.name).map(|owner| ids[*owner]);
        }
        let publisher = &mut publishers[owners[&manifest.name]];
        // Nobody downloads anything here: the content is named, not held.
        let content = Content { cid: ContentId::of_raw(manifest.name.as_str().as_bytes()), size: 1 };
        let signed_under = RecordId::from_bytes([0; 32]);
        let standing = Standing { publisher: publisher.id(), signed_under, index: 0, created: CREATED };
        records.push(Record::Release(Box::new(publisher.sign(manifest.release(standing, content, None))?)));
    }
    Ok(records)
}

fn files() -> Result<Vec<PathBuf>> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let cache = home.context("there is no home directory, so Cargo's cache can't be found")?.join("registry/cache");
    let mut files = Vec::new();
    for registry in fs::read_dir(&cache).with_context(|| format!("cannot read {}", cache.display()))?.flatten() {
        files.extend(fs::read_dir(registry.path())?.flatten().map(|file| file.path()));
    }
    files.sort();
    Ok(files)
}

/// The same publisher for all crates of a family, such as `futures` and `futures-util`: who it is in the demo.
fn publisher_of(name: &str) -> usize {
    let family = name.split(['-', '_']).next().unwrap_or(name);
    let hash = family
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash % PUBLISHERS as u64) as usize
}
