//! A key log is a chain of rotations, frozen where it forks; what a rotated key signed is void unless it was kept.

use proptest::prelude::*;

use super::*;
use crate::catalogue::testing::{Publisher, Rotated};
use crate::limits::{MAX_KEPT_PER_PAGE, MAX_KEY_EVENTS, MAX_PAGES_PER_KEY_LOG, MAX_PAGES_PER_ROTATION};

fn log_of(publisher: &Publisher, steps: &[&Rotated]) -> KeyLog {
    let mut log = publisher.key_log();
    for step in steps {
        assert_eq!(log.follow(step.rotation.clone()), Ok(Followed::New));
        for page in &step.pages {
            assert_eq!(log.add_page(page.clone()), Ok(Followed::New));
        }
    }
    log
}

fn events(log: &KeyLog) -> Vec<Vec<u8>> {
    log.events().map(|event| event.to_vec()).collect()
}

fn reread(events: &[Vec<u8>], publisher: &Publisher) -> Result<KeyLog, Error> {
    KeyLog::verify(events, publisher.id(), &publisher.network)
}

/// Takes a release the way of a peer's bytes.
fn outcome(log: &KeyLog, release: &Verified<Release>) -> &'static str {
    let read = Unverified::<Release>::decode(release.bytes()).unwrap().verify(log, &network());
    read.map_or_else(|error| error.code(), |_| "accepted")
}

#[test]
fn a_rotation_puts_a_fresh_key_in_force_and_voids_what_it_does_not_keep() {
    let one = Publisher::new(1);
    let (kept, lost) = (one.release(0, "a", "1.0.0", |_| {}), one.release(1, "a", "2.0.0", |_| {}));
    assert_eq!((outcome(&one.key_log(), &kept), outcome(&one.key_log(), &lost)), ("accepted", "accepted"));
    let rotated = one.rotate(&[kept.id()]);
    let log = log_of(&one, &[&rotated]);
    assert_eq!((log.head(), log.is_frozen()), (rotated.rotation.id(), false));
    assert_eq!(log.key_at(&log.head()), Some(&rotated.rotation.key));
    assert_eq!(log.key_at(&one.inception.id()), Some(&one.inception.key));
    assert_eq!((outcome(&log, &kept), outcome(&log, &lost)), ("accepted", "record/void"));
    assert_eq!(outcome(&log, &rotated.after.release(1, "a", "2.0.0", |_| {})), "accepted");
    assert_eq!(outcome(&one.key_log(), &rotated.after.release(1, "a", "2.0.0", |_| {})), "record/unknown-key-event");
    assert!(log.is_settled(&one.inception.id()) && !log.is_settled(&log.head()));
    assert!(!one.key_log().is_settled(&one.inception.id()));
}

#[test]
fn what_a_rotation_kept_stays_for_good() {
    let one = Publisher::new(1);
    let old = one.release(0, "a", "1.0.0", |_| {});
    let first = one.rotate(&[old.id()]);
    let young = first.after.release(1, "a", "2.0.0", |_| {});
    let second = first.after.rotate(&[young.id()]);
    let third = second.after.rotate(&[]);
    let log = log_of(&one, &[&first, &second, &third]);
    assert_eq!((outcome(&log, &old), outcome(&log, &young)), ("accepted", "accepted"));
    assert_eq!(outcome(&log, &second.after.release(2, "a", "3.0.0", |_| {})), "record/void");
    // A page keeps what was signed under the event that it follows, and nothing else.
    let listed_late = first.after.rotate(&[one.release(3, "b", "1.0.0", |_| {}).id()]);
    let log = log_of(&one, &[&first, &listed_late]);
    assert_eq!(outcome(&log, &one.release(3, "b", "1.0.0", |_| {})), "record/void");
    assert_eq!(log.head(), listed_late.rotation.id());
}

#[test]
fn a_record_whose_page_is_missing_is_refused_for_that() {
    let one = Publisher::new(1);
    let releases: Vec<_> = (0..4).map(|index| one.release(index, "a", &format!("1.{index}.0"), |_| {})).collect();
    let mut ids: Vec<_> = releases.iter().take(3).map(Verified::id).collect();
    ids.sort();
    let rotated = one.rotate_with(&ids, 1, 0);
    let log = log_of(&one, &[&rotated]);
    let kept = |log: &KeyLog| releases.iter().map(|release| outcome(log, release)).collect::<Vec<_>>();
    assert_eq!(kept(&log), ["accepted", "accepted", "accepted", "record/void"]);
    let needed = log.events_for([(one.inception.id(), releases[1].id())]);
    let needed: Vec<_> = needed.into_iter().map(|event| event.to_vec()).collect();
    assert_eq!(needed.len(), 3, "the inception, the rotation, one page");
    let some = reread(&needed, &one).unwrap();
    assert_eq!(
        kept(&some),
        ["record/no-keep-page", "accepted", "record/no-keep-page", "record/no-keep-page"],
        "not known to be void"
    );
    let twice = log.events_for([(one.inception.id(), releases[1].id()); 2]);
    assert_eq!(twice.len(), 3);
    assert_eq!(log.events_for([]).len(), 2);
    assert_eq!(log.events_for([(log.head(), releases[1].id())]).len(), 2);
}

