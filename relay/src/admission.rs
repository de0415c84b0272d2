//! The one way into a relay: verify, make durable, list. Publish sessions, gossip and the DHT all come through here.

use std::collections::{HashMap, HashSet};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use ggen_shared::catalogue::{Catalogue, Inserted};
use ggen_shared::content::{self, Assembler};
use ggen_shared::id::{Network, PublisherId, RecordId};
use ggen_shared::limits::{MAX_BLOCKS_PER_RELEASE, MAX_RECORDS_PER_OFFER};
use ggen_shared::protocol::publish::{Offer, Receipt};
use ggen_shared::protocol::query::Refusal;
use ggen_shared::record::{self, Content, ContentId, KeyLog, Record, UnverifiedRecord};

use crate::store::{Batch, BlockError, CommitError, LoadError, RecordKey, Store};

/// What a relay holds: the store that survives, and the catalogue that answers.
pub struct Shelf {
    network: Network,
    catalogue: RwLock<Catalogue>,
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
    #[error("an offer has at most {MAX_RECORDS_PER_OFFER} records and {MAX_BLOCKS_PER_RELEASE} blocks")]
    TooMuch,
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
    /// not verify. Blocks.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn open(store: Store, network: Network) -> Result<(Self, usize), LoadError> {
        let shelf = Self { network, catalogue: RwLock::default(), store };
        let mut left_out = 0;
        for loaded in shelf.store.load() {
            // The store gives each publisher's key log before its releases, so one pass is enough.
            let (_, bytes) = loaded?;
            let inserted = shelf.verify_one(&bytes, &HashMap::new()).map(|record| shelf.catalogue_mut().insert(record));
            if !matches!(inserted, Ok(Ok(_))) {
                left_out += 1;
            }
        }
        Ok((shelf, left_out))
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
        let mut offered: HashMap<PublisherId, KeyLog> = HashMap::new();
        let mut records = Vec::new();
        for bytes in &offer.records {
            let record = self.verify_one(bytes, &offered)?;
            if let Record::Inception(inception) = &record {
                let key_log = KeyLog::new(inception.clone());
                offered.insert(key_log.publisher(), key_log);
            }
            records.push(record);
        }
        Ok(records)
    }

    fn verify_one(&self, bytes: &[u8], offered: &HashMap<PublisherId, KeyLog>) -> Result<Record, AdmitError> {
        Ok(match UnverifiedRecord::decode(bytes)? {
            UnverifiedRecord::Inception(inception) => Record::Inception(inception.verify(&self.network)?),
            UnverifiedRecord::Release(release) => {
                let publisher = release.publisher();
                let known = self.catalogue().key_log(&publisher).cloned();
                let key_log = offered.get(&publisher).or(known.as_ref());
                let key_log = key_log.ok_or(AdmitError::UnknownPublisher(publisher))?;
                Record::Release(Box::new(release.verify(key_log, &self.network)?))
            }
        })
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

    /// Keeps verified records with blocks of theirs: returns once all of it is durable, and lists it only then, so that
    /// nothing is shown that a crash could take back.
    ///
    /// # Errors
    /// [`AdmitError::Conflict`] when a record's place is taken for good, [`AdmitError::Commit`].
    pub async fn admit(&self, records: Vec<Record>, blocks: Vec<(ContentId, Vec<u8>)>) -> Result<Receipt, AdmitError> {
        if let Some(id) = self.without_place(&records) {
            // Its content would be kept for nothing.
            return Err(AdmitError::Conflict(id));
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
        records.iter().find_map(|record| match record {
            Record::Release(release) if !catalogue.has_place(release) => Some(release.id()),
            Record::Release(_) | Record::Inception(_) => None,
        })
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

/// The content that releases name: artifacts and READMEs.
pub fn contents(records: &[Record]) -> impl Iterator<Item = Content> + '_ {
    records
        .iter()
        .filter_map(|record| match record {
            Record::Release(release) => Some([Some(release.artifact), release.readme]),
            Record::Inception(_) => None,
        })
        .flatten()
        .flatten()
}
