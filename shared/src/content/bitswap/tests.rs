#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;
use crate::content;

/// A message without the length before it.
fn unframed(message: &Message) -> Vec<u8> {
    let encoded = message.encode();
    let mut rest = &encoded[..];
    let length = varint::take(&mut rest).unwrap();
    assert_eq!(length, rest.len() as u64);
    rest.to_vec()
}

fn node() -> Unhashed {
    let dag = content::build(&vec![7; 600_000]);
    Unhashed { is_raw: false, data: dag.blocks.last().unwrap().data.clone() }
}

const fn leaf(data: Vec<u8>) -> Unhashed {
    Unhashed { is_raw: true, data }
}

fn cid(number: u32) -> ContentId {
    ContentId::of_raw(&number.to_be_bytes())
}

/// A want-list of so many entries, none of which is looked at twice.
fn want_list(entries: u32) -> Vec<u8> {
    let mut list = Vec::new();
    for number in 0..entries {
        let mut entry = Vec::new();
        proto::put_bytes(&mut entry, 1, &cid(number).cid().to_bytes());
        proto::put_bytes(&mut list, 1, &entry);
    }
    let mut message = Vec::new();
    proto::put_bytes(&mut message, 1, &list);
    message
}

#[test]
fn what_is_sent_is_what_is_read() {
    let message = Message {
        wants: vec![
            Want::new(cid(1), Ask::Block),
            Want::new(cid(2), Ask::Have),
            Want::new(cid(3), Ask::Cancel),
            Want { send_dont_have: false, ..Want::new(cid(4), Ask::Block) },
        ],
        full: true,
        blocks: vec![leaf(vec![1; 300]), node(), leaf(Vec::new())],
        presences: vec![
            Presence { cid: *cid(5).cid(), has: true },
            Presence { cid: *node().hash().cid().cid(), has: false },
        ],
    };
    assert_eq!(Message::decode(&unframed(&message)), Ok(message));
    assert_eq!(Message::decode(&[]), Ok(Message::default()));
}

#[test]
fn a_message_of_other_software_reads_as_it_was_meant() {
    // As boxo's Go and Helia's JavaScript write it: all fields, also those with their default value.
    let mut entry = Vec::new();
    proto::put_bytes(&mut entry, 1, &cid(1).cid().to_bytes());
    proto::put_number(&mut entry, 2, u64::MAX);
    proto::put_number(&mut entry, 3, 0);
    proto::put_number(&mut entry, 4, 1);
    proto::put_number(&mut entry, 5, 1);
    let (mut list, mut message) = (Vec::new(), Vec::new());
    proto::put_bytes(&mut list, 1, &entry);
    proto::put_number(&mut list, 2, 0);
    proto::put_bytes(&mut message, 1, &list);
    proto::put_number(&mut message, 5, 12);
    let read = Message::decode(&message).unwrap();
    assert_eq!(read, Message::of_wants(vec![Want::new(cid(1), Ask::Have)]));
}

#[test]
fn unknown_fields_and_blocks_of_the_first_version_are_skipped() {
    let message = Message::of_wants(vec![Want::new(cid(1), Ask::Block)]);
    let mut bytes = Vec::new();
    proto::put_bytes(&mut bytes, 2, b"a block without its prefix");
    bytes.extend([0x71, 1, 2, 3, 4, 5, 6, 7, 8]);
    bytes.extend([0x7d, 1, 2, 3, 4]);
    proto::put_number(&mut bytes, 1000, 3);
    bytes.extend(unframed(&message));
    assert_eq!(Message::decode(&bytes), Ok(message));
}

#[test]
fn a_block_is_named_by_what_its_bytes_hash_to() {
    let framed = encode_block(cid(1), b"other bytes", &[]);
    let message = Message::decode(&framed[1..]).unwrap();
    assert_eq!(message.blocks[0].clone().hash().cid(), ContentId::of_raw(b"other bytes"));
}

