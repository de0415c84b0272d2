//! What the operator of a relay excludes: releases, or all that a publisher releases. They are on no list of that relay. Nobody else is bound by it.
//!
//! In the map, the version says that it is excluded, and why (`p/`): so whoever compares, derives again or audits takes nothing for a lie that is none, and
//! a relay that leaves out a release without a word is found as ever. The checkpoint names the hash of the whole list. The
//! records stay members, whoever excludes them: they decide what a version is, and what relays have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::Catalogue;
use super::keys::PackageKey;
use crate::checkpoint::Root;
use crate::id::{PackageId, ParseError, PublisherId, RecordId};
use crate::limits::{MAX_EXCLUSIONS, MAX_REASON_BYTES};
use crate::merkle::Hash;
use crate::record::{Record, Release, Verified, is_unprintable};

/// Record ids of releases, and of inceptions for all that their publishers release, each with the reason.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exclusions(BTreeMap<RecordId, Arc<str>>);

/// Why there is no such list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExclusionError {
    /// A line is none of such a list.
    #[error("line {line}: {source}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        source: Box<Self>,
    },
    /// What should be an id is none.
    #[error("not the id of a record or a publisher: {0}")]
    Id(#[from] ParseError),
    /// The reason can't be shown.
    #[error("the reason is one line of at most {MAX_REASON_BYTES} bytes, without control characters")]
    Reason,
    /// There are more than a relay is to carry.
    #[error("at most {MAX_EXCLUSIONS} releases and publishers can be excluded")]
    TooMany,
}

impl Exclusions {
    /// Excludes a release or a publisher, or gives another reason for it; an empty one is none. Whether that changed anything.
    ///
    /// # Errors
    /// [`ExclusionError::Reason`], [`ExclusionError::TooMany`].
    pub fn add(&mut self, id: RecordId, reason: &str) -> Result<bool, ExclusionError> {
        if !is_reason(reason) {
            return Err(ExclusionError::Reason);
        }
        if self.0.len() >= MAX_EXCLUSIONS && !self.0.contains_key(&id) {
            return Err(ExclusionError::TooMany);
        }
        Ok(self.0.insert(id, reason.into()).as_deref() != Some(reason))
    }

    /// Excludes a release or a publisher no more. Whether it was excluded.
    pub fn remove(&mut self, id: &RecordId) -> bool {
        self.0.remove(id).is_some()
    }

    /// Why a release is excluded, itself or with its publisher; None: it is not.
    pub fn reason(&self, release: &Verified<Release>) -> Option<&Arc<str>> {
        // The id of a publisher is that of its inception.
        let publisher = RecordId::from_bytes(*release.publisher.as_bytes());
        self.0.get(&release.id()).or_else(|| self.0.get(&publisher))
    }

    /// How many lines the list has.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is excluded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each with its reason, in the order of ids.
    pub fn iter(&self) -> impl Iterator<Item = (&RecordId, &str)> {
        self.0.iter().map(|(id, reason)| (id, &**reason))
    }

    /// The hash of the list as it is written, for the checkpoint; None when it is empty.
    pub fn hash(&self) -> Option<Root> {
        let hash = || blake3::derive_key("ggen marketplace 2026 exclusions", self.to_string().as_bytes());
        (!self.is_empty()).then(|| Hash::from_bytes(hash()).into())
    }
}

/// Whether a reason may be shown: one line, not too long.
pub(super) fn is_reason(text: &str) -> bool {
    text.len() <= MAX_REASON_BYTES && text.trim() == text && !text.chars().any(is_unprintable)
}

/// A line for each, in the order of ids: the id, and behind a space the reason if there is one.
impl fmt::Display for Exclusions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|(id, reason)| match reason {
            "" => writeln!(f, "{id}"),
            reason => writeln!(f, "{id} {reason}"),
        })
    }
}

/// Lines as they are written, in any order. Empty ones say nothing.
impl FromStr for Exclusions {
    type Err = ExclusionError;

