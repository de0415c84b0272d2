//! What makes a record: helpers for the claims in the files beside, and the claims about records that are sound.

mod cbor;
mod encoding;
mod fields;
mod key_log;
mod kinds;
mod properties;
mod rotations;
mod signatures;

use std::sync::LazyLock;

use super::*;
use crate::id::KeyCommitment;

pub(super) fn network() -> Network {
    Network::named("test").unwrap()
}

#[test]
fn bytes_of_records_are_equal_that_are_the_same() {
    assert_eq!(RecordBytes::new(b"one"), RecordBytes::new(b"one"));
    assert_ne!(RecordBytes::new(b"one"), RecordBytes::new(b"two"));
}

pub(super) fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub(super) fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().to_bytes())
}

pub(super) fn inception() -> Inception {
    Inception {
        handle: "ggen".parse().unwrap(),
        key: public(&key(1)),
        next: KeyCommitment::to_key(&public(&key(2))),
        work: Work::NONE,
    }
}

/// The key log of the publisher that all these tests have.
pub(super) fn key_log() -> KeyLog {
    // Every payload of these tests names it: it is signed once.
    static KEY_LOG: LazyLock<KeyLog> = LazyLock::new(|| KeyLog::new(sign(inception(), &key(1), &network()).unwrap()));
    KEY_LOG.clone()
}

/// A release with no more than it needs.
pub(super) fn minimal() -> Release {
    Release {
        publisher: key_log().publisher(),
        signed_under: key_log().head(),
        index: 0,
        name: "pack".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        artifact: Artifact { cid: ContentId::of_raw(b"artifact"), size: 8 },
        title: None,
        description: String::new(),
        readme: None,
        categories: Vec::new(),
        tags: Vec::new(),
        license: None,
        authors: Vec::new(),
        homepage: None,
        repository: None,
        documentation: None,
        dependencies: Vec::new(),
        created: 0,
    }
}

/// A release that uses every field.
pub(super) fn full() -> Release {
    Release {
        index: 300,
        version: "1.2.3-rc.1".parse().unwrap(),
        title: Some("A pack".into()),
        description: "What it is — 説明.".into(),
        readme: Some(Content { cid: ContentId::of_dag_pb(b"readme"), size: 300_000 }),
        categories: vec!["web".into()],
        tags: vec!["http".into(), "server".into()],
        license: Some("MIT OR Apache-2.0".into()),
        authors: vec!["Ada <ada@example.org>".into()],
        homepage: Some("https://example.org/".into()),
        repository: Some("https://example.org/source".into()),
        documentation: Some("http://example.org/docs".into()),
        dependencies: vec![
            dependency("other", "^1.2"),
            Dependency { publisher: None, optional: true, ..dependency("other", "*") },
        ],
        created: 1_700_000_000,
        ..minimal()
    }
}

/// The id of the minimal release.
pub(super) fn minimal_id() -> RecordId {
    Kind::Release.id_of(&codec::encode(&minimal()))
}

/// A rotation by the second key, which puts the fourth in force.
pub(super) fn rotation(pages: &[RecordId]) -> Rotation {
    Rotation {
        publisher: key_log().publisher(),
        prev: key_log().head(),
        revealed: public(&key(2)),
        key: public(&key(4)),
        next: KeyCommitment::to_key(&public(&key(3))),
        pages: pages.to_vec(),
    }
}

/// A page of that rotation.
pub(super) fn page(keep: &[RecordId]) -> KeepPage {
    KeepPage {
        publisher: key_log().publisher(),
        prev: key_log().head(),
        revealed: public(&key(2)),
        keep: keep.to_vec(),
    }
}

pub(super) fn status() -> Status {
    Status {
        publisher: key_log().publisher(),
        signed_under: key_log().head(),
        index: 3,
        name: "pack".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        seq: 1,
        state: State::Deprecated,
        reason: "There is something better.".into(),
        instead: Some(crate::id::PackageId { publisher: key_log().publisher(), name: "other".parse().unwrap() }),
    }
}

