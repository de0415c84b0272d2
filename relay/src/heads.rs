//! What the relay's DHT node serves: package heads, straight from the catalogue; who the relays are; which blocks it has.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ggen_net::address::IpGroup;
use ggen_shared::protocol::{head, names};
use ggen_shared::record::ContentId;
use libp2p::PeerId;
use libp2p::kad::store::{self, RecordStore};
use libp2p::kad::{ProviderRecord, Record, RecordKey};
use tokio::time::Instant;

use crate::admission::Shelf;
use crate::policy::{MAX_PROVIDED_RELAYS, MAX_PROVIDED_RELAYS_PER_GROUP, MAX_PROVIDER_ADDRESS_BYTES};
use crate::providers::Providers;

/// A record store without records of its own: heads are a view of the catalogue, so they are as durable and as valid as it is.
/// A head that is put goes through admission first, and is here once its release is.
///
/// That this relay has a block is a view too, of its store: nothing is announced, and what left the store is not said to be here. Relays that
/// have it are found because a lookup asks those that are nearest to the block, which in a network where each holds everything have it.
/// Others say by themselves that they are relays, or have content: see [`Self::provide`].
pub struct HeadStore {
    local: PeerId,
    shelf: Arc<Shelf>,
    /// This relay itself, once it provides.
    own: Option<ProviderRecord>,
    /// The others: at most [`MAX_PROVIDED_RELAYS`].
    others: Vec<(IpGroup, ProviderRecord)>,
    /// Which of the others comes first in the next answer.
    next: AtomicUsize,
    /// Who else has content.
    content: Providers,
}

impl HeadStore {
    /// The view of a catalogue.
    pub fn new(local: PeerId, shelf: Arc<Shelf>) -> Self {
        Self { local, shelf, own: None, others: Vec::new(), next: AtomicUsize::new(0), content: Providers::default() }
    }

    /// Takes what a peer says of itself, which is connected from an address of this group: that it is a relay, or has content. Whether it is
    /// kept.
    pub fn provide(&mut self, mut record: ProviderRecord, group: IpGroup) -> bool {
        if record.provider == self.local {
            return false;
        }
        // Kademlia bounds only the whole message: an address list of that size would be kept for two days.
        let mut bytes = 0;
        record.addresses.retain(|address| {
            bytes += address.len();
            bytes <= MAX_PROVIDER_ADDRESS_BYTES
        });
        record.addresses.shrink_to_fit();
        if record.key.as_ref() != names::RELAYS_KEY {
            return self.content.add(record, group);
        }
        self.provide_relay(record, group)
    }

    fn provide_relay(&mut self, record: ProviderRecord, group: IpGroup) -> bool {
        if let Some(known) = self.others.iter_mut().find(|(_, known)| known.provider == record.provider) {
            *known = (group, record);
            return true;
        }
        let count = |others: &[(IpGroup, _)]| others.iter().filter(|(other, _)| *other == group).count();
        let is_full =
            |others: &[_]| others.len() >= MAX_PROVIDED_RELAYS || count(others) >= MAX_PROVIDED_RELAYS_PER_GROUP;
        if is_full(&self.others) {
            let now = Instant::now().into_std();
            self.others.retain(|(_, known)| !known.is_expired(now));
        }
        // Those that were here first stay: a flood of names does not displace them.
        let has_room = !is_full(&self.others);
        if has_room {
            self.others.push((group, record));
        }
        has_room
    }

    /// This relay, if it has the block of some hash. Where it is, Kademlia adds.
    fn provider_of(&self, key: &RecordKey) -> Option<ProviderRecord> {
        let blocks = ContentId::of_multihash(key.as_ref())?;
        let has = |block| self.shelf.store().seems_to_have(block) && !self.shelf.withholds(block);
        blocks.iter().any(has).then(|| ProviderRecord::new(key.clone(), self.local, Vec::new()))
    }
}

impl RecordStore for HeadStore {
    type RecordsIter<'a> = std::iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = std::option::IntoIter<Cow<'a, ProviderRecord>>;

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

    /// Takes what this relay says of itself; of others, see [`Self::provide`].
    fn add_provider(&mut self, record: ProviderRecord) -> store::Result<()> {
        if record.key.as_ref() != names::RELAYS_KEY || record.provider != self.local {
            return Err(store::Error::MaxProvidedKeys);
        }
        self.own = Some(record);
        Ok(())
    }