#[test]
fn two_rotations_of_one_event_freeze_the_log() {
    let one = Publisher::new(1);
    let releases: Vec<_> = (0..3).map(|index| one.release(index, "a", &format!("1.{index}.0"), |_| {})).collect();
    let (a, b) = (one.rotate(&[releases[0].id()]), one.rotate_with(&[releases[1].id()], 64, 1));
    let further = a.after.rotate(&[]);
    let under_a = a.after.release(5, "a", "9.0.0", |_| {});
    let straight = log_of(&one, &[&a, &further]);
    assert_eq!(straight.head(), further.rotation.id());
    let mut forked = straight.clone();
    assert_eq!(forked.follow(b.rotation.clone()), Ok(Followed::New));
    assert_eq!(forked.add_page(b.pages[0].clone()), Ok(Followed::New));
    assert_eq!((forked.head(), forked.is_frozen()), (one.inception.id(), true));
    let outcomes: Vec<_> = releases.iter().map(|release| outcome(&forked, release)).collect();
    assert_eq!(outcomes, ["accepted", "accepted", "record/void"], "either may keep");
    assert_eq!(outcome(&forked, &under_a), "record/unknown-key-event");
    assert_eq!(outcome(&forked, &one.release(7, "z", "1.0.0", |_| {})), "record/void", "nothing new under its end");
    assert!(matches!(forked.follow(further.rotation.clone()), Err(Error::UnknownKeyEvent(_))));
    assert_eq!(forked.follow(a.rotation.clone()), Ok(Followed::AlreadyKnown));
    assert_eq!(forked.rotations().count(), 2);
    let other_way = log_of(&one, &[&b, &a]);
    assert_eq!(other_way, forked, "in any order");
    assert_eq!(reread(&events(&forked), &one), Ok(forked.clone()));
    // Known or not known to be frozen, the evidence is there for everybody to see.
    assert!(!reread(&events(&straight), &one).unwrap().is_frozen());
}

#[test]
fn the_two_smallest_of_many_rotations_count_and_pages_of_others_leave() {
    let one = Publisher::new(1);
    let release = one.release(0, "a", "1.0.0", |_| {});
    let mut rivals: Vec<_> = (0..4).map(|fork| one.rotate_with(&[release.id()], 64, fork)).collect();
    rivals.push(one.rotate_with(&[], 64, 9));
    rivals.sort_by_key(|rival| rival.rotation.id());
    let mut log = one.key_log();
    for rival in rivals.iter().rev() {
        assert_eq!(log.follow(rival.rotation.clone()), Ok(Followed::New));
        for page in &rival.pages {
            assert_ne!(log.add_page(page.clone()), Ok(Followed::NotKept));
        }
    }
    let smallest: Vec<_> = rivals.iter().take(2).map(|rival| rival.rotation.id()).collect();
    assert_eq!(log.rotations().map(Verified::id).collect::<Vec<_>>(), smallest);
    assert_eq!(log.follow(rivals[2].rotation.clone()), Ok(Followed::NotKept));
    assert_eq!(log.pages().count(), 1, "all name the same page");

    let (with_page, other) = (one.rotate(&[release.id()]), [one.rotate_with(&[], 64, 3), one.rotate_with(&[], 64, 5)]);
    let mut log = log_of(&one, &[&with_page]);
    for rival in &other {
        _ = log.follow(rival.rotation.clone()).unwrap();
    }
    let is_named = log.rotations().any(|rotation| rotation.id() == with_page.rotation.id());
    assert_eq!(log.pages().count(), usize::from(is_named));
}

#[test]
fn a_fork_further_down_keeps_what_comes_before_it() {
    let one = Publisher::new(1);
    let old = one.release(0, "a", "1.0.0", |_| {});
    let first = one.rotate(&[old.id()]);
    let young = first.after.release(1, "a", "2.0.0", |_| {});
    let (second, rival) = (first.after.rotate(&[young.id()]), first.after.rotate_with(&[], 64, 1));
    let log = log_of(&one, &[&first, &second, &rival]);
    assert_eq!((log.head(), log.is_frozen()), (first.rotation.id(), true));
    assert_eq!((outcome(&log, &old), outcome(&log, &young)), ("accepted", "accepted"));
    assert_eq!(reread(&events(&log), &one), Ok(log.clone()));
    assert_eq!(log.clone().into_records().len(), 1 + 3 + 2);
}