/// The payload of a record of some kind to come.
pub(super) fn unknown_payload() -> Vec<u8> {
    use ipld_core::ipld::Ipld;
    codec::encode(&std::collections::BTreeMap::from([
        ("publisher", Ipld::Bytes(key_log().publisher().as_bytes().to_vec())),
        ("signed_under", Ipld::Bytes(key_log().head().as_bytes().to_vec())),
        ("index", Ipld::Integer(5)),
        ("says", Ipld::List(vec![Ipld::Bool(true), Ipld::Null, Ipld::Float(1.5), Ipld::String("words".into())])),
    ]))
}

pub(super) fn dependency(name: &str, requirement: &str) -> Dependency {
    Dependency {
        publisher: Some(key_log().publisher()),
        name: name.parse().unwrap(),
        requirement: requirement.into(),
        optional: false,
    }
}

/// An envelope around any payload, rightly signed: what is refused of it is not refused for its signature.
pub(super) fn sealed(kind: Kind, payload: &[u8], signer: &SigningKey) -> Vec<u8> {
    let signature = signer.sign(&kind.signed_message(&network(), &kind.id_of(payload))).to_bytes();
    enveloped(kind.number().into(), payload, signature)
}

pub(super) fn enveloped(kind: u16, payload: &[u8], signature: [u8; 64]) -> Vec<u8> {
    codec::encode(&Envelope { kind, payload: payload.to_vec(), signature })
}

/// Takes bytes all the way that a peer's bytes take.
pub(super) fn verify(bytes: &[u8]) -> Result<Record, Error> {
    UnverifiedRecord::decode(bytes)?.verify(Some(&key_log()), &network())
}

pub(super) fn code(bytes: &[u8]) -> &'static str {
    verify(bytes).map_or_else(|error| error.code(), |_| "accepted")
}

#[test]
fn a_signed_record_is_read_back_and_verifies() {
    let signed = sign(inception(), &key(1), &network()).unwrap();
    let record = verify(signed.bytes()).unwrap();
    assert_eq!(record, Record::Inception(signed.clone()));
    assert_eq!((record.id(), record.bytes()), (signed.id(), signed.bytes()));
    assert_eq!(record.publisher().inception(), signed.id());
    for release in [minimal(), full()] {
        let signed = sign(release.clone(), &key(1), &network()).unwrap();
        let record = verify(signed.bytes()).unwrap();
        assert_eq!(record, Record::Release(Box::new(signed.clone())));
        assert_eq!((record.id(), record.bytes()), (signed.id(), signed.bytes()));
        assert_eq!((record.publisher(), &*signed), (key_log().publisher(), &release));
    }
}

#[test]
fn an_unverified_record_says_its_id_and_whose_it_claims_to_be() {
    let signed = sign(inception(), &key(1), &network()).unwrap();
    let record = UnverifiedRecord::decode(signed.bytes()).unwrap();
    assert_eq!((record.id(), record.publisher()), (signed.id(), PublisherId::from_inception(signed.id())));
    let release = Release { publisher: PublisherId::from_inception(RecordId::from_bytes([7; 32])), ..minimal() };
    let signed = sign(release.clone(), &key(1), &network()).unwrap();
    let record = UnverifiedRecord::decode(signed.bytes()).unwrap();
    assert_eq!((record.id(), record.publisher()), (signed.id(), release.publisher));
}

#[test]
fn the_id_is_of_the_payload_and_not_of_the_signature() {
    let payload = codec::encode(&minimal());
    let one = Unverified::<Release>::decode(&enveloped(4, &payload, [1; 64])).unwrap();
    let two = Unverified::<Release>::decode(&enveloped(4, &payload, [2; 64])).unwrap();
    assert_eq!(one.id(), two.id());
    assert_eq!(one.id(), Kind::Release.id_of(&payload));
    assert_ne!(one.id(), Kind::Inception.id_of(&payload));
}

