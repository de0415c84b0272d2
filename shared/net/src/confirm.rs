//! Confirmation: what all anchors that are reached know of a package, taken together, and which of them commit to which release.
//!
//! To show a package, one relay's answer is enough. To install it, a stolen key and one relay must not be: so every anchor is asked, each answer is
//! verified, and whoever knows more wins. A release that contests another one, a yank, a retraction or a rotation counts whoever shows it; that a
//! release stands counts only for the relays in whose checkpoints it does.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use ggen_shared::id::{FullName, Network, PublisherId, RecordId};
use ggen_shared::protocol::query::{KeyLogOf, Package, Records};
use ggen_shared::record::{Indexed, KeyLog, Payload, Record, Release, Unverified, Verified, Version};
use ggen_shared::registry::{Found, GetError, PackageView, PeerError, RefusedRecord, Source};
use ggen_shared::search::verified::{VerifiedPackage, verify_key_log, verify_package, verify_records};
use libp2p::PeerId;

use crate::light::Platform;
use crate::registry::{P2PRegistry, peer_error, source};

/// Relays that are asked about one package: somebody names a few, and each is asked at the same time.
const MAX_ASKED: usize = 8;

/// Why nothing is known of a package by all anchors together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmError {
    /// Nobody has it, or nobody could be asked.
    #[error(transparent)]
    Get(#[from] GetError),
    /// Relays know different publishers by one fingerprint: they can only be told apart by the whole id.
    #[error("{name} means two publishers, {} and {}: name another of their packages by the whole id", .publishers[0], .publishers[1])]
    TwoPublishers {
        /// What was asked for.
        name: Box<FullName>,
        /// Who they are.
        publishers: Box<[PublisherId; 2]>,
    },
}

/// What anchors know of a package, taken together.
#[derive(Debug, Clone)]
pub struct Confirmed {
    name: FullName,
    package: VerifiedPackage,
    /// What stands for which version in the checkpoint of each anchor that answered.
    committed: Vec<(Source, BTreeMap<Version, RecordId>)>,
    refused: Vec<RefusedRecord>,
    silent: Vec<(Source, PeerError)>,
}

impl Confirmed {
    /// Everything together. What it says to stand on is one of the relays' checkpoints.
    pub const fn package(&self) -> &VerifiedPackage {
        &self.package
    }

    /// The name that means it and no other.
    pub fn full_name(&self) -> FullName {
        FullName { handle: Some(self.package.key_log.handle().clone()), ..self.name.clone() }
    }

    /// The anchors that answered, whether they know the package or not.
    pub fn asked(&self) -> impl Iterator<Item = &Source> {
        self.committed.iter().map(|(relay, _)| relay)
    }

    /// The relays that did not answer, or not so that it verifies.
    pub fn silent(&self) -> &[(Source, PeerError)] {
        &self.silent
    }

    /// The anchors in whose checkpoints just this release stands for its version. None for what another release contests.
    pub fn committed_by<'a>(&'a self, release: &'a Verified<Release>) -> impl Iterator<Item = &'a Source> {
        let stands = self.package.standing(&release.version).is_some_and(|standing| standing.id() == release.id());
        let commits = move |standing: &BTreeMap<Version, RecordId>| {
            stands && standing.get(&release.version) == Some(&release.id())
        };
        self.committed.iter().filter(move |(_, standing)| commits(standing)).map(|(relay, _)| relay)
    }

    /// The package by one version, or by its newest.
    ///
    /// # Errors
    /// [`GetError`].
    pub fn view(&self, version: Option<&Version>) -> Result<PackageView, GetError> {
        let source = self.asked().next().cloned().unwrap_or_else(|| Source(String::new()));
        let (package, refused) = (Some(self.package.clone()), self.refused.clone());
        PackageView::of(&self.name, version, Found { package, source, refused, offline: false })
    }
}

