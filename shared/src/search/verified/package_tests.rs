use std::collections::BTreeSet;

use super::super::tests::{BROKEN, flip, wire};
use super::super::*;
use super::*;
use crate::catalogue::testing::{Publisher, Relay, other_artifact};
use crate::id::FullName;
use crate::record::State;

/// A package with two versions, the higher one first.
fn package() -> (Package, PackageAnswer, Relay, Publisher) {
    let one = Publisher::new(1);
    let releases = [one.release(0, "a", "1.0.0", |_| {}), one.release(1, "a", "2.0.0", |_| {})];
    let question = Package { name: one.full_name("a"), version: None };
    let relay = Relay::new(&[&one], releases);
    (question.clone(), relay.package_answer(&question), relay, one)
}

fn versions(package: &VerifiedPackage) -> Vec<String> {
    package.releases.iter().map(|release| release.version.to_string()).collect()
}

fn refused(package: &VerifiedPackage) -> Vec<(usize, &'static str)> {
    package.refused.iter().map(|refused| (refused.index, refused.error.code())).collect()
}

fn package_code(relay: &Relay, question: &Package, answer: PackageAnswer) -> Option<&'static str> {
    relay.verify_package(question, answer).map_err(|error| error.code()).err()
}

#[test]
fn an_honest_package_is_accepted_highest_version_first() {
    let (question, answer, relay, one) = package();
    let package = relay.verify_package(&question, answer).unwrap().unwrap();
    assert_eq!((versions(&package), refused(&package)), (vec!["2.0.0".into(), "1.0.0".into()], vec![]));
    assert_eq!(package.head().unwrap().version.to_string(), "2.0.0");
    assert_eq!(package.key_log, one.key_log());
    assert_eq!((package.total, package.recent.len()), (2, 0));
    assert_eq!(package.proven.checkpoint, relay.latest().checkpoint);
}

#[test]
fn releases_in_another_order_than_their_entries_are_refused() {
    let (question, mut answer, relay, _) = package();
    answer.releases.reverse();
    let package = relay.verify_package(&question, answer).unwrap().unwrap();
    assert_eq!(refused(&package), [(0, "record/not-proven"), (1, "record/not-proven")]);
}

#[test]
fn an_unknown_package_is_none() {
    let (question, answer, relay, _) = package();
    let nothing = PackageAnswer { releases: vec![], key_log: vec![], ..answer };
    assert_eq!(relay.verify_package(&question, nothing), Ok(None));
}

#[test]
fn a_version_that_is_left_out_is_missed() {
    let (question, answer, relay, _) = package();
    let mut last = answer.clone();
    last.releases.pop();
    let package = relay.verify_package(&question, last).unwrap().unwrap();
    assert_eq!((versions(&package), refused(&package)), (vec!["2.0.0".into()], vec![(1, "relay/withheld")]));
    let mut first = answer.clone();
    first.releases.remove(0);
    let package = relay.verify_package(&question, first).unwrap().unwrap();
    assert_eq!(
        (versions(&package), refused(&package)),
        (vec![], vec![(0, "record/not-proven"), (1, "relay/withheld")])
    );

    // Nor by a proof that shows less.
    let mut narrow = answer;
    narrow.releases.remove(0);
    let range =
        Range::of(&keys::of_version(&PackageKey::of(&Publisher::new(1).package("a")), &"1.0.0".parse().unwrap()));
    narrow.evidence.as_mut().unwrap().proof = ByteBuf::from(relay.latest().map.prove(&range, 9));
    assert_eq!(package_code(&relay, &question, narrow), Some("relay/bad-proof"));
}

#[test]
fn rejects_releases_that_the_proof_does_not_name() {
    let (question, answer, relay, one) = package();
    let mut more = answer.clone();
    more.releases.push(wire(&one.release(2, "a", "3.0.0", |_| {})));
    assert_eq!(package_code(&relay, &question, more), BROKEN);
    let others =
        [one.release(2, "a", "3.0.0", |_| {}), one.release(2, "a", "2.0.0", |it| it.description = "again".into())];
    for other in others {
        let mut swapped = answer.clone();
        swapped.releases[0] = wire(&other);
        let package = relay.verify_package(&question, swapped).unwrap().unwrap();
        assert_eq!((versions(&package), refused(&package)), (vec!["1.0.0".into()], vec![(0, "record/not-proven")]));
    }
}

