//! Membership with rotations, statuses and kinds that are unknown.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::catalogue::build::Builder;
use crate::catalogue::testing::{Publisher, Relay, catalogue, other_artifact, record};
use crate::catalogue::{Catalogue, InsertError, Inserted};
use crate::id::{PackageId, RecordId};
use crate::limits::MAX_WAITING_PAGES;
use crate::merkle::Map;
use crate::record::{Record, Release, State, Status, Unknown, Verified};

fn of_status(status: Verified<Status>) -> Record {
    Record::Status(Box::new(status))
}

fn of_unknown(unknown: Verified<Unknown>) -> Record {
    Record::Unknown(Box::new(unknown))
}

/// Offers records until nothing changes, the way that a sync does. What waits may be all that changed in one round.
fn offer(catalogue: &mut Catalogue, records: &[Record]) {
    let mut unchanged = 0;
    while unchanged < 2 {
        let before = catalogue.root();
        for record in records {
            _ = catalogue.insert(record.clone());
        }
        unchanged = if catalogue.root() == before { unchanged + 1 } else { 0 };
    }
}

fn ids(catalogue: &Catalogue) -> BTreeSet<RecordId> {
    catalogue.records().map(Record::id).collect()
}

/// Records of one publisher that collide in every way, over two rotations that may be forked.
fn scene() -> &'static [Record] {
    static SCENE: std::sync::OnceLock<Vec<Record>> = std::sync::OnceLock::new();
    SCENE.get_or_init(|| {
        let one = Publisher::new(1);
        let of = |who: &Publisher, index: u32, version: &str, artifact: u8| {
            record(who.release(index, "a", version, |release| release.artifact = other_artifact(&artifact.to_string())))
        };
        let says = |who: &Publisher, index: u32, seq: u64, state: State| {
            of_status(who.status(index, "a", "1.0.0", seq, state, |_| {}))
        };
        let mut all = vec![one.inception()];
        for index in 0..2 {
            all.extend((0..2).map(|artifact| of(&one, index, "1.0.0", artifact)));
            all.push(of(&one, index, "2.0.0", 0));
        }
        all.push(says(&one, 2, 1, State::Yanked));
        all.push(says(&one, 2, 2, State::Active));
        all.push(says(&one, 3, 3, State::Retracted));
        all.push(of_unknown(one.unknown(9, 0, "something")));
        all.push(of_unknown(one.unknown(9, 3, "something else")));
        let kept = |from: usize| all[from..].iter().step_by(2).map(Record::id).collect::<Vec<_>>();
        let (keep_one, keep_other) = (kept(1), kept(2));
        let first = one.rotate_with(&keep_one, 3, 0);
        let rival = one.rotate_with(&keep_other, 3, 1);
        let third = one.rotate_with(&[keep_one[0], keep_other[0]], 1, 2);
        all.extend([&first, &rival, &third].into_iter().flat_map(|rotated| rotated.records()));
        let under: Vec<_> = (0..3).map(|artifact| of(&first.after, 0, "2.0.0", artifact)).collect();
        all.push(says(&first.after, 3, 4, State::Deprecated));
        all.push(of(&rival.after, 1, "3.0.0", 0));
        let second = first.after.rotate_with(&[under[0].id(), under[1].id()], 64, 0);
        all.extend(under);
        all.extend(second.records());
        all.push(of(&second.after, 0, "1.0.0", 7));
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn members_are_a_function_of_what_was_offered(
        (straight, shuffled) in Just((0..scene().len()).collect::<Vec<_>>())
            .prop_flat_map(|all| prop::sample::subsequence(all.clone(), 0..=all.len()))
            .prop_flat_map(|some| (Just(some.clone()), Just(some).prop_shuffle())),
    ) {
        let of = |order: &[usize]| order.iter().map(|at| scene()[*at].clone()).collect::<Vec<_>>();
        let (mut one, mut other) = (Catalogue::new(), Catalogue::new());
        offer(&mut one, &of(&straight));
        // In two parts, as two peers would have them.
        let (first, rest) = shuffled.split_at(shuffled.len() / 2);
        offer(&mut other, &of(first));
        offer(&mut other, &of(rest));
        offer(&mut other, &of(&shuffled));
        prop_assert_eq!(ids(&one), ids(&other));
        prop_assert_eq!(one.root(), other.root());
        prop_assert!(one == other);
        let is_stated = |id: &PackageId| one.package(id).any(|it| it.state != State::Active);
        for (key, package) in &one.packages {
            // Statuses of versions without a release count too, and are shown by nothing.
            prop_assert!(one.stated.contains(key) || !is_stated(&package.id));
            prop_assert_eq!(one.stated.contains(key), package.is_stated());
        }
        prop_assert!(one.stated.iter().all(|key| one.packages.contains_key(key)));

        // Equal to what is built at once from the members, and to what is derived from nothing but them.
        let members: Vec<Record> = one.records().cloned().collect();
        let mut rebuilt = Catalogue::new();
        offer(&mut rebuilt, &members);
        prop_assert!(rebuilt == one);
        let mut builder = Builder::new();
        for _ in 0..4 {
            for member in &members {
                _ = builder.insert(member.clone());
            }
        }
        prop_assert!(builder.finish() == one);
        let entries: Vec<_> = one.map().iter(&[]).map(|(key, leaf)| (key.to_vec(), leaf.clone())).collect();
        prop_assert_eq!(Map::from_sorted(&entries).unwrap().root(), one.root());
    }

    #[test]
    fn a_store_that_follows_the_outcomes_holds_the_members_and_heads_are_reported(
        order in Just((0..scene().len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let package = Publisher::new(1).package("a");
        let mut catalogue = Catalogue::new();
        let mut stored = BTreeSet::new();
        for at in order.iter().chain(&order).chain(&order) {
            let record = &scene()[*at];
            let pages: Vec<_> = match record {
                Record::Rotation(rotation) => catalogue.waiting_pages(rotation).map(Verified::id).collect(),
                _ => Vec::new(),
            };
            let head = catalogue.head(&package).map(Verified::id);
            let has_place = catalogue.has_place(record);
            match catalogue.insert(record.clone()) {
                Ok(Inserted::New { left, heads_changed }) => {
                    prop_assert!(has_place);
                    stored.insert(record.id());
                    stored.extend(pages);
                    for gone in left {
                        prop_assert!(stored.remove(&gone.id()));
                    }
                    prop_assert_eq!(!heads_changed.is_empty(), catalogue.head(&package).map(Verified::id) != head);
                }
                Ok(Inserted::NotKept) => prop_assert!(record.indexed().is_none() || !has_place),
                Ok(Inserted::AlreadyKnown | Inserted::Waits) | Err(_) => {}
            }
            prop_assert_eq!(&stored, &ids(&catalogue));
        }
    }
}

fn release(who: &Publisher, index: u32, version: &str) -> Verified<Release> {
    who.release(index, "a", version, |_| {})
}

#[test]
fn a_rotation_takes_away_what_it_does_not_keep() {
    let one = Publisher::new(1);
    let (kept, lost) = (release(&one, 0, "1.0.0"), release(&one, 1, "2.0.0"));
    let mut catalogue = catalogue(&[&one], [kept.clone(), lost.clone()]);
    let package = one.package("a");
    assert_eq!(catalogue.head(&package).unwrap().id(), lost.id());
    let rotated = one.rotate(&[kept.id()]);
    let rotation = Record::Rotation(Box::new(rotated.rotation.clone()));
    let missing = InsertError::MissingPages(rotated.rotation.id());
    assert_eq!(missing.code(), "record/missing-pages");
    assert_eq!(catalogue.insert(rotation.clone()), Err(missing));
    assert_eq!(catalogue.insert(rotated.records()[0].clone()), Ok(Inserted::Waits));
    assert_eq!(catalogue.insert(rotated.records()[0].clone()), Ok(Inserted::Waits));
    assert_eq!(catalogue.waiting_pages(&rotated.rotation).count(), 1);
    assert!(catalogue.record(&rotated.pages[0].id()).is_none(), "what waits is no member");
    let left = vec![record(lost.clone())];
    let heads_changed = vec![package.clone()];
    assert_eq!(catalogue.insert(rotation), Ok(Inserted::New { left, heads_changed }));
    assert_eq!(catalogue.waiting_pages(&rotated.rotation).count(), 0);
    assert_eq!(catalogue.head(&package).unwrap().id(), kept.id());
    assert_eq!(catalogue.insert(record(lost)).map_err(|error| error.code()), Err("record/void"));
    assert_eq!(catalogue.record_count(), 4);
    assert!(matches!(catalogue.insert(record(release(&rotated.after, 1, "3.0.0"))), Ok(Inserted::New { .. })));
    assert_eq!(catalogue.head(&package).unwrap().version.to_string(), "3.0.0");
    // With the key in force again, the index that became free is free.
    assert_eq!(catalogue.next_index(&one.id()), 2);
}

#[test]
fn what_a_rotation_kept_settles_a_version_for_good() {
    let one = Publisher::new(1);
    let kept = release(&one, 0, "1.0.0");
    let rotated = one.rotate(&[kept.id()]);
    let mut catalogue = catalogue(&[&one], [kept.clone()]);
    offer(&mut catalogue, &rotated.records());
    for index in 1..20 {
        let rival = rotated.after.release(index, "a", "1.0.0", |release| {
            release.artifact = other_artifact(&index.to_string());
        });
        catalogue.insert(record(rival)).unwrap();
    }
    let view = catalogue.version(&one.package("a"), &"1.0.0".parse().unwrap()).unwrap();
    assert_eq!((view.standing.id(), view.contesting), (kept.id(), None));
    assert_eq!(catalogue.head(&one.package("a")).unwrap().id(), kept.id());
    assert_eq!(catalogue.release_count(&one.package("a")), 1);
    assert_eq!(catalogue.record_count(), 23);
}

#[test]
fn what_a_rotation_kept_keeps_its_index_beside_two_smaller_ids() {
    let one = Publisher::new(1);
    let kept = release(&one, 0, "1.0.0");
    let rotated = one.rotate(&[kept.id()]);
    let mut catalogue = catalogue(&[&one], [kept.clone()]);
    offer(&mut catalogue, &rotated.records());
    let mut rivals: Vec<_> = (0..40).map(|n| release(&rotated.after, 0, &format!("2.{n}.0"))).collect();
    rivals.sort_by_key(Verified::id);
    assert!(rivals[1].id() < kept.id(), "otherwise this shows nothing");
    for rival in rivals.iter().rev() {
        catalogue.insert(record(rival.clone())).unwrap();
    }
    let members = ids(&catalogue);
    assert!([kept.id(), rivals[0].id(), rivals[1].id()].iter().all(|id| members.contains(id)));
    assert_eq!(members.len(), 3 + 3);
    assert!(!catalogue.has_place(&record(rivals[2].clone())));
}

#[test]
fn few_pages_wait() {
    let one = Publisher::new(1);
    let mut catalogue = catalogue(&[&one], []);
    let rotated: Vec<_> = (0..=MAX_WAITING_PAGES)
        .map(|at| {
            one.rotate(&[RecordId::from_bytes(std::array::from_fn(
                |byte| if byte < 8 { at.to_be_bytes()[byte] } else { 0 },
            ))])
        })
        .collect();
    for rotated in &rotated {
        assert_eq!(catalogue.insert(rotated.records()[0].clone()), Ok(Inserted::Waits));
    }
    let waits = |at: usize| catalogue.waiting_pages(&rotated[at].rotation).count();
    assert_eq!((waits(0), waits(1), waits(MAX_WAITING_PAGES)), (0, 1, 1));
    let stranger = Publisher::new(2);
    let foreign = stranger.rotate(&[one.inception.id()]).records().remove(0);
    assert_eq!(catalogue.insert(foreign), Err(InsertError::UnknownPublisher(stranger.id())));
}

#[test]
fn many_waiting_pages_push_out_none_of_a_publisher_that_has_few() {
    let (one, other) = (Publisher::new(1), Publisher::new(2));
    let mut catalogue = catalogue(&[&one, &other], []);
    let few = one.rotate(&[one.inception.id()]);
    assert_eq!(catalogue.insert(few.records()[0].clone()), Ok(Inserted::Waits));
    for at in 0..=MAX_WAITING_PAGES as u16 {
        let id = RecordId::from_bytes(std::array::from_fn(|byte| at.to_be_bytes()[byte % 2]));
        let page = other.rotate(&[id]).records().remove(0);
        assert_eq!(catalogue.insert(page), Ok(Inserted::Waits));
    }
    assert_eq!(catalogue.waiting_pages(&few.rotation).count(), 1);
    assert!(matches!(catalogue.insert(few.records()[1].clone()), Ok(Inserted::New { .. })));
}

#[test]
fn a_page_that_does_not_follow_the_event_of_its_rotation_does_not_count() {
    let one = Publisher::new(1);
    let first = one.rotate(&[]);
    let mut catalogue = catalogue(&[&one], []);
    offer(&mut catalogue, &first.records());
    let page = one.rotate(&[one.inception.id()]).records().remove(0);
    assert_eq!(catalogue.insert(page), Ok(Inserted::Waits));
    let second = first.after.rotate(&[one.inception.id()]);
    let refused = catalogue.insert(Record::Rotation(Box::new(second.rotation.clone())));
    assert_eq!(refused, Err(InsertError::MissingPages(second.rotation.id())));
}

fn head(statuses: &[(&str, u64, State)]) -> Option<String> {
    let one = Publisher::new(1);
    let mut catalogue =
        catalogue(&[&one], [release(&one, 0, "1.0.0"), release(&one, 1, "2.0.0"), release(&one, 2, "3.0.0-rc.1")]);
    for (index, (version, seq, state)) in (10..).zip(statuses) {
        catalogue.insert(of_status(one.status(index, "a", version, *seq, *state, |_| {}))).unwrap();
    }
    catalogue.head(&one.package("a")).map(|release| release.version.to_string())
}

#[test]
fn a_yanked_or_retracted_version_is_never_the_head() {
    assert_eq!(head(&[]).as_deref(), Some("2.0.0"));
    assert_eq!(head(&[("2.0.0", 1, State::Yanked)]).as_deref(), Some("1.0.0"));
    assert_eq!(head(&[("2.0.0", 1, State::Retracted)]).as_deref(), Some("1.0.0"));
    assert_eq!(head(&[("2.0.0", 1, State::Deprecated)]).as_deref(), Some("2.0.0"));
    assert_eq!(head(&[("2.0.0", 1, State::Yanked), ("2.0.0", 2, State::Active)]).as_deref(), Some("2.0.0"));
    assert_eq!(head(&[("2.0.0", 2, State::Yanked), ("2.0.0", 1, State::Active)]).as_deref(), Some("1.0.0"));
    assert_eq!(head(&[("2.0.0", 1, State::Retracted), ("2.0.0", 2, State::Active)]).as_deref(), Some("1.0.0"));
    assert_eq!(head(&[("2.0.0", 1, State::Active), ("2.0.0", 1, State::Yanked)]).as_deref(), Some("1.0.0"));
    let both = [("2.0.0", 1, State::Yanked), ("1.0.0", 1, State::Yanked)];
    assert_eq!(head(&both).as_deref(), Some("3.0.0-rc.1"));
    assert_eq!(head(&[both[0], both[1], ("3.0.0-rc.1", 1, State::Retracted)]), None);
}

#[test]
fn a_package_without_a_head_leaves_search_and_keeps_its_versions() {
    let one = Publisher::new(1);
    let mut relay = Relay::new(&[&one], [release(&one, 0, "1.0.0")]);
    assert_eq!(relay.find("a").hits.len(), 1);
    let status = one.status(1, "a", "1.0.0", 1, State::Yanked, |status| status.reason = "It is broken.".into());
    relay.catalogue.insert(of_status(status.clone())).unwrap();
    relay.commit();
    assert_eq!((relay.find("a").hits.len(), relay.find("").hits.len()), (0, 0));
    let view = relay.catalogue.version(&one.package("a"), &"1.0.0".parse().unwrap()).unwrap();
    assert_eq!((view.state, view.status.map(|status| status.reason.as_str())), (State::Yanked, Some("It is broken.")));
    let values: Vec<_> =
        relay.latest().map.iter(b"p/").map(|(_, leaf)| crate::merkle::Value::bytes(leaf).to_vec()).collect();
    assert_eq!(values, [[&[2], &status.id().as_bytes()[..20]].concat()]);
    assert_eq!(relay.latest().map.iter(b"r/").count(), 3);
}

#[test]
fn a_status_of_what_was_never_released_makes_no_package() {
    let one = Publisher::new(1);
    let mut catalogue = catalogue(&[&one], []);
    catalogue.insert(of_status(one.status(0, "a", "1.0.0", 1, State::Retracted, |_| {}))).unwrap();
    assert_eq!((catalogue.package_count(), catalogue.packages().count()), (0, 0));
    assert_eq!(catalogue.resolve(&one.full_name("a")).count(), 0);
    assert_eq!(catalogue.map().iter(b"p/").count(), 0);
    catalogue.insert(record(release(&one, 1, "1.0.0"))).unwrap();
    assert_eq!((catalogue.package_count(), catalogue.head(&one.package("a"))), (1, None));
    assert_eq!(catalogue.map().iter(b"p/").count(), 1);
}

#[test]
fn an_unknown_kind_is_a_member_and_nothing_is_derived_from_it() {
    let one = Publisher::new(1);
    let mut catalogue = catalogue(&[&one], []);
    let before = catalogue.map().len();
    let unknown = one.unknown(200, 0, "words");
    catalogue.insert(of_unknown(unknown.clone())).unwrap();
    assert_eq!(catalogue.map().len(), before + 1);
    let key = [b"r/", &one.id().as_bytes()[..], &[200], unknown.id().as_bytes()].concat();
    assert!(catalogue.map().iter(&key).next().is_some());
    assert_eq!(catalogue.next_index(&one.id()), 1, "it takes an index");
    let rotated = one.rotate(&[]);
    offer(&mut catalogue, &rotated.records());
    assert!(catalogue.record(&unknown.id()).is_none(), "and is void like any other");
}

#[test]
fn a_fork_takes_away_what_was_signed_after_it() {
    let one = Publisher::new(1);
    let old = release(&one, 0, "1.0.0");
    let (first, rival) = (one.rotate(&[old.id()]), one.rotate_with(&[], 64, 1));
    let young = release(&first.after, 1, "2.0.0");
    let mut catalogue = catalogue(&[&one], [old.clone()]);
    offer(&mut catalogue, &first.records());
    catalogue.insert(record(young.clone())).unwrap();
    let Ok(Inserted::New { left, .. }) = catalogue.insert(rival.records().remove(0)) else { panic!("it is a member") };
    assert_eq!(left, [record(young)]);
    assert!(catalogue.key_log(&one.id()).unwrap().is_frozen());
    assert_eq!(catalogue.head(&one.package("a")).unwrap().id(), old.id());
    assert_eq!(catalogue.record_count(), 5, "an inception, two rotations, a page, a release");
}
