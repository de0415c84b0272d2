//! The one way into a relay: verify, make durable, list. Publish sessions, gossip and the DHT all come through here.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use ggen_shared::catalogue::build::Builder;
use ggen_shared::catalogue::snapshots::Snapshots;
use ggen_shared::catalogue::{Catalogue, Exclusions, Inserted};
use ggen_shared::content::{self, Assembler};
use ggen_shared::id::{Network, PublisherId, RecordId};
use ggen_shared::limits::{MAX_ARTIFACT_BYTES, MAX_BLOCKS_PER_RELEASE, MAX_README_BYTES, MAX_RECORDS_PER_OFFER};
use ggen_shared::protocol::publish::{Offer, Receipt};
use ggen_shared::protocol::query::Refusal;
use ggen_shared::record::{
    self, Content, ContentId, KeepPage, KeyLog, Kind, Record, Release, Rotation, UnverifiedRecord, Verified,
};
use ggen_shared::rules::Rules;
use serde_bytes::ByteBuf;

use crate::derivation::Derivation;
use crate::policy;
use crate::spare::SpareTime;
use crate::store::{Batch, BlockError, CommitError, LoadError, RecordKey, Store};
use crate::suggest::Suggester;

/// Records that are verified at a time at the start: enough for all cores, and not much memory.
const LOADED_AT_ONCE: usize = 4096;

/// What a relay holds: the store that survives, and the catalogue that answers; two of it while the network goes over to other rules.
pub struct Shelf {
    network: Network,
    /// By the newest rules.
    main: Arc<Derivation>,
    /// By the rules before, as long as they are served. What comes to `main` comes here while that is locked.
    beside: RwLock<Option<Arc<Derivation>>>,
    /// The content that only releases name which the operator excludes, by its roots: as of the last look at all of them.
    withheld: RwLock<HashMap<ContentId, Content>>,
    store: Store,
    suggester: Suggester,
    /// For joining the records of answers.
    spare: SpareTime,
    /// Held from the storing of rotations and pages until what is not kept of them is removed: two batches may hold the same page, and
    /// one of them the rotation that keeps it.
    key_events: tokio::sync::Mutex<()>,
}

/// Why a record or an offer is not admitted. Nothing of it is kept then.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// A record is refused.
    #[error(transparent)]
    Record(record::Error),
    /// A release came without its publisher's key log, and it is unknown here.
    #[error("the key log of publisher {0} is unknown here: offer it with the release")]
    UnknownPublisher(PublisherId),
    /// A rotation came before all of its pages.
    #[error("not all pages of the rotation {0} are here: offer them before it")]
    MissingPages(RecordId),
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

impl From<record::Error> for AdmitError {
    fn from(error: record::Error) -> Self {
        match error {
            record::Error::NoKeyLog(publisher) => Self::UnknownPublisher(publisher),
            error => Self::Record(error),
        }
    }
}