#[test]
fn rejects_recent_releases_of_another_package_version_or_publisher() {
    let (question, mut answer, relay, one) = package();
    let foreign = Publisher::new(2).release(0, "a", "9.0.0", |_| {});
    let newer = wire(&one.release(3, "a", "3.0.0", |_| {}));
    answer.recent = vec![
        wire(&one.release(2, "b", "1.0.0", |_| {})),
        wire(&foreign),
        answer.releases[0].clone(),
        newer.clone(),
        newer,
    ];
    let package = relay.verify_package(&question, answer.clone()).unwrap().unwrap();
    let expected =
        [(2, "record/wrong-package"), (3, "record/wrong-publisher"), (4, "record/twice"), (6, "record/twice")];
    assert_eq!(refused(&package), expected);
    assert_eq!(versions(&package), ["3.0.0", "2.0.0", "1.0.0"]);
    assert_eq!((package.total, package.recent), (3, BTreeSet::from([one.release(3, "a", "3.0.0", |_| {}).id()])));

    let one_version = Package { version: Some("1.0.0".parse().unwrap()), ..question };
    let mut other = relay.package_answer(&one_version);
    assert_eq!(versions(&relay.verify_package(&one_version, other.clone()).unwrap().unwrap()), ["1.0.0"]);
    other.releases[0] = answer.releases[0].clone();
    let package = relay.verify_package(&one_version, other).unwrap().unwrap();
    assert_eq!((versions(&package), refused(&package)), (vec![], vec![(0, "record/wrong-version")]));
}

#[test]
fn the_releases_of_a_contested_version_are_both_shown_and_neither_stands() {
    let one = Publisher::new(1);
    let rival = one.release(1, "a", "1.0.0", |release| release.artifact = other_artifact("x"));
    let relay =
        Relay::new(&[&one], [one.release(0, "a", "1.0.0", |_| {}), rival, one.release(2, "a", "0.1.0", |_| {})]);
    let question = Package { name: one.full_name("a"), version: None };
    let contested = relay.package(&question).unwrap();
    assert_eq!(
        (versions(&contested), refused(&contested)),
        (vec!["1.0.0".into(), "1.0.0".into(), "0.1.0".into()], vec![])
    );
    assert_eq!(contested.standing(&"1.0.0".parse().unwrap()), None);
    assert_eq!(contested.head().unwrap().version.to_string(), "0.1.0");
    let question = Package { version: Some("1.0.0".parse().unwrap()), ..question };
    let mut answer = relay.package_answer(&question);
    assert_eq!(relay.verify_package(&question, answer.clone()).unwrap().unwrap().releases.len(), 2);
    // A relay that hides what contests the version is caught.
    answer.releases.pop();
    assert_eq!(refused(&relay.verify_package(&question, answer).unwrap().unwrap()), [(1, "relay/withheld")]);
}

#[test]
fn a_version_is_not_settled_by_a_proof_that_ends_before_what_contests_it() {
    let one = Publisher::new(1);
    let of = |index, version, content| {
        one.release(index, "a", version, |release| release.artifact = other_artifact(content))
    };
    let relay = Relay::new(&[&one], [of(0, "1.0.0", "x"), of(1, "1.0.0", "y"), of(2, "2.0.0", "x")]);
    let cut = |question: &Package, range: Vec<u8>, shown: usize| {
        let mut answer = relay.package_answer(question);
        answer.releases.truncate(shown);
        answer.evidence.as_mut().unwrap().proof = relay.latest().map.prove(&Range::of(&range), shown).into();
        let package = relay.verify_package(question, answer).unwrap().unwrap();
        assert_eq!((refused(&package), package.releases.len()), (vec![], shown));
        package
    };
    let (key, version) = (PackageKey::of(&one.package("a")), "1.0.0".parse().unwrap());
    let all = Package { name: one.full_name("a"), version: None };
    let package = cut(&all, keys::versions(&key), 2);
    assert_eq!(package.standing(&version), None);
    assert_eq!(package.head().unwrap().version.to_string(), "2.0.0", "what is shown to its end is settled");
    assert_eq!(cut(&all, keys::versions(&key), 1).head(), None);
    let question = Package { version: Some(version.clone()), ..all.clone() };
    assert_eq!(cut(&question, keys::of_version(&key, &version), 1).standing(&version), None);

    // Nor does it help to show nothing, and to say that the release just came.
    let mut answer = relay.package_answer(&all);
    answer.recent = vec![answer.releases[1].clone()];
    answer.releases.clear();
    answer.evidence.as_mut().unwrap().proof = relay.latest().map.prove(&Range::of(&keys::versions(&key)), 0).into();
    assert_eq!(relay.verify_package(&all, answer).unwrap().unwrap().head(), None);
}

