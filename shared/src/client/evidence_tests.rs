use std::collections::BTreeSet;

use super::*;
use crate::catalogue::testing::{Publisher, Relay, depends_on, other_artifact};
use crate::catalogue::{Leaf, answer};
use crate::record::State;

fn network() -> Network {
    Network::named("test").unwrap()
}

/// What a relay shows of an entry, judged.
fn judged(relay: &Relay, key_log: &KeyLog, release: &Verified<Release>, entry: &[u8]) -> Result<Evidence, Error> {
    let answers = questions(release, entry).map(|question| answer::range(&relay.snapshots, &question).unwrap());
    Evidence::of(key_log, release, entry, answers, &network())
}

/// Two publishers, and packages of every kind: depended on, with pre-releases, contested.
struct Market {
    publishers: [Publisher; 2],
    releases: Vec<Verified<Release>>,
}

impl Market {
    fn new() -> Self {
        let publishers = [1, 2].map(Publisher::new);
        let [one, two] = &publishers;
        let base = one.package("base");
        let release = |publisher: &Publisher, index, name, version| {
            publisher.release(index, name, version, |release| {
                release.description = "the same word in all of them".into();
                release.categories = vec!["testing".into()];
                if name != "base" {
                    release.dependencies = vec![depends_on(&base)];
                }
            })
        };
        let contested = |index, content| {
            one.release(index, "contested", "1.0.0", |release| release.artifact = other_artifact(content))
        };
        let releases = vec![
            release(one, 0, "base", "1.0.0"),
            release(one, 1, "base", "1.1.0"),
            release(one, 2, "base", "2.0.0-rc.1"),
            release(two, 0, "user", "0.1.0"),
            release(two, 1, "early", "0.1.0-alpha"),
            contested(3, "a"),
            contested(4, "b"),
            release(one, 5, "contested", "0.9.0"),
        ];
        Self { publishers, releases }
    }

    fn relay(&self) -> Relay {
        Relay::new(&self.publishers.each_ref(), self.releases.iter().cloned())
    }

    /// The release that base is listed by, and its key log.
    fn base(&self) -> (KeyLog, &Verified<Release>) {
        (self.publishers[0].key_log(), &self.releases[1])
    }

    /// The entry of base in a range of places.
    fn entry(relay: &Relay, range: &[u8], release: &Verified<Release>) -> Vec<u8> {
        let map = relay.catalogue.map();
        let short_id = ShortId::of(&release.id());
        map.iter(range).map(|(key, _)| key.to_vec()).find(|key| key.ends_with(short_id.as_bytes())).unwrap()
    }
}

/// Someone who was not there sees the same; and nothing in what was changed.
fn convinces(found: &Evidence, misdeed: Misdeed, relay: &Relay) {
    assert_eq!(found.misdeed(), misdeed);
    assert_eq!(found.relay(), relay.asked().relay);
    assert!(found.bytes().len() < MAX_EVIDENCE_BYTES / 8);
    assert_eq!(Evidence::verify(found.bytes(), &network()).as_ref(), Ok(found));
    assert!(Evidence::verify(found.bytes(), &Network::named("other").unwrap()).is_err());
    // Each byte counts; of some shapes, a part of them says as much.
    let step = if misdeed == Misdeed::NoVersion { 1 } else { 13 };
    for at in (0..found.bytes().len()).step_by(step) {
        let mut bytes = found.bytes().to_vec();
        bytes[at] ^= 1;
        assert!(Evidence::verify(&bytes, &network()).is_err(), "byte {at}");
    }
    for cut in [&found.bytes()[1..], &found.bytes()[..found.bytes().len() - 1]] {
        assert!(Evidence::verify(cut, &network()).is_err());
    }
}