impl AdmitError {
    /// What the peer is told.
    pub fn refusal(&self) -> Refusal {
        let code = match self {
            Self::Record(error) => error.code(),
            Self::UnknownPublisher(_) => "publish/unknown-publisher",
            Self::MissingPages(_) => "publish/missing-pages",
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
    /// Builds the catalogue by some rules from a store, every record verified again. Returns how many records were left out because they do
    /// not verify. Those that there is no memory for stay in the store, unlisted. Blocks.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn open(store: Store, network: Network, rules: Rules) -> Result<(Self, usize), LoadError> {
        Self::open_excluding(store, network, rules, Exclusions::default())
    }

    /// [`Self::open`] by an operator who excludes some releases. Blocks.
    ///
    /// # Errors
    /// [`LoadError`].
    pub fn open_excluding(
        store: Store,
        network: Network,
        rules: Rules,
        exclusions: Exclusions,
    ) -> Result<(Self, usize), LoadError> {
        let (mut left_out, mut unlisted) = (0, 0);
        let mut builder = Builder::by(rules).excluding(exclusions);
        // The store gives each publisher's key log before all that it signed, so one pass is enough.
        let mut records = store.load().peekable();
        loop {
            let mut page: Vec<_> = records.by_ref().take(LOADED_AT_ONCE).collect::<Result<_, _>>()?;
            // Rotations stand by their ids and not in their order: a key log is loaded as a whole.
            while let Some(next) = records.next_if(|next| page.last().is_some_and(|(last, _)| is_one_log(last, next))) {
                page.push(next?);
            }
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
        let catalogue = builder.finish();
        let shelf = Self {
            network,
            withheld: RwLock::new(withheld_of(&catalogue)),
            main: Arc::new(Derivation::new(catalogue)),
            beside: RwLock::default(),
            store,
            suggester: Suggester::default(),
            spare: SpareTime::default(),
            key_events: tokio::sync::Mutex::default(),
        };
        if unlisted > 0 {
            tracing::warn!(unlisted, "the catalogue is full: records are stored and not listed");
        }
        Ok((shelf, left_out))
    }

    fn is_full(&self) -> bool {
        self.derivations().map(|derivation| derivation.catalogue().weight()).sum::<u64>() >= policy::MAX_CATALOGUE_BYTES
    }

    /// The network whose records count.
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// The catalogue, to read. Don't hold it over an await.
    pub fn catalogue(&self) -> RwLockReadGuard<'_, Catalogue> {
        self.main.catalogue()
    }

    /// Packs some records for answers, those behind an id, so that no answer has to wait for it. The last of them; None when there are no more.
    /// The catalogue is locked only to get hold of them.
    pub(crate) fn pack_after(&self, after: Option<&RecordId>) -> Option<RecordId> {
        let some = |record: &Record| (record.id(), record.bytes().clone());
        let records: Vec<_> = self.catalogue().records_after(after).take(policy::PACKED_AT_ONCE).map(some).collect();
        records
            .into_iter()
            .map(|(id, bytes)| {
                bytes.packed();
                id
            })
            .last()
    }

    /// What other spellings are suggested by.
    pub(crate) const fn suggester(&self) -> &Suggester {
        &self.suggester
    }

    /// Time for what makes answers better.
    pub(crate) const fn spare(&self) -> &SpareTime {
        &self.spare
    }

    /// What the last checkpoints committed to. Don't hold it over an await.
    pub fn snapshots(&self) -> RwLockReadGuard<'_, Snapshots> {
        self.main.snapshots()
    }

    /// The records by other rules beside the newest, from now on; or no more by any others. To begin with others takes as long as a start does.
    /// Blocks.
    pub(crate) fn serve_beside(&self, rules: Option<Rules>) {
        if self.beside().map(|beside| beside.rules()) == rules {
            return;
        }
        // Nothing comes to the one and not to the other while the catalogue is held.
        let catalogue = self.catalogue();
        let rules = rules.filter(|rules| {
            let has_room = 2 * catalogue.weight() < policy::MAX_CATALOGUE_BYTES;
            if !has_room {
                tracing::warn!(rules = rules.number, "no memory for a second catalogue: those rules are not served");
            }
            has_room
        });
        let beside = rules.map(|rules| Arc::new(Derivation::new(catalogue.derived_by(rules))));
        *self.beside.write().unwrap_or_else(PoisonError::into_inner) = beside;
    }

