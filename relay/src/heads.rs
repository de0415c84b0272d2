//! What the relay's DHT node serves: package heads, straight from the catalogue, and provider records.

use std::borrow::Cow;
use std::sync::Arc;

use ggen_shared::protocol::head;
use libp2p::PeerId;
use libp2p::kad::store::{self, MemoryStore, MemoryStoreConfig, RecordStore};
use libp2p::kad::{ProviderRecord, Record, RecordKey};

use crate::admission::Shelf;
use crate::policy::MAX_PROVIDED_KEYS;

/// A record store without records of its own: heads are a view of the catalogue, so they are as durable and as valid as it is.
/// A head that is put goes through admission first, and is here once its release is.
pub struct HeadStore {
    local: PeerId,
    shelf: Arc<Shelf>,
    providers: MemoryStore,
}

impl HeadStore {
    /// The view of a catalogue.
    pub fn new(local: PeerId, shelf: Arc<Shelf>) -> Self {
        let config = MemoryStoreConfig { max_provided_keys: MAX_PROVIDED_KEYS, max_records: 0, ..MemoryStoreConfig::default() };
        Self { local, shelf, providers: MemoryStore::with_config(local, config) }
    }
}

impl RecordStore for HeadStore {
    type RecordsIter<'a> = std::iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = <MemoryStore as RecordStore>::ProvidedIter<'a>;

    fn get(&self, key: &RecordKey) -> Option<Cow<'_, Record>> {
        let package = head::package_of(key.as_ref()).ok()?;
        let catalogue = self.shelf.catalogue();
        let release = catalogue.head(&package)?;
        let value = head::encode(catalogue.key_log(&package.publisher)?, release)?;
        Some(Cow::Owned(Record { publisher: Some(self.local), ..Record::new(key.clone(), value) }))
    }

    fn put(&mut self, _: Record) -> store::Result<()> {
        // What is valid is in the catalogue already; nothing else is ever kept.
        Ok(())
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        // Nothing to replicate: every relay has its own catalogue.
        std::iter::empty()
    }

    fn add_provider(&mut self, record: ProviderRecord) -> store::Result<()> {
        self.providers.add_provider(record)
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        self.providers.providers(key)
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        self.providers.provided()
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        self.providers.remove_provider(key, provider);
    }
}
