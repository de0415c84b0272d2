//! The catalogue of many records at once: what a relay does at its start. The same as offering one after the other, only faster: all
//! entries are derived when all is known, sorted, and made into the map.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::keys::{self, PackageKey};
use super::leaf::{Leaf, Listed, own_entries};
use super::{Catalogue, InsertError};
use crate::merkle::Map;
use crate::record::Record;

/// Bytes of a key by which entries are put into groups, so that less has to be sorted at a time.
const GROUP_BYTES: usize = 3;

/// A catalogue that is being filled and has no map yet.
#[derive(Debug)]
pub struct Builder(Catalogue);

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

impl Builder {
    /// Of no records.
    pub fn new() -> Self {
        Self(Catalogue { is_deferred: true, ..Catalogue::default() })
    }

    /// What is known so far, but for its map.
    pub const fn catalogue(&self) -> &Catalogue {
        &self.0
    }

    /// Offers a record, as [`Catalogue::insert`] does.
    ///
    /// # Errors
    /// As [`Catalogue::insert`].
    pub fn insert(&mut self, record: Record) -> Result<(), InsertError> {
        self.0.insert(record).map(drop)
    }

    /// The catalogue of all that was offered.
    pub fn finish(self) -> Catalogue {
        let mut catalogue = self.0;
        catalogue.is_deferred = false;
        let packages: Vec<PackageKey> = catalogue.packages.keys().copied().collect();
        let mut groups = Groups::default();
        for key in packages {
            let popularity = catalogue.popularity(&key);
            let Some(package) = catalogue.packages.get_mut(&key) else { continue };
            for (version, standing, contesting) in package.pairs() {
                for entry in keys::version(&key, version, &standing, contesting.as_ref()) {
                    groups.add(&entry, &Leaf::NONE);
                }
            }
            let Some(listed) = package.listing.as_mut() else { continue };
            if listed.popularity != popularity {
                *listed = Arc::new(Listed { popularity, ..(**listed).clone() });
            }
            let listed = listed.clone();
            let leaf = Leaf::of(listed.clone());
            for entry in catalogue.entries_of(&listed) {
                groups.add(&entry, &leaf);
            }
        }
        for record in catalogue.records.values() {
            own_entries(record).iter().for_each(|entry| groups.add(entry, &Leaf::NONE));
        }
        for (package, publishers) in &catalogue.dependents {
            for publisher in publishers.keys() {
                groups.add(&[&keys::dependent_publishers(package), &publisher.as_bytes()[..]].concat(), &Leaf::NONE);
            }
        }
        catalogue.map = groups.into_map();
        catalogue
    }
}

/// Entries by what their keys begin with.
#[derive(Default)]
struct Groups(BTreeMap<Vec<u8>, Group>);

/// Keys one behind the other, and where each of them ends. They are many: no allocation for each.
#[derive(Default)]
struct Group {
    keys: Vec<u8>,
    entries: Vec<(usize, Leaf)>,
}

impl Groups {
    fn add(&mut self, key: &[u8], leaf: &Leaf) {
        let begins = &key[..key.len().min(GROUP_BYTES)];
        if !self.0.contains_key(begins) {
            self.0.insert(begins.to_vec(), Group::default());
        }
        if let Some(group) = self.0.get_mut(begins) {
            group.keys.extend_from_slice(key);
            group.entries.push((group.keys.len(), leaf.clone()));
        }
    }

    fn into_map(self) -> Map<Leaf> {
        let parts = self.0.into_values().map(Group::into_map).collect();
        Map::join(parts).expect("groups of keys that begin alike stand apart")
    }
}

impl Group {
    fn into_map(self) -> Map<Leaf> {
        let mut start = 0;
        let mut entries = Vec::with_capacity(self.entries.len());
        for (end, leaf) in self.entries {
            entries.push((&self.keys[start..end], leaf));
            start = end;
        }
        entries.sort_unstable_by_key(|(key, _)| *key);
        Map::from_sorted(&entries).expect("entries are derived once each, and their keys are short")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::testing::{Publisher, depends_on, other_artifact};

    #[test]
    fn it_is_what_offering_one_after_the_other_makes() {
        let publishers: Vec<_> = (1..=4).map(Publisher::new).collect();
        let mut records: Vec<Record> = publishers.iter().map(Publisher::inception).collect();
        for index in 0..60_u32 {
            let publisher = &publishers[index as usize % 4];
            let release = publisher.release(
                index / 3,
                &format!("package-{}", index % 17),
                &format!("1.{}.0", index % 5),
                |release| {
                    release.description = format!("about {} and {}", index % 7, index % 3);
                    release.categories = vec![format!("kind-{}", index % 2)];
                    release.dependencies = vec![depends_on(&publishers[0].package(&format!("package-{}", index % 5)))];
                    if index % 11 == 0 {
                        release.artifact = other_artifact(&index.to_string());
                    }
                },
            );
            records.push(Record::Release(Box::new(release)));
        }
        let (mut catalogue, mut builder) = (Catalogue::new(), Builder::new());
        for record in records {
            catalogue.insert(record.clone()).unwrap();
            builder.insert(record).unwrap();
        }
        let mut built = builder.finish();
        assert!(built == catalogue);
        // And goes on as such.
        let later = publishers[1].release(90, "package-1", "9.0.0", |_| {});
        for one in [&mut catalogue, &mut built] {
            one.insert(Record::Release(Box::new(later.clone()))).unwrap();
        }
        assert!(built == catalogue);
        assert_eq!(Builder::new().finish(), Catalogue::new());
    }
}
