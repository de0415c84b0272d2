//! Publishing: read, sign once, keep and write down, hand to relays; what none takes waits for one that does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;
use futures::future::join_all;
use ggen_net::P2PRegistry;
use ggen_net::exchange;
use ggen_net::light::{AskError, LightPeer, Platform};
use ggen_shared::id::{FullName, Network, PackageName, PublisherId, RecordId};
use ggen_shared::record::{self, KeyLog, Record, Release, Verified};
use ggen_shared::registry::{GetError, Publication, Registry};
use libp2p::PeerId;

use super::desk::{Desk, Prepared, Signed};
use super::ledger;
use super::outbox::{self, Blocks, Waiting};
use super::status::Subject;
use crate::causes;
use crate::package::{self, Warning};

/// Relays that have to say that they keep a record before it is forgotten here, if so many were named: a single one may lie, or lose it.
const RELAYS_THAT_KEEP: usize = 2;

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
    /// What was signed could not be kept for relays, or an earlier one could not.
    #[error(transparent)]
    Outbox(#[from] outbox::Error),
    /// What was signed together with others could not be kept or written down.
    #[error("what was signed could not be written down, and is not sent: {0}")]
    NotWritten(String),
    /// The key has signed as much as it may.
    #[error(
        "this key has signed as much as it ever can: {0} records, of which the last are for yank, deprecate and retract. \
         Make another one with: ggen-market key new --handle HANDLE --next-key FILE --key OTHER_FILE"
    )]
    QuotaUsed(u32),
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
    /// Every relay refused it.
    #[error("no relay took it: {}", said(.0))]
    NotTaken(Vec<(PeerId, String)>),
    /// The package could not be read to its end.
    #[error("reading it ended with a panic")]
    Panicked,
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
    /// Where it is now.
    pub delivery: Delivery,
    /// What of the manifest was left out.
    pub warnings: Vec<Warning>,
}

/// Where a signed record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// At a relay at least.
    Taken(Taken),
    /// Only here, durably, until it can be delivered; and what relays said that were tried.
    Waiting(Vec<(PeerId, String)>),
}

/// What became of a record that relays were offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Whether it was new to a relay that keeps it now; otherwise all of them that took it had it already.
    pub new: bool,
    /// Relays that did not take it, while another one did.
    pub failed_at: Vec<(PeerId, String)>,
    /// Whether it is kept here all the same, until another relay says that it keeps it: more than one was named, and only one has said so, now or before.
    pub waits: bool,
}

/// Something that waited, and what became of it now.
pub struct Sent {
    /// Which one.
    pub waiting: Waiting,
    /// The record, if it can be read.
    pub record: Option<Record>,
    /// Where it is; an error is that it can't be read, or that every relay refused it. It waits on then.
    pub delivery: Result<Delivery, Error>,
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

/// A package, and who waits for its release.
type ToSign = (Prepared, oneshot::Sender<Result<Signed, Error>>);

/// Publishes packages of one publisher.
pub struct Publishing<P> {
    key_log: KeyLog,
    desk: Arc<Mutex<Desk>>,
    /// Packages that are to be signed together: whoever has the turn signs all of them.
    to_sign: Mutex<Vec<ToSign>>,
    turn: tokio::sync::Mutex<()>,
    peer: LightPeer<P>,
}

impl<P: Platform> Publishing<P> {
    /// The network that it publishes to.
    pub fn network(&self) -> &Network {
        self.peer.network()
    }

    /// Publishes from a desk, to the relays that this peer is connected to. A dependency without a publisher means the one in the desk's
    /// `publishers`, or a package of our own; otherwise nobody's.
    pub fn new(desk: Desk, peer: LightPeer<P>) -> Self {
        let (key_log, desk) = (desk.key.key_log.clone(), Arc::new(Mutex::new(desk)));
        Self { key_log, desk, to_sign: Mutex::default(), turn: tokio::sync::Mutex::default(), peer }
    }

    /// Whose packages are published.
    pub const fn publisher(&self) -> PublisherId {
        self.key_log.publisher()
    }

    /// The key log that they are published under.
    pub const fn key_log(&self) -> &KeyLog {
        &self.key_log
    }