impl<P: Platform> P2PRegistry<P> {
    /// Asks every connected anchor about a package, or one version of it. Agreement is counted of anchors only; relays that were found in the DHT
    /// may know of something that these don't.
    ///
    /// # Errors
    /// [`ConfirmError`].
    pub async fn confirm(&self, name: &FullName, version: Option<&Version>) -> Result<Confirmed, ConfirmError> {
        let registry = self.now();
        let mut relays: Vec<_> = self.peer().connections().into_iter().filter(|relay| relay.is_connected()).collect();
        relays.sort_by_key(|relay| !relay.anchor);
        relays.truncate(MAX_ASKED);
        let question = Package { name: name.clone(), version: version.cloned() };
        let answers = join_all(relays.iter().map(|relay| registry.word_of(relay.peer, &question))).await;

        let mut words = Words { refused: Vec::new(), committed: Vec::new(), packages: Vec::new() };
        let (mut silent, mut without) = (Vec::new(), Vec::new());
        for (relay, answer) in relays.iter().zip(answers) {
            match answer {
                Ok(package) => {
                    without.extend(package.is_none().then_some(relay.peer));
                    words.add(source(relay.peer), relay.anchor, package);
                }
                Err(error) => silent.push((source(relay.peer), error)),
            }
        }
        let Words { refused, committed, packages } = words;
        // A relay that has nothing of the package may know the rotation that left nothing of it.
        let mut key_logs: Vec<KeyLog> = packages.iter().map(|package| package.key_log.clone()).collect();
        if let Some(publisher) = key_logs.first().map(KeyLog::publisher) {
            let answers = join_all(without.iter().map(|relay| registry.key_log_of(*relay, publisher))).await;
            for (relay, answer) in without.iter().zip(answers) {
                match answer {
                    Ok(key_log) => key_logs.extend(key_log),
                    Err(error) => silent.push((source(*relay), error)),
                }
            }
        }
        let Some(package) = joined(name, packages, &key_logs, self.peer().network())? else {
            return Err(match silent.into_iter().next() {
                Some((_, error)) if committed.is_empty() => GetError::Peer(error),
                None if committed.is_empty() => GetError::Peer(PeerError::Unreachable),
                _ => GetError::UnknownPackage(name.clone()),
            }
            .into());
        };
        Ok(Confirmed { name: name.clone(), package, committed, refused, silent })
    }

    /// A release by its id, whatever else there is of its version: what a lock file names. None: no connected relay has it, or not any more.
    ///
    /// # Errors
    /// No relay says.
    pub async fn release(&self, publisher: PublisherId, id: RecordId) -> Result<Option<Verified<Release>>, PeerError> {
        // Under what all of them know of the key: a rotation that one relay hides has made it void all the same.
        let Some(key_log) = self.key_log(publisher).await? else { return Ok(None) };
        let (mut is_answered, mut failure) = (false, PeerError::Unreachable);
        for relay in self.peer().connected() {
            match Box::pin(self.release_of(relay, &key_log, id)).await {
                Ok(Some(release)) => return Ok(Some(release)),
                Ok(None) => is_answered = true,
                Err(error) => failure = error,
            }
        }
        if is_answered { Ok(None) } else { Err(failure) }
    }

    /// The key log of a publisher, with all rotations that any connected relay knows of. None: none of them knows the publisher.
    ///
    /// # Errors
    /// No relay says.
    pub async fn key_log(&self, publisher: PublisherId) -> Result<Option<KeyLog>, PeerError> {
        let mut relays = self.peer().connected();
        relays.truncate(MAX_ASKED);
        let answers = join_all(relays.into_iter().map(|relay| self.key_log_of(relay, publisher))).await;
        let (mut known, mut is_answered, mut failure) = (Vec::new(), false, PeerError::Unreachable);
        for answer in answers {
            match answer {
                Ok(key_log) => {
                    is_answered = true;
                    known.extend(key_log);
                }
                Err(error) => failure = error,
            }
        }
        if !is_answered {
            return Err(failure);
        }
        Ok(known.first().map(|first| joined_key_log(known.iter(), first)))
    }

    async fn key_log_of(&self, relay: PeerId, publisher: PublisherId) -> Result<Option<KeyLog>, PeerError> {
        let question = KeyLogOf { publisher };
        let answer = self.ask(relay, question.clone()).await.map_err(peer_error)?;
        self.verified(relay, |asked| verify_key_log(&question, &answer, asked.network))
    }

    async fn release_of(
        &self,
        relay: PeerId,
        key_log: &KeyLog,
        id: RecordId,
    ) -> Result<Option<Verified<Release>>, PeerError> {
        let question = Records { ids: vec![id] };
        let answer = self.ask(relay, question.clone()).await.map_err(peer_error)?;
        let verified = self.verified(relay, |asked| {
            verify_records(&question, answer, asked.network, |of| (*of == key_log.publisher()).then(|| key_log.clone()))
        })?;
        Ok(match verified.records.into_iter().flatten().next() {
            Some(Ok(Record::Release(release))) => Some(*release),
            // What a rotation has made void is nobody's fault.
            Some(Ok(_) | Err(_)) | None => None,
        })
    }

