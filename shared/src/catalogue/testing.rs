//! Publishers, releases and relays for tests, in a few words.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use ipld_core::ipld::Ipld;

use super::keys::Place;
use super::snapshots::{Snapshot, Snapshots};
use super::{Catalogue, Leaf, Listed, answer};
use crate::codec;
use crate::id::{FullName, KeyCommitment, Network, PackageId, PublicKey, PublisherId, RecordId};
use crate::limits::KEPT_PER_PAGE;
use crate::merkle::Map;
use crate::protocol::query::{Package, PackageAnswer, PackedSearchAnswer, Reply, Search, SearchAnswer};
use crate::record::{
    self, Artifact, ContentId, Dependency, Inception, KeepPage, KeyLog, Record, Release, Rotation, State, Status,
    Unknown, Verified, Work,
};
use crate::rules::{Before, Rules, Schedule};
use crate::search::analyser::Tokens;
use crate::search::verified::{AnswerError, Asked, VerifiedPackage, VerifiedSearch, verify_package, verify_search};

pub(crate) fn network() -> Network {
    Network::named("test").unwrap()
}

/// Other rules than the first: packages are found by their authors, too.
pub(crate) const OTHER_RULES: Rules = Rules { number: 2, tokens: |release| Tokens::of(&with_authors(release)) };

fn with_authors(release: &Release) -> Release {
    Release { tags: release.tags.iter().chain(&release.authors).cloned().collect(), ..release.clone() }
}

/// What a network knows that comes from the first rules to the other ones.
pub(crate) const CHANGING: Schedule =
    Schedule { rules: OTHER_RULES, before: Some(Before { rules: Rules::FIRST, switch: 10, overlap: 2 }) };

/// A key holder.
pub(crate) struct Publisher {
    seed: u8,
    /// How often it rotated.
    generation: u8,
    /// The key in force.
    pub(crate) key: SigningKey,
    /// The event that put the key in force.
    pub(crate) event: RecordId,
    pub(crate) inception: Verified<Inception>,
    pub(crate) network: Network,
}

/// A rotation with its pages, and who the publisher is after it.
pub(crate) struct Rotated {
    pub(crate) after: Publisher,
    pub(crate) pages: Vec<Verified<KeepPage>>,
    pub(crate) rotation: Verified<Rotation>,
}

impl Rotated {
    /// The pages, then the rotation.
    pub(crate) fn records(&self) -> Vec<Record> {
        let pages = self.pages.iter().map(|page| Record::KeepPage(Box::new(page.clone())));
        pages.chain([Record::Rotation(Box::new(self.rotation.clone()))]).collect()
    }
}

/// The keys that rotations of a publisher reveal, one for each generation after the first.
fn revealed_key_of(seed: u8, generation: u8) -> SigningKey {
    let mut bytes = [seed ^ 0x80; 32];
    bytes[31] ^= generation - 1;
    SigningKey::from_bytes(&bytes)
}