#[test]
fn rejects_a_rotation_or_page_of_another_key_event_publisher_or_network() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let rotated = one.rotate(&[one.release(0, "a", "1.0.0", |_| {}).id()]);
    let check = |log: &KeyLog, record: &RecordBytes| {
        let read = UnverifiedRecord::decode(record).unwrap().verify(Some(log), &network());
        read.map_or_else(|error| error.code(), |_| "accepted")
    };
    for record in [rotated.rotation.bytes(), rotated.pages[0].bytes()] {
        assert_eq!(check(&one.key_log(), record), "accepted");
        assert_eq!(check(&two.key_log(), record), "record/wrong-publisher");
        let elsewhere = UnverifiedRecord::decode(record).unwrap().verify(Some(&one.key_log()), &Network::main());
        assert_eq!(elsewhere, Err(Error::BadSignature));
    }
    // A thief of the key in force has not the next one.
    let thief = Rotation { revealed: public(&key(9)), ..(*rotated.rotation).clone() };
    let thief = sign(thief, &key(9), &network()).unwrap();
    assert_eq!(check(&one.key_log(), thief.bytes()), "record/not-committed");
    let page = KeepPage { revealed: public(&key(9)), ..(*rotated.pages[0]).clone() };
    assert_eq!(check(&one.key_log(), sign(page, &key(9), &network()).unwrap().bytes()), "record/not-committed");
    let next = rotated.after.rotate(&[]);
    assert_eq!(check(&one.key_log(), next.rotation.bytes()), "record/unknown-key-event");
    assert_eq!(check(&log_of(&one, &[&rotated]), next.rotation.bytes()), "accepted");
    let mut log = one.key_log();
    assert_eq!(log.follow(thief), Err(Error::NotCommitted(one.inception.id())), "even if it was never verified");
    assert_eq!(log.add_page(rotated.pages[0].clone()), Ok(Followed::NotKept), "no rotation names it");
    assert_eq!(log, one.key_log());
}

#[test]
fn who_has_the_key_in_force_can_neither_rotate_nor_fork() {
    let one = Publisher::new(1);
    let first = one.rotate(&[]);
    let second = first.after.rotate(&[]);
    let log = log_of(&one, &[&first, &second]);
    let in_force = [&one, &first.after, &second.after];
    for thief in in_force {
        for after in in_force {
            let theirs = public(&key(9));
            let rotation = Rotation {
                publisher: one.id(),
                prev: after.event,
                revealed: public(&thief.key),
                key: theirs,
                next: KeyCommitment::to_key(&public(&key(8))),
                pages: Vec::new(),
            };
            let keep = vec![minimal_id()];
            let page = KeepPage { publisher: one.id(), prev: after.event, revealed: public(&thief.key), keep };
            let rotation = sign(rotation, &thief.key, &network()).unwrap();
            let page = sign(page, &thief.key, &network()).unwrap();
            let not_committed = Err(Error::NotCommitted(after.event));
            for record in [rotation.bytes(), page.bytes()] {
                let read = UnverifiedRecord::decode(record).unwrap().verify(Some(&log), &network());
                assert_eq!(read, not_committed);
            }
            // To name the key that was committed to doesn't help without it.
            let named = Rotation { revealed: public(&after.next_key()), ..(*rotation).clone() };
            let named = sign(named, &thief.key, &network()).unwrap();
            let read = UnverifiedRecord::decode(named.bytes()).unwrap().verify(Some(&log), &network());
            assert_eq!(read, Err(Error::BadSignature));
            let mut forked = log.clone();
            assert_eq!(forked.follow(rotation), Err(Error::NotCommitted(after.event)));
            assert_eq!(forked.add_page(page), Err(Error::NotCommitted(after.event)));
            assert_eq!(forked, log);
        }
    }
    // Who has a key that is used up forks the log where it was revealed: it has to stay secret.
    let rival = Rotation { key: public(&key(9)), ..(*first.rotation).clone() };
    let rival = sign(rival, &one.next_key(), &network()).unwrap();
    let mut forked = log;
    assert_eq!(forked.follow(rival), Ok(Followed::New));
    assert_eq!((forked.head(), forked.is_frozen()), (one.inception.id(), true));
}