#[test]
fn a_want_list_of_a_million_entries_is_refused_and_most_of_it_not_read() {
    let million = want_list(1_000_000);
    assert_eq!(
        Message::decode(&million),
        Err(Error::TooLong { limit: MAX_BITSWAP_MESSAGE_BYTES, actual: million.len() })
    );
    let fits = want_list(u32::try_from(MAX_WANTS_PER_MESSAGE).unwrap());
    assert_eq!(Message::decode(&fits).unwrap().wants.len(), MAX_WANTS_PER_MESSAGE);
    let more = want_list(u32::try_from(MAX_WANTS_PER_MESSAGE).unwrap() + 1);
    assert_eq!(Message::decode(&more), Err(Error::TooMany { what: "wants", limit: MAX_WANTS_PER_MESSAGE }));
}

#[test]
fn parts_past_their_bounds_are_refused() {
    let refused = |message: &Message| Message::decode(&unframed(message)).unwrap_err();
    let blocks = vec![leaf(Vec::new()); MAX_BLOCKS_PER_MESSAGE + 1];
    let what = "blocks";
    let limit = MAX_BLOCKS_PER_MESSAGE;
    assert_eq!(refused(&Message { blocks, ..Message::default() }), Error::TooMany { what, limit });
    let presences = vec![Presence { cid: *cid(1).cid(), has: true }; MAX_PRESENCES_PER_MESSAGE + 1];
    let (what, limit) = ("presences", MAX_PRESENCES_PER_MESSAGE);
    assert_eq!(refused(&Message { presences, ..Message::default() }), Error::TooMany { what, limit });
    let blocks = vec![leaf(vec![0; MAX_BLOCK_BYTES + 1])];
    assert_eq!(refused(&Message { blocks, ..Message::default() }), Error::BlockTooLarge(MAX_BLOCK_BYTES + 1));
}

#[test]
fn blocks_and_names_that_are_none_are_refused() {
    let decode = |field, parts: &[(u64, &[u8])]| {
        let (mut part, mut message) = (Vec::new(), Vec::new());
        parts.iter().for_each(|(field, bytes)| proto::put_bytes(&mut part, *field, bytes));
        proto::put_bytes(&mut message, field, &part);
        Message::decode(&message).unwrap_err()
    };
    for prefix in [&[][..], &[1, 0x71, 0x12, 32], &[0, 0x70, 0x12, 32], &[1, 0x55, 0x12, 20], &[1, 0x55, 0x12, 32, 0]] {
        assert_eq!(decode(3, &[(1, prefix), (2, b"data")]), Error::ForeignBlock);
    }
    let long = [cid(1).cid().to_bytes(), vec![0]].concat();
    for name in [&b""[..], b"no CID", &long, &[0; MAX_CID_BYTES + 1]] {
        assert!(matches!(decode(4, &[(1, name)]), Error::Malformed(_)), "{name:?}");
    }
    assert_eq!(decode(4, &[]), Error::Malformed("a presence without a CID"));
    for cut in [&[0x0a][..], &[0x0a, 5, 1], &[0xff; 11], &[0x08, 0x80], &[0x0b], &[0x00, 0], &[0x08, 1]] {
        assert!(matches!(Message::decode(cut), Err(Error::Malformed(_))), "{cut:?}");
    }
}

#[test]
fn wants_of_blocks_that_no_package_has_are_read() {
    let foreign = Cid::new_v1(0x71, *cid(1).cid().hash());
    let old = Cid::new_v0(*cid(1).cid().hash()).unwrap();
    let wants: Vec<_> = [foreign, old].map(|cid| Want { cid, ..Want::new(self::cid(1), Ask::Block) }).into();
    let read = Message::decode(&unframed(&Message::of_wants(wants.clone()))).unwrap();
    assert_eq!(read.wants, wants);
    assert!(ContentId::try_from(read.wants[0].cid).is_err());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(Message::decode(&unframed(&message)), Ok(message));
        }
    }

    #[test]
    fn a_damaged_message_is_read_or_refused(
        position in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let message = Message {
            wants: (0..4).map(|number| Want::new(cid(number), Ask::Have)).collect(),
            full: true,
            blocks: vec![leaf(vec![9; 40]), node()],
            presences: vec![Presence { cid: *cid(9).cid(), has: false }],
        };
        let mut bytes = unframed(&message);
        let position = position.index(bytes.len());
        bytes[position] = byte;
        let cut = cut.index(bytes.len() + 1);
        for bytes in [&bytes[..], &bytes[..cut]] {
            if let Ok(message) = Message::decode(bytes) {
                prop_assert_eq!(Message::decode(&unframed(&message)), Ok(message));
            }
        }
    }
}
