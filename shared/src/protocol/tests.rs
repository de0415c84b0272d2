use proptest::collection::vec;
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

use super::publish::{Offer, Receipt, ReceiptReply, Wanted, WantedReply};
use super::query::*;
use super::{announcement, names};
use crate::catalogue::testing::Publisher;
use crate::codec;
use crate::id::{PublisherId, RecordId};
use crate::limits::MAX_REQUEST_BYTES;
use crate::merkle::MAX_KEY_BYTES;
use crate::record::ContentId;
use crate::rules::Rules;

fn ask(request: Request) -> Ask {
    Ask { window: 8192, rules: Rules::FIRST.number, request }
}

fn search() -> Search {
    Search { text: "a word".into(), limit: 10, cursor: None, ..Search::default() }
}

#[test]
fn names_on_the_wire_are_those_that_peers_agreed_on() {
    assert_eq!(names::IDENTIFY, "/ggen/1.0.0");
    assert_eq!(names::KADEMLIA, "/ggen/kad/1.0.0");
    assert_eq!(names::QUERY, "/ggen/query/1.0.0");
    assert_eq!(names::PUBLISH, "/ggen/publish/1.0.0");
    assert_eq!(names::PACKAGES_TOPIC, "/ggen/packages/v1");
    assert_eq!(names::RELAYS_KEY, b"/ggen/relays/1.0.0");
    assert_eq!(names::PACKAGE_HEAD_PREFIX, "/ggen/package/");
}

#[test]
fn a_forged_copy_of_an_announcement_does_not_take_its_place() {
    let record = Publisher::new(1).release(0, "a", "1.0.0", |_| {}).bytes().to_vec();
    let mut forged = record.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_ne!(announcement::message_id(&record), announcement::message_id(&forged));
    assert_ne!(&announcement::message_id(&record), blake3::hash(&record).as_bytes());
    assert_eq!(announcement::message_id(&record), announcement::message_id(&record.clone()));
}

fn reads_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(message: &T) {
    let bytes = codec::encode(message);
    assert_eq!(codec::decode::<T>(&bytes, bytes.len()).as_ref(), Ok(message));
    assert!(codec::decode::<T>(&bytes, bytes.len() - 1).is_err());
    for at in 0..bytes.len() {
        assert!(codec::decode::<T>(&bytes[..at], bytes.len()).is_err(), "{at}");
    }
    assert!(codec::decode::<T>(&[&bytes[..], &[0]].concat(), bytes.len() + 1).is_err());
}

#[test]
fn every_message_is_read_back_and_refused_cut_off_or_with_more() {
    let one = Publisher::new(1);
    let (bytes, id, cid) = (ByteBuf::from(vec![1, 2]), RecordId::from_bytes([7; 32]), ContentId::of_raw(b"a"));
    reads_back(&ask(search().into_request()));
    reads_back(&Ask { rules: 2, ..ask(search().into_request()) });
    reads_back(&ask(Search { cursor: Some(bytes.clone()), ..search() }.into_request()));
    let version = Some("1.0.0".parse().unwrap());
    reads_back(&ask(Package { name: one.full_name("a"), version: None }.into_request()));
    reads_back(&ask(Package { name: one.full_name("a"), version }.into_request()));
    reads_back(&ask(Records { ids: vec![id, id] }.into_request()));
    reads_back(&ask(KeyLogOf { publisher: one.id() }.into_request()));
    for (bits, after, show) in [(None, None, Show::First(3)), (Some(17), Some(bytes.clone()), Show::Levels(4))] {
        reads_back(&ask(RangeOf { range: bytes.clone(), bits, after, show }.into_request()));
    }
    let evidence = Evidence { checkpoint: bytes.clone(), proof: bytes.clone() };
    reads_back(&evidence);
    for evidence in [None, Some(evidence)] {
        let (releases, recent, key_log) = (vec![bytes.clone()], vec![bytes.clone()], vec![bytes.clone()]);
        reads_back(&PackageAnswer {
            statuses: vec![],
            releases: releases.clone(),
            recent: recent.clone(),
            key_log: key_log.clone(),
            evidence: evidence.clone(),
        });
        let answer = |statuses, suggestions| SearchAnswer {
            walk: 2,
            releases: releases.clone(),
            recent: recent.clone(),
            statuses,
            key_logs: vec![key_log.clone()],
            evidence: evidence.clone(),
            suggestions,
        };
        reads_back(&answer(vec![], vec![]));
        reads_back(&answer(vec![bytes.clone(); 2], vec!["serde".into(), "serde json".into()]));
    }
    reads_back(&RecordsAnswer { records: vec![None, Some(bytes.clone())] });
    reads_back(&KeyLogAnswer { events: vec![bytes.clone()] });
    let refusal = Refusal::new("query/too-long", "It is too long.");
    reads_back::<Reply<KeyLogAnswer>>(&Ok(KeyLogAnswer { events: vec![bytes.clone()] }));
    reads_back::<Reply<KeyLogAnswer>>(&Err(refusal.clone()));
    reads_back(&Offer { records: vec![bytes], blocks: vec![cid] });
    reads_back::<WantedReply>(&Ok(Wanted { blocks: vec![cid] }));
    reads_back::<ReceiptReply>(&Ok(Receipt { kept: vec![id], new: vec![] }));
    reads_back::<ReceiptReply>(&Err(refusal));
}