/// The keys that are in force, one for each generation.
fn key_of(seed: u8, generation: u8) -> SigningKey {
    let mut bytes = [seed; 32];
    bytes[30] ^= generation;
    SigningKey::from_bytes(&bytes)
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().to_bytes())
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
        let key = key_of(seed, 0);
        let inception = Inception {
            handle: handle.parse().unwrap(),
            key: public(&key),
            next: KeyCommitment::to_key(&public(&revealed_key_of(seed, 1))),
            work: Work::NONE,
        };
        let inception = record::sign(inception, &key, &network).unwrap();
        Self { seed, generation: 0, key, event: inception.id(), inception, network }
    }

    /// The key that the event in force committed to: the next rotation reveals it.
    pub(crate) fn next_key(&self) -> SigningKey {
        revealed_key_of(self.seed, self.generation + 1)
    }

    /// Rotates by the next key, keeping these records of the key in force, `per_page` of them on a page. `fork`: 0, or another number for
    /// another rotation by the same key, which puts another one in force.
    pub(crate) fn rotate_with(&self, keep: &[RecordId], per_page: usize, fork: u8) -> Rotated {
        let generation = self.generation + 1;
        let (revealed, key) = (self.next_key(), key_of(self.seed ^ fork, generation));
        let mut keep = keep.to_vec();
        keep.sort();
        let page = |keep: &[RecordId]| KeepPage {
            publisher: self.id(),
            prev: self.event,
            revealed: public(&revealed),
            keep: keep.to_vec(),
        };
        let pages = keep.chunks(per_page).map(|keep| record::sign(page(keep), &revealed, &self.network).unwrap());
        let pages: Vec<_> = pages.collect();
        let mut ids: Vec<RecordId> = pages.iter().map(Verified::id).collect();
        ids.sort();
        let next = revealed_key_of(self.seed ^ fork, generation + 1);
        let rotation = Rotation {
            publisher: self.id(),
            prev: self.event,
            revealed: public(&revealed),
            key: public(&key),
            next: KeyCommitment::to_key(&public(&next)),
            pages: ids,
        };
        let rotation = record::sign(rotation, &revealed, &self.network).unwrap();
        let after = Self {
            seed: self.seed ^ fork,
            generation,
            key,
            event: rotation.id(),
            inception: self.inception.clone(),
            network: self.network.clone(),
        };
        Rotated { after, pages, rotation }
    }

    /// Rotates by the next key, keeping these records of the key in force.
    pub(crate) fn rotate(&self, keep: &[RecordId]) -> Rotated {
        self.rotate_with(keep, KEPT_PER_PAGE, 0)
    }

    /// Says what a version is good for.
    pub(crate) fn status(
        &self,
        index: u32,
        name: &str,
        version: &str,
        seq: u64,
        state: State,
        change: impl FnOnce(&mut Status),
    ) -> Verified<Status> {
        let mut status = Status {
            publisher: self.id(),
            signed_under: self.event,
            index,
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
            seq,
            state,
            reason: String::new(),
            instead: None,
        };
        change(&mut status);
        record::sign(status, &self.key, &self.network).unwrap()
    }

    /// A record of a kind that nobody knows, which says something.
    pub(crate) fn unknown(&self, kind: u8, index: u32, says: &str) -> Verified<Unknown> {
        let fields: BTreeMap<&str, Ipld> = BTreeMap::from([
            ("publisher", Ipld::Bytes(self.id().as_bytes().to_vec())),
            ("signed_under", Ipld::Bytes(self.event.as_bytes().to_vec())),
            ("index", Ipld::Integer(index.into())),
            ("says", Ipld::String(says.into())),
        ]);
        record::sign_unknown(kind, codec::encode(&fields), &self.key, &self.network).unwrap()
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
            signed_under: self.event,
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
                let mut listed = leaf.listed().unwrap().clone();
                change(&mut place, &mut listed);
                map.remove(&key);
                map.insert(&[range, &place.to_bytes()].concat(), Leaf::of(listed)).unwrap();
            }
        });
    }

    pub(crate) fn latest(&self) -> &Snapshot {
        self.snapshots.latest().unwrap()
    }

    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked { network: &self.network, relay: &self.id, epoch: self.epoch, rules: self.catalogue.rules() }
    }

    /// What it says, not verified. All entries of its proof are written out, so that tests can change an answer here and there.
    pub(crate) fn answer(&self, question: &Search) -> Reply<SearchAnswer> {
        Self::unpack(answer::search_in_full(&self.catalogue, &self.snapshots, question)?)
    }

    /// What it says as it sends it: what the records tell is not written out.
    pub(crate) fn answer_with_names(&self, question: &Search) -> Reply<SearchAnswer> {
        Self::unpack(answer::search(&self.catalogue, &self.snapshots, question)?)
    }

    fn unpack(packed: PackedSearchAnswer) -> Reply<SearchAnswer> {
        let bytes = codec::encode(&packed);
        let answer = SearchAnswer::try_from(packed).expect("what was packed is unpacked");
        assert_eq!(codec::encode(&answer), bytes, "packed again, it is the same");
        Ok(answer)
    }

    /// What somebody makes of an answer that asked it now.
    pub(crate) fn verify(&self, question: &Search, answer: SearchAnswer) -> Result<VerifiedSearch, AnswerError> {
        verify_search(question, answer, &self.asked())
    }

    /// Asks and verifies.
    pub(crate) fn search(&self, question: &Search) -> VerifiedSearch {
        let verified = self.verify(question, self.answer(question).unwrap()).unwrap();
        // A liar's is refused as a whole.
        if let Ok(mut other) = self.verify(question, self.answer_with_names(question).unwrap()) {
            if let (Some(proven), Some(other)) = (&verified.proven, &mut other.proven) {
                assert!(other.bytes <= proven.bytes);
                other.bytes = proven.bytes;
            }
            assert_eq!(other, verified);
        }
        verified
    }

    /// The first page of the packages that match.
    pub(crate) fn find(&self, text: &str) -> VerifiedSearch {
        self.search(&Search { text: text.into(), limit: 50, cursor: None, ..Search::default() })
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