    fn from_str(text: &str) -> Result<Self, ExclusionError> {
        let mut exclusions = Self::default();
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let line_error = |source| ExclusionError::Line { line: at + 1, source: Box::new(source) };
            let (id, reason) = line.trim().split_once(char::is_whitespace).unwrap_or((line.trim(), ""));
            let id = id.parse().map_err(|error| line_error(ExclusionError::Id(error)))?;
            exclusions.add(id, reason.trim()).map_err(line_error)?;
        }
        Ok(exclusions)
    }
}

impl Catalogue {
    /// What is excluded.
    pub const fn exclusions(&self) -> &Exclusions {
        &self.exclusions
    }

    /// Excludes these from now on, whether they are here or come later, and none that were excluded before and are not among them. Packages that have
    /// another head than before, or none any more.
    pub fn exclude(&mut self, exclusions: Exclusions) -> Vec<PackageId> {
        let before = std::mem::replace(&mut self.exclusions, exclusions);
        let changed = before.0.keys().chain(self.exclusions.0.keys());
        let changed = changed.filter(|id| before.0.get(*id) != self.exclusions.0.get(*id));
        let releases: Vec<Verified<Release>> = changed.flat_map(|id| self.meant_by(id)).cloned().collect();
        let mut touched = BTreeSet::new();
        for release in releases {
            let (key, reason) = (PackageKey::of(&release.package()), self.exclusions.reason(&release).cloned());
            self.change_version(key, &release.version, |package| {
                package.exclude(&release.version, &release.id(), reason);
            });
            touched.insert(key);
        }
        touched.into_iter().filter_map(|key| self.list_again(key)).collect()
    }

