//! Publishing: read, sign once, write down, hand to relays.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ggen_net::light::{LightPeer, Platform};
use ggen_shared::content;
use ggen_shared::id::{PackageName, PublisherId};
use ggen_shared::protocol::publish::{Offer, Receipt};
use ggen_shared::record::{self, Content, ContentId, Record, Release, Verified, sign};
use ggen_shared::registry::GetError;
use libp2p::PeerId;
use serde_bytes::ByteBuf;

use super::keys::PublisherKey;
use super::ledger::{self, Ledger};
use super::status::Subject;
use crate::causes;
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
    /// Nothing can be said of a version that nobody knows.
    #[error("{} cannot be found under this key: {}. See what there is with: ggen-market versions", .0.0, .0.1)]
    NoSuchVersion(Box<(Subject, GetError)>),
    /// A retraction can't be taken back.
    #[error(
        "{0} was retracted, which is for good: publish another version. If it was not you, somebody else has your key: rotate it \
         with ggen-market key rotate"
    )]
    Retracted(Subject),
    /// Nothing outweighs a status with the highest number that there is.
    #[error(
        "the last number was used up for what is said of {0}, which only a thief does: rotate the key with ggen-market key rotate"
    )]
    NoMoreNumbers(Subject),
    /// No relay took it.
    #[error("no relay took it: {}", said(.0))]
    NotTaken(Vec<(PeerId, String)>),
    /// The file with publishers of dependencies can't be used.
    #[error("{path}: {reason}")]
    Publishers {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and in which line if it is one of them.
        reason: String,
    },
}

/// What became of a package.
pub struct Outcome {
    /// The signed release.
    pub release: Verified<Release>,
    /// Whether it was new to a relay that keeps it now; otherwise all of them that took it had it already.
    pub new: bool,
    /// Relays that did not take it, while another one did.
    pub failed_at: Vec<(PeerId, String)>,
    /// What of the manifest was left out.
    pub warnings: Vec<Warning>,
}

/// What became of a record that relays were offered.
pub struct Taken {
    /// Whether it was new to a relay that keeps it now.
    pub new: bool,
    /// Relays that did not take it, while another one did.
    pub failed_at: Vec<(PeerId, String)>,
}

/// Whose packages dependencies mean, by name.
pub type Publishers = BTreeMap<PackageName, PublisherId>;

/// Reads a file of lines `NAME PUBLISHER_ID`.
///
/// # Errors
/// [`Error::Publishers`].
pub fn read_publishers(path: &Path) -> Result<Publishers, Error> {
    let file = |reason: String| Error::Publishers { path: path.into(), reason };
    let error = |line: usize, reason: String| file(format!("line {line}: {reason}"));
    let text = std::fs::read_to_string(path).map_err(|source| file(source.to_string()))?;
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
    pub(super) key: PublisherKey,
    ledger: Mutex<Ledger>,
    peer: LightPeer<P>,
    publishers: Publishers,
}

impl<P: Platform> Publishing<P> {
    /// Publishes with this key, to the relays that this peer is connected to. A dependency without a publisher means the one in `publishers`, or a
    /// package of our own; otherwise nobody's.
    pub const fn new(key: PublisherKey, ledger: Ledger, peer: LightPeer<P>, publishers: Publishers) -> Self {
        Self { key, ledger: Mutex::new(ledger), peer, publishers }
    }

    /// Whose packages are published.
    pub const fn publisher(&self) -> PublisherId {
        self.key.key_log.publisher()
    }

    /// The peer that hands them over.
    pub const fn peer(&self) -> &LightPeer<P> {
        &self.peer
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
        let release = self.signed(package, artifact.content(), readme.as_ref().map(content::Dag::content))?;
        let mut blocks: BTreeMap<ContentId, Vec<u8>> = BTreeMap::new();
        for block in artifact.blocks.into_iter().chain(readme.into_iter().flat_map(|readme| readme.blocks)) {
            blocks.insert(block.cid, block.data);
        }
        let Taken { new, failed_at } =
            self.hand_over(Some(Record::Release(Box::new(release.clone()))), &blocks).await?;
        Ok(Outcome { release, new, failed_at, warnings })
    }

    /// Hands the key log to all relays that this peer is connected to, which is what a rotation takes effect by.
    ///
    /// # Errors
    /// [`Error::NotTaken`].
    pub async fn send_key_log(&self) -> Result<Taken, Error> {
        self.hand_over(None, &BTreeMap::new()).await
    }

