//! Publishers, releases and relays for tests, in a few words.

use std::sync::Arc;

use ed25519_dalek::SigningKey;

use super::keys::Place;
use super::snapshots::{Snapshot, Snapshots};
use super::{Catalogue, Leaf, Listed, answer};
use crate::id::{FullName, KeyCommitment, Network, PackageId, PublicKey, PublisherId};
use crate::merkle::Map;
use crate::protocol::query::{Package, PackageAnswer, Reply, Search, SearchAnswer};
use crate::record::{self, Artifact, ContentId, Dependency, Inception, KeyLog, Record, Release, Verified, Work};
use crate::search::verified::{AnswerError, Asked, VerifiedPackage, VerifiedSearch, verify_package, verify_search};

fn network() -> Network {
    Network::named("test").unwrap()
}

/// A key holder.
pub(crate) struct Publisher {
    key: SigningKey,
    pub(crate) inception: Verified<Inception>,
    pub(crate) network: Network,
}

impl Publisher {
    /// The publisher whose key is made of this number.
    pub(crate) fn new(seed: u8) -> Self {
        Self::with_handle(seed, &format!("publisher-{seed}"))
    }

    pub(crate) fn with_handle(seed: u8, handle: &str) -> Self {
        Self::of_network(seed, handle, network())
    }

    pub(crate) fn of_network(seed: u8, handle: &str, network: Network) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let next = SigningKey::from_bytes(&[seed ^ 0x80; 32]);
        let inception = Inception {
            handle: handle.parse().unwrap(),
            key: PublicKey::from_bytes(key.verifying_key().to_bytes()),
            next: KeyCommitment::to_key(&PublicKey::from_bytes(next.verifying_key().to_bytes())),
            work: Work::NONE,
        };
        let inception = record::sign(inception, &key, &network).unwrap();
        Self { key, inception, network }
    }

    pub(crate) const fn id(&self) -> PublisherId {
        PublisherId::from_inception(self.inception.id())
    }

    pub(crate) fn key_log(&self) -> KeyLog {
        KeyLog::new(self.inception.clone())
    }

    pub(crate) fn inception(&self) -> Record {
        Record::Inception(self.inception.clone())
    }

    pub(crate) fn package(&self, name: &str) -> PackageId {
        PackageId { publisher: self.id(), name: name.parse().unwrap() }
    }

    pub(crate) fn full_name(&self, name: &str) -> FullName {
        FullName {
            handle: Some(self.inception.handle.clone()),
            fingerprint: self.id().fingerprint(),
            name: name.parse().unwrap(),
        }
    }

    /// A release, changed before it is signed. Its artifact is a function of name and version.
    pub(crate) fn release(
        &self,
        index: u32,
        name: &str,
        version: &str,
        change: impl FnOnce(&mut Release),
    ) -> Verified<Release> {
        let content = format!("{name} {version}");
        let mut release = Release {
            publisher: self.id(),
            signed_under: self.inception.id(),
            index,
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
            artifact: Artifact { cid: ContentId::of_raw(content.as_bytes()), size: content.len() as u64 },
            title: None,
            description: String::new(),
            readme: None,
            categories: Vec::new(),
            tags: Vec::new(),
            license: None,
            authors: Vec::new(),
            homepage: None,
            repository: None,
            documentation: None,
            dependencies: Vec::new(),
            created: 1_700_000_000 + u64::from(index),
        };
        change(&mut release);
        record::sign(release, &self.key, &self.network).unwrap()
    }
}

/// Another artifact than a test release has by itself.
pub(crate) fn other_artifact(content: &str) -> Artifact {
    Artifact { cid: ContentId::of_raw(content.as_bytes()), size: content.len() as u64 }
}

/// A dependency on any version of a package.
pub(crate) fn depends_on(package: &PackageId) -> Dependency {
    Dependency {
        publisher: Some(package.publisher),
        name: package.name.clone(),
        requirement: "*".into(),
        optional: false,
    }
}

/// A release as any record.
pub(crate) fn record(release: Verified<Release>) -> Record {
    Record::Release(Box::new(release))
}

/// The catalogue of these publishers and releases.
pub(crate) fn catalogue(publishers: &[&Publisher], releases: impl IntoIterator<Item = Verified<Release>>) -> Catalogue {
    let mut catalogue = Catalogue::new();
    for publisher in publishers {
        catalogue.insert(publisher.inception()).unwrap();
    }
    for release in releases {
        catalogue.insert(record(release)).unwrap();
    }
    catalogue
}

