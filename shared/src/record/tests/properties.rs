//! What holds of any bytes.

use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;

use super::cbor::{head, with};
use super::*;
use crate::limits::MAX_RECORD_BYTES;

fn sound() -> [Vec<u8>; 6] {
    [
        sealed(Kind::Inception, &codec::encode(&inception()), &key(1)),
        sealed(Kind::Release, &codec::encode(&full()), &key(1)),
        sealed(Kind::KeepPage, &codec::encode(&page(&[minimal_id()])), &key(2)),
        sealed(Kind::Rotation, &codec::encode(&rotation(&[minimal_id()])), &key(2)),
        sealed(Kind::Status, &codec::encode(&status()), &key(1)),
        sealed(Kind::Unknown(77), &unknown_payload(), &key(1)),
    ]
}

#[test]
fn rejects_a_record_with_any_bit_changed() {
    for (which, bytes) in sound().into_iter().enumerate() {
        assert_eq!(code(&bytes), "accepted");
        for at in 0..bytes.len() {
            // Every bit of the shortest record; of the others, one of each byte.
            for bit in if which == 0 { 0..8 } else { at % 8..at % 8 + 1 } {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert_ne!(code(&changed), "accepted", "byte {at}, bit {bit}");
            }
        }
    }
}

/// What decodes has these very bytes as its encoding, payload and all.
fn assert_reads_as_nothing_but_itself(bytes: &[u8]) -> Result<(), TestCaseError> {
    let Ok(record) = UnverifiedRecord::decode(bytes) else { return Ok(()) };
    let envelope = Envelope::decode(bytes).unwrap();
    let payload = match &record {
        UnverifiedRecord::Inception(record) => codec::encode(&record.payload),
        UnverifiedRecord::KeepPage(record) => codec::encode(&record.payload),
        UnverifiedRecord::Rotation(record) => codec::encode(&record.payload),
        UnverifiedRecord::Release(record) => codec::encode(&record.payload),
        UnverifiedRecord::Status(record) => codec::encode(&record.payload),
        // What else it has is not known: another test reads it.
        UnverifiedRecord::Unknown(_) => envelope.payload.clone(),
    };
    prop_assert_eq!(&payload, &envelope.payload);
    prop_assert_eq!(&envelope.encode().unwrap()[..], bytes);
    Ok(())
}

fn any_text(max: usize) -> impl Strategy<Value = String> {
    vec(any::<char>(), 0..=max / 4).prop_map(String::from_iter)
}