    fn beside(&self) -> Option<Arc<Derivation>> {
        self.beside.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The records by all rules that are served, the newest first.
    pub(crate) fn derivations(&self) -> impl Iterator<Item = Arc<Derivation>> {
        [Some(self.main.clone()), self.beside()].into_iter().flatten()
    }

    /// The records by the rules with this number.
    ///
    /// # Errors
    /// Those are not served, or not now.
    pub(crate) fn by(&self, rules: u32) -> Result<Arc<Derivation>, Refusal> {
        self.derivations().find(|derivation| derivation.rules().number == rules).ok_or_else(|| {
            Refusal::new("relay/other-rules", format!("the relay does not answer by the rules {rules} now"))
        })
    }

    /// The store: what is here, whether it is served or not.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Excludes these from now on, and nothing else, and looks through what is here for whose content is not served then. The content that is served
    /// again. Blocks.
    pub fn exclude(&self, exclusions: &Exclusions) -> Vec<Content> {
        if *self.catalogue().exclusions() != *exclusions {
            let mut catalogue = self.main.catalogue_mut();
            if let Some(beside) = self.beside() {
                beside.catalogue_mut().exclude(exclusions.clone());
            }
            catalogue.exclude(exclusions.clone());
        } else if exclusions.is_empty() {
            return Vec::new();
        }
        let catalogue = self.catalogue();
        let withheld = withheld_of(&catalogue);
        let before = std::mem::replace(&mut *self.withheld.write().unwrap_or_else(PoisonError::into_inner), withheld);
        drop(catalogue);
        before.into_values().filter(|content| !self.withholds(&content.cid)).collect()
    }

    /// Whether this is the root of content that only releases name which the operator excludes. Who knows no more than it gets nothing of the content;
    /// the blocks below it may be those of other content.
    pub fn withholds(&self, cid: &ContentId) -> bool {
        self.withheld.read().unwrap_or_else(PoisonError::into_inner).contains_key(cid)
    }

    /// The bytes of a block, if it is here and served.
    ///
    /// # Errors
    /// [`BlockError`].
    pub async fn block(&self, cid: &ContentId) -> Result<Option<Vec<u8>>, BlockError> {
        if self.withholds(cid) { Ok(None) } else { self.store.block(cid).await }
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

    fn is_here(&self, id: &RecordId) -> bool {
        self.catalogue().record(id).is_some()
    }

    /// How many identities that are new here claim work in some records: each takes milliseconds to verify.
    pub(crate) fn count_claims(&self, records: &[ByteBuf]) -> usize {
        let claims = |bytes: &ByteBuf| match UnverifiedRecord::decode(bytes) {
            Ok(UnverifiedRecord::Inception(inception)) => inception.claims_work() && !self.is_here(&inception.id()),
            _ => false,
        };
        records.iter().take(MAX_RECORDS_PER_OFFER).filter(|bytes| claims(bytes)).count()
    }

    /// Whether to verify what a publisher says takes the work of an identity that is new here.
    pub(crate) fn lacks_work_of(&self, publisher: &PublisherId) -> bool {
        self.network.asks_for_work() && self.catalogue().key_log(publisher).is_none()
    }

    /// Verifies records against the key events among them, in whatever order they come, and those already here. In the result each stands
    /// behind what it needs.
    ///
    /// # Errors
    /// [`AdmitError`] for the first record that is refused.
    pub fn verify_all<'a>(&self, all: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Record>, AdmitError> {
        let decoded = all.map(UnverifiedRecord::decode).collect::<Result<Vec<_>, _>>()?;
        let (events, others): (Vec<_>, Vec<_>) = decoded.into_iter().partition(UnverifiedRecord::is_key_event);
        let mut offered = Offered { shelf: self, key_logs: HashMap::new(), records: Vec::new() };
        offered.verify_key_events(events)?;
        for record in others {
            let publisher = record.publisher();
            let verified = record.verify(offered.key_log(publisher).as_deref(), &self.network)?;
            offered.records.push(verified);
        }
        Ok(offered.records)
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
        // A rotation that comes with them may make room: then it shows when they are listed.
        if !self.brings_rotation(&records)
            && let Some(id) = self.without_place(&records)
        {
            // Its content would be kept for nothing.
            return Err(AdmitError::Conflict(id));
        }
        if self.is_full() && self.count_new(&records) > 0 {
            return Err(AdmitError::Full);
        }
        let in_turn = records.iter().any(|record| matches!(record, Record::KeepPage(_) | Record::Rotation(_)));
        let _turn = if in_turn { Some(self.key_events.lock().await) } else { None };
        let records = self.with_waiting(records);
        let mut batch = Batch { blocks, ..Batch::default() };
        for record in records.iter().filter(|record| self.catalogue().record(&record.id()).is_none()) {
            // A page is kept when its rotation comes.
            if !matches!(record, Record::KeepPage(page) if !is_named(&records, page)) {
                batch.keep(record);
            }
        }
        let stored: HashSet<RecordId> = batch.records.iter().map(|(key, _)| key.id).collect();
        self.store.commit(batch).await?;
        let (receipt, out, conflict) = self.list(records, &stored);
        if !out.is_empty() {
            self.store.commit(Batch { removed: out, ..Batch::default() }).await?;
        }
        match conflict {
            Some(id) => Err(AdmitError::Conflict(id)),
            None => Ok(receipt),
        }
    }

    /// Puts before each rotation the pages that wait here for it, and that did not come with it.
    fn with_waiting(&self, records: Vec<Record>) -> Vec<Record> {
        let came: HashSet<RecordId> = records.iter().map(Record::id).collect();
        let catalogue = self.catalogue();
        let mut all: Vec<Record> = Vec::with_capacity(records.len());
        for record in records {
            if let Record::Rotation(rotation) = &record {
                let pages = catalogue.waiting_pages(rotation).filter(|page| !came.contains(&page.id()));
                all.extend(pages.map(|page| Record::KeepPage(Box::new(page.clone()))));
            }
            all.push(record);
        }
        all
    }

    /// Whether a rotation that is new here is among the records.
    fn brings_rotation(&self, records: &[Record]) -> bool {
        let catalogue = self.catalogue();
        let is_new = |record: &Record| catalogue.record(&record.id()).is_none();
        records.iter().any(|record| matches!(record, Record::Rotation(_)) && is_new(record))
    }

    /// The first record whose place is taken already.
    fn without_place(&self, records: &[Record]) -> Option<RecordId> {
        let catalogue = self.catalogue();
        records.iter().find(|record| !catalogue.has_place(record)).map(Record::id)
    }

    /// Lists durable records, of which some were `stored` for it: what is listed now, what the store is to forget, and a record that found
    /// no place.
    fn list(&self, records: Vec<Record>, stored: &HashSet<RecordId>) -> (Receipt, Vec<RecordKey>, Option<RecordId>) {
        let mut receipt = Receipt { kept: Vec::new(), new: Vec::new() };
        let (mut out, mut conflict) = (Vec::new(), None);
        let (mut waiting, mut listed) = (Vec::new(), Vec::new());
        let mut catalogue = self.main.catalogue_mut();
        let beside = self.beside();
        let mut beside = beside.as_ref().map(|beside| beside.catalogue_mut());
        for record in records {
            let (key, bytes) = (RecordKey::of(&record), record.bytes().clone());
            if let Some(beside) = &mut beside {
                // The members are the same by all rules, so it becomes of it what becomes of it there.
                _ = beside.insert(record.clone());
            }
            match catalogue.insert(record) {
                Ok(Inserted::New { left, .. }) => {
                    listed.push(bytes);
                    // With its rotation, a page is no longer waiting.
                    let came: Vec<RecordKey> =
                        waiting.extract_if(.., |page: &mut RecordKey| catalogue.record(&page.id).is_some()).collect();
                    for id in came.iter().map(|page| page.id).chain([key.id]) {
                        receipt.new.push(id);
                        receipt.kept.push(id);
                    }
                    out.extend(left.iter().map(RecordKey::of));
                }
                Ok(Inserted::Waits) => waiting.push(key),
                Ok(Inserted::AlreadyKnown) => receipt.kept.push(key.id),
                Ok(Inserted::NotKept) => {
                    out.push(key);
                    conflict = Some(key.id);
                }
                // Verified against a key log that is not the one here any more.
                Err(error) => {
                    tracing::warn!(%error, record = %key.id, "a verified record can't be listed");
                    out.push(key);
                    conflict = Some(key.id);
                }
            }
        }
        drop((catalogue, beside));
        // Here, so that no answer has to wait for it.
        listed.iter().for_each(|bytes| _ = bytes.packed());
        // Those that were stored for a rotation which is not kept. The others were never stored.
        out.extend(waiting.into_iter().filter(|page| stored.contains(&page.id)));
        (receipt, out, conflict)
    }
}

/// The content that only releases name which are excluded.
fn withheld_of(catalogue: &Catalogue) -> HashMap<ContentId, Content> {
    let mut withheld: HashMap<ContentId, Content> =
        catalogue.excluded().flat_map(contents_of).map(|content| (content.cid, content)).collect();
    if withheld.is_empty() {
        return withheld;
    }
    // The same may be in a package that nobody minds, and whoever copies it must not take it away.
    for release in catalogue.records().filter_map(Record::release).filter(|release| !catalogue.is_excluded(release)) {
        contents_of(release).for_each(|content| _ = withheld.remove(&content.cid));
    }
    withheld
}

/// Whether what the store gives next is of the same key log as what it gave last.
fn is_one_log(last: &RecordKey, next: &Result<(RecordKey, Vec<u8>), LoadError>) -> bool {
    let is_key_event = |key: &RecordKey| key.kind <= u16::from(Kind::Rotation.number());
    next.as_ref().is_ok_and(|(next, _)| next.publisher == last.publisher && is_key_event(next) && is_key_event(last))
}

/// Whether a rotation among the records names the page.
fn is_named(records: &[Record], page: &Verified<KeepPage>) -> bool {
    records.iter().any(|record| match record {
        Record::Rotation(rotation) => rotation.names(page),
        _ => false,
    })
}

/// Records of a batch that are being verified, and the key logs as they are with them.
struct Offered<'a> {
    shelf: &'a Shelf,
    key_logs: HashMap<PublisherId, KeyLog>,
    records: Vec<Record>,
}