/// A relay in memory: a catalogue, its checkpoints, and the key that signs them.
pub(crate) struct Relay {
    key: SigningKey,
    id: PublicKey,
    network: Network,
    pub(crate) catalogue: Catalogue,
    pub(crate) snapshots: Snapshots,
    /// The epoch of the last checkpoint, and the one that it is now.
    pub(crate) epoch: u64,
}

impl Relay {
    /// A relay that holds these publishers and releases, all of them in its checkpoint.
    pub(crate) fn new(publishers: &[&Publisher], releases: impl IntoIterator<Item = Verified<Release>>) -> Self {
        Self::of(100, catalogue(publishers, releases))
    }

    /// The relay whose key is made of this number, with its first checkpoint.
    pub(crate) fn of(seed: u8, catalogue: Catalogue) -> Self {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let id = PublicKey::from_bytes(key.verifying_key().to_bytes());
        let mut relay = Self { key, id, network: network(), catalogue, snapshots: Snapshots::default(), epoch: 1000 };
        relay.commit();
        relay
    }

    /// Takes in a release, which no checkpoint has yet.
    pub(crate) fn insert(&mut self, release: Verified<Release>) {
        self.catalogue.insert(record(release)).unwrap();
    }

    /// Makes the checkpoint of the next epoch.
    pub(crate) fn commit(&mut self) {
        self.epoch += 1;
        let previous = self.snapshots.latest().map(|snapshot| snapshot.checkpoint.hash());
        let snapshot = Snapshot::sign(&mut self.catalogue, &self.network, &self.key, self.epoch, previous);
        self.snapshots.push(snapshot);
    }

    /// Commits to another map than the rules make.
    pub(crate) fn lie(&mut self, change: impl FnOnce(&mut Map<Leaf>)) {
        self.commit();
        let mut snapshot = self.latest().clone();
        change(&mut snapshot.map);
        let mut checkpoint = (*snapshot.checkpoint).clone();
        checkpoint.root = snapshot.map.root().into();
        snapshot.checkpoint = checkpoint.sign(&self.key).unwrap();
        self.snapshots = Snapshots::default();
        self.snapshots.push(snapshot);
    }

    /// Commits to a map in which every package of a range is listed otherwise than the rules say.
    pub(crate) fn lie_in(&mut self, range: &[u8], change: impl Fn(&mut Place, &mut Listed)) {
        self.lie(|map| {
            let old: Vec<_> = map.iter(range).map(|(key, leaf)| (key.to_vec(), leaf.clone())).collect();
            for (key, leaf) in old {
                let mut place = Place::from_bytes(&key[range.len()..]).unwrap();
                let mut listed = (**leaf.listed().unwrap()).clone();
                change(&mut place, &mut listed);
                map.remove(&key);
                map.insert(&[range, &place.to_bytes()].concat(), Leaf::of(Arc::new(listed))).unwrap();
            }
        });
    }

    pub(crate) fn latest(&self) -> &Snapshot {
        self.snapshots.latest().unwrap()
    }

    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { network: &self.network, relay: &self.id, epoch: self.epoch }
    }

    /// What it says, not verified.
    pub(crate) fn answer(&self, question: &Search) -> Reply<SearchAnswer> {
        answer::search(&self.catalogue, &self.snapshots, question)
    }

    /// What somebody makes of an answer that asked it now.
    pub(crate) fn verify(&self, question: &Search, answer: SearchAnswer) -> Result<VerifiedSearch, AnswerError> {
        verify_search(question, answer, &self.asked())
    }

    /// Asks and verifies.
    pub(crate) fn search(&self, question: &Search) -> VerifiedSearch {
        self.verify(question, self.answer(question).unwrap()).unwrap()
    }

    /// The first page of the packages that match.
    pub(crate) fn find(&self, text: &str) -> VerifiedSearch {
        self.search(&Search { text: text.into(), limit: 50, cursor: None })
    }

    /// What it says of a package, not verified.
    pub(crate) fn package_answer(&self, question: &Package) -> PackageAnswer {
        answer::package(&self.catalogue, &self.snapshots, question).unwrap()
    }

    /// What somebody makes of an answer that asked it now.
    pub(crate) fn verify_package(
        &self,
        question: &Package,
        answer: PackageAnswer,
    ) -> Result<Option<VerifiedPackage>, AnswerError> {
        verify_package(question, answer, &self.asked())
    }

    /// Asks and verifies.
    pub(crate) fn package(&self, question: &Package) -> Option<VerifiedPackage> {
        self.verify_package(question, self.package_answer(question)).unwrap()
    }
}
