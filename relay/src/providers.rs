//! Who else says to have some content: what peers put into the relay's part of the DHT.
//!
//! Identities cost nothing, and addresses of one network little: so room is shared by groups of IP addresses. Where there is none left, the
//! group that has most of it gives up its oldest record, which is the flood's own as long as anybody else has less.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ggen_net::address::IpGroup;
use ggen_shared::record::ContentId;
use libp2p::PeerId;
use libp2p::kad::{ProviderRecord, RecordKey};
use tokio::time::Instant;

use crate::policy::{MAX_KEYS_PER_PROVIDER, MAX_PROVIDED_CONTENT, MAX_PROVIDERS_PER_KEY};

/// Provider records of content.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    keys: HashMap<RecordKey, Vec<Entry>>,
    /// All records by their numbers, which is the order in which they expire.
    numbered: BTreeMap<u64, (RecordKey, PeerId)>,
    /// The numbers of what each group put.
    groups: HashMap<IpGroup, BTreeSet<u64>>,
    /// How much each group has.
    sizes: BTreeSet<(usize, IpGroup)>,
    /// How many records each provider has.
    per_provider: HashMap<PeerId, usize>,
    /// The number of the next record: later ones are higher.
    next: u64,
}

#[derive(Debug)]
struct Entry {
    record: ProviderRecord,
    group: IpGroup,
    number: u64,
}

impl Providers {
    /// Takes a record of a peer that is connected from an address of this group. Whether it is kept: the key has to be the hash of a block,
    /// and a peer may provide so much and no more.
    pub(crate) fn add(&mut self, record: ProviderRecord, group: IpGroup) -> bool {
        if ContentId::of_multihash(record.key.as_ref()).is_none() {
            return false;
        }
        self.forget_expired();
        let (key, provider) = (record.key.clone(), record.provider);
        // What it said before of the same makes room for what it says now.
        self.remove(&key, &provider);
        if self.per_provider.get(&provider).is_some_and(|count| *count >= MAX_KEYS_PER_PROVIDER) {
            return false;
        }
        if let Some(provider) = self.least_of(&key) {
            self.remove(&key, &provider);
        }
        if self.numbered.len() >= MAX_PROVIDED_CONTENT
            && let Some((key, provider)) = self.oldest_of_largest()
        {
            self.remove(&key, &provider);
        }
        let number = self.next;
        self.next += 1;
        self.numbered.insert(number, (key.clone(), provider));
        *self.per_provider.entry(provider).or_default() += 1;
        self.resize(group, |numbers| _ = numbers.insert(number));
        self.keys.entry(key).or_default().push(Entry { record, group, number });
        true
    }

