//! Publishing: read, sign once, write down, hand to relays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ggen_net::P2PRegistry;
use ggen_net::light::Platform;
use ggen_shared::content;
use ggen_shared::id::{PackageName, PublisherId};
use ggen_shared::record::{self, Content, ContentId, Record, Release, Verified, sign};
use ggen_shared::registry::{Publication, PublishError, Published, Registry};

use super::keys::PublisherKey;
use super::ledger::{self, Ledger};
use crate::package::{self, Package, Standing, Warning};

/// Why a package is not published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The package can't be read, or breaks a rule.
    #[error(transparent)]
    Package(#[from] package::Error),
    /// The version was signed before with something else in it.
    #[error(
        "{name} {version} was already published with other content, and a version is written once. \
         Change the version in its manifest and publish again"
    )]
    WrittenOnce {
        /// The package.
        name: PackageName,
        /// The version.
        version: String,
    },
    /// The record breaks a rule.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The ledger could not be written.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
    /// No relay took it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The file with publishers of dependencies can't be used.
    #[error("{path}: line {line}: {reason}")]
    Publishers {
        /// Which file.
        path: PathBuf,
        /// Which line, from 1; 0 is the file.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// What became of a package.
pub struct Outcome {
    /// The signed release.
    pub release: Verified<Release>,
    /// Whether the very same release was signed in an earlier run.
    pub already: bool,
    /// What each relay said.
    pub published: Published,
    /// What of the manifest was left out.
    pub warnings: Vec<Warning>,
}

/// Whose packages dependencies mean, by name.
pub type Publishers = BTreeMap<PackageName, PublisherId>;

/// Reads a file of lines `NAME PUBLISHER_ID`.
///
/// # Errors
/// [`Error::Publishers`].
pub fn read_publishers(path: &Path) -> Result<Publishers, Error> {
    let error = |line, reason: String| Error::Publishers { path: path.into(), line, reason };
    let text = std::fs::read_to_string(path).map_err(|source| error(0, source.to_string()))?;
    let mut publishers = Publishers::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let (name, publisher) =
            line.trim().split_once(' ').ok_or_else(|| error(number + 1, "is not `NAME PUBLISHER_ID`".into()))?;
        let name = name.parse().map_err(|parse: ggen_shared::id::ParseError| error(number + 1, parse.to_string()))?;
        let publisher = publisher.trim().parse();
        publishers.insert(
            name,
            publisher.map_err(|parse: ggen_shared::id::ParseError| error(number + 1, parse.to_string()))?,
        );
    }
    Ok(publishers)
}

/// Publishes packages of one publisher.
pub struct Publishing<P> {
    key: PublisherKey,
    ledger: Mutex<Ledger>,
    registry: P2PRegistry<P>,
    publishers: Publishers,
}

impl<P: Platform> Publishing<P> {
    /// Publishes with this key, through this registry. A dependency without a publisher means the one in `publishers`, or a
    /// package of our own; otherwise nobody's.
    pub const fn new(key: PublisherKey, ledger: Ledger, registry: P2PRegistry<P>, publishers: Publishers) -> Self {
        Self { key, ledger: Mutex::new(ledger), registry, publishers }
    }

    /// Publishes a package directory or a `.crate` file. Publishing the same again changes nothing and succeeds.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn publish(&self, path: &Path) -> Result<Outcome, Error> {
        let package = package::read(path)?;
        let artifact = content::build(&package.artifact);
        let readme = package.readme.as_deref().map(content::build);
        let warnings = package.warnings.clone();
        let (release, already) =
            self.signed(package, artifact.content(), readme.as_ref().map(content::Dag::content))?;
        let mut records = self.key.key_log.clone().into_records();
        records.push(Record::Release(Box::new(release.clone())));
        let mut blocks: BTreeMap<ContentId, Vec<u8>> = BTreeMap::new();
        for block in artifact.blocks.into_iter().chain(readme.into_iter().flat_map(|readme| readme.blocks)) {
            blocks.insert(block.cid, block.data);
        }
        let publication = Publication { records, blocks: blocks.into_iter().collect() };
        let published = self.registry.publish(publication).await?;
        Ok(Outcome { release, already, published, warnings })
    }

    /// The signed release of a package: the one signed before if there is one, a new one otherwise.
    fn signed(
        &self,
        package: Package,
        artifact: Content,
        readme: Option<Content>,
    ) -> Result<(Verified<Release>, bool), Error> {
        let mut ledger = self.ledger();
        let before = ledger.release(&package.manifest.name, &package.manifest.version).cloned();
        let standing = Standing {
            publisher: self.key.key_log.publisher(),
            signed_under: before.as_ref().map_or_else(|| self.key.key_log.head(), |before| before.signed_under),
            index: before.as_ref().map_or_else(|| ledger.next_index(), |before| before.index),
            created: before
                .as_ref()
                .map_or_else(|| self.registry.peer().platform().now().as_secs(), |before| before.created),
        };
        let mut release = package.manifest.release(standing, artifact, readme);
        match before {
            Some(before) => {
                // Whose package a dependency means may be known better by now; the signed release stands all the same.
                for (dependency, signed) in release.dependencies.iter_mut().zip(&before.dependencies) {
                    dependency.publisher = signed.publisher;
                }
                if release != *before {
                    return Err(Error::WrittenOnce { name: release.name, version: release.version.to_string() });
                }
                Ok((before, true))
            }
            None => {
                for dependency in release.dependencies.iter_mut().filter(|dependency| dependency.publisher.is_none()) {
                    let own = ledger.names().any(|name| *name == dependency.name).then_some(standing.publisher);
                    dependency.publisher = self.publishers.get(&dependency.name).copied().or(own);
                }
                let release = sign(release, &self.key.signing, &self.key.network)?;
                ledger.add(release.clone())?;
                Ok((release, false))
            }
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
