//! What is answered of packages whose keys were rotated and whose versions have statuses, and what a client makes of it.

use crate::catalogue::answer;
use crate::catalogue::keys::ShortId;
use crate::catalogue::testing::{Publisher, Relay};
use crate::catalogue::{Decision, Leaf, Standing};
use crate::limits::MAX_VERSIONS_PER_ANSWER;
use crate::protocol::query::{KeyLogOf, Package, PackageAnswer, Search};
use crate::record::{Record, State, Status, Verified, Version};
use crate::registry::{Found, GetError, PackageView, Source};
use crate::search::verified::VerifiedPackage;

fn status(who: &Publisher, index: u32, version: &str, seq: u64, state: State) -> Verified<Status> {
    who.status(index, "a", version, seq, state, |status| status.reason = format!("reason {seq}"))
}

fn insert(relay: &mut Relay, status: &Verified<Status>) {
    relay.catalogue.insert(Record::Status(Box::new(status.clone()))).unwrap();
}

fn version(text: &str) -> Version {
    text.parse().unwrap()
}

/// Three versions: yanked, deprecated and as released, all in the checkpoint.
fn scene() -> (Publisher, Relay, Package) {
    let one = Publisher::new(1);
    let releases =
        [("3.0.0", 2), ("2.0.0", 1), ("1.0.0", 0)].map(|(version, index)| one.release(index, "a", version, |_| {}));
    let mut relay = Relay::new(&[&one], releases);
    insert(&mut relay, &status(&one, 10, "3.0.0", 1, State::Yanked));
    insert(&mut relay, &status(&one, 11, "2.0.0", 1, State::Deprecated));
    relay.commit();
    let question = Package { name: one.full_name("a"), version: None };
    (one, relay, question)
}

fn states(package: &VerifiedPackage) -> Vec<(String, State)> {
    let releases = package.releases.iter();
    releases.map(|release| (release.version.to_string(), package.state(&release.version))).collect()
}

fn refusals(package: &VerifiedPackage) -> Vec<(usize, &'static str)> {
    package.refused.iter().map(|refused| (refused.index, refused.error.code())).collect()
}

fn found(package: Option<VerifiedPackage>) -> Found {
    Found::by(package, Source("here".into()))
}

#[test]
fn a_package_comes_with_the_state_of_each_version() {
    let (_, relay, question) = scene();
    let package = relay.package(&question).unwrap();
    let expected = [("3.0.0", State::Yanked), ("2.0.0", State::Deprecated), ("1.0.0", State::Active)];
    assert_eq!(states(&package), expected.map(|(version, state)| (version.to_owned(), state)));
    assert_eq!((package.statuses.len(), refusals(&package)), (2, vec![]));
    assert_eq!(package.head().unwrap().version, version("2.0.0"));
    assert_eq!(package.status(&version("3.0.0")).unwrap().reason, "reason 1");
    let view = PackageView::of(&question.name, None, found(Some(package))).unwrap();
    assert_eq!((view.release.state, view.versions.list[0].state), (Some(State::Deprecated), State::Yanked));
    assert_eq!(view.release.status.unwrap().version, version("2.0.0"));
    let one_version = Package { version: Some(version("3.0.0")), ..question };
    let package = relay.package(&one_version).unwrap();
    assert_eq!((package.statuses.len(), states(&package)), (1, vec![("3.0.0".into(), State::Yanked)]));
}

#[test]
fn a_status_that_came_since_the_checkpoint_counts_beside_the_one_in_it() {
    let (one, mut relay, question) = scene();
    insert(&mut relay, &status(&one, 12, "3.0.0", 2, State::Active));
    insert(&mut relay, &status(&one, 13, "1.0.0", 1, State::Retracted));
    let package = relay.package(&question).unwrap();
    assert_eq!((package.statuses.len(), refusals(&package)), (4, vec![]));
    assert_eq!((package.state(&version("3.0.0")), package.state(&version("1.0.0"))), (State::Active, State::Retracted));
    assert_eq!(package.head().unwrap().version, version("3.0.0"));
    relay.commit();
    let package = relay.package(&question).unwrap();
    assert_eq!((package.statuses.len(), refusals(&package)), (3, vec![]));
    let retracted = PackageView::of(&question.name, Some(&version("1.0.0")), found(Some(package)));
    assert_eq!(retracted.map_err(|error| error.code()).unwrap_err(), "version/retracted");
}