    /// The peer that hands them over.
    pub const fn peer(&self) -> &LightPeer<P> {
        &self.peer
    }

    /// Publishes a package directory or a `.crate` file. Publishing the same again changes nothing and succeeds. Packages that are published
    /// at the same time share syncs of the disk.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn publish(&self, path: &Path) -> Result<Outcome, Error> {
        let owned = path.to_path_buf();
        let prepared = move || package::read(&owned).map(|package| (package.warnings.clone(), Prepared::of(package)));
        let (warnings, prepared) = tokio::task::spawn_blocking(prepared).await.map_err(|_| Error::Panicked)??;
        self.recall(&prepared.subject()).await?;
        let Signed { release, blocks, waits } = self.sign(prepared).await?;
        let record = Record::Release(Box::new(release.clone()));
        let delivery = self.deliver(record, &blocks, waits).await?;
        Ok(Outcome { release, delivery, warnings })
    }

    /// Takes up what relays know of a version that was signed on another machine, as a job of a build server does that keeps no ledger: the same
    /// package is that release and no second one, and another one is refused before it is signed. Without a relay, the ledger is all there is.
    async fn recall(&self, subject: &Subject) -> Result<(), Error> {
        if self.desk().ledger.release(&subject.name, &subject.version).is_some() {
            return Ok(());
        }
        let name = self.full_name(&subject.name);
        match P2PRegistry::new(self.peer.clone()).get_package_version(&name, &subject.version).await {
            Ok(view) => {
                let mut desk = self.desk();
                desk.ledger.stage(Record::Release(Box::new(view.release.release)))?;
                Ok(desk.ledger.commit()?)
            }
            Err(GetError::Retracted { .. }) => Err(Error::Retracted(subject.clone())),
            Err(GetError::Contested { .. }) => {
                Err(Error::WrittenOnce { name: subject.name.clone(), version: subject.version.to_string() })
            }
            Err(_) => Ok(()),
        }
    }

    /// The full name of one of the publisher's packages.
    pub(super) fn full_name(&self, name: &PackageName) -> FullName {
        FullName {
            handle: Some(self.key_log.handle().clone()),
            fingerprint: self.key_log.publisher().fingerprint(),
            name: name.clone(),
        }
    }

    /// Signs a package together with others that wait for it.
    async fn sign(&self, prepared: Prepared) -> Result<Signed, Error> {
        let (tell, signed) = oneshot::channel();
        lock(&self.to_sign).push((prepared, tell));
        {
            let _turn = self.turn.lock().await;
            let (packages, told): (Vec<_>, Vec<_>) = std::mem::take(&mut *lock(&self.to_sign)).into_iter().unzip();
            if !packages.is_empty() {
                let (desk, now) = (Arc::clone(&self.desk), self.peer.platform().now().as_secs());
                let all = tokio::task::spawn_blocking(move || lock(&desk).sign_all(packages, now)).await;
                // Whoever does not wait any more has given up on it; it is kept all the same.
                told.into_iter().zip(all.map_err(|_| Error::Panicked)?).for_each(|(tell, it)| drop(tell.send(it)));
            }
        }
        signed.await.map_err(|_| Error::Panicked)?
    }

    /// Hands a record to relays; what too few take waits for more. `waits`: whether it does already.
    pub(super) async fn deliver(&self, record: Record, blocks: &Blocks, waits: bool) -> Result<Delivery, Error> {
        let (mut delivered, mut kept_by) = self.hand_over(Some(record.clone()), blocks).await;
        let waiting = Waiting::of(&record);
        match (&mut delivered, waiting) {
            (Ok(Delivery::Taken(taken)), Some(waiting)) => {
                let outbox = &self.desk().outbox;
                let now = kept_by.clone();
                kept_by.extend(outbox.kept_by(&waiting)?);
                if kept_by.len() >= RELAYS_THAT_KEEP.min(self.named()) {
                    outbox.remove(&waiting)?;
                } else if outbox.has(&waiting) {
                    // What does not wait any more was kept by enough relays before.
                    outbox.note_kept(&waiting, &now)?;
                    taken.waits = true;
                }
            }
            // What every relay refuses, though it was delivered once, waits for nothing.
            (Err(Error::NotTaken(_)), _) => {}
            _ if waits => {}
            // It was delivered once as far as is known here, or is older than the outbox.
            _ => self.desk().outbox.put([(&record, blocks)])?,
        }
        delivered
    }

