//! Numbers as unsigned LEB128, each in its shortest form.

use unsigned_varint::{decode, encode};

pub use unsigned_varint::decode::Error;

/// Appends a number.
pub fn put(bytes: &mut Vec<u8>, number: u64) {
    bytes.extend_from_slice(encode::u64(number, &mut encode::u64_buffer()));
}

/// Takes the number that some bytes begin with.
///
/// # Errors
/// [`Error`] for bytes that end within it, and for a number that is too large or not in its shortest form; nothing is taken then.
pub fn take(bytes: &mut &[u8]) -> Result<u64, Error> {
    let (number, rest) = decode::u64(bytes)?;
    // The library shifts out what a tenth byte has beyond the sixty-fourth bit.
    let taken = &bytes[..bytes.len() - rest.len()];
    if taken != encode::u64(number, &mut encode::u64_buffer()) {
        return Err(Error::Overflow);
    }
    *bytes = rest;
    Ok(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        for number in [0, 1, 0x7f, 0x80, 0x3fff, 0x4000, u64::MAX >> 1, u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            bytes.push(7);
            let mut rest = &bytes[..];
            assert_eq!((take(&mut rest), rest), (Ok(number), &[7][..]));
        }
        let refused = |bytes: &[u8]| {
            let mut rest = bytes;
            let error = take(&mut rest).unwrap_err();
            assert_eq!(rest, bytes, "nothing is taken");
            error
        };
        assert_eq!(refused(&[]), Error::Insufficient);
        assert_eq!(refused(&[0x80]), Error::Insufficient);
        assert_eq!(refused(&[0x80, 0]), Error::NotMinimal);
        assert_eq!(refused(&[0xff; 11]), Error::Overflow);
        let beyond = [&[0xff; 9][..], &[3]].concat();
        assert_eq!(refused(&beyond), Error::Overflow);
    }
}
