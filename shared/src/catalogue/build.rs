//! The catalogue of many records at once: what a relay does at its start. The same as offering one after the other, only faster:
//! signatures are verified in parallel, heads are listed when all is known, and all entries are derived, sorted, and made into the map
//! in parts that stand apart.

use std::collections::BTreeMap;

use super::keys::{self, PackageKey, ShortId};
use super::leaf::{Leaf, Listed, own_entries};
use super::listing::counted;
use super::package::Package;
use super::{Catalogue, Exclusions, InsertError};
use crate::id::Network;
use crate::merkle::{Map, Value};
use crate::parallel;
use crate::record::{Record, UnverifiedRecord};
use crate::rules::Rules;
use crate::search::rank::Popularity;

/// Bytes of a key by which entries are put into groups, so that less has to be sorted at a time.
const GROUP_BYTES: usize = 3;
/// How many records, or packages, are worked on at a time: so few that all cores are busy to the end.
const PART: usize = 256;
/// How many packages have their entries put into groups of their own: so many that a group of theirs is worth an allocation.
const LARGE_PART: usize = 4096;

/// A catalogue that is being filled and has no map yet.
#[derive(Debug)]
pub struct Builder(Catalogue);

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
}

/// Decoded records: a key log is needed before what it verifies.
#[derive(Default)]
struct Decoded {
    key_events: Vec<UnverifiedRecord>,
    others: Vec<UnverifiedRecord>,
    invalid: usize,
}

impl Builder {
    /// Of no records.
    pub fn new() -> Self {
        Self::by(Rules::default())
    }

    /// Of no records, with views by some rules.
    pub fn by(rules: Rules) -> Self {
        Self(Catalogue { is_deferred: true, ..Catalogue::by(rules) })
    }

    /// Excludes these, as [`Catalogue::exclude`] does: before any record is offered.
    #[must_use]
    pub fn excluding(mut self, exclusions: Exclusions) -> Self {
        self.0.exclusions = exclusions;
        self
    }

    /// What is known so far, but for how packages are listed and the map.
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

    /// Verifies encoded records that were verified before they were stored, and offers them: all but the work of identities, which would take
    /// milliseconds for each. A record's whole key log is among them, or was offered before. Returns how many were left out, because they
    /// do not verify or can't be offered.
    pub fn load<B: AsRef<[u8]> + Sync>(&mut self, encoded: &[B], network: &Network) -> usize {
        let mut left_out = 0;
        let (mut key_events, mut others) = (Vec::new(), Vec::new());
        for decoded in parallel::map(encoded.chunks(PART).collect(), Decoded::of) {
            left_out += decoded.invalid;
            key_events.extend(decoded.key_events);
            others.push(decoded.others);
        }
        left_out += self.load_key_events(key_events, network);
        let key_logs = &self.0;
        let verify = |record: UnverifiedRecord| {
            let publisher = record.publisher();
            record.verify(key_logs.key_log(&publisher), network).ok()
        };
        let verify_part = |part: Vec<_>| part.into_iter().map(verify).collect::<Vec<_>>();
        for record in parallel::map(others, verify_part).into_iter().flatten() {
            left_out += usize::from(!self.offer(record));
        }
        left_out
    }

    /// Loads key events, as long as one more of them follows those before. How many belong to no key log.
    fn load_key_events(&mut self, mut events: Vec<UnverifiedRecord>, network: &Network) -> usize {
        loop {
            let before = events.len();
            events.retain(|event| {
                let verified = match event.clone() {
                    UnverifiedRecord::Inception(inception) => inception.verify_again(network).map(Record::Inception),
                    event => {
                        let publisher = event.publisher();
                        event.verify(self.0.key_log(&publisher), network)
                    }
                };
                !self.offer(verified.ok())
            });
            if events.is_empty() || events.len() == before {
                return events.len();
            }
        }
    }

    fn offer(&mut self, record: Option<Record>) -> bool {
        record.is_some_and(|record| self.insert(record).is_ok())
    }

    /// The catalogue of all that was offered.
    pub fn finish(self) -> Catalogue {
        let mut catalogue = self.0;
        catalogue.is_deferred = false;
        catalogue.list_all();
        catalogue.map = catalogue.derive_map();
        catalogue
    }
}

