//! The entries of the map: those that the table of [`keys`] says, and no others.

use std::collections::BTreeSet;

use crate::catalogue::keys::{self, PackageKey, ShortId};
use crate::catalogue::testing::{Publisher, catalogue, depends_on, other_artifact, record};
use crate::catalogue::{Catalogue, Inserted};
use crate::record::{Record, Release, Verified};
use crate::search::analyser::Tokens;
use crate::search::filter::{FILTER_BYTES, Filter};

type Keys = BTreeSet<Vec<u8>>;

fn keys_of(catalogue: &Catalogue) -> Keys {
    catalogue.map().iter(&[]).map(|(key, _)| key.to_vec()).collect()
}

/// What stands before the first slash of each key.
fn kinds(keys: &Keys) -> BTreeSet<&str> {
    let kind = |key: &Vec<u8>| key.iter().position(|byte| *byte == b'/').unwrap();
    keys.iter().map(|key| std::str::from_utf8(&key[..kind(key)]).unwrap()).collect()
}

const KINDS: [&str; 13] = ["a", "b", "c", "d", "dp", "h", "l", "n", "o", "p", "r", "t", "x"];

/// A release that has entries of every kind.
fn release(index: u32, version: &str, change: impl FnOnce(&mut Release)) -> Verified<Release> {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    two.release(index, "ab", version, |release| {
        release.categories = vec!["Web".into()];
        release.license = Some("MIT OR Apache-2.0".into());
        release.dependencies = vec![depends_on(&one.package("base"))];
        release.created = 5;
        change(release);
    })
}

#[test]
fn a_release_has_the_entries_of_the_table_and_no_others() {
    let (one, two) = (Publisher::with_handle(1, "one"), Publisher::with_handle(2, "two"));
    let release = two.release(0, "ab", "1.2.3", |release| {
        release.categories = vec!["Web".into()];
        release.license = Some("MIT OR Apache-2.0".into());
        release.dependencies = vec![depends_on(&one.package("base"))];
        release.created = 5;
    });
    let catalogue = catalogue(&[&one, &two], [release.clone()]);

    let (own, base) = (PackageKey::of(&two.package("ab")), PackageKey::of(&one.package("base")));
    let short = ShortId::of(&release.id());
    let short = &short.as_bytes()[..];
    let age = (!5_u64).to_be_bytes();
    // Eight bytes of rank: points from best to worst, then from new to old. A name of two letters has 24.
    let best = |range: &[u8], points: u16| [range, &(!points).to_be_bytes(), &age[2..], short].concat();
    let inverted = |numbers: [u64; 3]| numbers.map(|number| (!number).to_be_bytes()).concat();
    let expected = Keys::from([
        [b"r/", &one.id().as_bytes()[..], &[1], one.inception.id().as_bytes()].concat(),
        [b"r/", &two.id().as_bytes()[..], &[1], two.inception.id().as_bytes()].concat(),
        [b"r/", &two.id().as_bytes()[..], &[4], release.id().as_bytes()].concat(),
        [b"h/one\0", &one.id().as_bytes()[..]].concat(),
        [b"h/two\0", &two.id().as_bytes()[..]].concat(),
        [b"p/", &own.as_bytes()[..], &inverted([1, 2, 3]), &[0], &[0], short].concat(),
        [b"n/", &age[..], short].concat(),
        best(b"t/ab\0", 80 + 36 / 4 + 24),
        best(b"x/a\0", 30 + 18 / 4 + 24),
        best(b"x/ab\0", 80 + 36 / 4 + 24),
        best(b"t/web\0", 18 + 24),
        best(b"x/w\0", 6 + 24),
        best(b"x/we\0", 6 + 24),
        best(b"x/web\0", 18 + 24),
        best(b"c/web\0", 0),
        best(b"l/mit\0", 0),
        best(b"l/apache20\0", 0),
        best(&[b"o/", &two.id().as_bytes()[..]].concat(), 0),
        best(b"b/", 0),
        [b"a/ab\0", short].concat(),
        [b"d/", &base.as_bytes()[..], &age, short].concat(),
        [b"dp/", &base.as_bytes()[..], two.id().as_bytes()].concat(),
    ]);
    assert_eq!(keys_of(&catalogue), expected);
    assert_eq!(kinds(&expected), BTreeSet::from(KINDS));
}

#[test]
fn entries_of_packages_carry_the_filter_of_their_head_and_others_nothing() {
    let catalogue = catalogue(&[&Publisher::new(1), &Publisher::new(2)], [release(0, "1.0.0", |_| {})]);
    let release = release(0, "1.0.0", |_| {});
    let filter = Filter::of(&release, &Tokens::of(&release));
    for (key, leaf) in catalogue.map().iter(&[]) {
        let is_of_a_package = [&b"t/"[..], b"x/", b"c/", b"l/", b"o/", b"a/", b"b/", b"n/", b"d/"]
            .iter()
            .any(|kind| key.starts_with(kind));
        let expected: &[u8] = if is_of_a_package { filter.as_bytes() } else { &[] };
        assert_eq!(crate::merkle::Value::bytes(leaf), expected, "{}", key.escape_ascii());
    }
    assert_eq!(filter.as_bytes().len(), FILTER_BYTES);
}