#[test]
fn rejects_a_publisher_that_was_not_asked_for() {
    let (question, answer, relay, _) = package();
    let fingerprint = Publisher::new(2).id().fingerprint();
    let handle = Some("somebody".parse().unwrap());
    for name in [FullName { fingerprint, ..question.name.clone() }, FullName { handle, ..question.name.clone() }] {
        let question = Package { name, version: None };
        let error = relay.verify_package(&question, answer.clone()).unwrap_err();
        assert!(matches!(error, AnswerError::WrongPublisher { .. }) && error.code() == "record/wrong-publisher");
    }
    let name = FullName { handle: None, ..question.name };
    assert!(relay.verify_package(&Package { name, version: None }, answer).is_ok());
}

#[test]
fn a_package_without_a_sound_key_log_or_evidence_is_refused() {
    let (question, answer, relay, _) = package();
    let code = |answer| package_code(&relay, &question, answer).unwrap();
    assert_eq!(code(PackageAnswer { key_log: vec![], ..answer.clone() }), "record/encoding");
    for at in 0..answer.key_log[0].len() {
        let mut changed = answer.clone();
        flip(&mut changed.key_log[0], at);
        assert!(code(changed).starts_with("record/"), "byte {at}");
    }
    assert_eq!(code(PackageAnswer { evidence: None, ..answer.clone() }), "relay/broke-protocol");
    for at in 0..answer.evidence.as_ref().unwrap().proof.len() {
        let mut changed = answer.clone();
        flip(&mut changed.evidence.as_mut().unwrap().proof, at);
        assert_eq!(code(changed), "relay/bad-proof", "byte {at}");
    }
    let other = Relay::of(101, relay.catalogue.clone());
    assert_eq!(package_code(&other, &question, answer), Some("checkpoint/wrong-relay"));
}

#[test]
fn rejects_more_releases_than_a_package_answer_may_have() {
    let (question, answer, relay, _) = package();
    let copies = |count| vec![answer.releases[0].clone(); count];
    let of = |question: &Package, releases: usize, recent: usize| {
        let answer = PackageAnswer { recent: copies(recent), ..relay.package_answer(question) };
        let answer = if releases > 0 { PackageAnswer { releases: copies(releases), ..answer } } else { answer };
        package_code(&relay, question, answer)
    };
    let one_version = Package { version: Some("2.0.0".parse().unwrap()), ..question.clone() };
    assert_eq!((of(&one_version, 0, 2), of(&one_version, 0, 3), of(&one_version, 3, 0)), (None, BROKEN, BROKEN));
    let most = MAX_VERSIONS_PER_ANSWER * MAX_CONFLICTING_RECORDS;
    assert_eq!(
        (of(&question, 0, most), of(&question, 0, most + 1), of(&question, most + 1, 0)),
        (None, BROKEN, BROKEN)
    );
}

#[test]
fn of_each_version_a_package_answer_may_have_what_contests_it() {
    let one = Publisher::new(1);
    // More releases than there may be versions.
    let count = u32::try_from(MAX_VERSIONS_PER_ANSWER / MAX_CONFLICTING_RECORDS).unwrap() + 4;
    let release = |version: u32, content: u32| {
        one.release(2 * version + content, "a", &format!("1.{version}.0"), |release| {
            release.artifact = other_artifact(&format!("{version} {content}"));
        })
    };
    let relay = Relay::new(&[&one], (0..count).flat_map(|version| [0, 1].map(|content| release(version, content))));
    let package = relay.package(&Package { name: one.full_name("a"), version: None }).unwrap();
    assert_eq!((package.releases.len(), refused(&package)), (2 * count as usize, vec![]));
}