#[test]
fn an_honest_relay_is_never_accused() {
    let market = Market::new();
    let (relay, poor) = (market.relay(), Relay::new(&market.publishers.each_ref(), market.releases[..1].to_vec()));
    let all: Vec<Vec<u8>> = relay.catalogue.map().iter(&[]).map(|(key, _)| key.to_vec()).collect();
    for release in &market.releases {
        let key_log = market.publishers.iter().find(|publisher| publisher.id() == release.publisher).unwrap().key_log();
        let tokens = Tokens::of(release);
        let mut entries: BTreeSet<_> = all.iter().cloned().chain([record_entry(release)]).collect();
        for popularity in [0, 1, 2].map(Popularity::of) {
            entries.extend(keys::listing(&release.id(), release, &tokens, popularity));
        }
        for entry in &entries {
            for relay in [&relay, &poor] {
                assert_eq!(judged(relay, &key_log, release, entry), Err(Error::ShowsNothing), "{entry:?}");
            }
        }
    }
}

#[test]
fn an_honest_relay_is_not_accused_for_statuses_or_a_rotation() {
    let one = Publisher::new(1);
    let release = |index: u32, version| one.release(index, "thing", version, |_| {});
    let releases =
        ["1.0.0", "1.1.0", "1.2.0", "1.3.0"].into_iter().zip(0..).map(|(version, index)| release(index, version));
    let releases: Vec<_> = releases.collect();
    let states = [("1.3.0", State::Yanked), ("1.2.0", State::Retracted), ("1.1.0", State::Deprecated)];
    let statuses = states.into_iter().zip(10..).map(|((version, state), index)| {
        Record::Status(Box::new(one.status(index, "thing", version, 1, state, |_| {})))
    });
    let mut catalogue = crate::catalogue::testing::catalogue(&[&one], releases.iter().cloned());
    for status in statuses {
        catalogue.insert(status).unwrap();
    }
    let relay = Relay::of(100, catalogue.clone());
    // What was kept stays, all else is void.
    let rotated = one.rotate(&[releases[0].id()]);
    for page in rotated.pages {
        catalogue.insert(Record::KeepPage(Box::new(page))).unwrap();
    }
    catalogue.insert(Record::Rotation(Box::new(rotated.rotation))).unwrap();
    let later = Relay::of(101, catalogue);
    for (relay, head) in [(&relay, &releases[1]), (&later, &releases[0])] {
        let listed: Vec<_> = relay.catalogue.map().iter(&keys::newest()).map(|(key, _)| keys::short_id(&key)).collect();
        assert_eq!(listed, [Some(ShortId::of(&head.id()))]);
        let all: Vec<Vec<u8>> = relay.catalogue.map().iter(&[]).map(|(key, _)| key.to_vec()).collect();
        for release in &releases {
            let derived = keys::listing(&release.id(), release, &Tokens::of(release), Popularity::of(0));
            for entry in all.iter().chain(&derived).chain([&record_entry(release)]) {
                assert_eq!(judged(relay, &one.key_log(), release, entry), Err(Error::ShowsNothing), "{entry:?}");
            }
        }
    }
}

#[test]
fn a_package_that_is_kept_off_a_list_is_missed() {
    let market = Market::new();
    let (key_log, base) = market.base();
    for range in [&b"t/"[..], b"x/", b"n/", b"c/"] {
        let mut relay = market.relay();
        let entry = Market::entry(&relay, range, base);
        relay.lie(|map| assert!(map.remove(&entry)));
        convinces(&judged(&relay, &key_log, base, &entry).unwrap(), Misdeed::Missing, &relay);
    }
}

#[test]
fn another_key_that_begins_with_the_missing_one_hides_nothing() {
    let market = Market::new();
    let (key_log, base) = market.base();
    let mut relay = market.relay();
    let entry = Market::entry(&relay, b"t/", base);
    relay.lie(|map| {
        assert!(map.remove(&entry));
        map.insert(&[&entry[..], b"x"].concat(), Leaf::NONE).unwrap();
    });
    convinces(&judged(&relay, &key_log, base, &entry).unwrap(), Misdeed::Missing, &relay);
}