    /// How many relays were named.
    fn named(&self) -> usize {
        self.peer.connections().iter().filter(|connection| connection.anchor).count()
    }

    /// Forgets something that waits, whether a relay has it or not. The ledger has it all the same. Whether it waited.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub fn drop_waiting(&self, id: &RecordId) -> Result<bool, Error> {
        let desk = self.desk();
        let waiting = desk.outbox.list()?.into_iter().find(|waiting| waiting.id == *id);
        waiting.as_ref().map_or(Ok(false), |waiting| Ok(desk.outbox.remove(waiting).map(|()| true)?))
    }

    /// Delivers what waits, one after the other in the order in which it was signed, and gives each to `sent`. It ends where no relay can
    /// be reached.
    ///
    /// # Errors
    /// [`Error::Outbox`], if it is not known what waits.
    pub async fn send_waiting(&self, mut sent: impl FnMut(Sent)) -> Result<(), Error> {
        let waiting = self.waiting()?;
        for waiting in waiting {
            if self.peer.connected().is_empty() {
                return Ok(());
            }
            let read = self.desk().read(&waiting);
            sent(match read {
                Ok((record, blocks)) => {
                    let delivery = self.deliver(record.clone(), &blocks, true).await;
                    Sent { waiting, record: Some(record), delivery }
                }
                Err(error) => Sent { waiting, record: None, delivery: Err(error) },
            });
        }
        Ok(())
    }

    /// What waits for a relay.
    ///
    /// # Errors
    /// [`Error::Outbox`].
    pub fn waiting(&self) -> Result<Vec<Waiting>, Error> {
        Ok(self.desk().outbox.list()?)
    }

    /// Hands the key log to all relays that this peer is connected to, which is what a rotation takes effect by.
    ///
    /// # Errors
    /// [`Error::NotTaken`].
    pub async fn send_key_log(&self) -> Result<Taken, Error> {
        match self.hand_over(None, &Blocks::new()).await.0? {
            Delivery::Taken(taken) => Ok(taken),
            Delivery::Waiting(reasons) => Err(Error::NotTaken(reasons)),
        }
    }

    /// Hands a record to all relays that this peer is connected to, behind the key log that it is verified with; and who says that it keeps it.
    async fn hand_over(&self, record: Option<Record>, blocks: &Blocks) -> (Result<Delivery, Error>, BTreeSet<PeerId>) {
        let last = record.as_ref().map_or_else(|| self.key_log.head(), Record::id);
        let publication = &Publication::of(self.key_log.clone(), record, blocks.clone());
        // Not through the registry: what it says of a relay does not tell new from known.
        let offers = self.peer.connected().into_iter().map(async |relay| {
            let receipt = self.peer.hand_over(relay, publication).await;
            (relay, receipt.map(|receipt| receipt.new.contains(&last)).map_err(Failure::of))
        });
        let answers = join_all(offers).await;
        let (mut new, mut is_refused, mut failed_at) = (None, !answers.is_empty(), Vec::new());
        let mut kept_by = BTreeSet::new();
        for (relay, answer) in answers {
            match answer {
                Ok(new_here) => {
                    new = Some(new.unwrap_or_default() | new_here);
                    kept_by.insert(relay);
                }
                Err(Failure { reason, refused }) => {
                    is_refused &= refused;
                    failed_at.push((relay, reason));
                }
            }
        }
        let delivered = match new {
            Some(new) => Ok(Delivery::Taken(Taken { new, failed_at, waits: false })),
            None if is_refused => Err(Error::NotTaken(failed_at)),
            None => Ok(Delivery::Waiting(failed_at)),
        };
        (delivered, kept_by)
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        lock(&self.desk)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a relay has not taken what it was offered.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    reason: String,
    /// Whether it said no, rather than nothing.
    refused: bool,
}

impl Failure {
    fn of(error: AskError) -> Self {
        let refused = matches!(error, AskError::Exchange(exchange::Error::Refused(_)));
        Self { reason: causes::of(&error), refused }
    }
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
    use super::*;

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