#[test]
fn a_package_of_which_all_is_withdrawn_says_so() {
    let (one, mut relay, question) = scene();
    insert(&mut relay, &status(&one, 12, "2.0.0", 2, State::Yanked));
    insert(&mut relay, &status(&one, 13, "1.0.0", 1, State::Retracted));
    relay.commit();
    let view = PackageView::of(&question.name, None, found(relay.package(&question)));
    assert_eq!(view, Err(GetError::Withdrawn(question.name.clone())));
    assert_eq!(view.unwrap_err().code(), "package/withdrawn");
    let yanked = PackageView::of(&question.name, Some(&version("2.0.0")), found(relay.package(&question)));
    assert_eq!(yanked.unwrap().release.state, Some(State::Yanked), "a lock file may still name it");
}

#[test]
fn a_status_that_the_proof_names_and_that_is_not_sent_takes_its_release_with_it() {
    let (_, relay, question) = scene();
    let answer = relay.package_answer(&question);
    for at in 0..2 {
        let mut withheld = answer.clone();
        withheld.statuses.remove(at);
        let package = relay.verify_package(&question, withheld).unwrap().unwrap();
        assert_eq!((package.releases.len(), package.refused.len()), (2, 1));
        assert_eq!(package.refused[0].error.code(), "relay/withheld");
    }
    let none = PackageAnswer { statuses: vec![], ..answer };
    assert_eq!(relay.verify_package(&question, none).unwrap().unwrap().releases.len(), 1);
}

#[test]
fn rejects_statuses_of_others_and_too_many_of_them() {
    let (one, relay, question) = scene();
    let answer = relay.package_answer(&question);
    let with = |status: &[u8]| {
        let mut answer = answer.clone();
        answer.statuses.push(serde_bytes::ByteBuf::from(status.to_vec()));
        let package = relay.verify_package(&question, answer).unwrap().unwrap();
        assert_eq!(package.releases.len(), 3, "one bad record hides no other");
        refusals(&package)
    };
    let of_other_package = one.status(0, "b", "1.0.0", 1, State::Yanked, |_| {});
    assert_eq!(with(of_other_package.bytes()), [(5, "record/wrong-package")]);
    let of_other_publisher = status(&Publisher::new(2), 0, "1.0.0", 9, State::Yanked);
    assert_eq!(with(of_other_publisher.bytes()), [(5, "record/wrong-publisher")]);
    assert_eq!(with(b"no record"), [(5, "record/encoding")]);
    assert_eq!(with(one.inception.bytes()), [(5, "record/unknown-kind")]);
    let one_version = Package { version: Some(version("3.0.0")), ..question.clone() };
    let mut other = relay.package_answer(&one_version);
    other.statuses.push(serde_bytes::ByteBuf::from(status(&one, 5, "1.0.0", 1, State::Yanked).bytes().to_vec()));
    assert_eq!(refusals(&relay.verify_package(&one_version, other).unwrap().unwrap()), [(2, "record/wrong-version")]);
    let mut many = answer.clone();
    many.statuses = vec![many.statuses[0].clone(); 4 * MAX_VERSIONS_PER_ANSWER + 1];
    assert_eq!(
        relay.verify_package(&question, many).map_err(|error| error.code()).unwrap_err(),
        "relay/broke-protocol"
    );
}

#[test]
fn an_entry_that_says_otherwise_than_its_status_is_refused() {
    let lies: [fn(&mut Decision); 2] = [
        |decision| decision.state = State::Active,
        |decision| {
            decision.status = ShortId::from_bytes([7; ShortId::BYTES]);
        },
    ];
    for (lie, code) in lies.into_iter().zip(["relay/wrong-entry", "relay/withheld"]) {
        let (_, mut relay, question) = scene();
        let honest = relay.package_answer(&question);
        relay.lie(|map| {
            let entries: Vec<_> = map.iter(b"p/").map(|(key, leaf)| (key.to_vec(), leaf.stands().decision)).collect();
            for (key, decision) in entries {
                if let Some(mut decision) = decision {
                    lie(&mut decision);
                    map.insert(&key, Leaf::standing(Standing { decision: Some(decision), excluded: None })).unwrap();
                }
            }
        });
        let question_now = question.clone();
        let evidence = relay.package_answer(&question_now).evidence;
        // The releases and statuses of an honest answer, under the liar's root.
        let range = crate::merkle::proof::Range::of(&crate::catalogue::keys::versions(
            &crate::catalogue::keys::PackageKey::of(&Publisher::new(1).package("a")),
        ));
        let mut evidence = evidence.unwrap();
        evidence.proof = serde_bytes::ByteBuf::from(relay.latest().map.prove(&range, 3));
        let answer = PackageAnswer { evidence: Some(evidence), ..honest };
        let package = relay.verify_package(&question, answer).unwrap().unwrap();
        assert_eq!(refusals(&package), [(0, code), (1, code)]);
    }
}