#[test]
fn a_dependent_that_is_not_listed_or_not_counted_is_missed() {
    let market = Market::new();
    let (key_log, user) = (market.publishers[1].key_log(), &market.releases[3]);
    let base = PackageKey::of(&market.base().1.package());
    for range in [keys::dependents(&base), keys::dependent_publishers(&base)] {
        let mut relay = market.relay();
        let entry = match range.starts_with(b"d/") {
            true => Market::entry(&relay, &range, user),
            false => keys::counted(user).next().unwrap(),
        };
        relay.lie(|map| assert!(map.remove(&entry)));
        convinces(&judged(&relay, &key_log, user, &entry).unwrap(), Misdeed::Missing, &relay);
    }
}

#[test]
fn a_false_filter_is_seen_from_the_record() {
    let market = Market::new();
    let (key_log, base) = market.base();
    let mut relay = market.relay();
    let range = b"t/same\0";
    let entry = Market::entry(&relay, range, base);
    relay.lie_in(range, |_, listed| listed.filter = Filter::from_bytes([0; crate::search::filter::FILTER_BYTES]));
    convinces(&judged(&relay, &key_log, base, &entry).unwrap(), Misdeed::FalseFilter, &relay);
}

#[test]
fn a_wrong_place_is_seen_as_missing_in_the_right_one_and_as_misplaced() {
    let market = Market::new();
    let (key_log, base) = market.base();
    let mut relay = market.relay();
    let (range, right) = (b"t/same\0", Market::entry(&relay, b"t/same\0", base));
    // As if nobody depended on any of them: a lie about how popular they are.
    relay.lie_in(range, |place, _| place.rank = crate::search::rank::Rank::newest(7));
    convinces(&judged(&relay, &key_log, base, &right).unwrap(), Misdeed::Missing, &relay);
    let mut wrong = range.to_vec();
    let rank = crate::search::rank::Rank::newest(7);
    wrong.extend(keys::Place { rank, head: ShortId::of(&base.id()) }.to_bytes());
    convinces(&judged(&relay, &key_log, base, &wrong).unwrap(), Misdeed::Misplaced, &relay);
}

#[test]
fn a_package_that_is_listed_by_an_old_release_is_seen_beside_its_versions() {
    let market = Market::new();
    let (key_log, old) = (market.publishers[0].key_log(), &market.releases[0]);
    let mut relay = market.relay();
    let entry = &keys::listing(&old.id(), old, &Tokens::of(old), Popularity::of(1))[0];
    let leaf = relay.catalogue.map().iter(&keys::newest()).next().unwrap().1.clone();
    relay.lie(|map| map.insert(entry, leaf).unwrap());
    convinces(&judged(&relay, &key_log, old, entry).unwrap(), Misdeed::NotHead, &relay);
    // Nor may a package be listed of which every version is contested.
    let contested = &market.releases[5];
    let mut alone = Relay::new(&market.publishers.each_ref(), market.releases[5..7].to_vec());
    let entry = &keys::listing(&contested.id(), contested, &Tokens::of(contested), Popularity::of(0))[0];
    alone.lie(|map| map.insert(entry, Leaf::NONE).unwrap());
    convinces(&judged(&alone, &key_log, contested, entry).unwrap(), Misdeed::NotHead, &alone);
}

#[test]
fn a_version_that_does_not_exist_although_its_release_is_held_is_missed() {
    let market = Market::new();
    let (key_log, base) = market.base();
    let mut relay = market.relay();
    let versions = keys::of_version(&PackageKey::of(&base.package()), &base.version);
    relay.lie(|map| {
        let gone: Vec<_> = map.iter(&versions).map(|(key, _)| key.to_vec()).collect();
        gone.iter().for_each(|key| assert!(map.remove(key)));
    });
    convinces(&judged(&relay, &key_log, base, &record_entry(base)).unwrap(), Misdeed::NoVersion, &relay);
}

