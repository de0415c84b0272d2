//! One value has one encoding. Every other spelling is refused, though its signature is right.

use super::cbor::{Entry, body, entries, head, list, map, read_head, text, text_of, with};
use super::*;
use crate::limits::MAX_RECORD_BYTES;

/// Other spellings of the value of one map, and values that are nearly it.
fn spellings(canonical: &[u8]) -> Vec<(String, Vec<u8>)> {
    let all = entries(canonical);
    let mut found: Vec<(String, Vec<u8>)> = vec![
        ("keys in reverse".into(), map(&all.iter().rev().cloned().collect::<Vec<_>>())),
        ("map length in two bytes".into(), [vec![0xb8, all.len() as u8], body(&all)].concat()),
        (
            "map length in nine bytes".into(),
            [vec![0xbb], (all.len() as u64).to_be_bytes().to_vec(), body(&all)].concat(),
        ),
        ("map of indefinite length".into(), [vec![0xbf], body(&all), vec![0xff]].concat()),
        ("map length one too low".into(), [head(5, all.len() as u64 - 1), body(&all)].concat()),
        ("map length one too high".into(), [head(5, all.len() as u64 + 1), body(&all)].concat()),
        ("nothing".into(), Vec::new()),
        ("an empty map".into(), vec![0xa0]),
        ("a list of the values".into(), list(&all.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>())),
        ("tagged as a whole".into(), [&[0xd9, 0xd9, 0xf7], canonical].concat()),
        ("a byte after the end".into(), [canonical, &[0]].concat()),
        ("itself again after the end".into(), [canonical, canonical].concat()),
    ];
    for position in 1..all.len() {
        let mut swapped = all.clone();
        swapped.swap(position - 1, position);
        found.push((format!("keys {} and {position} swapped", position - 1), map(&swapped)));
    }
    for position in 0..all.len() {
        let mut changed = |what: &str, change: &dyn Fn(&mut Vec<Entry>)| {
            let mut entries = all.clone();
            change(&mut entries);
            found.push((format!("{what} {position}"), map(&entries)));
        };
        let (key, value) = all[position].clone();
        changed("key twice", &|entries| entries.insert(position, entries[position].clone()));
        changed("key missing", &|entries| drop(entries.remove(position)));
        changed("key with a long length", &|entries| entries[position].0 = long(&key));
        changed("key in chunks", &|entries| entries[position].0 = [&[0x7f][..], &key, &[0xff]].concat());
        changed("key as bytes", &|entries| entries[position].0[0] ^= 0x20);
        changed("value null", &|entries| entries[position].1 = vec![0xf6]);
        changed("value undefined", &|entries| entries[position].1 = vec![0xf7]);
        changed("value a float", &|entries| entries[position].1 = vec![0xf9, 0x3c, 0]);
        changed("value a list of itself", &|entries| entries[position].1 = list(std::slice::from_ref(&value)));
        changed("value tagged", &|entries| entries[position].1 = [&[0xc1], &value[..]].concat());
        if value[0] >> 5 < 7 {
            changed("value with a long length", &|entries| entries[position].1 = long(&value));
        }
        if matches!(value[0] >> 5, 2..=5) {
            changed("value of indefinite length", &|entries| entries[position].1 = indefinite(&value));
        }
        if value[0] >> 5 == 0 {
            for float in floats(read_head(&value).1) {
                changed("value as float", &|entries| entries[position].1.clone_from(&float));
            }
        }
    }
    found.push(("an unknown key".into(), with(canonical, "zzzz", vec![0])));
    found.push(("an unknown key before the others".into(), with(canonical, "", vec![0])));
    found
}

/// The same item with its length in more bytes than it needs.
fn long(item: &[u8]) -> Vec<u8> {
    let (major, number, length) = read_head(item);
    [&[major << 5 | 27], &number.to_be_bytes()[..], &item[length..]].concat()
}

fn indefinite(item: &[u8]) -> Vec<u8> {
    let (major, _, length) = read_head(item);
    // Strings come in chunks that are strings; lists and maps just go on until the break.
    let inside = if major < 4 { item } else { &item[length..] };
    [&[major << 5 | 31], inside, &[0xff]].concat()
}

fn floats(number: u64) -> [Vec<u8>; 2] {
    let wide = [&[0xfb], &(number as f64).to_be_bytes()[..]].concat();
    [wide, [&[0xfa], &(number as f32).to_be_bytes()[..]].concat()]
}

fn payloads() -> [(Kind, Vec<u8>); 3] {
    [
        (Kind::Inception, codec::encode(&inception())),
        (Kind::Release, codec::encode(&minimal())),
        (Kind::Release, codec::encode(&full())),
    ]
}

#[test]
fn a_map_taken_apart_and_put_together_is_the_same() {
    let encoded = codec::encode(&full());
    assert_eq!(map(&entries(&encoded)), encoded);
    let name = entries(&encoded).into_iter().find(|(key, _)| *key == text("name")).unwrap().1;
    assert_eq!(with(&encoded, "name", name), encoded);
}

