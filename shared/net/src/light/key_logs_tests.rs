#![allow(clippy::unwrap_used, reason = "tests")]

use ed25519_dalek::SigningKey;
use ggen_shared::id::{Handle, KeyCommitment, Network, PublicKey};
use ggen_shared::record::{Inception, KeepPage, Rotation, Work, sign};

use super::*;

fn network() -> Network {
    Network::named("test").unwrap()
}

/// The key of a publisher, by number, that its key log has in force or commits to, by place.
fn key(publisher: u16, place: u8) -> SigningKey {
    let mut seed = [place; 32];
    seed[..2].copy_from_slice(&publisher.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().to_bytes())
}

fn commitment(key: &SigningKey) -> KeyCommitment {
    KeyCommitment::to_key(&public(key))
}

fn log(publisher: u16) -> KeyLog {
    let (signing, next) = (key(publisher, 0), key(publisher, 1));
    let (handle, key) = (Handle::new("somebody").unwrap(), public(&signing));
    let inception = Inception { handle, key, next: commitment(&next), work: Work::NONE };
    KeyLog::new(sign(inception, &signing, &network()).unwrap())
}

/// The log with one more rotation, which `variant` tells from others, and with so many keep pages. A rotation at `place` reveals key
/// 2 `place` + 1, puts key 2 `place` + 2 in force, and commits to the one behind it.
fn rotated(log: &KeyLog, publisher: u16, variant: u8, pages: u8) -> KeyLog {
    let place = u8::try_from(log.rotations().count()).unwrap();
    let (revealing, fresh) = (key(publisher, 2 * place + 1), key(publisher, 2 * place + 2 + 100 * variant));
    let (id, prev, revealed) = (log.publisher(), log.head(), public(&revealing));
    let page = |number: u8| {
        let keep = (0..250_u16)
            .map(|at| RecordId::from_bytes([[number; 30].as_slice(), &at.to_be_bytes()].concat().try_into().unwrap()));
        sign(KeepPage { publisher: id, prev, revealed, keep: keep.collect() }, &revealing, &network()).unwrap()
    };
    let pages: Vec<_> = (0..pages).map(page).collect();
    let mut ids: Vec<_> = pages.iter().map(Verified::id).collect();
    ids.sort();
    let next = commitment(&key(publisher, 2 * place + 3));
    let rotation = Rotation { publisher: id, prev, revealed, key: public(&fresh), next, pages: ids };
    let mut log = log.clone();
    log.follow(sign(rotation, &revealing, &network()).unwrap()).unwrap();
    pages.into_iter().for_each(|page| _ = log.add_page(page).unwrap());
    log
}

/// The log with a fork behind what it has.
fn forked(log: &KeyLog, publisher: u16) -> KeyLog {
    let (mut one, other) = (rotated(log, publisher, 0, 0), rotated(log, publisher, 1, 0));
    one.follow(other.rotations().last().unwrap().clone()).unwrap();
    assert!(one.is_frozen());
    one
}

#[test]
fn what_is_known_of_rotations_counts_whatever_a_peer_says_later() {
    let mut logs = KeyLogs::new();
    let (before, after) = (log(1), rotated(&log(1), 1, 0, 1));
    assert_eq!(logs.remember(before.clone()), Some(before.clone()));
    assert_eq!(logs.remember(after.clone()), Some(after.clone()));
    assert_eq!(logs.remember(before), Some(after.clone()));
    assert_eq!(logs.get(&after.publisher()), Some(&after));
}

#[test]
fn a_flood_of_publishers_never_makes_a_rotation_forgotten() {
    let mut logs = KeyLogs::bounded(32 * cost(&log(0)), 100);
    let (before, after) = (log(1), rotated(&log(1), 1, 0, 0));
    logs.remember(after.clone()).unwrap();
    (1000..1200).for_each(|number| _ = logs.remember(log(number)).unwrap());
    assert_eq!(logs.get(&after.publisher()), Some(&after), "those without rotations leave first");
    assert!(logs.bytes <= logs.max_bytes && logs.logs.len() > 20);

    // Those who flood may rotate, too.
    (2000..2040).for_each(|number| _ = logs.remember(rotated(&log(number), number, 0, 0)).unwrap());
    assert_eq!(logs.get(&after.publisher()), None);
    assert_eq!(logs.remember(before), None, "the rotation was left out");
    assert_eq!(logs.remember(after.clone()), Some(after.clone()));
    let later = rotated(&after, 1, 0, 0);
    assert_eq!(logs.remember(later.clone()), Some(later));
}

#[test]
fn marks_are_bounded_and_those_that_were_first_stay() {
    let mut logs = KeyLogs::bounded(4 * cost(&rotated(&log(0), 0, 0, 0)), 3);
    (1..40).for_each(|number| _ = logs.remember(rotated(&log(number), number, 0, 0)).unwrap());
    assert_eq!((logs.logs.len(), logs.marks.len()), (4, 3));
    for number in 1..=3 {
        assert_eq!(logs.remember(log(number)), None);
    }
    assert_eq!(logs.remember(log(4)), Some(log(4)), "there was no room for its mark");
}

#[test]
fn a_mark_knows_a_key_log_that_has_less_from_one_that_forked() {
    let first = rotated(&log(1), 1, 0, 0);
    let second = rotated(&first, 1, 0, 0);
    let third = rotated(&second, 1, 0, 0);
    let mark = Mark::of(&second).unwrap();
    assert!(mark.is_in(&second) && mark.is_in(&third) && mark.is_in(&forked(&second, 1)));
    assert!(
        mark.is_in(&forked(&first, 1)) && mark.is_in(&forked(&log(1), 1)),
        "what followed is no part of it any more"
    );
    assert!(!mark.is_in(&first) && !mark.is_in(&log(1)) && !mark.is_in(&rotated(&first, 1, 1, 0)));

    let beside = forked(&rotated(&first, 1, 1, 0), 1);
    assert!(!mark.is_in(&beside), "a fork behind another rotation hides the one that is known");

    let mark = Mark::of(&forked(&first, 1)).unwrap();
    assert!(mark.is_in(&forked(&first, 1)) && mark.is_in(&forked(&log(1), 1)));
    assert!(
        !mark.is_in(&second) && !mark.is_in(&first) && !mark.is_in(&forked(&second, 1)),
        "one side of the fork is hidden"
    );
    assert!(Mark::of(&log(1)).is_none());
}

#[test]
fn bytes_are_bounded_however_many_pages_key_logs_have() {
    let mut logs = KeyLogs::bounded(256 * 1024, 100);
    let large = rotated(&log(1), 1, 0, 20);
    assert_eq!(logs.remember(large.clone()), Some(large.clone()), "who asks now gets the pages");
    let kept = logs.get(&large.publisher()).unwrap();
    assert_eq!((kept.head(), kept.pages().count()), (large.head(), 0));
    let small = rotated(&log(2), 2, 0, 0);
    logs.remember(small.clone()).unwrap();
    (3..200).for_each(|number| _ = logs.remember(log(number)).unwrap());
    let sum: usize = logs.logs.values().map(|known| cost(&known.key_log)).sum();
    assert_eq!((logs.bytes, logs.order.len()), (sum, logs.logs.len()));
    assert!(logs.bytes <= logs.max_bytes, "{}", logs.bytes);
    // The same one again and again takes one place.
    (0..10_000).for_each(|_| _ = logs.remember(small.clone()));
    assert_eq!(logs.order.len(), logs.logs.len());
}
