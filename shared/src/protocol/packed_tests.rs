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

/// A packed record of this text, up to its references.
fn alone(text: &[u8]) -> ByteBuf {
    ByteBuf::from([&[PACKED], &deflate(text).unwrap()[..]].concat())
}

/// A record that gets shorter when it is packed.
fn unpacked_one() -> ByteBuf {
    unpacked().records.swap_remove(0)
}

/// The text of joined records.
fn together(texts: &[&[u8]]) -> ByteBuf {
    let (mut all, mut text) = (Vec::new(), Vec::new());
    for one in texts {
        varint::put(&mut all, one.len() as u64);
        all.extend_from_slice(one);
    }
    varint::put(&mut text, all.len() as u64);
    ByteBuf::from([text, deflate(&all).unwrap()].concat())
}

#[test]
fn joined_records_come_out_as_they_went_in_and_are_shorter() {
    let mut unpacked = unpacked();
    // Of those that have nothing to join, too.
    unpacked.records.insert(1, ByteBuf::from(*b"as it is"));
    let alone = PackedRecords::from(&unpacked);
    let mut joined = alone.clone();
    joined.join();
    assert_eq!(joined.unpack(), Ok(unpacked));
    assert_eq!(joined.count(), alone.count());
    let length = |packed: &PackedRecords| codec::encode(packed).len();
    assert!(length(&joined) * 10 < length(&alone) * 8, "{} of {}", length(&joined), length(&alone));
    assert_eq!(codec::read::<PackedRecords>(&codec::encode(&joined), MAX_ANSWER_BYTES).as_ref(), Ok(&joined));
    let says_text = |packed: &PackedRecords| codec::encode(packed).windows(5).any(|bytes| bytes == b"dtext");
    assert!(says_text(&joined) && !says_text(&alone), "what is empty is not said");
    // To join again changes nothing, and what gets no shorter is left as it is.
    let once = joined.clone();
    joined.join();
    assert_eq!(joined, once);
    let one = unpacked_one();
    for records in [vec![], vec![ByteBuf::from(*b"as it is")], vec![one]] {
        let mut packed = PackedRecords::from(&Unpacked { key_logs: vec![], records });
        let before = packed.clone();
        packed.join();
        assert_eq!(packed, before);
    }
}

#[test]
fn the_text_of_joined_records_is_used_up_and_no_longer_than_an_answer() {
    let packed = |count: usize, text: ByteBuf| {
        let records = vec![ByteBuf::from([JOINED]); count];
        PackedRecords { ids: ByteBuf::new(), key_logs: vec![], records, text }.unpack()
    };
    let text = together(&[b"one", b"", b"three"]);
    let records = [&b"one"[..], b"", b"three"].map(ByteBuf::from).to_vec();
    assert_eq!(packed(3, text.clone()), Ok(Unpacked { key_logs: vec![], records }));
    for (count, text) in
        [(2, &text[..]), (4, &text), (0, &text), (3, &text[..text.len() - 1]), (3, &text[..1]), (1, b"")]
    {
        assert_eq!(packed(count, ByteBuf::from(text)), Err(Error::Malformed), "{count}");
    }
    assert_eq!(packed(3, ByteBuf::from([&text[..], b"more"].concat())), Err(Error::Malformed));
    // It says how long it is, and is as long as that.
    for wrong in [-1, 1] {
        let mut text = text.clone();
        text[0] = text[0].wrapping_add_signed(wrong);
        assert!(packed(3, text).is_err());
    }
    // No record is longer than it may be alone, nor are all of them longer than an answer.
    let long = vec![b'a'; MAX_RECORD_BYTES];
    assert_eq!(packed(1, together(&[&[&long[..], b"a"].concat()])), Err(Error::TooLong));
    let most = MAX_JOINED_BYTES / MAX_RECORD_BYTES;
    assert!(packed(most - 1, together(&vec![&long[..]; most - 1])).is_ok());
    assert_eq!(packed(most, together(&vec![&long[..]; most])), Err(Error::TooLong));
    // The length of the longest takes three bytes, of the last one two.
    let last = MAX_JOINED_BYTES - (most - 1) * (MAX_RECORD_BYTES + 3) - 2;
    let texts = |last: usize| [vec![&long[..]; most - 1], vec![&long[..last]]].concat();
    assert!(packed(most, together(&texts(last))).is_ok());
    assert_eq!(packed(most, together(&texts(last + 1))).err(), Some(Error::TooLong));
    // So they are not joined.
    let records = vec![ByteBuf::from(&long[..]); most];
    let mut packed = PackedRecords::from(&Unpacked { key_logs: vec![], records });
    let before = packed.clone();
    packed.join();
    assert_eq!(packed, before);
    packed.records.pop();
    for (last, is_joined) in [(last, true), (last + 1, false)] {
        let records = texts(last).into_iter().map(ByteBuf::from).collect();
        let mut packed = PackedRecords::from(&Unpacked { key_logs: vec![], records });
        packed.join();
        assert_eq!(!packed.text.is_empty(), is_joined);
    }
    packed.join();
    assert!(!packed.text.is_empty());
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
    let bomb = alone(&text);
    let packed = |records| PackedRecords { ids: ByteBuf::new(), key_logs: vec![], records, text: ByteBuf::new() };
    assert_eq!(packed(vec![bomb]).unpack(), Err(Error::TooLong));
    // Nor may many inflate to more than an answer has.
    let full = alone(&text[1..]);
    assert!(packed(vec![full.clone(); MAX_ANSWER_BYTES / MAX_RECORD_BYTES]).unpack().is_ok());
    assert_eq!(packed(vec![full; MAX_ANSWER_BYTES / MAX_RECORD_BYTES + 1]).unpack(), Err(Error::TooLong));
    // Nor what is put back into a text that fits.
    let ids = [0x58, 0x20].repeat(600);
    let many = ByteBuf::from([&alone(&ids)[..], &[1; 600]].concat());
    let packed = PackedRecords { ids: ByteBuf::from([7; 32]), ..packed(vec![many]) };
    assert_eq!(packed.unpack(), Err(Error::TooLong));
}

#[test]
fn references_to_nothing_are_refused() {
    let text = alone(&[0x58, 0x20]);
    let packed = |ids: &[u8], reference: &[u8]| {
        let records = vec![ByteBuf::from([&text, reference].concat())];
        PackedRecords { ids: ByteBuf::from(ids), key_logs: vec![vec![]], records, text: ByteBuf::new() }.unpack()
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
        let mut packed = PackedRecords::from(&unpacked);
        prop_assert_eq!(packed.unpack(), Ok(unpacked.clone()));
        packed.join();
        prop_assert_eq!(packed.unpack(), Ok(unpacked));
    }

    #[test]
    fn changed_bytes_are_refused_or_bounded(at in any::<prop::sample::Index>(), to: u8, is_joined: bool) {
        let mut packed = PackedRecords::from(&unpacked());
        if is_joined {
            packed.join();
        }
        let mut bytes = codec::encode(&packed);
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(packed) = codec::read::<PackedRecords>(&bytes, bytes.len())
            && let Ok(unpacked) = packed.unpack()
        {
            prop_assert!(unpacked.records.iter().all(|record| record.len() <= MAX_RECORD_BYTES));
        }
    }
}
