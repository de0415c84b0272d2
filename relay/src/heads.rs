//! What the relay's DHT node serves: package heads, straight from the catalogue, and provider records.

use std::borrow::Cow;
use std::sync::Arc;

use ggen_shared::protocol::{head, names};
use libp2p::PeerId;
use libp2p::kad::store::{self, MemoryStore, MemoryStoreConfig, RecordStore};
use libp2p::kad::{ProviderRecord, Record, RecordKey};

use crate::admission::Shelf;
use crate::policy::{MAX_PROVIDED_KEY_BYTES, MAX_PROVIDED_KEYS, MAX_PROVIDER_ADDRESS_BYTES};

/// A record store without records of its own: heads are a view of the catalogue, so they are as durable and as valid as it is.
/// A head that is put goes through admission first, and is here once its release is.
pub struct HeadStore {
    local: PeerId,
    shelf: Arc<Shelf>,
    /// Relays, kept apart so that no flood of other keys takes their place.
    relays: MemoryStore,
    providers: MemoryStore,
}

impl HeadStore {
    /// The view of a catalogue.
    pub fn new(local: PeerId, shelf: Arc<Shelf>) -> Self {
        let store = |max_provided_keys| {
            let config = MemoryStoreConfig { max_provided_keys, max_records: 0, ..MemoryStoreConfig::default() };
            MemoryStore::with_config(local, config)
        };
        Self { local, shelf, relays: store(1), providers: store(MAX_PROVIDED_KEYS) }
    }

    fn store_of(&self, key: &RecordKey) -> &MemoryStore {
        if key.as_ref() == names::RELAYS_KEY { &self.relays } else { &self.providers }
    }

    fn store_of_mut(&mut self, key: &RecordKey) -> &mut MemoryStore {
        if key.as_ref() == names::RELAYS_KEY { &mut self.relays } else { &mut self.providers }
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

    fn add_provider(&mut self, mut record: ProviderRecord) -> store::Result<()> {
        // Kademlia bounds only the whole message, at 16 KiB: a key or address list of that size would be kept for two days.
        if record.key.as_ref().len() > MAX_PROVIDED_KEY_BYTES {
            return Err(store::Error::ValueTooLarge);
        }
        let mut bytes = 0;
        record.addresses.retain(|address| {
            bytes += address.len();
            bytes <= MAX_PROVIDER_ADDRESS_BYTES
        });
        record.addresses.shrink_to_fit();
        self.store_of_mut(&record.key).add_provider(record)
    }

    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        self.store_of(key).providers(key)
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        // A relay provides nothing but itself.
        self.relays.provided()
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        self.store_of_mut(key).remove_provider(key, provider);
    }
}