#[test]
fn rejects_questions_that_are_unknown_or_have_more_than_they_should() {
    let text = |bytes: &[u8]| codec::decode::<Request>(bytes, MAX_REQUEST_BYTES);
    assert!(text(&codec::encode(&search().into_request())).is_ok());
    assert!(text(b"\xa1\x66search\xa2\x64text\x61a\x65limit\x01").is_ok());
    assert!(text(b"\xa1\x66search\xa3\x61z\x00\x64text\x61a\x65limit\x01").is_err(), "an unknown field");
    assert!(text(b"\xa1\x66search\xa3\x64text\x61a\x65limit\x01\x66cursor\xf6").is_err(), "null written out");
    assert!(text(b"\xa1\x66search\xa2\x64text\x61a\x65limit\x1a\x00\x01\x00\x00").is_err(), "a limit of 17 bits");
    assert!(text(b"\xa1\x66search\xa2\x65limit\x01\x64text\x61a").is_err(), "keys in another order");
    assert!(text(b"\xa1\x66remove\xa0").is_err(), "an unknown question");
    assert!(text(b"\xa2\x66search\xa2\x64text\x61a\x65limit\x01\x67records\xa1\x63ids\x80").is_err(), "two questions");
    assert!(text(b"\xa0").is_err() && text(b"\x66search").is_err(), "no question");
}

#[test]
fn a_refusal_is_shown_as_short_text_and_nothing_else() {
    let refusal = Refusal::new("query/too-long", "It isn't \"there\": größe, 数据库.");
    assert_eq!(refusal.clone().printable(), refusal);
    let hostile = Refusal { code: "a\n".repeat(100), message: "a\u{1b}b\u{202e}\u{61c}\0".repeat(1000) }.printable();
    assert_eq!(hostile.code, "a\u{fffd}".repeat(32));
    assert_eq!(hostile.message, "a\u{fffd}b\u{fffd}\u{fffd}\u{fffd}".repeat(50));
}

#[test]
fn a_question_names_a_publisher_and_a_package_that_can_be() {
    let one = Publisher::new(1);
    let request = ask(Package { name: one.full_name("pack"), version: None }.into_request());
    let bytes = codec::encode(&request);
    let at = bytes.windows(5).position(|window| window == b"\x64pack").unwrap();
    for bad in [b"../a", b"a/b.", b"PACK", b"a..b", b"\xff\xff\xff\xff"] {
        let mut changed = bytes.clone();
        changed[at + 1..at + 5].copy_from_slice(bad);
        assert!(codec::decode::<Ask>(&changed, MAX_REQUEST_BYTES).is_err(), "{}", bad.escape_ascii());
    }
    assert!(codec::decode::<PublisherId>(&codec::encode(&ByteBuf::from(vec![0; 31])), 100).is_err());
}

#[test]
fn a_cursor_is_read_back_and_bounded() {
    let (query, after): ([u8; 8], Vec<u8>) = (*b"of words", (0..28).collect());
    let cursor = Cursor { epoch: 0x0102_0304_0506_0708, walk: 9, query, after: after.clone() };
    let bytes = cursor.to_bytes();
    assert_eq!(bytes, [&[1, 2, 3, 4, 5, 6, 7, 8, 9], &query[..], &after].concat());
    assert_eq!(Cursor::from_bytes(&bytes), Some(cursor));
    assert_eq!(Cursor::from_bytes(&bytes[..17]), None, "it begins behind something");
    assert!(Cursor::from_bytes(&[&bytes[..17], &[0; MAX_KEY_BYTES]].concat()).is_some());
    assert_eq!(Cursor::from_bytes(&[&bytes[..17], &[0; MAX_KEY_BYTES + 1]].concat()), None);
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_no_message_or_read_as_nothing_but_themselves(bytes in vec(any::<u8>(), 0..300)) {
        if let Ok(message) = codec::decode::<Ask>(&bytes, MAX_REQUEST_BYTES) {
            prop_assert_eq!(codec::encode(&message), bytes.clone());
        }
        let _ = codec::decode::<Offer>(&bytes, MAX_REQUEST_BYTES);
        let _ = codec::decode::<Reply<SearchAnswer>>(&bytes, MAX_REQUEST_BYTES);
        let _ = codec::decode::<Reply<PackageAnswer>>(&bytes, MAX_REQUEST_BYTES);
        let _ = codec::decode::<ReceiptReply>(&bytes, MAX_REQUEST_BYTES);
    }

    #[test]
    fn a_message_with_a_byte_changed_is_another_or_none(at: prop::sample::Index, flip in 1u8..) {
        let message = ask(search().into_request());
        let mut bytes = codec::encode(&message);
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        prop_assert_ne!(codec::decode::<Ask>(&bytes, MAX_REQUEST_BYTES), Ok(message));
    }
}