#[test]
fn rejects_another_record_than_the_one_asked_for() {
    let signed = sign(minimal(), &key(1), &network()).unwrap();
    let (actual, expected) = (signed.id(), RecordId::from_bytes([0; 32]));
    assert_eq!(signed.clone().expect_id(actual).map(|record| record.id()), Ok(actual));
    assert_eq!(signed.expect_id(expected), Err(Error::WrongId { expected, actual }));
}

#[test]
fn a_release_is_of_the_package_of_its_publisher_and_name() {
    let package = full().package();
    assert_eq!((package.publisher, package.name.as_str()), (key_log().publisher(), "pack"));
}

#[test]
fn refuses_to_sign_what_it_would_refuse_to_read() {
    let release = Release { title: Some(String::new()), ..minimal() };
    assert_eq!(sign(release, &key(1), &network()).map_err(|error| error.code()), Err("record/field"));
}

#[test]
fn error_codes_are_stable() {
    let id = RecordId::from_bytes([0; 32]);
    let publisher = PublisherId::from_inception(id);
    let errors = [
        (Error::Encoding(codec::Error::NotCanonical), "record/encoding"),
        (Error::UnknownKind(9), "record/unknown-kind"),
        (Error::field("name", "is bad"), "record/field"),
        (Error::WeakKey, "record/weak-key"),
        (Error::BadSignature, "record/bad-signature"),
        (Error::WrongId { expected: id, actual: id }, "record/wrong-id"),
        (Error::WrongPublisher { expected: publisher, actual: publisher }, "record/wrong-publisher"),
        (Error::NoKeyLog(publisher), "record/no-key-log"),
        (Error::UnknownKeyEvent(id), "record/unknown-key-event"),
        (Error::NotCommitted(id), "record/not-committed"),
        (Error::Void(id), "record/void"),
        (Error::NoKeepPage(id), "record/no-keep-page"),
        (Error::WrongWork, "record/wrong-work"),
        (Error::OverQuota { index: 1, quota: 1 }, "record/over-quota"),
    ];
    let of_key_log = ["no-key-log", "unknown-key-event", "void", "no-keep-page"];
    for (error, code) in errors {
        assert_eq!(error.code(), code);
        assert_eq!(error.depends_on_key_log(), of_key_log.iter().any(|it| code == format!("record/{it}")), "{code}");
    }
}

#[test]
fn kinds_keep_their_numbers_contexts_and_messages() {
    let known = [Kind::Inception, Kind::KeepPage, Kind::Rotation, Kind::Release, Kind::Status];
    let names = ["inception", "keep page", "rotation", "release", "status"];
    for (kind, (number, name)) in known.into_iter().zip((1..).zip(names)) {
        assert_eq!((kind.number(), Kind::from_number(number.into())), (number, Some(kind)));
        let id = blake3::derive_key(&format!("ggen marketplace 2026 record id: {name}"), b"payload");
        assert_eq!(kind.id_of(b"payload").as_bytes(), &id);
    }
    for number in 6..=255 {
        let kind = Kind::Unknown(number);
        assert_eq!((kind.number(), Kind::from_number(number.into())), (number, Some(kind)));
        let id = blake3::derive_key(&format!("ggen marketplace 2026 record id: {number}"), b"payload");
        assert_eq!(kind.id_of(b"payload").as_bytes(), &id);
    }
    assert_eq!(Kind::from_number(0), None);
    assert!((256..=u16::MAX).all(|number| Kind::from_number(number).is_none()));
    let id = RecordId::from_bytes([7; 32]);
    let message = [&b"ggen marketplace signed record\0\x04test\x00\x04"[..], &[7; 32]].concat();
    assert_eq!(Kind::Release.signed_message(&network(), &id), message);
}
