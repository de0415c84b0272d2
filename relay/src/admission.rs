//! The one way into a relay: verify, make durable, list. Publish sessions, gossip and the DHT all come through here.

use std::collections::{HashMap, HashSet};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use ggen_shared::catalogue::build::Builder;
use ggen_shared::catalogue::snapshots::{Snapshot, Snapshots};
use ggen_shared::catalogue::{Catalogue, Inserted, Leaf};
use ggen_shared::content::{self, Assembler};
use ggen_shared::id::{Network, PublisherId, RecordId};
use ggen_shared::limits::{MAX_ARTIFACT_BYTES, MAX_BLOCKS_PER_RELEASE, MAX_README_BYTES, MAX_RECORDS_PER_OFFER};
use ggen_shared::merkle::Map;
use ggen_shared::protocol::publish::{Offer, Receipt};
use ggen_shared::protocol::query::Refusal;
use ggen_shared::record::{self, Content, ContentId, KeyLog, Record, UnverifiedRecord, Verified};

use crate::policy;
use crate::store::{Batch, BlockError, CommitError, LoadError, RecordKey, Store};

/// Records that are verified at a time at the start: enough for all cores, and not much memory.
const LOADED_AT_ONCE: usize = 4096;

/// What a relay holds: the store that survives, and the catalogue that answers.
pub struct Shelf {
    network: Network,
    catalogue: RwLock<Catalogue>,
    snapshots: RwLock<Snapshots>,
    store: Store,
}

