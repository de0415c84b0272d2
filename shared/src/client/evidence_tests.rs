use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::catalogue::testing::{CHANGING, OTHER_RULES, Publisher, Relay, Rotated, depends_on, other_artifact};
use crate::catalogue::{Exclusions, Leaf, answer};
use crate::record::{Record, State};
use crate::rules::Schedule;
use crate::search::analyser::{Token, Tokens};

fn network() -> Network {
    Network::named("test").unwrap()
}

/// What a relay shows of an entry, judged.
fn judged(relay: &Relay, key_log: &KeyLog, release: &Verified<Release>, entry: &[u8]) -> Result<Evidence, Error> {
    judged_with(relay, key_log, release, None, entry)
}

fn judged_with(
    relay: &Relay,
    key_log: &KeyLog,
    release: &Verified<Release>,
    status: Option<&Verified<Status>>,
    entry: &[u8],
) -> Result<Evidence, Error> {
    let answers = questions(release, entry).map(|question| answer::range(&relay.snapshots, &question).unwrap());
    Evidence::of(key_log, release, status, entry, answers, &network(), &Schedule::default())
}

/// What a relay shows of a status that it holds, about the version of a release.
fn heeds(
    relay: &Relay,
    key_log: &KeyLog,
    release: &Verified<Release>,
    status: &Verified<Status>,
) -> Result<Evidence, Error> {
    judged_with(relay, key_log, release, Some(status), &status_entry(status))
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
    assert_eq!(Evidence::verify(found.bytes(), &network(), &Schedule::default()).as_ref(), Ok(found));
    assert!(Evidence::verify(found.bytes(), &Network::named("other").unwrap(), &Schedule::default()).is_err());
    // Each byte counts; of some shapes, a part of them says as much.
    let step = if matches!(misdeed, Misdeed::NoVersion | Misdeed::Unheeded | Misdeed::Void) { 1 } else { 13 };
    for at in (0..found.bytes().len()).step_by(step) {
        let mut bytes = found.bytes().to_vec();
        bytes[at] ^= 1;
        match Evidence::verify(&bytes, &network(), &Schedule::default()) {
            Err(_) => {}
            // Who signed what is void is no matter.
            Ok(same) if misdeed == Misdeed::Void => {
                assert_eq!((same.misdeed(), same.release()), (misdeed, found.release()))
            }
            Ok(_) => panic!("byte {at}"),
        }
    }
    for cut in [&found.bytes()[1..], &found.bytes()[..found.bytes().len() - 1]] {
        assert!(Evidence::verify(cut, &network(), &Schedule::default()).is_err());
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
    assert_eq!(
        Evidence::of(&key_log, base, None, &entry, mixed, &network(), &Schedule::default()),
        Err(Error::NotOneRoot)
    );
    let mut other = Relay::of(101, relay.catalogue.clone());
    other.lie(|map| assert!(map.remove(&entry)));
    let mixed = [after[0].clone(), after[1].clone(), ask(&other, 2)];
    assert_eq!(
        Evidence::of(&key_log, base, None, &entry, mixed, &network(), &Schedule::default()),
        Err(Error::NotOneRoot)
    );
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

/// A version with a status, and a relay that says nothing of it, or what a test makes of it.
struct Yanked {
    publisher: Publisher,
    release: Verified<Release>,
    status: Verified<Status>,
}

impl Yanked {
    fn new() -> Self {
        let publisher = Publisher::new(1);
        let release = publisher.release(0, "tool", "1.0.0", |_| {});
        let status = publisher.status(1, "tool", "1.0.0", 1, State::Yanked, |_| {});
        Self { publisher, release, status }
    }

    fn catalogue(&self, others: &[&Verified<Release>], statuses: &[&Verified<Status>]) -> crate::catalogue::Catalogue {
        let releases = std::iter::once(&self.release).chain(others.iter().copied()).cloned();
        let mut catalogue = crate::catalogue::testing::catalogue(&[&self.publisher], releases);
        for status in statuses {
            catalogue.insert(Record::Status(Box::new((*status).clone()))).unwrap();
        }
        catalogue
    }

    /// A relay that holds some statuses, and says of all versions what it would without some of these.
    fn ignoring(
        &self,
        others: &[&Verified<Release>],
        heeded: &[&Verified<Status>],
        not: &[&Verified<Status>],
    ) -> Relay {
        let mut relay = Relay::of(100, self.catalogue(others, heeded));
        relay.lie(|map| not.iter().for_each(|status| map.insert(&status_entry(status), Leaf::NONE).unwrap()));
        relay
    }
}

#[test]
fn a_status_that_is_held_and_not_heeded_is_seen() {
    let Yanked { publisher, release, status } = &Yanked::new();
    let key_log = publisher.key_log();
    let relay = Yanked::new().ignoring(&[], &[], &[status]);
    convinces(&heeds(&relay, &key_log, release, status).unwrap(), Misdeed::Unheeded, &relay);
    // Whatever it says, for who decides is seen from no entry alone.
    let kind = publisher.status(2, "tool", "1.0.0", 0, State::Active, |_| {});
    let relay = Yanked::new().ignoring(&[], &[], &[&kind]);
    convinces(&heeds(&relay, &key_log, release, &kind).unwrap(), Misdeed::Unheeded, &relay);
}

#[test]
fn a_status_shows_nothing_of_who_lacks_it_of_other_versions_or_where_another_one_decides() {
    let scene = Yanked::new();
    let Yanked { publisher, release, status } = &scene;
    let key_log = publisher.key_log();
    let nothing = Err(Error::ShowsNothing);
    let honest = Relay::of(100, scene.catalogue(&[], &[status]));
    assert_eq!(heeds(&honest, &key_log, release, status), nothing);
    let lacks = Relay::of(100, scene.catalogue(&[], &[]));
    assert_eq!(heeds(&lacks, &key_log, release, status), nothing);
    // Another one is named, which may decide.
    let later = publisher.status(2, "tool", "1.0.0", 2, State::Active, |_| {});
    let decided = Relay::of(100, scene.catalogue(&[], &[status, &later]));
    assert_eq!(heeds(&decided, &key_log, release, status), nothing);
    // Of a version that was never released there is nothing to say.
    let early = publisher.status(3, "tool", "9.0.0", 1, State::Yanked, |_| {});
    let without = Relay::of(100, scene.catalogue(&[], &[&early]));
    assert_eq!(heeds(&without, &key_log, release, &early), nothing);

    // Of a relay that ignores it: only together with the release of the version that it is about, and at its own entry.
    let other_version = publisher.release(4, "tool", "1.1.0", |_| {});
    let other_package = publisher.release(5, "rule", "1.0.0", |_| {});
    let liar = scene.ignoring(&[&other_version, &other_package], &[], &[status, &early]);
    assert!(heeds(&liar, &key_log, release, status).is_ok());
    for other in [&other_version, &other_package] {
        assert_eq!(heeds(&liar, &key_log, other, status), nothing);
    }
    assert_eq!(heeds(&liar, &key_log, release, &early), nothing);
    let unlisted = publisher.release(6, "tool", "1.0.0", |release| release.description = "never heard of".into());
    assert_eq!(heeds(&liar, &key_log, &unlisted, status), nothing);
    for entry in [status_entry(&early), record_entry(release)] {
        assert_eq!(judged_with(&liar, &key_log, release, Some(status), &entry), nothing);
    }
    // Nor is it anything beside an entry of the package.
    let mut hides = scene.ignoring(&[], &[], &[]);
    let place = Market::entry(&hides, b"n/", release);
    hides.lie(|map| assert!(map.remove(&place)));
    assert!(judged(&hides, &key_log, release, &place).is_ok());
    assert_eq!(judged_with(&hides, &key_log, release, Some(status), &place), nothing);
    // One that does not hold is none.
    let stranger = Publisher::new(2).status(1, "tool", "1.0.0", 1, State::Yanked, |_| {});
    assert!(matches!(heeds(&liar, &key_log, release, &stranger), Err(Error::Record(_))));
}

/// A key log, as far as its events are given.
fn key_log_of(publisher: &Publisher, rotations: &[&Rotated]) -> KeyLog {
    let mut key_log = publisher.key_log();
    for rotated in rotations {
        key_log.follow(rotated.rotation.clone()).unwrap();
        rotated.pages.iter().for_each(|page| _ = key_log.add_page(page.clone()).unwrap());
    }
    key_log
}

/// A relay that holds some rotations, and releases that it should not.
fn keeping(publisher: &Publisher, rotations: &[&Rotated], void: &[&Verified<Release>]) -> Relay {
    let mut catalogue = crate::catalogue::testing::catalogue(&[publisher], []);
    for record in rotations.iter().flat_map(|rotated| rotated.records()) {
        catalogue.insert(record).unwrap();
    }
    let mut relay = Relay::of(100, catalogue);
    relay.lie(|map| void.iter().for_each(|release| map.insert(&record_entry(release), Leaf::NONE).unwrap()));
    relay
}

#[test]
fn a_release_that_the_rotations_which_are_held_make_void_is_seen() {
    let publisher = Publisher::new(1);
    let [kept, stolen] = [0, 1].map(|index| publisher.release(index, "tool", &format!("1.{index}.0"), |_| {}));
    let rotated = publisher.rotate(&[kept.id()]);
    let key_log = key_log_of(&publisher, &[&rotated]);
    let relay = keeping(&publisher, &[&rotated], &[&stolen]);
    convinces(&judged(&relay, &key_log, &stolen, &record_entry(&stolen)).unwrap(), Misdeed::Void, &relay);
    // What forks is void behind the fork.
    let fork = publisher.rotate_with(&[kept.id()], 64, 3);
    let behind = rotated.after.release(2, "tool", "1.2.0", |_| {});
    let key_log = key_log_of(&publisher, &[&rotated, &fork]);
    let relay = keeping(&publisher, &[&rotated, &fork], &[&behind, &stolen]);
    for release in [&behind, &stolen] {
        convinces(&judged(&relay, &key_log, release, &record_entry(release)).unwrap(), Misdeed::Void, &relay);
    }
}

#[test]
fn nothing_is_void_by_rotations_that_are_not_just_those_which_are_held() {
    let publisher = Publisher::new(1);
    let [kept, stolen] = [0, 1].map(|index| publisher.release(index, "tool", &format!("1.{index}.0"), |_| {}));
    let (rotated, fork) = (publisher.rotate(&[kept.id()]), publisher.rotate_with(&[stolen.id()], 64, 3));
    let next = rotated.after.rotate(&[]);
    let nothing = Err(Error::ShowsNothing);
    let at = |relay: &Relay, key_log: &KeyLog, release| judged(relay, key_log, release, &record_entry(release));
    let key_log = key_log_of(&publisher, &[&rotated]);
    // It does not have the rotation.
    assert_eq!(at(&keeping(&publisher, &[], &[&stolen]), &key_log, &stolen), nothing);
    // It has another one, which keeps the release.
    assert_eq!(at(&keeping(&publisher, &[&rotated, &fork], &[&stolen]), &key_log, &stolen), nothing);
    assert_eq!(at(&keeping(&publisher, &[&fork], &[&stolen]), &key_log, &stolen), nothing);
    // It has one more, or one less.
    assert_eq!(at(&keeping(&publisher, &[&rotated, &next], &[&stolen]), &key_log, &stolen), nothing);
    let longer = key_log_of(&publisher, &[&rotated, &next]);
    assert_eq!(at(&keeping(&publisher, &[&rotated], &[&stolen]), &longer, &stolen), nothing);
    // The page that may keep it was not shown.
    let mut without = publisher.key_log();
    without.follow(rotated.rotation.clone()).unwrap();
    let relay = keeping(&publisher, &[&rotated], &[&stolen, &kept]);
    assert_eq!(at(&relay, &without, &stolen), nothing);
    // What is kept, or not there, is not void; nor is anything else than its own entry.
    assert_eq!(at(&relay, &key_log, &kept).unwrap().misdeed(), Misdeed::NoVersion);
    assert_eq!(at(&keeping(&publisher, &[&rotated], &[]), &key_log, &stolen), nothing);
    assert_eq!(judged(&relay, &key_log, &stolen, &record_entry(&kept)), nothing);
}

#[test]
fn rotations_are_all_shown_or_nothing_is_concluded() {
    // As many as a key log may have, and a fork at its end: all fit the question.
    let start = Publisher::new(1);
    let stolen = start.release(0, "tool", "1.0.0", |_| {});
    let mut rotations: Vec<Rotated> = Vec::new();
    while rotations.len() + 1 < MAX_KEY_EVENTS {
        rotations.push(rotations.last().map_or(&start, |last| &last.after).rotate(&[]));
    }
    rotations.push(rotations[rotations.len() - 2].after.rotate_with(&[], 64, 3));
    assert_eq!(rotations.len(), usize::from(MAX_ROTATIONS));
    let rotations: Vec<&Rotated> = rotations.iter().collect();
    let mut relay = keeping(&start, &rotations, &[&stolen]);
    let key_log = key_log_of(&start, &rotations);
    let found = judged(&relay, &key_log, &stolen, &record_entry(&stolen)).unwrap();
    assert_eq!(found.misdeed(), Misdeed::Void);
    // One more is not shown, and may be what keeps it.
    let last = keys::record_entry(&start.id(), Kind::Rotation, &RecordId::from_bytes([0xff; 32]));
    relay.lie(|map| {
        map.insert(&last, Leaf::NONE).unwrap();
        map.insert(&record_entry(&stolen), Leaf::NONE).unwrap();
    });
    assert_eq!(judged(&relay, &key_log, &stolen, &record_entry(&stolen)), Err(Error::ShowsNothing));
}

/// The catalogue of all that was offered, until nothing changes.
fn offered(publisher: &Publisher, records: &[Record]) -> crate::catalogue::Catalogue {
    let mut catalogue = crate::catalogue::testing::catalogue(&[publisher], []);
    loop {
        let before = catalogue.root();
        records.iter().for_each(|record| _ = catalogue.insert(record.clone()));
        if catalogue.root() == before {
            return catalogue;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn an_honest_relay_is_not_accused_whatever_it_and_who_asks_have_heard_of(
        said in prop::collection::vec((0_u8..2, 0_u8..2, 0_u8..8), 1..8),
        keeps in [any::<u8>(), any::<u8>()],
        heard in any::<u16>(),
        known in any::<u8>(),
    ) {
        let publisher = Publisher::new(1);
        let mut spoken = Spoken::default();
        spoken.say(&publisher, &said, 0);
        let [one, other] = [0, 1].map(|at| {
            let kept = |(bit, id): (usize, RecordId)| (keeps[at] >> bit & 1 == 1).then_some(id);
            let kept: Vec<_> = spoken.ids().into_iter().enumerate().filter_map(kept).collect();
            publisher.rotate_with(&kept, 2, at as u8)
        });
        spoken.say(&one.after, &said, 100);
        let Spoken { releases, statuses } = &spoken;
        let records = releases.iter().map(|release| Record::Release(Box::new(release.clone())));
        let records = records.chain(statuses.iter().map(|status| Record::Status(Box::new(status.clone()))));
        let records = records.zip((0..14).cycle()).filter(|(_, bit)| heard >> bit & 1 == 1).map(|(record, _)| record);
        let rotations = [&one, &other].into_iter().zip(14..).filter(|(_, bit)| heard >> bit & 1 == 1);
        let all: Vec<Record> = rotations.flat_map(|(rotated, _)| rotated.records()).chain(records).collect();
        let relay = Relay::of(100, offered(&publisher, &all));

        let rotations = [&one, &other].into_iter().zip(0..).filter(|(_, bit)| known >> bit & 1 == 1);
        let mut key_log = publisher.key_log();
        for (rotated, _) in rotations {
            key_log.follow(rotated.rotation.clone()).unwrap();
            for (page, _) in rotated.pages.iter().zip(2..).filter(|(_, bit)| known >> bit & 1 == 1) {
                key_log.add_page(page.clone()).unwrap();
            }
        }
        for release in releases {
            let popularity = Popularity::of(0);
            let derived = keys::listing(&release.id(), release, &Tokens::of(release), popularity);
            for entry in derived.iter().take(4).chain([&record_entry(release)]) {
                prop_assert!(judged(&relay, &key_log, release, entry).is_err());
            }
            for status in statuses {
                prop_assert!(heeds(&relay, &key_log, release, status).is_err());
            }
        }
    }
}

/// What a publisher said, at random.
#[derive(Default)]
struct Spoken {
    releases: Vec<Verified<Release>>,
    statuses: Vec<Verified<Status>>,
}

impl Spoken {
    fn say(&mut self, publisher: &Publisher, said: &[(u8, u8, u8)], from: u32) {
        for (index, (name, version, what)) in (from..).zip(said) {
            let (name, version) = (format!("thing-{name}"), format!("1.{version}.0"));
            match State::from_number(*what) {
                Some(state) => {
                    self.statuses.push(publisher.status(index, &name, &version, u64::from(*what) / 2, state, |_| {}))
                }
                None => self.releases.push(publisher.release(index, &name, &version, |release| {
                    release.artifact = other_artifact(&what.to_string());
                })),
            }
        }
    }

    fn ids(&self) -> Vec<RecordId> {
        self.releases.iter().map(Verified::id).chain(self.statuses.iter().map(Verified::id)).collect()
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
    assert_eq!(
        Evidence::of(&key_log, base, None, &entry, answers, &network(), &Schedule::default()),
        Err(Error::ShowsNothing)
    );
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

#[test]
fn programs_tell_misdeeds_apart() {
    let misdeeds = [
        Misdeed::Missing,
        Misdeed::FalseFilter,
        Misdeed::Misplaced,
        Misdeed::NotHead,
        Misdeed::NoVersion,
        Misdeed::Unheeded,
        Misdeed::Void,
    ];
    let codes: BTreeSet<_> = misdeeds.map(Misdeed::code).into();
    assert!(codes.len() == misdeeds.len() && codes.iter().all(|code| code.starts_with("relay/")), "{codes:?}");
}

#[test]
fn a_map_is_held_against_the_rules_that_it_was_made_by() {
    let publisher = Publisher::new(1);
    let release = publisher.release(0, "a", "1.0.0", |release| release.authors = vec!["Ada".into()]);
    let catalogue = Relay::new(&[&publisher], [release.clone()]).catalogue.derived_by(OTHER_RULES);
    let mut relay = Relay::of(100, catalogue);
    let entry = Market::entry(&relay, &keys::term(&Token::joined("ada").unwrap()), &release);
    let (key_log, known) = (publisher.key_log(), Schedule { rules: OTHER_RULES, before: None });
    let judge = |relay: &Relay, known: &Schedule| {
        let answers = questions(&release, &entry).map(|question| answer::range(&relay.snapshots, &question).unwrap());
        Evidence::of(&key_log, &release, None, &entry, answers, &network(), known)
    };
    let unknown = Err(Error::Checkpoint(checkpoint::Error::OtherRules(2)));
    assert_eq!(judge(&relay, &known), Err(Error::ShowsNothing));
    assert_eq!(judge(&relay, &Schedule::default()), unknown);
    relay.lie(|map| assert!(map.remove(&entry)));
    let found = judge(&relay, &CHANGING).unwrap();
    assert_eq!(found.misdeed(), Misdeed::Missing);
    assert_eq!(Evidence::verify(found.bytes(), &network(), &known).as_ref(), Ok(&found));
    assert_eq!(Evidence::verify(found.bytes(), &network(), &Schedule::default()), unknown);
}

#[test]
fn what_an_operator_excludes_is_no_misdeed() {
    let market = Market::new();
    let (key_log, head) = market.base();
    let mut relay = market.relay();
    let mut exclusions = Exclusions::default();
    exclusions.add(head.id(), "a reason").unwrap();
    relay.catalogue.exclude(exclusions);
    relay.commit();
    let earlier = &market.releases[0];
    assert_eq!(relay.catalogue.head(&head.package()), Some(earlier));
    for release in [head, earlier] {
        let listings =
            [0, 1, 2].map(|count| keys::listing(&release.id(), release, &Tokens::of(release), Popularity::of(count)));
        for entry in listings.concat().iter().chain([&record_entry(release)]) {
            assert_eq!(judged(&relay, &key_log, release, entry), Err(Error::ShowsNothing), "{entry:?}");
        }
    }
}

#[test]
fn a_mark_of_what_is_excluded_covers_nothing_else() {
    let market = Market::new();
    let (key_log, head) = market.base();
    let yank = market.publishers[0].status(20, "base", "1.1.0", 1, State::Yanked, |_| {});
    let only_marked = |relay: &mut Relay| {
        relay.lie(|map| {
            let entries = map.iter(&keys::of_version(&PackageKey::of(&head.package()), &head.version));
            for key in entries.map(|(key, _)| key.to_vec()).collect::<Vec<_>>() {
                map.insert(&key, Leaf::standing(Standing { decision: None, excluded: Some("a reason") })).unwrap();
            }
        });
    };
    let mut relay = market.relay();
    let entry = Market::entry(&relay, b"n/", head);
    only_marked(&mut relay);
    // It says that it leaves out what it lists.
    convinces(&judged(&relay, &key_log, head, &entry).unwrap(), Misdeed::NotHead, &relay);

    let mut relay = market.relay();
    relay.catalogue.insert(Record::Status(Box::new(yank.clone()))).unwrap();
    relay.commit();
    assert_eq!(heeds(&relay, &key_log, head, &yank), Err(Error::ShowsNothing));
    only_marked(&mut relay);
    convinces(&heeds(&relay, &key_log, head, &yank).unwrap(), Misdeed::Unheeded, &relay);
}

#[test]
fn what_says_nothing_that_is_known_hides_nothing() {
    let market = Market::new();
    let (key_log, head) = market.base();
    let yank = market.publishers[0].status(20, "base", "1.1.0", 1, State::Yanked, |_| {});
    let version = keys::of_version(&PackageKey::of(&head.package()), &head.version);
    for junk in [&[9][..], &[0xff, b'\n'], &[0xff, 0xff], &[2; 20], &[2; 23]] {
        assert_eq!(Standing::from_bytes(junk), None, "{junk:?}");
        let mut relay = market.relay();
        relay.catalogue.insert(Record::Status(Box::new(yank.clone()))).unwrap();
        let entry = Market::entry(&market.relay(), b"n/", head);
        relay.lie(|map| {
            for key in map.iter(&version).map(|(key, _)| key.to_vec()).collect::<Vec<_>>() {
                map.insert(&key, Leaf::junk(junk)).unwrap();
            }
        });
        convinces(&judged(&relay, &key_log, head, &entry).unwrap(), Misdeed::Missing, &relay);
        convinces(&heeds(&relay, &key_log, head, &yank).unwrap(), Misdeed::Unheeded, &relay);
    }
}
