use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;

use super::*;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pair {
    bb: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    a: Option<String>,
}

#[test]
fn shorter_keys_come_first_however_a_type_orders_them() {
    let pair = Pair { bb: 1, a: Some("x".into()) };
    assert_eq!(encode(&pair), b"\xa2\x61a\x61x\x62bb\x01");
    assert_eq!(decode(&encode(&pair), 100), Ok(pair));
}

#[test]
fn rejects_what_is_longer_than_its_bound_unseen() {
    let bytes = encode(&"twelve bytes");
    assert_eq!(bytes.len(), 13);
    assert_eq!(decode::<String>(&bytes, 13).as_deref(), Ok("twelve bytes"));
    assert_eq!(decode::<String>(&bytes, 12), Err(Error::TooLong { limit: 12, actual: 13 }));
    assert_eq!(decode::<String>(&[0xff; 20], 12), Err(Error::TooLong { limit: 12, actual: 20 }));
    assert_eq!(read::<String>(&bytes, 13).as_deref(), Ok("twelve bytes"));
    assert_eq!(read::<String>(&bytes, 12), Err(Error::TooLong { limit: 12, actual: 13 }));
}

#[test]
fn rejects_keys_in_another_order() {
    assert!(decode::<Pair>(b"\xa2\x62bb\x01\x61a\x61x", 100).is_err());
    assert!(decode::<BTreeMap<String, u64>>(b"\xa2\x62bb\x01\x61a\x01", 100).is_err());
}

#[test]
fn rejects_an_absent_field_written_out() {
    assert_eq!(encode(&Pair { bb: 1, a: None }), b"\xa1\x62bb\x01");
    assert_eq!(decode::<Pair>(b"\xa2\x61a\xf6\x62bb\x01", 100), Err(Error::NotCanonical));
    // A message that is only read may have it: nothing is named by its hash.
    assert_eq!(read(b"\xa2\x61a\xf6\x62bb\x01", 100), Ok(Pair { bb: 1, a: None }));
}

#[test]
fn rejects_what_does_not_decode() {
    for bytes in
        [&b""[..], b"\x61", b"\x18\x01", b"\x01\x01", b"\xf9\x3c\x00", b"\xfb\x3f\xf0\0\0\0\0\0\0", b"\x9f\xff"]
    {
        assert!(matches!(decode::<u64>(bytes, 100), Err(Error::Malformed(_))), "{bytes:02x?}");
        assert!(matches!(read::<u64>(bytes, 100), Err(Error::Malformed(_))), "{bytes:02x?}");
    }
}

#[test]
fn an_error_is_one_short_line_whatever_key_a_peer_chose() {
    let key = "\u{1b}[31m\r\n\u{202e}".repeat(1000);
    let Err(error) = decode::<Pair>(&encode(&BTreeMap::from([(key, 1)])), 100_000) else { panic!("an unknown key") };
    let text = error.to_string();
    assert!(text.contains("unknown field") && text.contains("\\u{1b}[31m\\r\\n"), "{text}");
    assert!(text.len() < 300 && text.chars().all(|c| c.is_ascii_graphic() || c == ' '), "{text}");
    let short = decode::<Pair>(&encode(&BTreeMap::from([("short", 1)])), 100).unwrap_err();
    assert!(short.to_string().contains("unknown field `short`, expected `bb` or `a`"), "{short}");
}

proptest! {
    #[test]
    fn bytes_read_as_nothing_but_their_own_encoding(bytes: Vec<u8>) {
        if let Ok(value) = decode::<ipld_core::ipld::Ipld>(&bytes, 1000) {
            prop_assert_eq!(encode(&value), bytes);
        }
    }
}