#[test]
fn rejects_every_other_spelling_of_a_payload() {
    for (kind, payload) in payloads() {
        assert_eq!(code(&sealed(kind, &payload, &key(1))), "accepted");
        for (what, spelling) in spellings(&payload) {
            // A field that may be absent is gone when its key is missing: another record, and a sound one.
            let is_sound = what.starts_with("key missing")
                && codec::decode::<Release>(&spelling, MAX_RECORD_BYTES).is_ok_and(|release| release != full());
            let expected = if is_sound { "accepted" } else { "record/encoding" };
            assert_eq!(code(&sealed(kind, &spelling, &key(1))), expected, "{kind:?}: {what}");
        }
    }
}

#[test]
fn rejects_every_other_spelling_of_an_envelope() {
    for (kind, payload) in payloads() {
        for (what, spelling) in spellings(&sealed(kind, &payload, &key(1))) {
            assert_eq!(code(&spelling), "record/encoding", "{kind:?}: {what}");
        }
    }
}

#[test]
fn rejects_other_spellings_inside_nested_values() {
    let payload = codec::encode(&full());
    let value_of = |field: &str| entries(&payload).into_iter().find(|(key, _)| *key == text(field)).unwrap().1;
    for field in ["artifact", "readme"] {
        for (what, spelling) in spellings(&value_of(field)) {
            let changed = with(&payload, field, spelling);
            assert_eq!(code(&sealed(Kind::Release, &changed, &key(1))), "record/encoding", "{field}: {what}");
        }
    }
    let explicit_null = list(&[with(&codec::encode(&full().dependencies[1]), "publisher", vec![0xf6])]);
    let changed = with(&payload, "dependencies", explicit_null);
    assert_eq!(code(&sealed(Kind::Release, &changed, &key(1))), "record/encoding");
    let work = entries(&codec::encode(&inception())).into_iter().find(|(key, _)| *key == text("work")).unwrap().1;
    for (what, spelling) in spellings(&work) {
        let changed = with(&codec::encode(&inception()), "work", spelling);
        assert_eq!(code(&sealed(Kind::Inception, &changed, &key(1))), "record/encoding", "work: {what}");
    }
}

#[test]
fn rejects_absent_fields_written_out_as_null() {
    let payload = codec::encode(&minimal());
    for field in ["title", "readme", "license", "homepage", "repository", "documentation"] {
        let changed = with(&payload, field, vec![0xf6]);
        assert_eq!(
            verify(&sealed(Kind::Release, &changed, &key(1))),
            Err(Error::Encoding(codec::Error::NotCanonical)),
            "{field}"
        );
    }
}

#[test]
fn rejects_artifact_identifiers_that_are_not_one_cid() {
    let payload = codec::encode(&minimal());
    let cid = ContentId::of_raw(b"artifact").cid().to_bytes();
    assert_eq!(cid[..4], [1, 0x55, 0x12, 32]);
    let content = |tag: &[u8], bytes: &[u8]| {
        let cid = [tag, &head(2, bytes.len() as u64), bytes].concat();
        let artifact = map(&[(text("cid"), cid), (text("size"), vec![8])]);
        code(&sealed(Kind::Release, &with(&payload, "artifact", artifact), &key(1)))
    };
    let identity = [&[0][..], &cid].concat();
    let replaced = |at: usize, byte: u8| {
        let mut changed = identity.clone();
        changed[at] = byte;
        changed
    };
    assert_eq!(content(&[0xd8, 42], &identity), "accepted");
    assert_eq!(content(&[0xd8, 42], &replaced(2, 0x70)), "accepted");
    for (what, tag, bytes) in [
        ("no tag", &[][..], identity.clone()),
        ("a long tag", &[0xd9, 0, 42], identity.clone()),
        ("another tag", &[0xd8, 43], identity.clone()),
        ("no identity prefix", &[0xd8, 42], cid.clone()),
        ("another prefix", &[0xd8, 42], replaced(0, 1)),
        ("version 0", &[0xd8, 42], [&[0], &cid[2..]].concat()),
        ("version 2", &[0xd8, 42], replaced(1, 2)),
        ("dag-cbor", &[0xd8, 42], replaced(2, 0x71)),
        ("BLAKE3", &[0xd8, 42], replaced(3, 0x1e)),
        ("a shorter hash", &[0xd8, 42], [&replaced(4, 31)[..5], &cid[4..35]].concat()),
        ("a hash cut off", &[0xd8, 42], identity[..36].to_vec()),
        ("a byte after the hash", &[0xd8, 42], [&identity[..], &[0]].concat()),
        ("a long version", &[0xd8, 42], [&[0, 0x81, 0], &cid[1..]].concat()),
        ("nothing", &[0xd8, 42], vec![]),
    ] {
        assert_eq!(content(tag, &bytes), "record/encoding", "{what}");
    }
}

#[test]
fn rejects_a_truncated_record_wherever_it_ends() {
    for (kind, payload) in payloads() {
        let bytes = sealed(kind, &payload, &key(1));
        for length in 0..bytes.len() {
            assert_eq!(code(&bytes[..length]), "record/encoding", "{kind:?} {length}");
        }
        for length in 0..payload.len() {
            assert_eq!(code(&sealed(kind, &payload[..length], &key(1))), "record/encoding", "{kind:?} {length}");
        }
    }
}