    /// The releases that an id excludes: one, or all of a publisher.
    fn meant_by(&self, id: &RecordId) -> Vec<&Verified<Release>> {
        match self.records.get(id) {
            Some(Record::Release(release)) => vec![release],
            Some(Record::Inception(_)) => {
                let publisher = self.publishers.get(&PublisherId::from_inception(*id));
                let ids = publisher.into_iter().flat_map(|publisher| publisher.slots.values().flatten());
                ids.filter_map(|id| self.release(id)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The releases that are here and named by what is excluded.
    pub fn excluded(&self) -> impl Iterator<Item = &Verified<Release>> {
        let all: BTreeMap<RecordId, &Verified<Release>> =
            self.exclusions.0.keys().flat_map(|id| self.meant_by(id)).map(|release| (release.id(), release)).collect();
        all.into_values()
    }

    /// Whether a release is excluded, or its version is because of another one that delivers the same.
    pub fn is_excluded(&self, release: &Verified<Release>) -> bool {
        let version = || self.listed(&release.package())?.version(&release.version);
        self.exclusions.reason(release).is_some()
            || version().is_some_and(|shown| shown.leaf.stands().excluded.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::build::Builder;
    use crate::catalogue::keys;
    use crate::catalogue::testing::{Publisher, catalogue, depends_on, other_artifact};
    use crate::record::State;

    fn exclusions<'a>(all: impl IntoIterator<Item = (&'a Verified<Release>, &'a str)>) -> Exclusions {
        let mut exclusions = Exclusions::default();
        for (release, reason) in all {
            exclusions.add(release.id(), reason).unwrap();
        }
        exclusions
    }

    #[test]
    fn a_list_is_read_as_it_is_written_and_bad_lines_are_named() {
        let one = Publisher::new(1);
        let [first, second] = [0, 1].map(|index| one.release(index, "a", &format!("{index}.0.0"), |_| {}));
        let list = exclusions([(&first, "it is malware"), (&second, "")]);
        assert_eq!(list.to_string().parse(), Ok(list.clone()));
        let text = format!("\n  {}\tit is malware \n{}", first.id(), second.id());
        assert_eq!(text.parse(), Ok(list));
        let list_of = |text: &str| text.parse::<Exclusions>().unwrap();
        let refused = |text: &str| text.parse::<Exclusions>().unwrap_err();
        let is_of_id = |source: &ExclusionError| matches!(source, ExclusionError::Id(_));
        assert!(matches!(refused("\nnone so"), ExclusionError::Line { line: 2, source } if is_of_id(&source)));
        for reason in ["x".repeat(MAX_REASON_BYTES + 1), "a\u{202e}b".into()] {
            let source = Box::new(ExclusionError::Reason);
            assert_eq!(refused(&format!("{} {reason}", first.id())), ExclusionError::Line { line: 1, source });
        }
        assert_eq!(Exclusions::default().add(first.id(), "two\nlines"), Err(ExclusionError::Reason));
        assert_eq!(Exclusions::default().hash(), None);
        assert_ne!(list_of(&text).hash(), list_of(&text.replace("malware", "harmless")).hash());
    }

    #[test]
    fn a_list_is_bounded() {
        let id = |number: usize| RecordId::from_bytes(*blake3::hash(&number.to_be_bytes()).as_bytes());
        let mut list = Exclusions::default();
        for number in 0..MAX_EXCLUSIONS {
            assert_eq!(list.add(id(number), ""), Ok(true));
        }
        assert_eq!(list.add(id(MAX_EXCLUSIONS), ""), Err(ExclusionError::TooMany));
        assert_eq!((list.add(id(7), ""), list.add(id(7), "a reason")), (Ok(false), Ok(true)));
        assert!(list.remove(&id(7)) && !list.remove(&id(7)));
        assert_eq!(list.add(id(MAX_EXCLUSIONS), ""), Ok(true));
    }

    #[test]
    fn what_is_excluded_stays_a_version_and_is_on_no_list() {
        let [one, two] = [1, 2].map(Publisher::new);
        let base = two.release(0, "base", "1.0.0", |_| {});
        let old = one.release(0, "a", "1.0.0", |release| release.description = "older".into());
        let new = one.release(1, "a", "2.0.0", |release| {
            release.description = "newer".into();
            release.dependencies = vec![depends_on(&base.package())];
        });
        let mut catalogue = catalogue(&[&one, &two], [base.clone(), old.clone(), new.clone()]);
        let (before, package) = (catalogue.clone(), old.package());
        let records = |catalogue: &Catalogue| catalogue.map().hash(&keys::records());

        let packages = std::slice::from_ref(&package);
        assert_eq!(catalogue.exclude(exclusions([(&new, "it is malware")])), packages);
        assert_eq!(catalogue.head(&package), Some(&old));
        assert_eq!(catalogue.package(&package).count(), 2);
        assert_eq!(records(&catalogue), records(&before), "what relays have in common");
        assert_eq!(catalogue.dependents(&base.package()).count(), 0);
        let leaves = || catalogue.map().iter(b"p/").values();
        let reasons: Vec<_> = leaves().filter_map(|leaf| leaf.stands().excluded.map(str::to_owned)).collect();
        assert_eq!(reasons, ["it is malware"]);
        assert_eq!(catalogue.excluded().map(Verified::id).collect::<Vec<_>>(), [new.id()]);

        // With nothing else, the package is on no list at all.
        assert_eq!(catalogue.exclude(exclusions([(&new, "x"), (&old, "y")])), packages);
        assert_eq!(catalogue.head(&package), None);
        assert!(catalogue.map().iter(b"n/").count() == 1 && catalogue.resolve(&one.full_name("a")).count() == 1);

        assert_eq!(catalogue.exclude(Exclusions::default()), packages);
        assert!(catalogue == before);
    }

    #[test]
    fn all_that_a_publisher_releases_is_excluded_with_it() {
        let [one, two] = [1, 2].map(Publisher::new);
        let release = |who: &Publisher, index| who.release(index, "a", &format!("{index}.0.0"), |_| {});
        let mut catalogue = catalogue(&[&one, &two], [release(&one, 0), release(&one, 1), release(&two, 0)]);
        let mut list = Exclusions::default();
        list.add(one.inception.id(), "spam").unwrap();
        assert_eq!(catalogue.exclude(list), [one.package("a")]);
        catalogue.insert(Record::Release(Box::new(release(&one, 2)))).unwrap();
        assert_eq!((catalogue.head(&one.package("a")), catalogue.excluded().count()), (None, 3));
        assert!(catalogue.head(&two.package("a")).is_some());
    }

    #[test]
    fn the_same_signed_once_more_is_excluded_and_another_delivery_is_not() {
        let one = Publisher::new(1);
        let titled =
            |title: &str, index| one.release(index, "a", "1.0.0", |release| release.title = Some(title.into()));
        let mut all: Vec<_> = (0..4).map(|index| titled(&format!("title {index}"), index)).collect();
        all.sort_by_key(Verified::id);
        // It was the smallest when it was excluded.
        let mut catalogue = catalogue(&[&one], [all[3].clone()]);
        catalogue.exclude(exclusions([(&all[3], "it is malware")]));
        for copy in &all[..3] {
            catalogue.insert(Record::Release(Box::new(copy.clone()))).unwrap();
            assert_eq!(catalogue.head(&one.package("a")), None);
        }
        let other = one.release(9, "a", "1.0.1", |release| release.artifact = all[3].artifact);
        catalogue.insert(Record::Release(Box::new(other.clone()))).unwrap();
        assert_eq!(catalogue.head(&one.package("a")), Some(&other), "another version is another matter");
    }

    #[test]
    fn when_it_is_excluded_does_not_matter() {
        let one = Publisher::new(1);
        let release = |index: u32, name: &str, version: &str| one.release(index, name, version, |_| {});
        let releases: Vec<_> =
            (0..6).map(|index| release(index, &format!("p-{}", index % 2), &format!("{index}.0.0"))).collect();
        let contesting = one.release(6, "p-0", "4.0.0", |it| it.artifact = other_artifact("other"));
        let states = [State::Deprecated, State::Yanked, State::Active];
        let statuses = (0..3).map(|at| one.status(10 + at, "p-1", "5.0.0", at.into(), states[at as usize], |_| {}));
        let statuses = statuses.map(|status| Record::Status(Box::new(status)));
        // Of what its key signed, a rotation keeps half.
        let kept: Vec<RecordId> = releases.iter().skip(1).step_by(2).map(Verified::id).collect();
        let rotated = one.rotate(&kept);
        let later = rotated.after.release(20, "p-1", "6.0.0", |_| {});
        let copy = rotated.after.release(21, "p-1", "6.0.0", |it| it.title = Some("once more".into()));
        // Whoever depends on it counts for its rank, listed or not.
        let two = Publisher::new(2);
        let user = two.release(0, "user", "1.0.0", |it| it.dependencies = vec![depends_on(&later.package())]);
        let records: Vec<Record> = [one.inception(), two.inception()]
            .into_iter()
            .chain(
                releases.iter().chain([&contesting, &user]).map(|release| Record::Release(Box::new(release.clone()))),
            )
            .chain(statuses)
            .chain(rotated.records())
            .chain([later.clone(), copy].map(|release| Record::Release(Box::new(release))))
            .collect();
        let all = [releases[5].id(), releases[2].id(), contesting.id(), later.id(), user.id(), one.inception.id()];
        for count in 0..=all.len() {
            for excluded_at in 0..=records.len() {
                let mut list = Exclusions::default();
                all[..count].iter().for_each(|id| _ = list.add(*id, "a reason").unwrap());
                let mut one_by_one = Catalogue::new();
                let mut builder = Builder::new().excluding(list.clone());
                for (at, record) in records.iter().enumerate() {
                    if at == excluded_at {
                        one_by_one.exclude(list.clone());
                    }
                    // Others were excluded before.
                    if at == excluded_at / 2 && excluded_at > 0 {
                        one_by_one.exclude(exclusions([(&releases[5], "before"), (&releases[3], "")]));
                    }
                    one_by_one.insert(record.clone()).unwrap();
                    builder.insert(record.clone()).unwrap();
                }
                one_by_one.exclude(list.clone());
                assert!(one_by_one == builder.finish(), "{count} {excluded_at}");
                assert!(one_by_one.derived_by(one_by_one.rules()) == one_by_one);
            }
        }
    }
}