prop_compose! {
    /// Releases whose fields hold anything that their types can.
    fn any_release()(
        index in any::<u32>(),
        name in "[a-z0-9][a-z0-9_-]{0,63}",
        version in "(0|[1-9][0-9]{0,4})\\.(0|[1-9][0-9]{0,4})\\.(0|[1-9][0-9]{0,4})(-[a-z]{1,9})?",
        block in any::<[u8; 8]>(),
        size in any::<u64>(),
        title in proptest::option::of(any_text(200)),
        description in any_text(600),
        tags in vec(any_text(80), 0..5),
        homepage in proptest::option::of(any_text(80)),
        created in any::<u64>(),
    ) -> Release {
        let artifact = Artifact { cid: ContentId::of_raw(&block), size };
        let (name, version) = (name.parse().unwrap(), version.parse().unwrap());
        Release { index, name, version, artifact, title, description, tags, homepage, created, ..full() }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_payload_reads_back_as_itself(release in any_release()) {
        let encoded = codec::encode(&release);
        prop_assert_eq!(codec::decode::<Release>(&encoded, MAX_RECORD_BYTES), Ok(release));
    }

    #[test]
    fn a_payload_is_signed_if_and_only_if_it_would_verify(release in any_release()) {
        let read = verify(&sealed(Kind::Release, &codec::encode(&release), &key(1)));
        match sign(release, &key(1), &network()) {
            Ok(signed) if signed.index < key_log().quota() => prop_assert_eq!(read, Ok(Record::Release(Box::new(signed)))),
            Ok(_) => prop_assert_eq!(read.map_err(|error| error.code()), Err("record/over-quota")),
            Err(error) => prop_assert_eq!(read, Err(error)),
        }
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes in vec(any::<u8>(), 0..2000)) {
        prop_assert_ne!(code(&bytes), "accepted");
        assert_reads_as_nothing_but_itself(&bytes)?;
    }

    #[test]
    fn arbitrary_payloads_are_refused_without_panic(bytes in vec(any::<u8>(), 0..2000), kind in 1u16..10) {
        let kind = Kind::from_number(kind).unwrap();
        prop_assert_ne!(code(&sealed(kind, &bytes, &key(1))), "accepted");
    }

    #[test]
    fn a_record_with_bytes_changed_added_or_removed_is_refused(
        which in 0usize..6, at: prop::sample::Index, flip in 1u8.., insert in vec(any::<u8>(), 0..9), remove in 0usize..9,
    ) {
        let bytes = &sound()[which];
        let at = at.index(bytes.len());
        let end = (at + remove).min(bytes.len());
        let spliced = [&bytes[..at], &insert, &bytes[end..]].concat();
        let mut flipped = bytes.clone();
        flipped[at] ^= flip;
        for changed in [spliced, flipped] {
            assert_reads_as_nothing_but_itself(&changed)?;
            prop_assert_eq!(code(&changed) == "accepted", changed == *bytes);
        }
    }

    #[test]
    fn a_changed_payload_signed_anew_reads_as_nothing_but_itself(
        at: prop::sample::Index, insert in vec(any::<u8>(), 0..4), remove in 0usize..4,
    ) {
        let payload = codec::encode(&full());
        let at = at.index(payload.len());
        let end = (at + remove).min(payload.len());
        let changed = [&payload[..at], &insert, &payload[end..]].concat();
        assert_reads_as_nothing_but_itself(&sealed(Kind::Release, &changed, &key(1)))?;
    }
}

/// Bytes of the largest size that promise more than they hold, or go deep.
fn costly() -> Vec<Vec<u8>> {
    let filled = |unit: &[u8]| unit.iter().copied().cycle().take(MAX_RECORD_BYTES).collect::<Vec<u8>>();
    let mut state = 1u32;
    let random = (0..MAX_RECORD_BYTES).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    let mut costly = vec![random.collect()];
    // Lists in lists, maps in maps, tags of tags, indefinite lists, and maps that hold themselves under a key.
    for unit in [&[0x81][..], &[0xa1], &[0xd8, 42], &[0xc6], &[0x9f], &[0xbf], &[0xa1, 0x61, b'k'], &[0xa1, 0x61, b'p']]
    {
        costly.push(filled(unit));
    }
    // Lengths that reach far beyond the end.
    for major in [2, 3, 4, 5] {
        for length in [u64::MAX, 1 << 40, u64::from(u32::MAX)] {
            costly.push([head(major, length), filled(&[0])].concat()[..MAX_RECORD_BYTES].to_vec());
        }
    }
    costly
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn the_costliest_bytes_are_refused_at_once() {
    let payload = codec::encode(&full());
    let start = Instant::now();
    for costly in costly() {
        assert_eq!(code(&costly), "record/encoding");
        for kind in [Kind::Release, Kind::KeepPage, Kind::Rotation, Kind::Status, Kind::Unknown(9)] {
            assert_eq!(code(&sealed(kind, &costly[..MAX_RECORD_BYTES - 100], &key(1))), "record/encoding");
        }
        for field in ["tags", "authors", "dependencies", "artifact", "title", "index", "zzz"] {
            let nested = with(&payload, field, costly[..MAX_RECORD_BYTES - 2000].to_vec());
            assert_eq!(code(&sealed(Kind::Release, &nested, &key(1))), "record/encoding");
        }
    }
    // About two hundred records, most of them as large as may be: a minute would mean that some take a quarter of a second.
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn lists_that_are_compared_pairwise_are_bounded_first() {
    // Thousands of entries fit in a record; their number is refused before any two are compared.
    let payload = codec::encode(&full());
    let entries: Vec<_> = (0..3000).map(|at: u32| super::cbor::text(&at.to_string())).collect();
    for field in ["tags", "categories", "authors"] {
        let many = with(&payload, field, super::cbor::list(&entries));
        assert!(matches!(
            verify(&sealed(Kind::Release, &many[..], &key(1))),
            Err(Error::Field { field: refused, .. }) if refused == field
        ));
    }
}
