//! How a data channel is opened in band (RFC 8832).

const OPEN: u8 = 0x03;
const ACK: u8 = 0x02;
/// Reliable and in order.
const RELIABLE: u8 = 0x00;
const OPEN_BYTES: usize = 12;

/// The message that opens a channel which is reliable, in order, and without a name.
pub(crate) const OPENING: [u8; OPEN_BYTES] = [OPEN, RELIABLE, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The answer to it.
pub(crate) const CONFIRMATION: [u8; 1] = [ACK];

/// What a peer says of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// It opens it.
    Open,
    /// It knows it.
    Confirm,
}

/// Reads a message. `None` if it is none, or opens a channel that would lose data or mix it up. What the channel is called is of
/// no interest.
pub(crate) fn parse(bytes: &[u8]) -> Option<Message> {
    match bytes {
        [ACK] => Some(Message::Confirm),
        [OPEN, RELIABLE, _, _, _, _, _, _, l0, l1, p0, p1, names @ ..] => {
            let length = |bytes: [u8; 2]| usize::from(u16::from_be_bytes(bytes));
            (names.len() == length([*l0, *l1]) + length([*p0, *p1])).then_some(Message::Open)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        assert_eq!(parse(&OPENING), Some(Message::Open));
        assert_eq!(parse(&CONFIRMATION), Some(Message::Confirm));
    }

    #[test]
    fn names_are_passed_over() {
        assert_eq!(parse(b"\x03\0\x01\0\0\0\0\0\0\x02\0\x03abcde"), Some(Message::Open));
    }

    #[test]
    fn what_is_cut_or_too_long_or_of_another_kind_is_refused() {
        let open = b"\x03\0\x01\0\0\0\0\0\0\x02\0\x03abcde";
        for length in 0..open.len() {
            assert_eq!(parse(&open[..length]), None);
        }
        for wrong in [
            &b"\x03\0\0\0\0\0\0\0\0\0\0\0x"[..],
            b"\x02\x02",
            b"\x03\x80\0\0\0\0\0\0\0\0\0\0",
            b"\x03\x01\0\0\0\0\0\x05\0\0\0\0",
            b"\x01",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:02x?}");
        }
    }
}