#[test]
fn every_entry_of_a_record_goes_when_the_record_goes() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let base = one.release(0, "base", "1.0.0", |_| {});
    let plain = |name: &str| two.release(7, name, "1.0.0", |_| {});
    let (first, second) = (plain("first"), plain("second"));
    let described = |n: u32| release(7, "1.0.0", |release| release.description = format!("number {n}"));
    let displaced = (0..).map(described).find(|it| it.id() > first.id().max(second.id())).unwrap();

    let mut catalogue_with = catalogue(&[&one, &two], [base.clone(), displaced.clone(), first.clone()]);
    assert_eq!(kinds(&keys_of(&catalogue_with)), BTreeSet::from(KINDS));
    let outcome = catalogue_with.insert(record(second.clone())).unwrap();
    let id = displaced.id();
    assert!(matches!(outcome, Inserted::New { left, .. } if left.len() == 1 && left[0].id() == id));

    let without = catalogue(&[&one, &two], [base, first, second]);
    assert_eq!(keys_of(&catalogue_with), keys_of(&without));
    assert_eq!(catalogue_with.root(), without.root());
    let short = ShortId::of(&displaced.id());
    let names_it = |key: &Vec<u8>| key.windows(ShortId::BYTES).any(|window| window == short.as_bytes());
    assert!(!keys_of(&catalogue_with).iter().any(names_it));
    assert!(catalogue_with.map().count(b"c/") == 0 && catalogue_with.map().count(b"d") == 0);
}

#[test]
fn a_new_head_takes_the_entries_of_the_former_one_away() {
    let publishers = [&Publisher::new(1), &Publisher::new(2)];
    let plain = |index, version| {
        release(index, version, |release| (release.categories.clear(), release.dependencies.clear()).0)
    };
    let both = catalogue(&publishers, [release(0, "1.0.0", |_| {}), plain(1, "2.0.0")]);
    let kinds_left = BTreeSet::from(["a", "b", "h", "l", "n", "o", "p", "r", "t", "x"]);
    assert_eq!(kinds(&keys_of(&both)), kinds_left);
    let own = PackageKey::of(&publishers[1].package("ab"));
    assert_eq!((both.map().count(b"n/"), both.map().count(&keys::versions(&own))), (1, 2));
}

#[test]
fn a_contested_version_has_an_entry_for_each_release() {
    let publishers = [&Publisher::new(1), &Publisher::new(2)];
    let rival = release(1, "1.0.0", |release| release.artifact = other_artifact("another"));
    let releases = [release(0, "1.0.0", |_| {}), rival];
    let (standing, contesting) = (releases[0].id().min(releases[1].id()), releases[0].id().max(releases[1].id()));
    let contested = catalogue(&publishers, releases.clone());
    let range = keys::of_version(&PackageKey::of(&releases[0].package()), &releases[0].version);
    let entries: Vec<_> = contested.map().iter(&range).map(|(key, _)| key[range.len()..].to_vec()).collect();
    let entry = |role: u8, id: &crate::id::RecordId| [&[role], ShortId::of(id).as_bytes() as &[u8]].concat();
    assert_eq!(entries, [entry(0, &standing), entry(1, &contesting)]);
    assert_eq!(contested.map().count(b"n/"), 0);
}

#[test]
fn a_publisher_counts_once_for_a_package_and_not_for_its_own() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let on_base = |publisher: &Publisher, index, name: &str| {
        publisher.release(index, name, "1.0.0", |release| release.dependencies = vec![depends_on(&one.package("base"))])
    };
    let releases = [on_base(&two, 0, "a"), on_base(&two, 1, "b"), on_base(&one, 0, "own")];
    let base = PackageKey::of(&one.package("base"));
    let catalogue = catalogue(&[&one, &two], releases);
    let publishers: Vec<_> =
        catalogue.map().iter(&keys::dependent_publishers(&base)).map(|(key, _)| key[23..].to_vec()).collect();
    assert_eq!(publishers, [two.id().as_bytes()]);
    assert_eq!(catalogue.map().count(&keys::dependents(&base)), 3);
}

#[test]
fn an_entry_says_which_record_it_is_about() {
    let catalogue = catalogue(&[&Publisher::new(1), &Publisher::new(2)], [release(0, "1.0.0", |_| {})]);
    let named: BTreeSet<_> =
        catalogue.map().iter(&keys::records()).map(|(key, _)| keys::record_of(&key).unwrap()).collect();
    assert_eq!(named, catalogue.records().map(crate::record::Record::id).collect());
    for none in [&b"r/"[..], b"", b"n/abc", &[0; 80]] {
        assert_eq!(keys::record_of(none), None);
    }
}

#[test]
fn records_are_gone_through_from_any_of_them() {
    let publisher = Publisher::new(1);
    let releases = (0..3).map(|index| publisher.release(index, "a", &format!("1.0.{index}"), |_| {}));
    let catalogue = catalogue(&[&publisher], releases);
    let all: Vec<_> = catalogue.records().map(Record::id).collect();
    let behind = |after| catalogue.records_after(after).map(Record::id).collect::<Vec<_>>();
    assert_eq!(behind(None), all);
    for at in 0..all.len() {
        assert_eq!(behind(Some(&all[at])), all[at + 1..]);
    }
}