impl Decoded {
    fn of<B: AsRef<[u8]>>(encoded: &[B]) -> Self {
        let mut decoded = Self::default();
        for bytes in encoded {
            match UnverifiedRecord::decode(bytes.as_ref()) {
                Ok(event) if event.is_key_event() => decoded.key_events.push(event),
                Ok(other) => decoded.others.push(other),
                Err(_) => decoded.invalid += 1,
            }
        }
        decoded
    }
}

impl Catalogue {
    /// The same records, with their views by other rules.
    pub fn derived_by(&self, rules: Rules) -> Self {
        let mut other = Self { rules, dependents: BTreeMap::new(), ..self.clone() };
        other.list_all();
        other.map = other.derive_map();
        other
    }

    /// Lists every package by its head.
    fn list_all(&mut self) {
        let all: Vec<&PackageKey> = self.packages.keys().collect();
        let list = |key: &&PackageKey| {
            let release = self.release(&self.packages.get(key)?.head()?)?;
            Some((**key, Listed::of(release, Popularity::default(), self.rules), counted(release)))
        };
        let list_part = |part: &[_]| part.iter().filter_map(list).collect::<Vec<_>>();
        let parts = parallel::map(all.chunks(PART).collect(), list_part);
        for (_, listed, dependees) in parts.iter().flatten() {
            for dependee in dependees {
                *self.dependents.entry(*dependee).or_default().entry(listed.publisher).or_default() += 1;
            }
        }
        for (key, listed, _) in parts.into_iter().flatten() {
            let popularity = self.popularity(&key);
            if let Some(package) = self.packages.get_mut(&key) {
                package.listing = Some(Leaf::of(Listed { popularity, ..listed }));
            }
        }
    }

    /// The map of all entries.
    fn derive_map(&self) -> Map<Leaf> {
        let all: Vec<_> = self.packages.iter().collect();
        let mut parts = parallel::map(all.chunks(LARGE_PART).collect(), |packages| self.entries_of_part(packages));
        parts.push(self.other_entries());

        let mut groups: BTreeMap<u32, Vec<Group<'_>>> = BTreeMap::new();
        for (begins, group) in parts.into_iter().flat_map(|part| part.groups) {
            groups.entry(begins).or_default().push(group);
        }
        let maps = parallel::map(groups.into_values().collect(), into_map);
        Map::join(maps).expect("groups of keys that begin alike stand apart")
    }

    fn entries_of_part<'a>(&'a self, packages: &[(&PackageKey, &'a Package)]) -> Groups<'a> {
        let mut groups = Groups::default();
        for (key, package) in packages {
            for (version, shown) in package.versions_shown() {
                for entry in shown.entries(key, version) {
                    groups.add(&entry, shown.leaf);
                }
            }
            if let Some((leaf, listed)) = package.listing.as_ref().and_then(|leaf| Some((leaf, leaf.listed()?))) {
                self.each_entry_of(listed, |entry| groups.add(entry, leaf));
            }
        }
        // What they could still grow into would be a third of all memory.
        groups.groups.iter_mut().for_each(|(_, group)| group.shrink());
        groups
    }

    /// The entries of records, and of publishers who depend on a package.
    fn other_entries(&self) -> Groups<'static> {
        let mut groups = Groups::default();
        for record in self.records.values() {
            own_entries(record).iter().for_each(|entry| groups.add(entry, &Leaf::NONE));
        }
        for (package, publishers) in &self.dependents {
            for publisher in publishers.keys() {
                groups.add(&[&keys::dependent_publishers(package), &publisher.as_bytes()[..]].concat(), &Leaf::NONE);
            }
        }
        groups
    }
}

/// Entries by the first bytes of their keys, as a number.
#[derive(Default)]
struct Groups<'a> {
    groups: Vec<(u32, Group<'a>)>,
    /// Where each is.
    places: BTreeMap<u32, usize>,
    /// The one that was added to last: mostly the next entry belongs to it too.
    last: Option<(u32, usize)>,
}

/// Keys one behind the other, each without the end that its value knows. They are many: no allocation for each, and what can be told
/// later is not kept.
#[derive(Default)]
struct Group<'a> {
    keys: Vec<u8>,
    /// How many bytes of each are kept, and the value.
    lengths: Vec<u8>,
    leaves: Vec<&'a Leaf>,
}

impl<'a> Groups<'a> {
    /// Where the group is of keys that begin so.
    fn place(&mut self, begins: u32) -> usize {
        *self.places.entry(begins).or_insert_with(|| {
            self.groups.push((begins, Group::default()));
            self.groups.len() - 1
        })
    }

