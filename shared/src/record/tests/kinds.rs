//! Rotations, keep pages, statuses and kinds that are unknown: what their fields may hold.

use std::collections::BTreeMap;

use ipld_core::ipld::Ipld;

use super::*;
use crate::limits::{
    KEPT_PER_PAGE, MAX_KEPT_PER_PAGE, MAX_PAGES_PER_ROTATION, MAX_QUOTA, MAX_REASON_BYTES, MAX_RECORD_BYTES,
};

fn ids(count: usize) -> Vec<RecordId> {
    let id = |at: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(at as u64).to_be_bytes());
        RecordId::from_bytes(bytes)
    };
    (0..count).map(id).collect()
}

fn field<T: Payload>(payload: &T) -> &'static str {
    match payload.check() {
        Ok(()) => "",
        Err(Error::Field { field, .. }) => field,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn each_kind_is_read_back_and_verifies() {
    for (record, kind, signer) in [
        (sign(rotation(&ids(3)), &key(2), &network()).unwrap().bytes().clone(), Kind::Rotation, "the next key"),
        (sign(page(&ids(3)), &key(2), &network()).unwrap().bytes().clone(), Kind::KeepPage, "the next key"),
        (sign(status(), &key(1), &network()).unwrap().bytes().clone(), Kind::Status, "the key in force"),
        (
            sign_unknown(77, unknown_payload(), &key(1), &network()).unwrap().bytes().clone(),
            Kind::Unknown(77),
            "the key in force",
        ),
    ] {
        let unverified = UnverifiedRecord::decode(&record).unwrap();
        assert_eq!(unverified.publisher(), key_log().publisher());
        assert_eq!(unverified.is_key_event(), matches!(kind, Kind::Rotation | Kind::KeepPage));
        let verified = verify(&record).unwrap();
        assert_eq!((verified.id(), verified.publisher()), (unverified.id(), key_log().publisher()), "{signer}");
        assert_eq!((verified.kind(), verified.bytes()), (kind, &record));
        assert_eq!(verified.indexed().is_some(), matches!(kind, Kind::Status | Kind::Unknown(_)));
        assert_eq!(verified.release(), None);
        let without = UnverifiedRecord::decode(&record).unwrap().verify(None, &network());
        assert_eq!(without, Err(Error::NoKeyLog(key_log().publisher())));
    }
    let inception = sign(inception(), &key(1), &network()).unwrap();
    let record = UnverifiedRecord::decode(inception.bytes()).unwrap();
    assert!(record.is_key_event());
    assert_eq!(record.verify(None, &network()), Ok(Record::Inception(inception)));
}

#[test]
fn rejects_each_kind_under_another_key() {
    let rejected = |record: &RecordBytes| assert_eq!(verify(record), Err(Error::BadSignature));
    rejected(sign(rotation(&[]), &key(1), &network()).unwrap().bytes());
    rejected(sign(page(&ids(1)), &key(1), &network()).unwrap().bytes());
    rejected(sign(status(), &key(2), &network()).unwrap().bytes());
    rejected(sign_unknown(77, unknown_payload(), &key(2), &network()).unwrap().bytes());
    let id = Kind::Unknown(78).id_of(&unknown_payload());
    let other = key(1).sign(&Kind::Unknown(78).signed_message(&network(), &id)).to_bytes();
    assert_eq!(verify(&enveloped(77, &unknown_payload(), other)), Err(Error::BadSignature), "the number is signed");
}

#[test]
fn says_what_an_indexed_record_stands_on() {
    let records = [
        verify(sign(status(), &key(1), &network()).unwrap().bytes()).unwrap(),
        verify(sign_unknown(77, unknown_payload(), &key(1), &network()).unwrap().bytes()).unwrap(),
        verify(sign(full(), &key(1), &network()).unwrap().bytes()).unwrap(),
    ];
    for (record, index) in records.iter().zip([3, 5, 300]) {
        let indexed = record.indexed().unwrap();
        assert_eq!(
            (indexed.publisher(), indexed.signed_under(), indexed.index()),
            (key_log().publisher(), key_log().head(), index)
        );
    }
    let release = sign(full(), &key(1), &network()).unwrap();
    assert_eq!(Unverified::<Release>::decode(release.bytes()).unwrap().signed_under(), key_log().head());
}

#[test]
fn rejects_lists_of_ids_that_are_long_or_out_of_order() {
    let swapped = |count| ids(count).into_iter().rev().collect::<Vec<_>>();
    let twice = [&ids(2)[..], &ids(2)[1..]].concat();
    assert_eq!(field(&page(&ids(MAX_KEPT_PER_PAGE))), "");
    assert_eq!(field(&page(&ids(MAX_KEPT_PER_PAGE + 1))), "keep");
    assert_eq!((field(&page(&[])), field(&page(&swapped(2))), field(&page(&twice))), ("keep", "keep", "keep"));
    assert_eq!(field(&rotation(&ids(MAX_PAGES_PER_ROTATION))), "");
    assert_eq!(field(&rotation(&ids(MAX_PAGES_PER_ROTATION + 1))), "pages");
    assert_eq!(
        (field(&rotation(&[])), field(&rotation(&swapped(2))), field(&rotation(&twice))),
        ("", "pages", "pages")
    );
}

#[test]
fn the_longest_lists_fit_a_record_and_all_indices_fit_a_rotation() {
    let longest = [
        sign(page(&ids(MAX_KEPT_PER_PAGE)), &key(2), &network()).unwrap().bytes().len(),
        sign(rotation(&ids(MAX_PAGES_PER_ROTATION)), &key(2), &network()).unwrap().bytes().len(),
    ];
    assert!(longest.iter().all(|bytes| *bytes <= MAX_RECORD_BYTES), "{longest:?}");
    assert!(MAX_PAGES_PER_ROTATION * KEPT_PER_PAGE >= MAX_QUOTA as usize);
}

#[test]
fn rejects_a_rotation_whose_three_keys_are_not_three() {
    let committed_to = |number| Rotation { next: KeyCommitment::to_key(&public(&key(number))), ..rotation(&[]) };
    assert_eq!([1, 2, 3, 4].map(|number| field(&committed_to(number))), ["", "next", "", "next"]);
    assert_eq!(field(&Rotation { key: public(&key(2)), ..rotation(&[]) }), "key");
}

#[test]
fn a_status_says_why_in_a_line_and_what_to_use_instead_of_what_is_deprecated() {
    let reason = |reason: String| field(&Status { reason, ..status() });
    assert_eq!((reason(String::new()), reason("x".repeat(MAX_REASON_BYTES))), ("", ""));
    assert_eq!((reason("x".repeat(MAX_REASON_BYTES + 1)), reason("two\nlines".into())), ("reason", "reason"));
    for state in [State::Active, State::Yanked, State::Retracted] {
        assert_eq!(field(&Status { state, ..status() }), "instead");
        assert_eq!(field(&Status { state, instead: None, ..status() }), "");
    }
    assert_eq!(status().package().to_string(), format!("{}/pack", key_log().publisher()));
}

#[test]
fn states_keep_their_numbers_and_names() {
    let states = [State::Active, State::Deprecated, State::Yanked, State::Retracted];
    assert!(states.is_sorted());
    for (number, state) in (0..).zip(states) {
        assert_eq!((state.number(), State::from_number(number)), (number, Some(state)));
        assert_eq!(codec::encode(&state), super::cbor::text(state.as_str()), "one name everywhere");
        assert_eq!(state.is_listed(), number < 2);
    }
    assert!((4..=255).all(|number| State::from_number(number).is_none()));
    assert_eq!(State::default(), State::Active);
}

#[test]
fn a_retraction_decides_then_the_sequence_the_severity_and_the_smaller_id() {
    let weight = |state, seq, id| Status { state, seq, ..status() }.weight(RecordId::from_bytes([id; 32]));
    let ordered = [
        weight(State::Yanked, 1, 0),
        weight(State::Active, 2, 0),
        weight(State::Deprecated, 2, 0),
        weight(State::Yanked, 2, 9),
        weight(State::Yanked, 2, 3),
        weight(State::Active, u64::MAX, 0),
        weight(State::Retracted, 0, 0),
        weight(State::Retracted, 1, 0),
    ];
    assert!(ordered.is_sorted_by(|one, next| one < next));
}

fn unknown(change: impl FnOnce(&mut BTreeMap<&'static str, Ipld>)) -> Result<(), &'static str> {
    let mut fields = BTreeMap::from([
        ("publisher", Ipld::Bytes(key_log().publisher().as_bytes().to_vec())),
        ("signed_under", Ipld::Bytes(key_log().head().as_bytes().to_vec())),
        ("index", Ipld::Integer(5)),
    ]);
    change(&mut fields);
    let sealed = sealed(Kind::Unknown(6), &codec::encode(&fields), &key(1));
    let signed = sign_unknown(6, codec::encode(&fields), &key(1), &network());
    let read = verify(&sealed).map(drop).map_err(|error| error.code());
    if read != Err("record/over-quota") {
        assert_eq!(signed.map(drop).map_err(|error| error.code()), read, "signed if and only if it can be read");
    }
    read
}

#[test]
fn an_unknown_kind_has_a_publisher_a_key_event_and_an_index_and_whatever_else() {
    assert_eq!(unknown(|_| {}), Ok(()));
    assert_eq!(unknown(|fields| _ = fields.insert("zzz", Ipld::Integer(u64::MAX.into()))), Ok(()));
    for name in ["publisher", "signed_under", "index"] {
        assert_eq!(unknown(|fields| _ = fields.remove(name)), Err("record/field"));
        assert_eq!(unknown(|fields| _ = fields.insert(name, Ipld::Null)), Err("record/field"));
        assert_eq!(unknown(|fields| _ = fields.insert(name, Ipld::Bytes(vec![0; 31]))), Err("record/field"));
        assert_eq!(unknown(|fields| _ = fields.insert(name, Ipld::Bytes(vec![0; 33]))), Err("record/field"));
    }
    assert_eq!(unknown(|fields| _ = fields.insert("index", Ipld::Integer(-1))), Err("record/field"));
    assert_eq!(unknown(|fields| _ = fields.insert("index", Ipld::Integer(1 << 32))), Err("record/field"));
    let over = Ipld::Integer(MAX_QUOTA.into());
    assert_eq!(unknown(|fields| _ = fields.insert("index", over)), Err("record/over-quota"));
}

#[test]
fn rejects_an_unknown_kind_whose_payload_is_not_strict() {
    let payload = unknown_payload();
    assert_eq!(code(&sealed(Kind::Unknown(6), &payload, &key(1))), "accepted");
    let long = super::cbor::with(&payload, "index", vec![0x18, 5]);
    let not_a_number = super::cbor::with(&payload, "says", vec![0xfb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0]);
    let short_float = super::cbor::with(&payload, "says", vec![0xf9, 0x3c, 0]);
    let trailing = [&payload[..], &[0]].concat();
    for changed in [long, not_a_number, short_float, trailing, vec![0x80], vec![]] {
        assert_eq!(code(&sealed(Kind::Unknown(6), &changed, &key(1))), "record/encoding", "{changed:02x?}");
    }
}

#[test]
fn refuses_to_sign_an_unknown_kind_under_a_known_number() {
    for number in 0..=5 {
        let signed = sign_unknown(number, unknown_payload(), &key(1), &network());
        assert_eq!(signed, Err(Error::UnknownKind(number.into())));
    }
}
