//! Messages on streams.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use ggen_shared::content::bitswap::{self, Message, check_length};

/// Bytes that are written at once: below the frame of every transport.
const CHUNK_BYTES: usize = 8 * 1024;
/// Bytes of the longest length that is looked at: four have 28 bits.
const MAX_LENGTH_BYTES: u32 = 4;

/// Why no message came.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    /// What came is no message.
    #[error(transparent)]
    Protocol(#[from] bitswap::Error),
}

/// Reads the length that a message begins with; none when the stream ended before it.
///
/// # Errors
/// [`Error`]: also a length that is longer than any message may be.
pub async fn read_length<S: AsyncRead + Unpin>(stream: &mut S, limit: usize) -> Result<Option<usize>, Error> {
    let mut length = 0;
    for position in 0..MAX_LENGTH_BYTES {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return if position == 0 { Ok(None) } else { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) };
        }
        length |= usize::from(byte[0] & 0x7f) << (7 * position);
        if byte[0] < 0x80 {
            check_length(length, limit)?;
            return Ok(Some(length));
        }
    }
    Err(bitswap::Error::TooLong { limit, actual: 1 << (7 * MAX_LENGTH_BYTES) }.into())
}

/// Reads the message behind its length. Memory grows with what came, not with what was promised.
///
/// # Errors
/// [`Error`].
pub async fn read_body<S: AsyncRead + Unpin>(stream: &mut S, length: usize) -> Result<Message, Error> {
    let mut body = Vec::with_capacity(length.min(CHUNK_BYTES));
    stream.take(length as u64).read_to_end(&mut body).await?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Message::decode(&body)?)
}

/// Reads a message of at most `limit` bytes; none when the stream ended before it.
///
/// # Errors
/// [`Error`].
pub async fn read_message<S: AsyncRead + Unpin>(stream: &mut S, limit: usize) -> Result<Option<Message>, Error> {
    match read_length(stream, limit).await? {
        Some(length) => read_body(stream, length).await.map(Some),
        None => Ok(None),
    }
}

/// Writes a message as [`Message::encode`] gives it.
///
/// # Errors
/// The stream broke.
pub async fn write<S: AsyncWrite + Unpin>(stream: &mut S, encoded: &[u8]) -> io::Result<()> {
    for chunk in encoded.chunks(CHUNK_BYTES) {
        stream.write_all(chunk).await?;
        // WebRTC sends as one message what was written until then, and can't send a large one.
        stream.flush().await?;
    }
    Ok(())
}

/// As [`write()`], on a stream of a connection that is not WebRTC: others send as much at once as they can.
///
/// # Errors
/// The stream broke.
pub async fn write_at_once<S: AsyncWrite + Unpin>(stream: &mut S, encoded: &[u8]) -> io::Result<()> {
    stream.write_all(encoded).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use futures::executor::block_on;
    use futures::io::Cursor;
    use ggen_shared::content::bitswap::{Ask, Want};
    use ggen_shared::record::ContentId;

    use super::*;

    #[test]
    fn messages_follow_each_other_until_the_stream_ends() {
        block_on(async {
            let wants =
                |number: u8| vec![Want::new(ContentId::of_raw(&[number]), Ask::Block); usize::from(number) * 100];
            let messages: Vec<_> = (0..5).map(|number| Message::of_wants(wants(number))).collect();
            let mut bytes = Cursor::new(Vec::new());
            for message in &messages {
                write(&mut bytes, &message.encode()).await.unwrap();
            }
            bytes.set_position(0);
            for message in messages {
                assert_eq!(read_message(&mut bytes, 1 << 20).await.unwrap(), Some(message));
            }
            assert_eq!(read_message(&mut bytes, 1 << 20).await.unwrap(), None);
        });
    }

    #[test]
    fn a_length_past_the_bound_is_refused_before_anything_is_read() {
        block_on(async {
            let limit = 100;
            for (bytes, actual) in [(&[101][..], 101), (&[0xff, 0xff, 3], 65535), (&[0xff; 9], 1 << 28)] {
                let error = read_message(&mut Cursor::new(bytes), limit).await.unwrap_err();
                assert!(
                    matches!(&error, Error::Protocol(bitswap::Error::TooLong { limit: 100, actual: is })
                    if *is == actual),
                    "{error}"
                );
            }
            for cut in [&[0x80][..], &[3, 0, 0]] {
                let error = read_message(&mut Cursor::new(cut), limit).await.unwrap_err();
                assert!(matches!(&error, Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof), "{error}");
            }
        });
    }
}
