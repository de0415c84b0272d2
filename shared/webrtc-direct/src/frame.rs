//! Frames: a length, then a message of Protocol Buffers with a flag and data, both optional.
//!
//! Frames follow each other like bytes of one stream. Most peers put one into each message of a data channel, but some put the
//! length into a message of its own, and some several frames into one.

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;

/// The longest frame that the specification allows, in bytes, its length included.
pub const MAX_FRAME_BYTES: usize = 16 * 1024;

/// The most data that fits into a frame without a flag, in bytes: two for the frame's length, one for the field's key, two for
/// the field's length.
pub const MAX_DATA_BYTES: usize = MAX_FRAME_BYTES - 5;

/// Field 1, a number.
const FLAG_KEY: u8 = 1 << 3;
/// Field 2, bytes.
const DATA_KEY: u8 = 2 << 3 | 2;

/// What a frame says besides its data, and after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Flag {
    /// The sender has sent all of its data.
    Fin = 0,
    /// The sender reads no more, and drops what comes.
    StopSending = 1,
    /// The sender gives up its data, whether it has arrived or not.
    Reset = 2,
    /// The sender has all that came before a [`Flag::Fin`].
    FinAck = 3,
}

impl Flag {
    /// A value that is unknown is what Protocol Buffers make of it: a field that is not there.
    const fn from_value(value: u64) -> Option<Self> {
        match value {
            0 => Some(Self::Fin),
            1 => Some(Self::StopSending),
            2 => Some(Self::Reset),
            3 => Some(Self::FinAck),
            _ => None,
        }
    }
}

/// One frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it says.
    pub flag: Option<Flag>,
    /// The bytes that it carries; none are the same as no field.
    pub data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A frame of a flag alone.
    pub const fn flag(flag: Flag) -> Self {
        Self { flag: Some(flag), data: &[] }
    }

    /// A frame of data alone: of as much of it as fits.
    pub fn data(data: &'a [u8]) -> Self {
        Self { flag: None, data: &data[..data.len().min(MAX_DATA_BYTES)] }
    }

    /// The frame as bytes: at most [`MAX_FRAME_BYTES`] if it was made by [`Frame::data`] or [`Frame::flag`].
    pub fn encode(&self) -> Vec<u8> {
        let length = self.data.len();
        let flag = if self.flag.is_some() { 2 } else { 0 };
        let data = if length == 0 { 0 } else { 1 + varint_length(length) + length };
        let mut bytes = Vec::with_capacity(varint_length(flag + data) + flag + data);
        put_varint(&mut bytes, flag + data);
        if let Some(flag) = self.flag {
            bytes.extend_from_slice(&[FLAG_KEY, flag as u8]);
        }
        if length > 0 {
            bytes.push(DATA_KEY);
            put_varint(&mut bytes, length);
            bytes.extend_from_slice(self.data);
        }
        bytes
    }
}

/// Bytes that are no frame. What follows them can't be read either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A frame says to be longer than any may be.
    #[error("a frame is longer than {MAX_FRAME_BYTES} bytes")]
    TooLong,
    /// A length takes more bytes than it needs.
    #[error("a frame's length is not in its shortest form")]
    LongLength,
    /// A field goes on behind the frame's end.
    #[error("a frame ends within a field")]
    Truncated,
    /// A number has more than 64 bits.
    #[error("a number in a frame is too large")]
    Number,
    /// A key names no field, or a kind of field that there is not.
    #[error("a frame has a key that means nothing")]
    Key,
}

/// Finds the frames in what comes, however it is cut into messages. Holds less than one frame.
#[derive(Debug, Default)]
pub struct Decoder {
    /// The beginning of a frame of which the rest has not come.
    partial: Vec<u8>,
}

impl Decoder {
    /// Takes what came next, and hands over each frame that it completes.
    ///
    /// # Errors
    /// [`Malformed`]; the frames before it were handed over. Nothing sensible comes of calling this again.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame<'_>)) -> Result<(), Malformed> {
        while !bytes.is_empty() {
            if self.partial.is_empty() {
                match length(bytes)? {
                    Some(length) if length <= bytes.len() => {
                        let (frame, rest) = bytes.split_at(length);
                        each(parse(frame)?);
                        bytes = rest;
                    }
                    _ => {
                        self.partial.extend_from_slice(bytes);
                        bytes = &[];
                    }
                }
            } else {
                let known = length(&self.partial)?;
                let wanted = known.unwrap_or(self.partial.len() + 1) - self.partial.len();
                let (taken, rest) = bytes.split_at(wanted.min(bytes.len()));
                self.partial.extend_from_slice(taken);
                bytes = rest;
                if length(&self.partial)? == Some(self.partial.len()) {
                    each(parse(&std::mem::take(&mut self.partial))?);
                }
            }
        }
        Ok(())
    }
}

/// How long the frame is that some bytes begin with, its length included; `None` if they end within the length.
fn length(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let (body, prefix) = match *bytes {
        [] => return Ok(None),
        [first @ ..0x80, ..] => (usize::from(first), 1),
        [_] => return Ok(None),
        [_, 0, ..] => return Err(Malformed::LongLength),
        [first, second @ ..0x80, ..] => (usize::from(first & 0x7f) | usize::from(second) << 7, 2),
        _ => return Err(Malformed::TooLong),
    };
    if prefix + body > MAX_FRAME_BYTES { Err(Malformed::TooLong) } else { Ok(Some(prefix + body)) }
}

/// Reads a whole frame, of which [`length`] told the length.
fn parse(frame: &[u8]) -> Result<Frame<'_>, Malformed> {
    let mut rest = &frame[if frame.first().is_some_and(|&first| first < 0x80) { 1 } else { 2 }..];
    let mut parsed = Frame { flag: None, data: &[] };
    while !rest.is_empty() {
        let key = take_varint(&mut rest)?;
        match (key >> 3, key & 7) {
            (0, _) => return Err(Malformed::Key),
            // Of a field that is there twice the last one counts; what is not known is passed over.
            (1, 0) => parsed.flag = Flag::from_value(take_varint(&mut rest)?).or(parsed.flag),
            (2, 2) => parsed.data = take_field(&mut rest)?,
            (_, 0) => _ = take_varint(&mut rest)?,
            (_, 1) => _ = take(&mut rest, 8)?,
            (_, 2) => _ = take_field(&mut rest)?,
            (_, 5) => _ = take(&mut rest, 4)?,
            _ => return Err(Malformed::Key),
        }
    }
    Ok(parsed)
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Malformed::Truncated)?;
    *bytes = rest;
    Ok(taken)
}

fn take_field<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = usize::try_from(take_varint(bytes)?).map_err(|_| Malformed::Truncated)?;
    take(bytes, length)
}

/// Numbers inside a frame may be longer than they need to be: so Protocol Buffers have it.
fn take_varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        if bits << shift >> shift != bits {
            return Err(Malformed::Number);
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Malformed::Number)
}

fn put_varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn varint_length(number: usize) -> usize {
    1 + number.checked_ilog2().unwrap_or(0) as usize / 7
}