    /// Hands a record to all relays that this peer is connected to, behind the key log that it is verified with.
    pub(super) async fn hand_over(
        &self,
        record: Option<Record>,
        blocks: &BTreeMap<ContentId, Vec<u8>>,
    ) -> Result<Taken, Error> {
        let mut records = self.key.key_log.clone().into_records();
        records.extend(record);
        let offer = Offer {
            records: records.iter().map(|record| ByteBuf::from(record.bytes().to_vec())).collect(),
            blocks: blocks.keys().copied().collect(),
        };
        // Not through the registry: what it says of a relay does not tell new from known.
        let mut new = None;
        let mut failed_at = Vec::new();
        for relay in self.peer.connected() {
            let receipt = self.peer.publish(relay, &offer, |cid| blocks.get(cid).cloned()).await;
            match receipt.map_err(|error| causes::of(&error)).and_then(|receipt| was_new(&receipt, &records)) {
                Ok(new_here) => new = Some(new.unwrap_or_default() | new_here),
                Err(reason) => failed_at.push((relay, reason)),
            }
        }
        match new {
            Some(new) => Ok(Taken { new, failed_at }),
            None => Err(Error::NotTaken(failed_at)),
        }
    }

    /// The signed release of a package: the one signed before if there is one, a new one otherwise.
    fn signed(&self, package: Package, artifact: Content, readme: Option<Content>) -> Result<Verified<Release>, Error> {
        let mut ledger = self.ledger();
        let before = ledger.release(&package.manifest.name, &package.manifest.version).cloned();
        let standing = Standing {
            publisher: self.key.key_log.publisher(),
            signed_under: before.as_ref().map_or_else(|| self.key.key_log.head(), |before| before.signed_under),
            index: before.as_ref().map_or_else(|| ledger.next_index(), |before| before.index),
            created: before.as_ref().map_or_else(|| self.peer.platform().now().as_secs(), |before| before.created),
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
                Ok(before)
            }
            None => {
                for dependency in release.dependencies.iter_mut().filter(|dependency| dependency.publisher.is_none()) {
                    let own = ledger.names().any(|name| *name == dependency.name).then_some(standing.publisher);
                    dependency.publisher = self.publishers.get(&dependency.name).copied().or(own);
                }
                let release = sign(release, &self.key.signing, &self.key.network)?;
                ledger.add(Record::Release(Box::new(release.clone())))?;
                Ok(release)
            }
        }
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a relay that kept everything had the last record, the release, before.
fn was_new(receipt: &Receipt, records: &[Record]) -> Result<bool, String> {
    if records.iter().any(|record| !receipt.kept.contains(&record.id())) {
        return Err("it did not keep every record".into());
    }
    Ok(records.last().is_some_and(|release| receipt.new.contains(&release.id())))
}

/// What relays said, for people.
fn said(failures: &[(PeerId, String)]) -> String {
    match failures {
        [] => "the connection to the relay was lost".into(),
        [(_, reason)] => reason.clone(),
        several => several.iter().map(|(relay, reason)| format!("\n  relay {relay}: {reason}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use ggen_shared::id::{Handle, Network};

    use super::*;

    #[test]
    fn only_a_relay_that_kept_everything_counts_and_says_what_was_new() {
        let (home, safe) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (path, next) = (home.path().join("key"), safe.path().join("next"));
        let key = PublisherKey::create(&path, &next, Handle::new("a").unwrap(), Network::main(), None).unwrap();
        let records = key.key_log.into_records();
        let ids: Vec<_> = records.iter().map(Record::id).collect();
        assert_eq!(was_new(&Receipt { kept: ids.clone(), new: ids.clone() }, &records), Ok(true));
        assert_eq!(was_new(&Receipt { kept: ids.clone(), new: Vec::new() }, &records), Ok(false));
        assert!(was_new(&Receipt { kept: Vec::new(), new: ids }, &records).is_err());
    }

    #[test]
    fn a_fault_of_the_publishers_is_named_with_its_line_if_it_has_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("publishers.txt");
        let message = || read_publishers(&path).unwrap_err().to_string();
        assert!(message().starts_with(&format!("{}: No such file", path.display())), "{}", message());
        std::fs::write(&path, "\nname\n").unwrap();
        assert_eq!(message(), format!("{}: line 2: is not `NAME PUBLISHER_ID`", path.display()));
    }

    #[test]
    fn what_relays_said_is_said_for_each_of_them() {
        let (one, other) = (PeerId::random(), PeerId::random());
        assert_eq!(said(&[(one, "it is full".into())]), "it is full");
        let both = said(&[(one, "it is full".into()), (other, "it is closed".into())]);
        assert_eq!(both, format!("\n  relay {one}: it is full\n  relay {other}: it is closed"));
    }
}
