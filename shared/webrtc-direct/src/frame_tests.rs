use proptest::prelude::*;

use super::*;

/// A frame that owns its data.
type Owned = (Option<Flag>, Vec<u8>);

fn decode(messages: &[&[u8]]) -> Result<Vec<Owned>, Malformed> {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    for message in messages {
        decoder.feed(message, |frame| frames.push((frame.flag, frame.data.to_vec())))?;
        assert!(decoder.partial.len() < MAX_FRAME_BYTES);
    }
    Ok(frames)
}

fn flag() -> impl Strategy<Value = Option<Flag>> {
    prop_oneof![
        Just(None),
        Just(Some(Flag::Fin)),
        Just(Some(Flag::StopSending)),
        Just(Some(Flag::Reset)),
        Just(Some(Flag::FinAck)),
    ]
}

fn frames() -> impl Strategy<Value = Vec<Owned>> {
    let data = prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..300),
        1 => (0..MAX_DATA_BYTES - 2).prop_map(|length| vec![7; length]),
    ];
    proptest::collection::vec((flag(), data), 0..6)
}

fn encode(frames: &[Owned]) -> Vec<u8> {
    frames.iter().flat_map(|(flag, data)| Frame { flag: *flag, data }.encode()).collect()
}

#[test]
fn frames_are_these_bytes() {
    for (frame, bytes) in [
        (Frame::flag(Flag::Fin), &b"\x02\x08\x00"[..]),
        (Frame::flag(Flag::StopSending), b"\x02\x08\x01"),
        (Frame::flag(Flag::Reset), b"\x02\x08\x02"),
        (Frame::flag(Flag::FinAck), b"\x02\x08\x03"),
        (Frame::data(b"hello"), b"\x07\x12\x05hello"),
        (Frame { flag: Some(Flag::Fin), data: b"bye" }, b"\x07\x08\x00\x12\x03bye"),
        (Frame { flag: None, data: b"" }, b"\x00"),
    ] {
        assert_eq!(frame.encode(), bytes);
        assert_eq!(decode(&[bytes]), Ok(vec![(frame.flag, frame.data.to_vec())]));
    }
}

#[test]
fn the_longest_frame_is_as_long_as_a_message_may_be() {
    let data = vec![1; MAX_FRAME_BYTES];
    let frame = Frame::data(&data);
    assert_eq!((frame.data.len(), frame.encode().len()), (MAX_DATA_BYTES, MAX_FRAME_BYTES));
    assert_eq!(decode(&[&frame.encode()]), Ok(vec![(None, data[..MAX_DATA_BYTES].to_vec())]));
    // One byte more, which nobody of us sends.
    let long = Frame { flag: None, data: &data[..MAX_DATA_BYTES + 1] }.encode();
    assert_eq!(decode(&[&long]), Err(Malformed::TooLong));
}

#[test]
fn a_length_over_the_limit_is_refused_before_anything_is_kept() {
    for bytes in [&b"\xff\x7f"[..], b"\x80\x80", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"] {
        assert_eq!(decode(&[bytes]), Err(Malformed::TooLong));
        assert_eq!(decode(&[&bytes[..1], &bytes[1..]]), Err(Malformed::TooLong));
    }
    assert_eq!(decode(&[b"\x85\x00"]), Err(Malformed::LongLength));
}

#[test]
fn what_is_unknown_is_passed_over() {
    // Go's peers say with a reset why, in field 3; flag 9 does not exist; the rest are fields of each kind.
    for (body, frame) in [
        (&b"\x08\x02\x18\x07"[..], (Some(Flag::Reset), &b""[..])),
        (b"\x08\x09\x12\x01x", (None, b"x")),
        (b"\x08\x80\x80\x80\x80\x10", (None, b"")),
        (b"\x21\0\0\0\0\0\0\0\0\x12\x01y", (None, b"y")),
        (b"\x2d\0\0\0\0\x12\x01z", (None, b"z")),
        (b"\x32\x02ab\x08\x03", (Some(Flag::FinAck), b"")),
        // Known fields of another kind are unknown fields.
        (b"\x0a\x01a\x10\x05\x12\x01w", (None, b"w")),
        // The last of several counts.
        (b"\x12\x01a\x12\x01b\x08\x00\x08\x01", (Some(Flag::StopSending), b"b")),
        // A longer form of a number, which Protocol Buffers allow.
        (b"\x88\x00\x83\x00\x12\x81\x00q", (Some(Flag::FinAck), b"q")),
    ] {
        let bytes = [&[body.len() as u8], body].concat();
        assert_eq!(decode(&[&bytes]), Ok(vec![(frame.0, frame.1.to_vec())]), "{body:02x?}");
    }
}

#[test]
fn garbage_is_named() {
    for (body, error) in [
        (&b"\x12\x05abc"[..], Malformed::Truncated),
        (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Malformed::Truncated),
        (b"\x08", Malformed::Truncated),
        (b"\x08\x80", Malformed::Truncated),
        (b"\x21\0", Malformed::Truncated),
        (b"\x2d\0", Malformed::Truncated),
        (b"\x00\x01", Malformed::Key),
        (b"\x02\x01a", Malformed::Key),
        (b"\x0b\x0c", Malformed::Key),
        (b"\x0f\x00", Malformed::Key),
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", Malformed::Number),
        (b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", Malformed::Number),
    ] {
        let bytes = [&[body.len() as u8], body].concat();
        assert_eq!(decode(&[&bytes]), Err(error), "{body:02x?}");
    }
}

#[test]
fn a_frame_that_is_cut_anywhere_waits_for_its_rest() {
    for frame in [Frame::flag(Flag::FinAck), Frame { flag: Some(Flag::Fin), data: &[5; 300] }, Frame::data(&[6; 5000])]
    {
        let bytes = frame.encode();
        for at in 0..bytes.len() {
            let (first, rest) = bytes.split_at(at);
            assert_eq!(decode(&[first]), Ok(vec![]));
            assert_eq!(decode(&[first, rest]), Ok(vec![(frame.flag, frame.data.to_vec())]));
        }
    }
}

proptest! {
    #[test]
    fn frames_come_back_however_they_are_cut(frames in frames(), cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8)) {
        let bytes = encode(&frames);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let messages: Vec<&[u8]> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(decode(&messages), Ok(frames));
    }

    #[test]
    fn one_byte_at_a_time_is_the_same(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        prop_assert_eq!(decode(&single), decode(&[&bytes]));
    }

    #[test]
    fn a_flipped_bit_is_read_or_refused(frames in frames(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = encode(&frames);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= 1_u8 << bit;
        _ = decode(&[&bytes]);
    }
}