#[test]
fn what_is_refused_is_told_by_its_place_behind_what_came_before() {
    let (question, mut answer, relay, one) = package();
    answer.recent = vec![wire(&one.release(5, "a", "3.0.0", |_| {})), ByteBuf::from([1])];
    answer.statuses = vec![ByteBuf::from([1]), ByteBuf::from([2])];
    let package = relay.verify_package(&question, answer).unwrap().unwrap();
    let places: BTreeSet<_> = refused(&package).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, BTreeSet::from([3, 4, 5]), "behind two releases and the first recent one");
}

#[test]
fn rejects_more_statuses_than_a_package_answer_may_have() {
    let (question, _, relay, one) = package();
    let status = ByteBuf::from(one.status(7, "a", "2.0.0", 1, State::Yanked, |_| {}).bytes().to_vec());
    let of = |question: &Package, count| {
        let answer = PackageAnswer { statuses: vec![status.clone(); count], ..relay.package_answer(question) };
        package_code(&relay, question, answer)
    };
    let one_version = Package { version: Some("2.0.0".parse().unwrap()), ..question.clone() };
    let most = 2 * MAX_CONFLICTING_RECORDS;
    assert_eq!((of(&one_version, most), of(&one_version, most + 1)), (None, BROKEN));
    let most = most * MAX_VERSIONS_PER_ANSWER;
    assert_eq!((of(&question, most), of(&question, most + 1)), (None, BROKEN));
}

#[test]
fn the_client_and_the_catalogue_agree_on_the_head() {
    let one = Publisher::new(1);
    let other = |index, version| one.release(index, "a", version, |release| release.artifact = other_artifact("x"));
    let plain = |index, version| one.release(index, "a", version, |_| {});
    let described = |index, version| one.release(index, "a", version, |release| release.description = "again".into());
    let shops = [
        vec![plain(0, "1.0.0"), plain(1, "2.0.0"), other(2, "2.0.0"), plain(3, "3.0.0-rc.1")],
        vec![plain(0, "1.0.0"), described(1, "1.0.0")],
        vec![plain(0, "1.0.0-rc.1"), plain(1, "1.0.0-rc.2")],
        vec![plain(0, "1.0.0"), other(1, "1.0.0")],
    ];
    let question = Package { name: one.full_name("a"), version: None };
    for releases in shops {
        // However many of them are in the checkpoint already.
        for in_checkpoint in 1..=releases.len() {
            let (before, since) = releases.split_at(in_checkpoint);
            let mut relay = Relay::new(&[&one], before.iter().cloned());
            since.iter().for_each(|release| relay.insert(release.clone()));
            let package = relay.package(&question).unwrap();
            assert_eq!(refused(&package), []);
            assert_eq!(package.head().map(Verified::id), relay.catalogue.head(&one.package("a")).map(Verified::id));
        }
    }
}

#[test]
fn of_two_releases_of_a_version_the_smaller_id_comes_first_whichever_came_first() {
    let one = Publisher::new(1);
    let mut ids = [
        one.release(0, "a", "1.0.0", |_| {}),
        one.release(1, "a", "1.0.0", |release| release.artifact = other_artifact("x")),
    ];
    ids.sort_by_key(Verified::id);
    let lower = one.release(2, "a", "0.9.0", |_| {});
    for order in [[0, 1], [1, 0]] {
        let relay = Relay::new(&[&one], [lower.clone()]);
        let mut package = relay.package(&Package { name: one.full_name("a"), version: None }).unwrap();
        package.releases.clear();
        for at in order {
            package.insert(ids[at].clone());
        }
        package.insert(lower.clone());
        let expected = [ids[0].id(), ids[1].id(), lower.id()];
        assert_eq!(package.releases.iter().map(Verified::id).collect::<Vec<_>>(), expected);
    }
}