#[test]
fn answers_carry_rotations_and_only_the_pages_that_they_need() {
    let one = Publisher::new(1);
    let releases: Vec<_> = (0..300)
        .map(|n| {
            one.release(n, &format!("package-{n}"), "1.0.0", |release| {
                release.description = if n == 123 { "quokka".into() } else { String::new() };
            })
        })
        .collect();
    let yank = one.status(300, "package-7", "1.0.0", 1, State::Deprecated, |_| {});
    let mut ids: Vec<_> = releases.iter().map(Verified::id).collect();
    ids.push(yank.id());
    let rotated = one.rotate_with(&ids, 16, 0);
    let mut relay = Relay::new(&[&one], releases.clone());
    insert(&mut relay, &yank);
    for page in rotated.records() {
        relay.catalogue.insert(page).unwrap();
    }
    relay.insert(rotated.after.release(400, "young", "1.0.0", |_| {}));
    relay.commit();
    assert_eq!(relay.catalogue.record_count(), 1 + 301 + rotated.pages.len() + 1 + 1);

    let question = Search { text: "quokka".into(), limit: 20, ..Search::default() };
    let answer = relay.answer(&question).unwrap();
    assert_eq!((answer.key_logs.len(), answer.key_logs[0].len()), (1, 3), "an inception, a rotation, a page");
    let found = relay.verify(&question, answer.clone()).unwrap();
    assert_eq!(found.hits.iter().filter(|hit| hit.is_ok()).count(), found.hits.len());
    let mut without = answer;
    without.key_logs[0].pop();
    let found = relay.verify(&question, without).unwrap();
    assert_eq!(found.hits[0].as_ref().unwrap_err().error.code(), "record/no-keep-page");

    let all = relay.find("");
    assert!(all.hits.iter().all(Result::is_ok));
    let question = Package { name: one.full_name("package-7"), version: None };
    let answer = relay.package_answer(&question);
    assert!((3..=4).contains(&answer.key_log.len()), "{}", answer.key_log.len());
    let package = relay.package(&question).unwrap();
    assert_eq!((package.releases.len(), package.refused.len()), (1, 0));
    assert_eq!(package.state(&version("1.0.0")), State::Deprecated);
    let key_log = answer::key_log_of(&relay.catalogue, &KeyLogOf { publisher: one.id() }).unwrap();
    assert_eq!(key_log.events.len(), 2 + rotated.pages.len());
}

#[test]
fn what_a_rotation_voided_since_the_checkpoint_is_not_sent() {
    let one = Publisher::new(1);
    let (kept, lost) = (one.release(0, "a", "1.0.0", |_| {}), one.release(1, "b", "2.0.0", |_| {}));
    let mut relay = Relay::new(&[&one], [kept.clone(), lost]);
    let rotated = one.rotate(&[kept.id()]);
    for record in rotated.records() {
        relay.catalogue.insert(record).unwrap();
    }
    let package = relay.package(&Package { name: one.full_name("a"), version: None }).unwrap();
    assert_eq!(package.head().unwrap().id(), kept.id());
    assert_eq!((package.releases.len(), package.refused.len()), (1, 0));
    // A page of results is made of the snapshot: what is void is refused by whoever reads it.
    let found = relay.find("");
    let refused: Vec<_> =
        found.hits.iter().filter_map(|hit| hit.as_ref().err()).map(|refused| refused.error.code()).collect();
    let shown: Vec<_> = found.hits.iter().filter_map(|hit| hit.as_ref().ok()).map(|hit| hit.release.id()).collect();
    assert_eq!((refused, shown), (vec!["record/void"], vec![kept.id()]));
    relay.commit();
    assert!(relay.find("").hits.iter().all(Result::is_ok));
}

#[test]
fn what_a_rotation_kept_stands_for_a_client_too() {
    let one = Publisher::new(1);
    let kept = one.release(0, "a", "1.0.0", |_| {});
    let rotated = one.rotate(&[kept.id()]);
    let mut relay = Relay::new(&[&one], [kept.clone()]);
    for record in rotated.records() {
        relay.catalogue.insert(record).unwrap();
    }
    relay.commit();
    let question = Package { name: one.full_name("a"), version: None };
    let mut answer = relay.package_answer(&question);
    for index in 1..9 {
        let rival = rotated.after.release(index, "a", "1.0.0", |release| release.description = index.to_string());
        answer.recent.push(serde_bytes::ByteBuf::from(rival.bytes().to_vec()));
    }
    let package = relay.verify_package(&question, answer).unwrap().unwrap();
    assert_eq!(package.releases.len(), 9);
    assert_eq!(package.standing(&version("1.0.0")).unwrap().id(), kept.id());
    assert_eq!(package.head().unwrap().id(), kept.id());
}
