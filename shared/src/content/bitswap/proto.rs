//! As much of protobuf as Bitswap takes: fields by number, and those that are not known skipped.

use super::Error;
use crate::varint;

/// A field's type on the wire: a number.
const NUMBER: u64 = 0;
/// Eight bytes.
const FIXED64: u64 = 1;
/// A length and as many bytes.
pub(super) const BYTES: u64 = 2;
/// Four bytes.
const FIXED32: u64 = 5;

/// What a field holds.
pub(super) enum Value<'a> {
    /// A number, a truth value or one of an enumeration.
    Number(u64),
    /// Bytes, or a message.
    Bytes(&'a [u8]),
    /// Something of a type that Bitswap has no use for.
    Skipped,
}

/// The fields of a message, each with its number, up to the first that can't be read.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            // What follows can't be told apart.
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), Error> {
        let key = self.number()?;
        if key >> 3 == 0 {
            return Err(Error::Malformed("a field without a number"));
        }
        let value = match key & 7 {
            NUMBER => Value::Number(self.number()?),
            BYTES => {
                let length = usize::try_from(self.number()?).map_err(|_| Error::Malformed("a field is cut off"))?;
                Value::Bytes(self.take(length)?)
            }
            FIXED64 => self.take(8).map(|_| Value::Skipped)?,
            FIXED32 => self.take(4).map(|_| Value::Skipped)?,
            // Groups are gone since long; nobody sends them.
            _ => return Err(Error::Malformed("a field of an unknown type")),
        };
        Ok((key >> 3, value))
    }

    /// A number of at most 64 bits. Protobuf does not demand its shortest form.
    fn number(&mut self) -> Result<u64, Error> {
        let mut number = 0;
        for position in 0..10 {
            let (&byte, rest) = self.0.split_first().ok_or(Error::Malformed("a number is cut off"))?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << (7 * position);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::Malformed("a number has more than 64 bits"))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Error::Malformed("a field is cut off"))?;
        self.0 = rest;
        Ok(bytes)
    }
}

pub(super) fn put_key(message: &mut Vec<u8>, field: u64, of: u64) {
    varint::put(message, field << 3 | of);
}

pub(super) fn put_number(message: &mut Vec<u8>, field: u64, number: u64) {
    put_key(message, field, NUMBER);
    varint::put(message, number);
}

pub(super) fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_key(message, field, BYTES);
    varint::put(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}