    /// The relay itself, then the others, another one first each time: an answer carries only the first twenty.
    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        if key.as_ref() != names::RELAYS_KEY {
            return self.provider_of(key).into_iter().chain(self.content.of(key).cloned()).collect();
        }
        let first = self.next.fetch_add(1, Ordering::Relaxed) % self.others.len().max(1);
        let (last, first) = self.others.split_at(first);
        self.own.iter().chain(first.iter().chain(last).map(|(_, record)| record)).cloned().collect()
    }

    fn provided(&self) -> Self::ProvidedIter<'_> {
        // A relay provides nothing but itself.
        self.own.as_ref().map(Cow::Borrowed).into_iter()
    }

    fn remove_provider(&mut self, key: &RecordKey, provider: &PeerId) {
        if key.as_ref() != names::RELAYS_KEY {
            return self.content.remove(key, provider);
        }
        self.own.take_if(|own| own.provider == *provider);
        self.others.retain(|(_, known)| known.provider != *provider);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ggen_shared::id::Network;
    use ggen_shared::rules::Rules;

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_relay_provides_the_blocks_that_it_has_and_names_others_that_say_to_have_them() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        let shelf = Shelf::open(store.clone(), Network::named("test").unwrap(), Rules::FIRST).unwrap().0;
        let mut heads = HeadStore::new(PeerId::random(), Arc::new(shelf));
        let here = [ContentId::of_raw(b"leaf"), ContentId::of_dag_pb(b"node")];
        let blocks = vec![(here[0], b"leaf".to_vec()), (here[1], b"node".to_vec())];
        let key = |cid: &ContentId| RecordKey::new(&cid.multihash_bytes());
        assert!(heads.providers(&key(&here[0])).is_empty());
        store.commit(crate::store::Batch { blocks, ..Default::default() }).await.unwrap();
        for cid in &here {
            let providers = heads.providers(&key(cid));
            assert_eq!(providers.iter().map(|record| record.provider).collect::<Vec<_>>(), [heads.local]);
            let other = PeerId::random();
            assert!(heads.provide(ProviderRecord::new(key(cid), other, Vec::new()), IpGroup::Unknown));
            let providers = heads.providers(&key(cid));
            assert_eq!(providers.iter().map(|record| record.provider).collect::<Vec<_>>(), [heads.local, other]);
            assert!(!heads.provide(ProviderRecord::new(key(cid), heads.local, Vec::new()), IpGroup::Unknown));
            heads.remove_provider(&key(cid), &other);
            assert_eq!(heads.providers(&key(cid)).len(), 1);
        }
        for elsewhere in [key(&ContentId::of_raw(b"other")), RecordKey::new(b"no hash"), RecordKey::new(b"")] {
            assert!(heads.providers(&elsewhere).is_empty());
        }
    }

    #[tokio::test]
    async fn many_relays_are_bounded_and_all_of_them_are_named_in_turn() {
        let directory = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(Store::open(directory.path()).unwrap(), Network::named("test").unwrap(), Rules::FIRST)
            .unwrap()
            .0;
        let local = PeerId::random();
        let mut store = HeadStore::new(local, Arc::new(shelf));
        let key = RecordKey::new(&names::RELAYS_KEY);
        let of = |provider| ProviderRecord::new(key.clone(), provider, Vec::new());
        assert!(store.add_provider(ProviderRecord::new(RecordKey::new(b"other"), local, Vec::new())).is_err());

        let now = Instant::now().into_std();
        let old = PeerId::random();
        let expires = Some(now.checked_sub(Duration::from_secs(1)).unwrap());
        store.provide(ProviderRecord { expires, ..of(old) }, IpGroup::Unknown);
        let one_place = (0..MAX_PROVIDED_RELAYS).filter(|_| store.provide(of(PeerId::random()), IpGroup::V4([10, 66])));
        assert_eq!(one_place.count(), MAX_PROVIDED_RELAYS_PER_GROUP);
        for number in 0..2 * MAX_PROVIDED_RELAYS {
            let [.., high, low] = number.to_be_bytes();
            store.provide(of(PeerId::random()), IpGroup::V4([high, low]));
        }
        store.add_provider(of(local)).unwrap();
        let named = store.providers(&key);
        assert_eq!(named.len(), MAX_PROVIDED_RELAYS + 1);
        assert!(named.iter().all(|record| record.provider != old), "what expired makes room");
        assert_eq!(store.provided().map(|record| record.provider).collect::<Vec<_>>(), [local]);

        let mut first: Vec<PeerId> = Vec::new();
        for _ in 0..MAX_PROVIDED_RELAYS {
            let named = store.providers(&key);
            assert_eq!(named[0].provider, local);
            first.push(named[1].provider);
        }
        first.sort();
        first.dedup();
        assert_eq!(first.len(), MAX_PROVIDED_RELAYS);
        store.remove_provider(&key, &local);
        assert_eq!(store.provided().count(), 0);
    }
}