#[test]
fn rejects_ids_keys_and_signatures_of_another_length() {
    let (release, inception) = (codec::encode(&minimal()), codec::encode(&inception()));
    for length in [0, 31, 33, 64] {
        let bytes = [head(2, length), vec![7; length as usize]].concat();
        for field in ["publisher", "signed_under"] {
            let changed = with(&release, field, bytes.clone());
            assert_eq!(code(&sealed(Kind::Release, &changed, &key(1))), "record/encoding", "{field} {length}");
        }
        for field in ["key", "next"] {
            let changed = with(&inception, field, bytes.clone());
            assert_eq!(code(&sealed(Kind::Inception, &changed, &key(1))), "record/encoding", "{field} {length}");
        }
    }
    let sound = sealed(Kind::Release, &release, &key(1));
    for length in [0, 32, 63, 65] {
        let changed = with(&sound, "s", [head(2, length), vec![7; length as usize]].concat());
        assert_eq!(code(&changed), "record/encoding", "{length}");
    }
}

#[test]
fn rejects_kinds_that_are_unknown_or_another_than_expected() {
    let payload = codec::encode(&minimal());
    for kind in [0, 256, u16::MAX] {
        let error = verify(&enveloped(kind, &payload, [0; 64]));
        assert_eq!(error, Err(Error::UnknownKind(kind)));
        assert!(matches!(
            Unverified::<Release>::decode(&enveloped(kind, &payload, [0; 64])),
            Err(Error::UnknownKind(_))
        ));
    }
    for kind in [2, 3, 5, 6, 255] {
        let other = Unverified::<Release>::decode(&enveloped(kind, &payload, [0; 64]));
        assert!(matches!(other, Err(Error::UnknownKind(number)) if number == kind));
    }
    for number in [0x1_0000, 0xffff_ffff, u64::MAX] {
        let bytes = with(&enveloped(4, &payload, [0; 64]), "k", head(0, number));
        assert_eq!(code(&bytes), "record/encoding", "{number}");
    }
    let release = sealed(Kind::Release, &payload, &key(1));
    assert!(matches!(Unverified::<Inception>::decode(&release), Err(Error::UnknownKind(4))));
    let inception = sealed(Kind::Inception, &codec::encode(&inception()), &key(1));
    assert!(matches!(Unverified::<Release>::decode(&inception), Err(Error::UnknownKind(1))));
    // The payload of one kind under the number of the other has other fields.
    assert_eq!(code(&sealed(Kind::Inception, &payload, &key(1))), "record/encoding");
}

/// A minimal release whose record has exactly so many bytes: padded in its list of authors, past what their rules allow.
fn padded(length: usize) -> Vec<u8> {
    let payload = codec::encode(&minimal());
    let around = |padding: usize| {
        let authors = list(&[text_of(&vec![b'a'; padding])]);
        sealed(Kind::Release, &with(&payload, "authors", authors), &key(1))
    };
    let overhead = around(length).len() - length;
    around(length - overhead)
}

#[test]
fn rejects_a_record_that_is_longer_than_any_may_be() {
    let (largest, longer) = (padded(MAX_RECORD_BYTES), padded(MAX_RECORD_BYTES + 1));
    assert_eq!((largest.len(), longer.len()), (MAX_RECORD_BYTES, MAX_RECORD_BYTES + 1));
    // One byte less, and it is read so far that its too long author is seen.
    assert_eq!(code(&largest), "record/field");
    let too_long = codec::Error::TooLong { limit: MAX_RECORD_BYTES, actual: MAX_RECORD_BYTES + 1 };
    assert_eq!(verify(&longer), Err(Error::Encoding(too_long)));
}

#[test]
fn refuses_to_write_an_envelope_that_is_longer_than_any_may_be() {
    let envelope = |bytes: &[u8]| codec::decode::<Envelope>(bytes, usize::MAX).unwrap();
    let (largest, longer) = (padded(MAX_RECORD_BYTES), padded(MAX_RECORD_BYTES + 1));
    assert_eq!(*envelope(&largest).encode().unwrap(), largest[..]);
    let too_long = codec::Error::TooLong { limit: MAX_RECORD_BYTES, actual: MAX_RECORD_BYTES + 1 };
    assert_eq!(envelope(&longer).encode(), Err(Error::Encoding(too_long)));
}

#[test]
fn refuses_to_sign_a_record_that_would_be_too_long() {
    // Each field is within its bound; together they are not.
    let mut release = minimal();
    release.dependencies = (0..crate::limits::MAX_DEPENDENCIES)
        .map(|at| dependency(&format!("{at:0>64}"), &format!(">=1.0.0-{}", "a".repeat(100))))
        .collect();
    assert_eq!(release.check(), Ok(()));
    assert_eq!(sign(release, &key(1), &network()).map_err(|error| error.code()), Err("record/encoding"));
}