    /// Who says to have the block of a hash, and has not said so too long ago.
    pub(crate) fn of<'a>(&'a self, key: &RecordKey) -> impl Iterator<Item = &'a ProviderRecord> + use<'a> {
        let now = Instant::now().into_std();
        let records = self.keys.get(key).into_iter().flatten().map(|entry| &entry.record);
        records.filter(move |record| !record.is_expired(now))
    }

    /// Forgets what a provider said of a key.
    pub(crate) fn remove(&mut self, key: &RecordKey, provider: &PeerId) {
        let Some(entries) = self.keys.get_mut(key) else { return };
        let Some(at) = entries.iter().position(|entry| entry.record.provider == *provider) else { return };
        let Entry { group, number, .. } = entries.remove(at);
        self.numbered.remove(&number);
        if entries.is_empty() {
            self.keys.remove(key);
        }
        if let Some(count) = self.per_provider.get_mut(provider) {
            *count -= 1;
            if *count == 0 {
                self.per_provider.remove(provider);
            }
        }
        self.resize(group, |numbers| _ = numbers.remove(&number));
    }

    /// Forgets what was said too long ago, so that it takes nobody's room. All is said for the same time, so the first are the first to expire.
    fn forget_expired(&mut self) {
        let now = Instant::now().into_std();
        while let Some((number, (key, provider))) = self.numbered.first_key_value() {
            let entry = self.keys.get(key).into_iter().flatten().find(|entry| entry.number == *number);
            if entry.is_some_and(|entry| !entry.record.is_expired(now)) {
                return;
            }
            let (key, provider) = (key.clone(), *provider);
            self.remove(&key, &provider);
        }
    }

    fn resize(&mut self, group: IpGroup, change: impl FnOnce(&mut BTreeSet<u64>)) {
        let numbers = self.groups.entry(group).or_default();
        self.sizes.remove(&(numbers.len(), group));
        change(numbers);
        match numbers.len() {
            0 => _ = self.groups.remove(&group),
            size => _ = self.sizes.insert((size, group)),
        }
    }

    /// Of a key that has as many providers as it may have, the one that gives way: the oldest of the group with the most.
    fn least_of(&self, key: &RecordKey) -> Option<PeerId> {
        let entries = self.keys.get(key).filter(|entries| entries.len() >= MAX_PROVIDERS_PER_KEY)?;
        let size = |group: IpGroup| entries.iter().filter(|entry| entry.group == group).count();
        let least = entries.iter().max_by_key(|entry| (size(entry.group), std::cmp::Reverse(entry.number)))?;
        Some(least.record.provider)
    }

    fn oldest_of_largest(&self) -> Option<(RecordKey, PeerId)> {
        let (_, group) = self.sizes.last()?;
        self.numbered.get(self.groups.get(group)?.first()?).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FLOOD: IpGroup = IpGroup::V4([10, 66]);

    fn key(number: usize) -> RecordKey {
        RecordKey::new(&ContentId::of_raw(&number.to_be_bytes()).multihash_bytes())
    }

    fn record(key: &RecordKey, provider: PeerId) -> ProviderRecord {
        ProviderRecord::new(key.clone(), provider, vec!["/ip4/10.0.0.1/tcp/1".parse().unwrap()])
    }

    fn named(providers: &Providers, key: &RecordKey) -> Vec<PeerId> {
        providers.of(key).map(|record| record.provider).collect()
    }

    fn group(number: usize) -> IpGroup {
        IpGroup::V4([192, u8::try_from(number).unwrap()])
    }

    #[test]
    fn a_provider_is_named_once_by_what_it_said_last_until_that_expires() {
        let (mut providers, provider) = (Providers::default(), PeerId::random());
        assert!(providers.add(record(&key(0), provider), group(0)));
        let later = ProviderRecord::new(key(0), provider, Vec::new());
        assert!(providers.add(later.clone(), group(1)));
        assert_eq!(providers.of(&key(0)).collect::<Vec<_>>(), [&later]);
        assert_eq!(providers.numbered.len(), 1);
        let expires = Instant::now().into_std().checked_sub(Duration::from_secs(1));
        assert!(providers.add(ProviderRecord { expires, ..later }, group(0)));
        assert_eq!(providers.of(&key(0)).count(), 0);
        providers.remove(&key(0), &provider);
        assert_eq!((providers.numbered.len(), providers.groups.len(), providers.per_provider.len()), (0, 0, 0));
        assert!(!providers.add(record(&RecordKey::new(b"no hash"), provider), group(0)));
    }

    #[test]
    fn what_has_expired_takes_no_room() {
        let (mut providers, provider) = (Providers::default(), PeerId::random());
        let expires = Instant::now().into_std().checked_sub(Duration::from_secs(1));
        for number in 0..MAX_KEYS_PER_PROVIDER {
            assert!(providers.add(ProviderRecord { expires, ..record(&key(number), provider) }, group(0)));
        }
        assert!(providers.add(record(&key(MAX_KEYS_PER_PROVIDER), provider), group(0)));
        assert_eq!((providers.numbered.len(), providers.keys.len(), providers.per_provider[&provider]), (1, 1, 1));
    }

    #[test]
    fn many_identities_of_one_network_keep_nobody_from_a_key() {
        let mut providers = Providers::default();
        let honest: Vec<_> = (0..3).map(|_| PeerId::random()).collect();
        assert!(providers.add(record(&key(0), honest[0]), group(0)));
        for _ in 0..10 * MAX_PROVIDERS_PER_KEY {
            assert!(providers.add(record(&key(0), PeerId::random()), FLOOD));
        }
        // Whoever comes behind the flood is let in by it too.
        for (number, provider) in honest.iter().enumerate().skip(1) {
            assert!(providers.add(record(&key(0), *provider), group(number)));
        }
        let named = named(&providers, &key(0));
        assert_eq!(named.len(), MAX_PROVIDERS_PER_KEY);
        assert!(honest.iter().all(|provider| named.contains(provider)));
    }

    #[test]
    fn a_flood_of_keys_takes_its_own_room_and_no_more_than_there_is() {
        let mut providers = Providers::default();
        let honest: Vec<_> = (0..100).map(|number| (key(number), PeerId::random())).collect();
        for (number, (key, provider)) in honest.iter().enumerate() {
            assert!(providers.add(record(key, *provider), group(number)));
        }
        let one = PeerId::random();
        let taken = (0..2 * MAX_KEYS_PER_PROVIDER).filter(|number| providers.add(record(&key(*number), one), FLOOD));
        assert_eq!(taken.count(), MAX_KEYS_PER_PROVIDER, "one identity has its bound");
        for number in 0..MAX_PROVIDED_CONTENT + 10_000 {
            assert!(providers.add(record(&key(number), PeerId::random()), FLOOD));
        }
        assert_eq!(providers.numbered.len(), MAX_PROVIDED_CONTENT);
        assert!(honest.iter().all(|(key, provider)| named(&providers, key).contains(provider)));
        assert_eq!(providers.keys.values().map(Vec::len).sum::<usize>(), MAX_PROVIDED_CONTENT);
        assert_eq!(providers.per_provider.values().sum::<usize>(), MAX_PROVIDED_CONTENT);
    }
}