    async fn word_of(&self, relay: PeerId, question: &Package) -> Result<Option<VerifiedPackage>, PeerError> {
        let answer = self.ask(relay, question.clone()).await.map_err(peer_error)?;
        let package = self.verified(relay, |asked| {
            let package = verify_package(question, answer, asked)?;
            package.iter().try_for_each(|package| self.witness(&package.proven.checkpoint))?;
            Ok(package)
        })?;
        if package.as_ref().is_some_and(|package| !package.refused.is_empty()) {
            self.peer().note_fault(relay);
        }
        Ok(package)
    }
}

/// What relays said, as it comes.
struct Words {
    refused: Vec<RefusedRecord>,
    committed: Vec<(Source, BTreeMap<Version, RecordId>)>,
    packages: Vec<VerifiedPackage>,
}

impl Words {
    fn add(&mut self, relay: Source, is_anchor: bool, package: Option<VerifiedPackage>) {
        let mut standing = BTreeMap::new();
        for release in package.iter().flat_map(|package| &package.releases) {
            let Some(package) = &package else { continue };
            let stands = package.standing(&release.version).filter(|standing| !package.recent.contains(&standing.id()));
            standing.extend(stands.map(|release| (release.version.clone(), release.id())));
        }
        if is_anchor {
            self.committed.push((relay.clone(), standing));
        }
        if let Some(mut package) = package {
            let refused = std::mem::take(&mut package.refused);
            self.refused.extend(refused.into_iter().map(|refused| RefusedRecord { refused, source: relay.clone() }));
            self.packages.push(package);
        }
    }
}

/// What all of them know together; None when none of them knows anything.
fn joined(
    name: &FullName,
    packages: Vec<VerifiedPackage>,
    key_logs: &[KeyLog],
    network: &Network,
) -> Result<Option<VerifiedPackage>, ConfirmError> {
    let Some(first) = packages.first() else { return Ok(None) };
    let publisher = first.key_log.publisher();
    if let Some(other) = packages.iter().map(|package| package.key_log.publisher()).find(|other| *other != publisher) {
        let publishers = Box::new([publisher, other]);
        return Err(ConfirmError::TwoPublishers { name: Box::new(name.clone()), publishers });
    }
    let key_log = joined_key_log(key_logs.iter().filter(|key_log| key_log.publisher() == publisher), &first.key_log);
    let held_by_all = |id: &RecordId, is_so: fn(&VerifiedPackage) -> &BTreeSet<RecordId>| {
        let mut holders = packages.iter().filter(|package| package.releases.iter().any(|release| release.id() == *id));
        holders.all(|package| is_so(package).contains(id))
    };
    let mut releases: Vec<Verified<Release>> = known(&packages, |package| &package.releases, &key_log, network);
    // As in an answer: the highest version first, then the smallest id.
    releases.sort_by(|one, other| other.version.cmp(&one.version).then(one.id().cmp(&other.id())));
    let ids: Vec<RecordId> = releases.iter().map(Verified::id).collect();
    Ok(Some(VerifiedPackage {
        // What a rotation that only one of them knows makes void has left by now.
        recent: ids.iter().copied().filter(|id| held_by_all(id, |package| &package.recent)).collect(),
        uncertain: ids.iter().copied().filter(|id| held_by_all(id, |package| &package.uncertain)).collect(),
        statuses: known(&packages, |package| &package.statuses, &key_log, network),
        refused: Vec::new(),
        total: packages.iter().map(|package| package.total).max().unwrap_or_default(),
        proven: first.proven.clone(),
        releases,
        key_log,
    }))
}

/// The key log with the rotations and pages of all. What follows a branch of a fork leaves it, as everywhere.
fn joined_key_log<'a>(others: impl Iterator<Item = &'a KeyLog>, first: &KeyLog) -> KeyLog {
    let mut joined = first.clone();
    for other in others {
        for rotation in other.rotations() {
            _ = joined.follow(rotation.clone());
        }
        for page in other.pages() {
            _ = joined.add_page(page.clone());
        }
    }
    joined
}

/// The records that any of them has and that hold under the key log of all.
fn known<T: Payload + Indexed>(
    packages: &[VerifiedPackage],
    records: impl Fn(&VerifiedPackage) -> &Vec<Verified<T>>,
    key_log: &KeyLog,
    network: &Network,
) -> Vec<Verified<T>> {
    let mut known: BTreeMap<RecordId, Verified<T>> = BTreeMap::new();
    for package in packages {
        let is_same_log = package.key_log == *key_log;
        for record in records(package) {
            let holds = || {
                let again = Unverified::<T>::decode(record.bytes());
                again.is_ok_and(|record| record.verify(key_log, network).is_ok())
            };
            if !known.contains_key(&record.id()) && (is_same_log || holds()) {
                known.insert(record.id(), record.clone());
            }
        }
    }
    known.into_values().collect()
}
