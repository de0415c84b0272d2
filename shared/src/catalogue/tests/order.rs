//! Membership: a function of what was offered.

use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::catalogue::testing::{Publisher, catalogue, depends_on, other_artifact, record};
use crate::catalogue::{Catalogue, InsertError, Inserted, Leaf, keys};
use crate::id::RecordId;
use crate::limits::MAX_QUOTA;
use crate::merkle::Map;
use crate::record::{self, Release, Verified};

/// Releases that collide in every way: few indices, names, versions and artifacts, and dependencies on each other.
fn releases(publishers: &[Publisher; 2]) -> impl Strategy<Value = Vec<Verified<Release>>> + use<> {
    let choices = (0_usize..2, 0_u32..4, 0_usize..3, 0_usize..3, 0_u8..3, 0_usize..4);
    let signed: [Vec<Verified<Release>>; 2] = [0, 1].map(|who| all_releases(publishers, who));
    prop::collection::vec(choices, 0..14).prop_map(move |choices| {
        let chosen = choices.into_iter().map(|(who, index, name, version, artifact, on)| {
            let at = (((index as usize * 3 + name) * 3 + version) * 3 + usize::from(artifact)) * 4 + on;
            signed[who][at].clone()
        });
        chosen.collect()
    })
}

fn all_releases(publishers: &[Publisher; 2], who: usize) -> Vec<Verified<Release>> {
    const NAMES: [&str; 3] = ["alpha", "beta", "alpha-beta"];
    let packages = [publishers[0].package("alpha"), publishers[1].package("beta"), publishers[0].package("absent")];
    let mut releases = Vec::new();
    for index in 0..4 {
        for name in NAMES {
            for version in ["1.0.0", "1.1.0-rc.1", "2.0.0"] {
                for artifact in 0..3 {
                    for on in 0..4 {
                        releases.push(publishers[who].release(index, name, version, |release| {
                            release.artifact = other_artifact(&artifact.to_string());
                            release.dependencies = packages.get(on).map(depends_on).into_iter().collect();
                        }));
                    }
                }
            }
        }
    }
    releases
}

fn publishers() -> &'static [Publisher; 2] {
    static PUBLISHERS: std::sync::OnceLock<[Publisher; 2]> = std::sync::OnceLock::new();
    PUBLISHERS.get_or_init(|| [Publisher::new(1), Publisher::new(2)])
}

fn build(releases: &[Verified<Release>]) -> Catalogue {
    let [one, two] = publishers();
    catalogue(&[one, two], releases.iter().cloned())
}

/// What a store would hold that follows the outcomes.
fn stored(releases: &[Verified<Release>]) -> BTreeSet<RecordId> {
    let [one, two] = publishers();
    let mut catalogue = catalogue(&[one, two], []);
    let mut stored = BTreeSet::from([one.inception.id(), two.inception.id()]);
    for release in releases {
        let has_place = catalogue.has_place(&record(release.clone()));
        let inserted = catalogue.insert(record(release.clone())).unwrap();
        assert_eq!(has_place, inserted != Inserted::NotKept, "whoever asks first is told what will happen");
        if let Inserted::New { left, .. } = inserted {
            stored.insert(release.id());
            for gone in left {
                assert!(stored.remove(&gone.id()));
            }
        }
    }
    stored
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn arrival_order_does_not_matter(
        (releases, shuffled) in releases(publishers()).prop_flat_map(|all| (Just(all.clone()), Just(all).prop_shuffle())),
    ) {
        let (straight, other) = (build(&releases), build(&shuffled));
        prop_assert_eq!(straight.root(), other.root());
        prop_assert!(straight == other);
    }

    #[test]
    fn offering_twice_changes_nothing(releases in releases(publishers())) {
        let twice = [&releases[..], &releases[..]].concat();
        prop_assert!(build(&releases) == build(&twice));
    }

    #[test]
    fn incremental_equals_a_rebuild_from_the_members(releases in releases(publishers())) {
        let incremental = build(&releases);
        let [one, two] = publishers();
        let mut rebuilt = catalogue(&[one, two], []);
        for member in incremental.records() {
            rebuilt.insert(member.clone()).unwrap();
        }
        prop_assert_eq!(incremental.root(), rebuilt.root());
        prop_assert!(incremental == rebuilt);
        let entries: Vec<_> = incremental.map().iter(&[]).map(|(key, leaf)| (key.to_vec(), leaf.clone())).collect();
        prop_assert_eq!(Map::from_sorted(&entries).unwrap().root(), incremental.root());
    }

    #[test]
    fn a_snapshot_on_the_way_changes_nothing_and_stays_as_it_was(releases in releases(publishers()), at in any::<prop::sample::Index>()) {
        let (before, behind) = releases.split_at(at.index(releases.len() + 1));
        let mut catalogue = build(before);
        let all = |catalogue: &Catalogue| catalogue.recent().map(|listed| listed.head).collect::<BTreeSet<_>>();
        let known = all(&catalogue);
        let snapshot = catalogue.snapshot();
        prop_assert_eq!(all(&catalogue), known, "no answer stands on the snapshot yet");
        catalogue.committed();
        prop_assert_eq!(catalogue.recent().count(), 0);
        for release in behind {
            catalogue.insert(record(release.clone())).unwrap();
        }
        prop_assert_eq!(snapshot.root(), build(before).root());
        prop_assert!(catalogue == build(&releases));
        let is_listed = |map: &Map<Leaf>, id| map.iter(&keys::newest()).any(|(_, leaf)| leaf.listed().is_some_and(|it| it.head == id));
        let recent: BTreeSet<_> = catalogue.recent().map(|listed| listed.head).collect();
        for listed in catalogue.map().iter(&keys::newest()).filter_map(|(_, leaf)| leaf.listed()) {
            prop_assert!(recent.contains(&listed.head) || is_listed(&snapshot, listed.head), "what is new is recent");
        }
    }

    #[test]
    fn a_store_that_follows_the_outcomes_holds_the_members(releases in releases(publishers())) {
        let members: BTreeSet<RecordId> = build(&releases).records().map(record::Record::id).collect();
        prop_assert_eq!(stored(&releases), members);
    }

    #[test]
    fn a_change_of_head_is_reported(releases in releases(publishers())) {
        let [one, two] = publishers();
        let mut catalogue = catalogue(&[one, two], []);
        let packages: Vec<_> = publishers().iter().flat_map(|who| ["alpha", "beta", "alpha-beta"].map(|name| who.package(name))).collect();
        for release in releases {
            let heads = |catalogue: &Catalogue| packages.iter().map(|id| catalogue.head(id).map(Verified::id)).collect::<Vec<_>>();
            let before = heads(&catalogue);
            let outcome = catalogue.insert(record(release)).unwrap();
            let changed: BTreeSet<_> = packages.iter().zip(before.iter().zip(heads(&catalogue)))
                .filter(|(_, (before, after))| *before != after).map(|(id, _)| id.clone()).collect();
            let reported = match outcome {
                Inserted::New { heads_changed, .. } => heads_changed.into_iter().collect(),
                Inserted::AlreadyKnown | Inserted::NotKept | Inserted::Waits => BTreeSet::new(),
            };
            prop_assert_eq!(reported, changed);
        }
    }
}

