use proptest::prelude::*;

use super::*;
use crate::catalogue::testing::Publisher;
use crate::record::Dependency;

/// A publisher, and the key and the value under which the head of its package is in the DHT.
fn stored() -> (Publisher, Vec<u8>, Vec<u8>) {
    let one = Publisher::new(1);
    let value = encode(&one.key_log(), &one.release(0, "pack", "1.0.0", |_| {})).unwrap();
    let key = key(&one.package("pack"));
    (one, key, value)
}

fn code(key: &[u8], value: &[u8]) -> &'static str {
    verify(key, value, &Publisher::new(1).network).map_or_else(|error| error.code(), |_| "accepted")
}

#[test]
fn a_head_is_verified_and_gives_the_release_with_its_key_log() {
    let (one, key, value) = stored();
    let (key_log, release) = verify(&key, &value, &one.network).unwrap();
    assert_eq!((key_log, release), (one.key_log(), one.release(0, "pack", "1.0.0", |_| {})));
}

#[test]
fn the_key_of_a_head_is_read_as_it_is_written() {
    let package = Publisher::new(1).package("pack");
    let text = format!("/ggen/package/{}/pack", package.publisher);
    assert_eq!(key(&package), text.as_bytes());
    assert_eq!(package_of(text.as_bytes()), Ok(package.clone()));
    let publisher = package.publisher;
    for bad in [
        String::new(),
        text.replace("/ggen/", "/other/"),
        text[1..].into(),
        format!(" {text}"),
        format!("/ggen/package/{publisher}"),
        format!("/ggen/package/{publisher}/"),
        format!("/ggen/package/{publisher}/../pack"),
        format!("/ggen/package/{publisher}/a/b"),
        format!("/ggen/package/{publisher}/Pack"),
        format!("/ggen/package//{publisher}/pack"),
        format!("/ggen/package/{}/pack", publisher.fingerprint()),
        format!("/ggen/package/{}/pack", publisher.to_string().to_uppercase()),
    ] {
        assert_eq!(package_of(bad.as_bytes()), Err(Error::NotAHeadKey), "{bad}");
    }
    assert_eq!(package_of(&[text.as_bytes(), &[0xff]].concat()), Err(Error::NotAHeadKey));
}

#[test]
fn rejects_a_head_under_a_key_that_is_none() {
    let (_, key, value) = stored();
    assert_eq!(code(&key, &value), "accepted");
    assert_eq!(code(b"/ggen/package/", &value), "head/bad-key");
    assert_eq!(code(&[&key[..], b"/"].concat(), &value), "head/bad-key");
}

#[test]
fn rejects_the_head_of_another_package_or_publisher() {
    let (one, _, value) = stored();
    let expected = one.package("other");
    let error = verify(&key(&expected), &value, &one.network);
    assert_eq!(error, Err(Error::WrongPackage { expected, actual: one.package("pack") }));
    assert_eq!(code(&key(&one.package("other")), &value), "head/wrong-package");
    let two = Publisher::new(2);
    assert_eq!(code(&key(&two.package("pack")), &value), "record/wrong-id");
    // Another publisher's release beside the right key log, and the right release beside another key log.
    let foreign = encode(&one.key_log(), &two.release(0, "pack", "1.0.0", |_| {})).unwrap();
    assert_eq!(code(&key(&one.package("pack")), &foreign), "record/wrong-publisher");
    let foreign = encode(&two.key_log(), &one.release(0, "pack", "1.0.0", |_| {})).unwrap();
    assert_eq!(code(&key(&one.package("pack")), &foreign), "record/wrong-id");
}

#[test]
fn rejects_the_head_of_another_network() {
    let (_, key, value) = stored();
    let error = verify(&key, &value, &Network::main()).unwrap_err();
    assert_eq!((error.code(), error), ("record/bad-signature", Error::Record(record::Error::BadSignature)));
}

#[test]
fn rejects_a_release_signed_by_another_key_than_the_logs() {
    let (one, key, value) = stored();
    let mut head: Head = codec::decode(&value, MAX_HEAD_BYTES).unwrap();
    let last = head.release.len() - 1;
    head.release[last] ^= 1;
    assert_eq!(code(&key, &codec::encode(&head)), "record/bad-signature");
    head.release.clear();
    assert_eq!(code(&key, &codec::encode(&head)), "record/encoding");
    let head = Head { key_log: Vec::new(), ..codec::decode(&value, MAX_HEAD_BYTES).unwrap() };
    assert_eq!(code(&key, &codec::encode(&head)), "record/field");
    let inception = ByteBuf::from(one.inception().bytes().to_vec());
    let head = Head { release: inception, ..codec::decode(&value, MAX_HEAD_BYTES).unwrap() };
    assert_eq!(code(&key, &codec::encode(&head)), "record/unknown-kind");
}

#[test]
fn rejects_a_head_with_any_byte_changed_cut_off_or_added() {
    let (_, key, value) = stored();
    for at in 0..value.len() {
        let mut changed = value.clone();
        changed[at] ^= 1;
        assert_ne!(code(&key, &changed), "accepted", "byte {at}");
        assert_eq!(code(&key, &value[..at]), "record/encoding", "{at} bytes");
    }
    assert_eq!(code(&key, &[&value[..], &[0]].concat()), "record/encoding");
}

/// A head whose encoding has exactly so many bytes, by the length of its dependencies' requirements.
fn of_length(length: usize) -> (Publisher, Verified<Release>) {
    let one = Publisher::new(1);
    let release = |more: usize| {
        one.release(0, "pack", "1.0.0", |release| {
            release.dependencies = (0..128)
                .map(|at| Dependency {
                    publisher: None,
                    name: format!("{at:0>20}").parse().unwrap(),
                    requirement: format!("=1.0.0-{}", "a".repeat((more / 128 + usize::from(at < more % 128)).max(30))),
                    optional: false,
                })
                .collect();
        })
    };
    let overhead = raw(&one, &release(5000)).len() - 5000;
    (Publisher::new(1), release(length - overhead))
}

fn raw(publisher: &Publisher, release: &Verified<Release>) -> Vec<u8> {
    codec::encode(&Head {
        key_log: vec![ByteBuf::from(publisher.inception().bytes().to_vec())],
        release: ByteBuf::from(release.bytes().to_vec()),
    })
}

#[test]
fn a_head_that_is_too_long_for_the_dht_is_neither_written_nor_read() {
    let (one, largest) = of_length(MAX_HEAD_BYTES);
    let (_, longer) = of_length(MAX_HEAD_BYTES + 1);
    assert_eq!((raw(&one, &largest).len(), raw(&one, &longer).len()), (MAX_HEAD_BYTES, MAX_HEAD_BYTES + 1));
    let key = key(&one.package("pack"));
    assert_eq!(encode(&one.key_log(), &largest), Some(raw(&one, &largest)));
    assert_eq!(code(&key, &raw(&one, &largest)), "accepted");
    assert_eq!(encode(&one.key_log(), &longer), None);
    let too_long = codec::Error::TooLong { limit: MAX_HEAD_BYTES, actual: MAX_HEAD_BYTES + 1 };
    assert_eq!(verify(&key, &raw(&one, &longer), &one.network), Err(Error::Encoding(too_long)));
}

proptest! {
    #[test]
    fn arbitrary_keys_and_values_are_refused_without_panic(key: Vec<u8>, value: Vec<u8>) {
        prop_assert_ne!(code(&key, &value), "accepted");
        prop_assert_ne!(code(&stored().1, &value), "accepted");
        if let Ok(package) = package_of(&key) {
            prop_assert_eq!(super::key(&package), key);
        }
    }
}