#[test]
fn rejects_a_rotation_that_uses_a_key_for_two_purposes() {
    let one = Publisher::new(1);
    let rotation = one.rotate(&[]).rotation;
    let (revealed, key) = (rotation.revealed, rotation.key);
    let changed = |change: &dyn Fn(&mut Rotation)| {
        let mut rotation = (*rotation).clone();
        change(&mut rotation);
        let sent = sealed(Kind::Rotation, &codec::encode(&rotation), &one.next_key());
        let signed = sign(rotation, &one.next_key(), &network()).map(drop);
        let read = UnverifiedRecord::decode(&sent).map(drop);
        assert_eq!(read, signed, "nor does anybody sign what nobody reads");
        read.map_or_else(|error| if let Error::Field { field, .. } = error { field } else { error.code() }, |()| "")
    };
    assert_eq!(changed(&|_| ()), "");
    assert_eq!(changed(&|it| it.key = revealed), "key");
    assert_eq!(changed(&|it| it.next = KeyCommitment::to_key(&revealed)), "next");
    assert_eq!(changed(&|it| it.next = KeyCommitment::to_key(&key)), "next");
}

#[test]
fn a_revealed_key_signs_its_rotation_and_pages_and_nothing_after() {
    let one = Publisher::new(1);
    let (kept, lost) = (one.release(0, "a", "1.0.0", |_| {}), one.release(1, "a", "2.0.0", |_| {}));
    let rotated = one.rotate(&[kept.id()]);
    let (log, revealed) = (log_of(&one, &[&rotated]), one.next_key());
    assert_eq!(rotated.rotation.revealed, public(&revealed));
    assert_ne!(log.key_at(&log.head()), Some(&public(&revealed)));
    assert_eq!(outcome(&log, &kept), "accepted", "a page that it signed holds");

    let young = rotated.after.release(2, "a", "3.0.0", |_| {});
    assert_eq!(outcome(&log, &young), "accepted");
    let by_revealed = |release: &Verified<Release>| sign((**release).clone(), &revealed, &network()).unwrap();
    // Neither under the rotation, nor under the event that committed to it.
    assert_eq!(outcome(&log, &by_revealed(&young)), "record/bad-signature");
    assert_eq!(outcome(&log, &by_revealed(&kept)), "record/bad-signature");
    assert_eq!(outcome(&one.key_log(), &by_revealed(&lost)), "record/bad-signature");
    let status = rotated.after.status(3, "a", "3.0.0", 1, State::Yanked, |_| {});
    let status = sign((*status).clone(), &revealed, &network()).unwrap();
    let read = UnverifiedRecord::decode(status.bytes()).unwrap().verify(Some(&log), &network());
    assert_eq!(read, Err(Error::BadSignature));
    // Nor does it rotate once more.
    let again = Rotation { prev: log.head(), ..(*rotated.rotation).clone() };
    let again = sign(again, &revealed, &network()).unwrap();
    let read = UnverifiedRecord::decode(again.bytes()).unwrap().verify(Some(&log), &network());
    assert_eq!(read, Err(Error::NotCommitted(log.head())));
}

#[test]
fn rejects_a_rotation_to_a_key_that_proves_nothing() {
    let one = Publisher::new(1);
    let rotation = one.rotate(&[]).rotation;
    let weak = Rotation { key: PublicKey::from_bytes([0; 32]), ..(*rotation).clone() };
    let weak = sign(weak, &one.next_key(), &network()).unwrap();
    let read = UnverifiedRecord::decode(weak.bytes()).unwrap().verify(Some(&one.key_log()), &network());
    assert_eq!(read, Err(Error::WeakKey));
}

#[test]
fn rejects_a_key_log_with_events_twice_or_out_of_place() {
    let one = Publisher::new(1);
    let release = one.release(0, "a", "1.0.0", |_| {});
    let (rotated, other) = (one.rotate(&[release.id()]), one.rotate_with(&[], 64, 1));
    let second = rotated.after.rotate(&[]);
    let log = log_of(&one, &[&rotated, &second]);
    let sent = events(&log);
    assert_eq!(sent.len(), 4);
    assert_eq!(reread(&sent, &one), Ok(log));
    let code = |order: &[usize]| {
        let events: Vec<_> = order.iter().map(|at| sent[*at].clone()).collect();
        reread(&events, &one).map_or_else(|error| error.code(), |_| "accepted")
    };
    assert_eq!((code(&[0, 1, 2]), code(&[0, 1]), code(&[0])), ("accepted", "accepted", "accepted"));
    assert_eq!((code(&[0, 2]), code(&[0, 2, 1])), ("record/unknown-key-event", "record/unknown-key-event"));
    assert_eq!(
        (code(&[0, 1, 1]), code(&[0, 1, 3, 3]), code(&[0, 3, 1])),
        ("record/field", "record/field", "record/field")
    );
    assert_eq!(code(&[1, 0]), "record/unknown-kind");
    let foreign = other.rotation.bytes().to_vec();
    assert!(reread(&[sent[0].clone(), sent[1].clone(), foreign], &one).unwrap().is_frozen());
}