#[test]
fn parts_of_two_maps_or_of_two_relays_are_no_evidence() {
    let market = Market::new();
    let (key_log, base) = market.base();
    let mut relay = market.relay();
    let entry = Market::entry(&relay, b"t/same\0", base);
    let ask = |relay: &Relay, at: usize| answer::range(&relay.snapshots, &questions(base, &entry)[at]).unwrap();
    let before = [0, 1, 2].map(|at| ask(&relay, at));
    relay.lie(|map| assert!(map.remove(&entry)));
    let after = [0, 1, 2].map(|at| ask(&relay, at));
    let mixed = [after[0].clone(), before[1].clone(), after[2].clone()];
    assert_eq!(Evidence::of(&key_log, base, &entry, mixed, &network()), Err(Error::NotOneRoot));
    let mut other = Relay::of(101, relay.catalogue.clone());
    other.lie(|map| assert!(map.remove(&entry)));
    let mixed = [after[0].clone(), after[1].clone(), ask(&other, 2)];
    assert_eq!(Evidence::of(&key_log, base, &entry, mixed, &network()), Err(Error::NotOneRoot));
}

#[test]
fn of_more_versions_than_are_shown_nothing_is_concluded() {
    let publisher = Publisher::new(1);
    let release = |index: u32| publisher.release(index, "many", &format!("1.0.0-{index}"), |_| {});
    let releases: Vec<_> = (0..u32::from(MAX_VERSIONS) + 1).map(release).collect();
    let relay = Relay::new(&[&publisher], releases.clone());
    let old = &releases[3];
    let mut liar = Relay::new(&[&publisher], releases.clone());
    let entry = &keys::listing(&old.id(), old, &Tokens::of(old), Popularity::of(0))[0];
    liar.lie(|map| map.insert(entry, Leaf::NONE).unwrap());
    for relay in [&relay, &liar] {
        assert_eq!(judged(relay, &publisher.key_log(), old, entry), Err(Error::ShowsNothing));
    }
}

#[test]
fn a_proof_that_hides_the_entry_does_not_show_that_it_is_missing() {
    let market = Market::new();
    let (key_log, base) = market.base();
    let mut relay = market.relay();
    let entry = Market::entry(&relay, b"t/same\0", base);
    // An entry that stands alone is always shown.
    relay.lie(|map| map.insert(&[&entry[..], b"x"].concat(), Leaf::NONE).unwrap());
    let [at, versions, dependents] = questions(base, &entry);
    let hidden = RangeOf::first(&at.range, 0);
    let answers = [hidden, versions, dependents].map(|question| answer::range(&relay.snapshots, &question).unwrap());
    assert_eq!(Evidence::of(&key_log, base, &entry, answers, &network()), Err(Error::ShowsNothing));
}

#[test]
fn whether_the_last_version_that_is_shown_is_contested_stands_behind_it() {
    let publisher = Publisher::new(1);
    let above = u32::from(MAX_VERSIONS) - 1;
    let early = (0..above).map(|index| publisher.release(index, "many", &format!("2.0.0-{index}"), |_| {}));
    let contested = ["a", "b"].into_iter().zip(above..).map(|(content, index)| {
        publisher.release(index, "many", "1.0.0", |release| release.artifact = other_artifact(content))
    });
    let releases: Vec<_> = early.chain(contested).collect();
    let relay = Relay::new(&[&publisher], releases.clone());
    for release in &releases {
        for entry in &keys::listing(&release.id(), release, &Tokens::of(release), Popularity::of(0)) {
            assert_eq!(judged(&relay, &publisher.key_log(), release, entry), Err(Error::ShowsNothing));
        }
    }
}

#[test]
fn a_release_that_contests_another_version_hides_nothing() {
    let market = Market::new();
    let (key_log, base) = market.base();
    let package = PackageKey::of(&base.package());
    let mut relay = market.relay();
    let entry = Market::entry(&relay, b"t/same\0", base);
    let old = &market.releases[0];
    let [standing, contesting] = &keys::version(&package, &old.version, &old.id(), Some(&old.id()))[..] else {
        panic!("two entries")
    };
    relay.lie(|map| {
        assert!(map.remove(standing) && map.remove(&entry));
        map.insert(contesting, Leaf::NONE).unwrap();
    });
    convinces(&judged(&relay, &key_log, base, &entry).unwrap(), Misdeed::Missing, &relay);
}