/// Why a record or an offer is not admitted. Nothing of it is kept then.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// A record is refused.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// A release came without its publisher's key log, and it is unknown here.
    #[error("the key log of publisher {0} is unknown here: offer it with the release")]
    UnknownPublisher(PublisherId),
    /// More than one offer may have.
    #[error(
        "an offer has at most {MAX_RECORDS_PER_OFFER} records, the content of one release, and no more blocks than that \
         content consists of"
    )]
    TooMuch,
    /// A release says that it was made at a time that is still to come.
    #[error("the release {0} says that it was made in the future: check the clock that it was signed by")]
    FromTheFuture(RecordId),
    /// The relay has as many records as it has memory for.
    #[error("the relay is full: publish to another one")]
    Full,
    /// A block that a release needs was not offered.
    #[error("the content is not complete: the block {0} is missing")]
    MissingBlock(ContentId),
    /// The blocks do not make up the content that the release names.
    #[error("the content is not what the release says: {0}")]
    Content(#[from] content::Error),
    /// Two other records stand where this one would.
    #[error("the record {0} is one too many: two others already stand at its index")]
    Conflict(RecordId),
    /// The disk.
    #[error("the relay could not keep it: {0}")]
    Commit(#[from] CommitError),
    /// The disk, when reading.
    #[error("the relay could not read what it has: {0}")]
    Block(#[from] BlockError),
}

impl AdmitError {
    /// What the peer is told.
    pub fn refusal(&self) -> Refusal {
        let code = match self {
            Self::Record(error) => error.code(),
            Self::UnknownPublisher(_) => "publish/unknown-publisher",
            Self::TooMuch => "publish/too-much",
            Self::FromTheFuture(_) => "publish/from-the-future",
            Self::Full => "relay/full",
            Self::MissingBlock(_) => "publish/missing-block",
            Self::Content(error) => error.code(),
            Self::Conflict(_) => "publish/conflict",
            // What is wrong with the disk is the operator's business.
            Self::Commit(_) | Self::Block(_) => {
                return Refusal::new("relay/storage", "the relay could not store it; try again later");
            }
        };
        Refusal::new(code, self.to_string())
    }
}

impl Shelf {
    /// Builds the catalogue from a store, every record verified again. Returns how many records were left out because they do
    /// not verify. Those that there is no memory for stay in the store, unlisted. Blocks.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn open(store: Store, network: Network) -> Result<(Self, usize), LoadError> {
        let (mut left_out, mut unlisted) = (0, 0);
        let mut builder = Builder::new();
        // The store gives each publisher's key log before its releases, so one pass is enough.
        let mut records = store.load();
        loop {
            let page: Vec<_> = records.by_ref().take(LOADED_AT_ONCE).collect::<Result<_, _>>()?;
            if page.is_empty() {
                break;
            }
            if builder.catalogue().weight() >= policy::MAX_CATALOGUE_BYTES {
                unlisted += page.len();
                continue;
            }
            let page: Vec<_> = page.into_iter().map(|(_, bytes)| bytes).collect();
            left_out += builder.load(&page, &network);
        }
        let catalogue = RwLock::new(builder.finish());
        let shelf = Self { network, catalogue, snapshots: RwLock::default(), store };
        if unlisted > 0 {
            tracing::warn!(unlisted, "the catalogue is full: records are stored and not listed");
        }
        Ok((shelf, left_out))
    }

    fn is_full(&self) -> bool {
        self.catalogue().weight() >= policy::MAX_CATALOGUE_BYTES
    }

    /// The network whose records count.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The catalogue, to read. Don't hold it over an await.
    pub fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.catalogue.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn catalogue_mut(&self) -> RwLockWriteGuard<'_, Catalogue> {
        self.catalogue.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// What the last checkpoints committed to. Don't hold it over an await.
    pub fn snapshots(&self) -> RwLockReadGuard<'_, Snapshots> {
        self.snapshots.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The catalogue's entries as they are now.
    pub(crate) fn snapshot(&self) -> Map<Leaf> {
        self.catalogue_mut().snapshot()
    }

    /// Answers from a snapshot from now on. It is there before what it has stops to count as recent: in between, a package would be
    /// in neither.
    pub(crate) fn keep_snapshot(&self, snapshot: Snapshot) {
        self.snapshots.write().unwrap_or_else(std::sync::PoisonError::into_inner).push(snapshot);
        self.catalogue_mut().committed();
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Verifies the records of an offer against the key logs in it and those already here.
    ///
    /// # Errors
    /// [`AdmitError`] for the first record that is refused: an offer is admitted whole or not at all.
    pub fn verify(&self, offer: &Offer) -> Result<Vec<Record>, AdmitError> {
        if offer.records.len() > MAX_RECORDS_PER_OFFER || offer.blocks.len() > MAX_BLOCKS_PER_RELEASE {
            return Err(AdmitError::TooMuch);
        }
        let records = self.verify_all(offer.records.iter().map(|bytes| &bytes[..]))?;
        // Blocks that no release names would be memory and storage for whoever asks.
        let sizes = || contents(&records).map(|content| content.size);
        let blocks: u64 = sizes().map(content::block_count).sum();
        if offer.blocks.len() as u64 > blocks || sizes().sum::<u64>() > MAX_ARTIFACT_BYTES + MAX_README_BYTES {
            return Err(AdmitError::TooMuch);
        }
        Ok(records)
    }

    /// Verifies records against the key logs among them and those already here.
    ///
    /// # Errors
    /// [`AdmitError`] for the first record that is refused.
    pub fn verify_all<'a>(&self, all: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Record>, AdmitError> {
        let mut offered: HashMap<PublisherId, KeyLog> = HashMap::new();
        let mut records = Vec::new();
        for bytes in all {
            let known = |publisher: &PublisherId| {
                offered.get(publisher).cloned().or_else(|| self.catalogue().key_log(publisher).cloned())
            };
            let record = verify_one(bytes, &self.network, known)?;
            if let Record::Inception(inception) = &record {
                let key_log = KeyLog::new(inception.clone());
                offered.insert(key_log.publisher(), key_log);
            }
            records.push(record);
        }
        Ok(records)
    }

    /// Whether a record has a place here that no smaller ids have taken.
    pub fn may_keep(&self, record: &Record) -> bool {
        self.without_place(std::slice::from_ref(record)).is_none()
    }

    /// Checks that blocks, those held and new ones, make up exactly the content that the releases name.
    ///
    /// # Errors
    /// [`AdmitError::MissingBlock`], [`AdmitError::Content`], [`AdmitError::Block`].
    pub async fn check_content(&self, records: &[Record], blocks: &[(ContentId, Vec<u8>)]) -> Result<(), AdmitError> {
        let new: HashMap<&ContentId, &[u8]> = blocks.iter().map(|(cid, data)| (cid, data.as_slice())).collect();
        let mut used: HashSet<ContentId> = HashSet::new();
        for content in contents(records) {
            let mut assembler = Assembler::checking_only(content)?;
            while let Some(cid) = assembler.wants().first().copied() {
                used.insert(cid);
                match new.get(&cid) {
                    Some(data) => assembler.feed(&cid, data)?,
                    None => {
                        let held = self.store.block(&cid).await?;
                        assembler.feed(&cid, &held.ok_or(AdmitError::MissingBlock(cid))?)?;
                    }
                }
            }
        }
        // Blocks that no release names would be storage for whoever asks.
        match blocks.iter().find(|(cid, _)| !used.contains(cid)) {
            Some((cid, _)) => Err(content::Error::Surplus(*cid).into()),
            None => Ok(()),
        }
    }

    /// How many of some records are not here yet.
    pub fn count_new(&self, records: &[Record]) -> usize {
        let catalogue = self.catalogue();
        records.iter().filter(|record| catalogue.record(&record.id()).is_none()).count()
    }

    /// Keeps verified records with blocks of theirs: returns once all of it is durable, and lists it only then, so that
    /// nothing is shown that a crash could take back.
    ///
    /// # Errors
    /// [`AdmitError::Conflict`] when a record's place is taken for good, [`AdmitError::Full`], [`AdmitError::Commit`].
    pub async fn admit(&self, records: Vec<Record>, blocks: Vec<(ContentId, Vec<u8>)>) -> Result<Receipt, AdmitError> {
        if let Some(id) = self.without_place(&records) {
            // Its content would be kept for nothing.
            return Err(AdmitError::Conflict(id));
        }
        if self.is_full() && self.count_new(&records) > 0 {
            return Err(AdmitError::Full);
        }
        let mut batch = Batch { blocks, ..Batch::default() };
        for record in records.iter().filter(|record| self.catalogue().record(&record.id()).is_none()) {
            batch.keep(record);
        }
        self.store.commit(batch).await?;
        let (receipt, out, conflict) = self.list(records);
        if !out.is_empty() {
            self.store.commit(Batch { removed: out, ..Batch::default() }).await?;
        }
        match conflict {
            Some(id) => Err(AdmitError::Conflict(id)),
            None => Ok(receipt),
        }
    }

    /// The first release whose place is taken already.
    fn without_place(&self, records: &[Record]) -> Option<RecordId> {
        let catalogue = self.catalogue();
        let mut releases = records.iter().filter_map(Record::release);
        releases.find(|release| !catalogue.has_place(release)).map(Verified::id)
    }

    /// Lists durable records: what is listed now, what the store is to forget, and a record that found no place.
    fn list(&self, records: Vec<Record>) -> (Receipt, Vec<RecordKey>, Option<RecordId>) {
        let mut receipt = Receipt { kept: Vec::new(), new: Vec::new() };
        let (mut out, mut conflict) = (Vec::new(), None);
        let mut catalogue = self.catalogue_mut();
        for record in records {
            let key = RecordKey::of(&record);
            match catalogue.insert(record) {
                Ok(Inserted::New { displaced, .. }) => {
                    receipt.new.push(key.id);
                    receipt.kept.push(key.id);
                    // Only a release of the same publisher gives way to a release.
                    out.extend(displaced.map(|id| RecordKey { id, ..key }));
                }
                Ok(Inserted::AlreadyKnown) => receipt.kept.push(key.id),
                Ok(Inserted::NotKept) => {
                    out.push(key);
                    conflict = Some(key.id);
                }
                // Verified against a key log that is not the one here: key logs only grow, so this does not happen.
                Err(error) => {
                    tracing::error!(%error, record = %key.id, "a verified record can't be listed");
                    out.push(key);
                    conflict = Some(key.id);
                }
            }
        }
        (receipt, out, conflict)
    }
}

fn verify_one(
    bytes: &[u8],
    network: &Network,
    key_log: impl Fn(&PublisherId) -> Option<KeyLog>,
) -> Result<Record, AdmitError> {
    let record = UnverifiedRecord::decode(bytes)?;
    let key_log = key_log(&record.publisher());
    record.verify(key_log.as_ref(), network).map_err(|error| match error {
        record::Error::NoKeyLog(publisher) => AdmitError::UnknownPublisher(publisher),
        error => error.into(),
    })
}

/// Checks that no release says that it was made much later than `now`, in seconds since 1970. Not for what is loaded: what was
/// admitted once stays.
///
/// # Errors
/// [`AdmitError::FromTheFuture`].
pub fn check_created(records: &[Record], now: u64) -> Result<(), AdmitError> {
    let latest = now.saturating_add(policy::MAX_CREATED_AHEAD.as_secs());
    let ahead = records.iter().filter_map(Record::release).find(|release| release.created > latest);
    ahead.map_or(Ok(()), |release| Err(AdmitError::FromTheFuture(release.id())))
}

/// The content that releases name: artifacts and READMEs.
pub fn contents(records: &[Record]) -> impl Iterator<Item = Content> + '_ {
    records.iter().filter_map(Record::release).flat_map(|release| [Some(release.artifact), release.readme]).flatten()
}