#[test]
fn a_key_log_is_bounded() {
    let one = Publisher::new(1);
    let mut log = one.key_log();
    let mut steps = vec![one.rotate(&[])];
    while steps.len() < MAX_KEY_EVENTS {
        steps.push(steps.last().unwrap().after.rotate(&[]));
    }
    let (too_many, steps) = steps.split_last().unwrap();
    for step in steps {
        assert_eq!(log.follow(step.rotation.clone()), Ok(Followed::New));
    }
    assert_eq!(log.events().count(), MAX_KEY_EVENTS);
    assert!(matches!(log.follow(too_many.rotation.clone()), Err(Error::Field { field: "key_log", .. })));
    // Its last event may still fork.
    let rival = steps[steps.len() - 2].after.rotate_with(&[], 64, 1);
    assert_eq!(log.follow(rival.rotation), Ok(Followed::New));
    assert_eq!(reread(&events(&log), &one), Ok(log));
}

#[test]
fn the_pages_that_a_key_log_names_are_bounded_whatever_forks() {
    let one = Publisher::new(1);
    let ids: Vec<_> = (0..=u8::MAX).map(|at| RecordId::from_bytes([at; 32])).collect();
    assert_eq!((ids.len(), MAX_PAGES_PER_KEY_LOG), (MAX_PAGES_PER_ROTATION, 2 * MAX_PAGES_PER_ROTATION));
    let first = one.rotate_with(&ids, 1, 0);
    let second = first.after.rotate_with(&ids[1..], 1, 0);
    let last = second.after.rotate_with(&ids[..1], 1, 0);
    let rival = second.after.rotate_with(&ids[..2], 1, 1);
    let mut log = one.key_log();
    for step in [&first, &second, &last] {
        assert_eq!(log.follow(step.rotation.clone()), Ok(Followed::New));
    }
    let too_many = last.after.rotate_with(&ids[..1], 1, 0);
    for refused in [rival, too_many] {
        assert!(matches!(log.follow(refused.rotation), Err(Error::Field { field: "key_log", .. })));
    }
    // What is on another branch does not count.
    let sibling = second.after.rotate_with(&ids[..1], 1, 1);
    assert_eq!(log.follow(sibling.rotation), Ok(Followed::New));
    assert!(log.is_frozen());
    assert!(log.chain().map(|event| event.len()).sum::<usize>() < 40 * 1024);
}

#[test]
fn pages_may_be_as_long_as_a_page_can_be() {
    let one = Publisher::new(1);
    let releases: Vec<_> = (0..300).map(|index| one.release(index, "a", &format!("1.{index}.0"), |_| {})).collect();
    let ids: Vec<_> = releases.iter().map(Verified::id).collect();
    let log = log_of(&one, &[&one.rotate_with(&ids, MAX_KEPT_PER_PAGE, 0)]);
    assert_eq!(log.pages().count(), 2);
    assert!(releases.iter().all(|release| outcome(&log, release) == "accepted"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rotations of three generations, forked at random: offered in any order until nothing changes, they make the same log.
    #[test]
    fn the_log_is_a_function_of_its_rotations(
        order in Just((0..10usize).collect::<Vec<_>>()).prop_shuffle(), other in Just((0..10usize).collect::<Vec<_>>()).prop_shuffle(),
        present in any::<u16>(),
    ) {
        let one = Publisher::new(1);
        let firsts: Vec<_> = (0..3).map(|fork| one.rotate_with(&[], 64, fork)).collect();
        let mut all: Vec<_> = firsts.iter().map(|first| first.rotation.clone()).collect();
        for first in &firsts {
            let second = first.after.rotate_with(&[], 64, 0);
            all.push(second.rotation.clone());
            all.push(second.after.rotate_with(&[], 64, 0).rotation);
        }
        all.push(firsts[0].after.rotate_with(&[], 64, 1).rotation);
        let make = |order: &[usize]| {
            let mut log = one.key_log();
            loop {
                let before = log.clone();
                for at in order.iter().filter(|at| present >> **at & 1 == 1) {
                    _ = log.follow(all[*at].clone());
                }
                if log == before {
                    return log;
                }
            }
        };
        prop_assert_eq!(make(&order), make(&other));
    }
}