impl Offered<'_> {
    /// The key log of a publisher, those of its events included that came with the batch.
    fn key_log(&mut self, publisher: PublisherId) -> Option<Cow<'_, KeyLog>> {
        if !self.key_logs.contains_key(&publisher) {
            let key_log = self.shelf.catalogue().key_log(&publisher).cloned()?;
            self.key_logs.insert(publisher, key_log);
        }
        self.key_logs.get(&publisher).map(Cow::Borrowed)
    }

    /// Verifies key events: pages before rotations, each round those that the ones before made possible.
    fn verify_key_events(&mut self, mut events: Vec<UnverifiedRecord>) -> Result<(), AdmitError> {
        // The order of the enum is that of kinds.
        events.sort_by_key(|event| match event {
            UnverifiedRecord::Inception(_) => Kind::Inception.number(),
            UnverifiedRecord::KeepPage(_) => Kind::KeepPage.number(),
            _ => Kind::Rotation.number(),
        });
        while !events.is_empty() {
            let (before, mut later, mut refused) = (events.len(), Vec::new(), None);
            for event in events {
                match self.verify_key_event(event.clone()) {
                    Ok(()) => {}
                    Err(AdmitError::Record(error)) if !error.depends_on_key_log() => return Err(error.into()),
                    Err(error) => {
                        refused = Some(error);
                        later.push(event);
                    }
                }
            }
            if let Some(refused) = refused.filter(|_| later.len() == before) {
                return Err(refused);
            }
            events = later;
        }
        Ok(())
    }

    fn verify_key_event(&mut self, event: UnverifiedRecord) -> Result<(), AdmitError> {
        let publisher = event.publisher();
        let shelf = self.shelf;
        let network = &shelf.network;
        // Asked for whatever the event is: from here on it stands among the batch's own, with all that is known of it here.
        let key_log = self.key_log(publisher);
        let record = match event {
            // Its work is known: it comes again with each release.
            UnverifiedRecord::Inception(inception) if shelf.is_here(&inception.id()) => {
                Record::Inception(inception.verify_again(network)?)
            }
            event => event.verify(key_log.as_deref(), network)?,
        };
        match &record {
            Record::Inception(inception) => {
                self.key_logs.entry(publisher).or_insert_with(|| KeyLog::new(inception.clone()));
            }
            Record::Rotation(rotation) => self.follow(rotation)?,
            _ => {}
        }
        self.records.push(record);
        Ok(())
    }

    /// Continues a key log, if all pages of the rotation are in the batch or here.
    fn follow(&mut self, rotation: &Verified<Rotation>) -> Result<(), AdmitError> {
        let catalogue = self.shelf.catalogue();
        let in_batch = self.records.iter().filter_map(|record| match record {
            Record::KeepPage(page) => Some(&**page),
            _ => None,
        });
        let here = catalogue.key_log(&rotation.publisher).into_iter().flat_map(KeyLog::pages);
        let pages = in_batch.chain(here).filter(|page| rotation.names(page)).chain(catalogue.waiting_pages(rotation));
        let pages: Vec<Verified<KeepPage>> = pages.cloned().collect();
        drop(catalogue);
        let Some(key_log) = self.key_logs.get_mut(&rotation.publisher) else { return Ok(()) };
        key_log.follow(rotation.clone())?;
        for page in pages {
            key_log.add_page(page)?;
        }
        let here: HashSet<RecordId> = key_log.pages().map(Verified::id).collect();
        let is_here = |id: &RecordId| here.contains(id);
        if key_log.rotations().any(|known| known.id() == rotation.id()) && !rotation.pages.iter().all(is_here) {
            return Err(AdmitError::MissingPages(rotation.id()));
        }
        Ok(())
    }
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
    records.iter().filter_map(Record::release).flat_map(contents_of)
}

fn contents_of(release: &Verified<Release>) -> impl Iterator<Item = Content> + use<> {
    [Some(release.artifact), release.readme].into_iter().flatten()
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