#[test]
fn the_smallest_ids_of_an_index_stay() {
    let one = Publisher::new(1);
    let mut rivals: Vec<_> = (0..3).map(|n| one.release(7, &format!("package-{n}"), "1.0.0", |_| {})).collect();
    rivals.sort_by_key(Verified::id);
    let largest_first = rivals.iter().rev().cloned();
    let mut catalogue = catalogue(&[&one], largest_first.clone().take(2));
    let outcome = catalogue.insert(record(rivals[0].clone())).unwrap();
    assert!(matches!(outcome, Inserted::New { left, .. } if left == [record(rivals[2].clone())]));
    assert_eq!(catalogue.insert(record(rivals[2].clone())), Ok(Inserted::NotKept));
    assert_eq!(catalogue.insert(record(rivals[1].clone())), Ok(Inserted::AlreadyKnown));
    assert!(catalogue.record(&rivals[2].id()).is_none());
    assert_eq!(catalogue.package(&rivals[2].package()).count(), 0);
    assert_eq!(catalogue.package_count(), 2);
    assert_eq!(catalogue.record_count(), 3);
}

#[test]
fn a_release_without_its_key_log_is_refused() {
    let one = Publisher::new(1);
    let release = one.release(0, "a", "1.0.0", |_| {});
    let mut catalogue = Catalogue::new();
    let refused = catalogue.insert(record(release.clone())).map_err(|error| error.code());
    assert_eq!(refused, Err("record/unknown-publisher"));
    assert_eq!(catalogue, Catalogue::new());
    catalogue.insert(one.inception()).unwrap();
    assert!(matches!(catalogue.insert(record(release)), Ok(Inserted::New { .. })));
}

#[test]
fn a_release_that_its_key_log_does_not_allow_is_refused() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let mut catalogue = catalogue(&[&one, &two], []);
    let over_quota = one.release(MAX_QUOTA, "a", "1.0.0", |_| {});
    let under_another = one.release(0, "a", "1.0.0", |release| release.signed_under = two.inception.id());
    for (release, code) in [(over_quota, "record/over-quota"), (under_another, "record/unknown-key-event")] {
        let refused = catalogue.insert(record(release));
        assert!(matches!(refused, Err(InsertError::Record(_))));
        assert_eq!(refused.map_err(|error| error.code()), Err(code));
    }
    assert_eq!(catalogue.record_count(), 2);
    assert!(catalogue.insert(record(one.release(MAX_QUOTA - 1, "a", "1.0.0", |_| {}))).is_ok());
}

#[test]
fn the_next_index_is_the_lowest_free_one() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let release = |index| one.release(index, "a", &format!("1.{index}.0"), |_| {});
    assert_eq!(catalogue(&[&one], []).next_index(&one.id()), 0);
    assert_eq!(catalogue(&[&one], [release(0), release(1)]).next_index(&one.id()), 2);
    assert_eq!(catalogue(&[&one], [release(0), release(2)]).next_index(&one.id()), 1);
    assert_eq!(catalogue(&[&one], [release(1)]).next_index(&one.id()), 0);
    assert_eq!(catalogue(&[&one], [release(0)]).next_index(&two.id()), 0);
}
