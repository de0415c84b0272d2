use proptest::prelude::*;

use super::*;

/// RFC 5769, section 2.1.
const REQUEST: &[u8] = b"\x00\x01\x00\x58\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
    \x80\x22\x00\x10STUN test client\x00\x24\x00\x04\x6e\x00\x01\xff\x80\x29\x00\x08\x93\x2f\xf9\xb1\x51\x26\x3b\x36\
    \x00\x06\x00\x09evtj:h6vY   \x00\x08\x00\x14\x9a\xea\xa7\x0c\xbf\xd8\xcb\x56\x78\x1e\xf2\xb5\xb2\xd3\xf2\x49\xc1\xb5\x71\xa2\
    \x80\x28\x00\x04\xe5\x7a\x3b\xcf";
const PASSWORD: &str = "VOkJxbRl1RmTxUk/WvJxBt";
const TRANSACTION: Transaction = *b"\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae";

fn request(user_name: &str) -> Vec<u8> {
    Request { transaction: TRANSACTION, user_name, password: PASSWORD, controls: true, tie_breaker: 7 }.encode()
}

#[test]
fn the_request_of_the_specification_is_read() {
    let message = Message::parse(REQUEST).unwrap();
    assert_eq!((message.class, message.transaction), (Class::Request, TRANSACTION));
    assert_eq!((message.user_name, message.nominates), (Some(&b"evtj:h6vY"[..]), false));
    assert!(message.is_signed_by(PASSWORD));
    assert!(!message.is_signed_by("another password of it"));
}

#[test]
fn addresses_are_masked_as_in_the_specification() {
    // RFC 5769, sections 2.2 and 2.3.
    let four = xor_mapped("192.0.2.1:32853".parse().unwrap(), &TRANSACTION);
    assert_eq!(four, b"\x00\x01\xa1\x47\xe1\x12\xa6\x43");
    let six = xor_mapped("[2001:db8:1234:5678:11:2233:4455:6677]:32853".parse().unwrap(), &TRANSACTION);
    assert_eq!(six, b"\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9");
}

#[test]
fn what_is_written_is_read_again() {
    let bytes = request("server:client");
    let message = Message::parse(&bytes).unwrap();
    assert_eq!(
        (message.class, message.user_name, message.nominates),
        (Class::Request, Some(&b"server:client"[..]), true)
    );
    assert!(message.is_signed_by(PASSWORD));

    let bytes = success(&TRANSACTION, "127.0.0.1:9".parse().unwrap(), PASSWORD);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.class, message.transaction), (Class::Success, TRANSACTION));
    assert!(message.is_signed_by(PASSWORD));
}

#[test]
fn no_flipped_bit_passes() {
    // Of the checksum only what it says matters, not that it is one.
    for at in (0..REQUEST.len() * 8).filter(|at| *at < (REQUEST.len() - 8) * 8 || *at >= (REQUEST.len() - 4) * 8) {
        let mut bytes = REQUEST.to_vec();
        bytes[at / 8] ^= 1 << (at % 8);
        let signed = Message::parse(&bytes).is_ok_and(|message| message.is_signed_by(PASSWORD));
        assert!(!signed, "bit {at}");
    }
}

#[test]
fn no_truncation_passes() {
    for length in 0..REQUEST.len() {
        let mut bytes = REQUEST[..length].to_vec();
        let signed = |bytes: &[u8]| Message::parse(bytes).is_ok_and(|message| message.is_signed_by(PASSWORD));
        assert!(!signed(&bytes));
        if length >= HEADER_BYTES {
            // Also if its length says so. Without its checksum it is still whole.
            set_length(&mut bytes, length - HEADER_BYTES);
            assert_eq!(signed(&bytes), length == REQUEST.len() - 8);
        }
    }
}

#[test]
fn what_follows_the_signature_says_nothing() {
    let mut bytes = REQUEST[..REQUEST.len() - 8].to_vec();
    put(&mut bytes, attribute::USER_NAME, b"mallory:mallory!");
    put(&mut bytes, attribute::USE_CANDIDATE, &[]);
    let length = bytes.len() - HEADER_BYTES;
    set_length(&mut bytes, length);
    let message = Message::parse(&bytes).unwrap();
    assert_eq!((message.user_name, message.nominates), (Some(&b"evtj:h6vY"[..]), false));
    assert!(message.is_signed_by(PASSWORD));
}

#[test]
fn oversized_names_and_too_many_attributes_are_refused() {
    let long = request(&"a".repeat(MAX_BYTES));
    assert_eq!(Message::parse(&long).unwrap_err(), Error::Length);
    let mut many = begin(0x0001, &TRANSACTION);
    for _ in 0..=MAX_ATTRIBUTES {
        put(&mut many, 0xc057, &[1, 2, 3, 4]);
    }
    let length = many.len() - HEADER_BYTES;
    set_length(&mut many, length);
    assert_eq!(Message::parse(&many).unwrap_err(), Error::Attribute);
    assert!(!Message::parse(&many[..HEADER_BYTES]).is_ok_and(|message| message.is_signed_by("")));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..400), real in any::<bool>()) {
        if real && bytes.len() >= HEADER_BYTES {
            bytes.truncate(bytes.len() / 4 * 4);
            bytes[..2].copy_from_slice(&[0, 1]);
            bytes[4..8].copy_from_slice(&MAGIC);
            let length = bytes.len() - HEADER_BYTES;
            set_length(&mut bytes, length);
        }
        if let Ok(message) = Message::parse(&bytes) {
            prop_assert!(!message.is_signed_by(PASSWORD));
        }
    }
}
