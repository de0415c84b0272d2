use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::catalogue::testing::{Publisher, depends_on};
use crate::codec;

fn unpacked() -> Unpacked {
    let publishers: Vec<_> = (1..=3).map(Publisher::new).collect();
    let records = publishers.iter().flat_map(|publisher| {
        (0..3).map(|index| {
            let release = publisher.release(index, &format!("package-{index}"), "1.2.3", |release| {
                release.description =
                    "This package contains the development files of a library that reads files".into();
                release.dependencies = publishers.iter().map(|other| depends_on(&other.package("package-1"))).collect();
            });
            ByteBuf::from(release.bytes().to_vec())
        })
    });
    let key_log = |publisher: &Publisher| vec![ByteBuf::from(publisher.inception().bytes().to_vec())];
    Unpacked { key_logs: publishers.iter().map(key_log).collect(), records: records.collect() }
}

#[test]
fn records_come_out_as_they_went_in_and_are_a_third_as_long() {
    let unpacked = unpacked();
    let packed = PackedRecords::from(&unpacked);
    assert_eq!(packed.unpack(), Ok(unpacked.clone()));
    assert_eq!(packed.count(), unpacked.records.len());
    // A signature, and the digest of an artifact.
    assert_eq!(Packed::of(&unpacked.records[0]).raw.len(), 64 + 32);
    let bytes: usize = unpacked.records.iter().map(|record| record.len()).sum();
    let length: usize = packed.records.iter().map(|record| record.len()).sum();
    assert!(3 * length < bytes, "{length} of {bytes}");
    // Of the ids, publishers are known from their key logs: what is left are keys and what commits to the next ones.
    assert_eq!(packed.ids.len(), 3 * 2 * 32);
}

#[test]
fn what_looks_cut_off_comes_out_as_it_went_in() {
    let id = [&[0x58, 0x20][..], &[7; 32]].concat();
    let long = b"ldependencies\x80 and much of what the dictionary has: This package contains the ".repeat(4);
    for end in [&[0x58][..], &[0x58, 0x20], &[0x58, 0x40, 1], &[0x12, 0x20, 1, 2], &[0x58, 0x58, 0x20], &[0x12, 0x12]] {
        for bytes in [end.to_vec(), [&id, end].concat(), [&long, &id[..], end, &id].concat(), [&long, end].concat()] {
            let unpacked = Unpacked { key_logs: vec![], records: vec![ByteBuf::from(bytes)] };
            assert_eq!(PackedRecords::from(&unpacked).unpack(), Ok(unpacked));
        }
    }
}

#[test]
fn a_record_that_inflates_beyond_its_bound_is_refused() {
    let text = vec![b'a'; MAX_RECORD_BYTES + 1];
    let bomb = ByteBuf::from(deflate(&text).unwrap());
    let packed = |records| PackedRecords { ids: ByteBuf::new(), key_logs: vec![], records };
    assert_eq!(packed(vec![bomb]).unpack(), Err(Error::TooLong));
    // Nor may many inflate to more than an answer has.
    let full = ByteBuf::from(deflate(&text[1..]).unwrap());
    assert!(packed(vec![full.clone(); MAX_ANSWER_BYTES / MAX_RECORD_BYTES]).unpack().is_ok());
    assert_eq!(packed(vec![full; MAX_ANSWER_BYTES / MAX_RECORD_BYTES + 1]).unpack(), Err(Error::TooLong));
    // Nor what is put back into a text that fits.
    let ids = [0x58, 0x20].repeat(600);
    let many = [deflate(&ids).unwrap(), vec![1; 600]].concat();
    let packed = PackedRecords { ids: ByteBuf::from([7; 32]), key_logs: vec![], records: vec![ByteBuf::from(many)] };
    assert_eq!(packed.unpack(), Err(Error::TooLong));
}

#[test]
fn references_to_nothing_are_refused() {
    let text = deflate(&[0x58, 0x20]).unwrap();
    let packed = |ids: &[u8], reference: &[u8]| {
        let record = ByteBuf::from([&text, reference].concat());
        PackedRecords { ids: ByteBuf::from(ids), key_logs: vec![vec![]], records: vec![record] }.unpack()
    };
    assert!(packed(&[7; 32], &[1]).is_ok());
    assert_eq!(packed(&[7; 32], &[3]), Err(Error::NoSuchId));
    assert_eq!(packed(&[7; 32], &[0]), Err(Error::NoSuchId), "the key log names no publisher");
    assert_eq!(packed(&[7; 32], &[2]), Err(Error::NoSuchId));
    assert_eq!(packed(&[7; 33], &[1]), Err(Error::Malformed));
    assert_eq!(packed(&[7; 32], &[0x81, 0x80, 0x80, 1]), Err(Error::NoSuchId));
    for reference in [&[][..], &[0x80], &[0x81, 0x80, 0x80, 0], &[1, 1]] {
        assert_eq!(packed(&[7; 32], reference), Err(Error::Malformed));
    }
}

#[test]
fn what_an_answer_can_hold_is_packed_where_that_makes_it_shorter() {
    let id = [&[0x58, 0x20][..], &[7; 32]].concat();
    let long = |length: usize| [vec![b'a'; length - id.len()], id.clone()].concat();
    assert_eq!(Packed::of(&long(MAX_RECORD_BYTES)).text[0], PACKED);
    assert_eq!(Packed::of(&long(MAX_RECORD_BYTES + 1)).text[0], AS_IS);
    let noise: Vec<u8> = (0..100_u8).flat_map(|at| *blake3::hash(&[at]).as_bytes()).collect();
    for length in [1, 40, 3200] {
        assert_eq!(Packed::of(&noise[..length]).text[0], AS_IS);
        assert_eq!(Packed::of(&noise[..length]).cost(|_| false), length + 1);
    }
}

#[test]
fn a_cost_is_what_the_record_adds_to_an_answer() {
    let text = b"This package contains the development files of a library that reads files".repeat(4);
    let bytes = [1, 2, 1].into_iter().flat_map(|id| [&text[..], &[0x58, 0x20], &[id; 32]].concat()).collect::<Vec<_>>();
    let bytes = [&bytes[..], &[0x58, 0x40], &[9; 64]].concat();
    let packed = Packed::of(&bytes);
    assert_eq!(packed.ids.len(), 3);
    let answer = PackedRecords::of([], [&packed]);
    // Each reference takes one byte here, and two are counted.
    assert_eq!(packed.cost(|_| true), answer.records[0].len() + 3);
    assert_eq!(packed.cost(|id| *id == [1; 32]), packed.cost(|_| true) + 32);
    assert_eq!(packed.cost(|_| false), packed.cost(|_| true) + 3 * 32);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_bytes_come_out_as_they_went_in(
        records in vec(vec(prop_oneof![Just(0x58), Just(0x20), Just(0x40), Just(0x12), any::<u8>()], 0..400), 0..5),
    ) {
        let records = records.into_iter().map(ByteBuf::from).collect();
        let unpacked = Unpacked { key_logs: vec![], records };
        prop_assert_eq!(PackedRecords::from(&unpacked).unpack(), Ok(unpacked));
    }

    #[test]
    fn changed_bytes_are_refused_or_bounded(at in any::<prop::sample::Index>(), to: u8) {
        let mut bytes = codec::encode(&PackedRecords::from(&unpacked()));
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(packed) = codec::read::<PackedRecords>(&bytes, bytes.len())
            && let Ok(unpacked) = packed.unpack()
        {
            prop_assert!(unpacked.records.iter().all(|record| record.len() <= MAX_RECORD_BYTES));
        }
    }
}