    fn add(&mut self, key: &[u8], leaf: &'a Leaf) {
        let begins = key.iter().chain(&[0; GROUP_BYTES]).take(GROUP_BYTES);
        let begins = begins.fold(0, |number, byte| number << 8 | u32::from(*byte));
        let last = self.last.filter(|(last, _)| *last == begins);
        let at = last.map_or_else(|| self.place(begins), |(_, at)| at);
        self.last = Some((begins, at));
        let group = &mut self.groups[at].1;
        let head = key.strip_suffix(leaf.tail()).expect("whatever lists a package ends with its head");
        group.keys.extend_from_slice(head);
        group.lengths.push(u8::try_from(head.len()).expect("keys are shorter than that"));
        group.leaves.push(leaf);
    }
}

impl<'a> Group<'a> {
    fn shrink(&mut self) {
        self.keys.shrink_to_fit();
        self.lengths.shrink_to_fit();
        self.leaves.shrink_to_fit();
    }

    fn entries(&self) -> impl Iterator<Item = (&[u8], &'a Leaf)> {
        let mut rest = &self.keys[..];
        self.lengths.iter().zip(&self.leaves).map(move |(length, leaf)| {
            let (head, behind) = rest.split_at(usize::from(*length));
            rest = behind;
            (head, *leaf)
        })
    }
}

/// A key of a group, which is mostly told from another by a few bytes that are at hand.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    /// The bytes behind those that the whole group has; zeros behind the last one.
    begins: u128,
    bytes: &'a [u8],
}

impl<'a> Key<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        let behind = &bytes[bytes.len().min(GROUP_BYTES)..];
        let behind = &behind[..behind.len().min(16)];
        let mut begins = [0; 16];
        begins[..behind.len()].copy_from_slice(behind);
        Self { begins: u128::from_be_bytes(begins), bytes }
    }
}

impl AsRef<[u8]> for Key<'_> {
    fn as_ref(&self) -> &[u8] {
        self.bytes
    }
}

/// The map of the pieces of one group, hashed.
fn into_map(pieces: Vec<Group<'_>>) -> Map<Leaf> {
    let count = pieces.iter().map(|piece| piece.leaves.len()).sum();
    let heads: usize = pieces.iter().map(|piece| piece.keys.len()).sum();
    let mut keys = Vec::with_capacity(heads + count * ShortId::BYTES);
    let mut ends = Vec::with_capacity(count);
    for piece in pieces {
        for (head, leaf) in piece.entries() {
            keys.extend_from_slice(head);
            keys.extend_from_slice(leaf.tail());
            ends.push((keys.len(), leaf));
        }
    }
    let starts = std::iter::once(0).chain(ends.iter().map(|(end, _)| *end));
    let mut entries: Vec<_> =
        starts.zip(&ends).map(|(start, (end, leaf))| (Key::of(&keys[start..*end]), *leaf)).collect();
    drop(ends);
    entries.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    let map = Map::from_sorted_refs(&entries).expect("entries are derived once each, and their keys are short");
    map.root();
    map
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::testing::{OTHER_RULES, Publisher, catalogue, depends_on, other_artifact};

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

    #[test]
    fn other_rules_make_other_views_of_the_same_records() {
        let [one, two] = [1, 2].map(Publisher::new);
        let base = one.release(0, "base", "1.0.0", |release| release.authors = vec!["Ada".into()]);
        let user = two.release(0, "user", "1.0.0", |release| {
            release.dependencies = vec![depends_on(&base.package())];
        });
        let first = catalogue(&[&one, &two], [base, user]);
        let other = first.derived_by(OTHER_RULES);
        assert_eq!((first.rules(), other.rules()), (Rules::FIRST, OTHER_RULES));
        assert!(first.records().eq(other.records()) && first.map() != other.map());
        let (mut inserted, mut built) = (Catalogue::by(OTHER_RULES), Builder::by(OTHER_RULES));
        for record in [one.inception(), two.inception()].iter().chain(first.records()) {
            inserted.insert(record.clone()).unwrap();
            built.insert(record.clone()).unwrap();
        }
        assert!(other == inserted && other == built.finish());
        assert!(other.derived_by(Rules::FIRST) == first);
        // What is held and what was released is the same by both.
        let records = |catalogue: &Catalogue| catalogue.map().hash(&keys::records());
        assert_eq!(records(&first), records(&other));
    }
}
