//! Publishers and releases for tests, in a few words.

use ed25519_dalek::SigningKey;

use super::Catalogue;
use crate::id::{FullName, KeyCommitment, Network, PackageId, PublicKey, PublisherId};
use crate::record::{self, Artifact, ContentId, Dependency, Inception, KeyLog, Record, Release, Verified, Work};

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
        let network = Network::named("test").unwrap();
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
