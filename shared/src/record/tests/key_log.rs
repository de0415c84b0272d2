//! A key log is one publisher's, and holds the key that a record names.

use super::*;
use crate::limits::{MAX_KEY_EVENTS, MAX_PAGES_PER_KEY_LOG, MAX_QUOTA};

fn events() -> Vec<Vec<u8>> {
    key_log().events().map(|event| event.to_vec()).collect()
}

fn check(events: &[Vec<u8>]) -> Result<KeyLog, Error> {
    KeyLog::verify(events, key_log().publisher(), &network())
}

#[test]
fn a_key_log_is_verified_and_says_whose_it_is() {
    let verified = check(&events()).unwrap();
    assert_eq!(verified, key_log());
    assert_eq!(verified.handle().as_str(), "ggen");
    assert_eq!(verified.head().as_bytes(), verified.publisher().as_bytes());
    assert_eq!(verified.key_at(&verified.head()), Some(&public(&key(1))));
    assert_eq!(verified.key_at(&RecordId::from_bytes([0; 32])), None);
    assert_eq!(verified.quota(), MAX_QUOTA);
    let records = verified.clone().into_records();
    assert_eq!(records.iter().map(Record::id).collect::<Vec<_>>(), [verified.head()]);
    assert_eq!(events().len(), 1);
}

#[test]
fn rejects_a_key_log_that_is_empty_or_too_long() {
    assert!(matches!(check(&[]), Err(Error::Field { field: "key_log", .. })));
    let many = |count: usize| check(&events().into_iter().cycle().take(count).collect::<Vec<_>>());
    let max = MAX_KEY_EVENTS + 1 + MAX_PAGES_PER_KEY_LOG;
    assert!(matches!(many(max + 1), Err(Error::Field { field: "key_log", .. })));
    assert_eq!(many(max), Err(Error::UnknownKind(1)));
}

#[test]
fn rejects_what_is_no_key_event_after_the_inception() {
    let inception = events().remove(0);
    let release = sign(minimal(), &key(1), &network()).unwrap().bytes().to_vec();
    for (event, kind) in [(release, 4), (inception.clone(), 1)] {
        assert_eq!(check(&[inception.clone(), event]), Err(Error::UnknownKind(kind)));
    }
    for kind in [2, 3] {
        let malformed = enveloped(kind, &[0xa0], [0; 64]);
        assert_eq!(check(&[inception.clone(), malformed]).map_err(|error| error.code()), Err("record/encoding"));
    }
    assert_eq!(check(&[inception, vec![]]).map_err(|error| error.code()), Err("record/encoding"));
}

#[test]
fn rejects_the_key_log_of_another_publisher_or_network() {
    let other = sign(Inception { handle: "other".parse().unwrap(), ..inception() }, &key(1), &network()).unwrap();
    let (expected, actual) = (key_log().head(), other.id());
    assert_eq!(check(&[other.bytes().to_vec()]), Err(Error::WrongId { expected, actual }));
    assert_eq!(KeyLog::verify(&events(), key_log().publisher(), &Network::main()), Err(Error::BadSignature));
    let release = sign(minimal(), &key(1), &network()).unwrap().bytes().to_vec();
    assert_eq!(check(&[release]), Err(Error::UnknownKind(4)));
}

#[test]
fn rejects_a_release_of_another_publisher() {
    let actual = PublisherId::from_inception(RecordId::from_bytes([7; 32]));
    let signed = sign(Release { publisher: actual, ..minimal() }, &key(1), &network()).unwrap();
    let expected = key_log().publisher();
    assert_eq!(verify(signed.bytes()), Err(Error::WrongPublisher { expected, actual }));
}

#[test]
fn rejects_a_release_under_a_key_event_that_the_log_does_not_hold() {
    let signed_under = RecordId::from_bytes([7; 32]);
    let signed = sign(Release { signed_under, ..minimal() }, &key(1), &network()).unwrap();
    assert_eq!(verify(signed.bytes()), Err(Error::UnknownKeyEvent(signed_under)));
}

#[test]
fn rejects_a_release_beyond_the_quota() {
    let at = |index| verify(sign(Release { index, ..minimal() }, &key(1), &network()).unwrap().bytes());
    assert!(at(MAX_QUOTA - 1).is_ok());
    assert_eq!(at(MAX_QUOTA), Err(Error::OverQuota { index: MAX_QUOTA, quota: MAX_QUOTA }));
    assert_eq!(at(u32::MAX), Err(Error::OverQuota { index: u32::MAX, quota: MAX_QUOTA }));
}
