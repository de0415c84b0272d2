//! What is said on a stream: questions and answers, publish sessions. Both sides, so that they can't drift apart.
//!
//! A message is its length (four bytes, big endian) and its dag-cbor. An answer is its length and its bytes, of which at most
//! the asker's window is in flight: the asker sends the total it took (four bytes) whenever half a window was taken. So no
//! answer overruns a transport, a browser's WebRTC buffer of 16 KiB included.

use std::io;

use futures::future::{Either, select};
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, pin_mut};
use ggen_shared::codec;
use ggen_shared::limits;
use ggen_shared::protocol::publish::{Offer, ReceiptReply, Wanted, WantedReply};
use ggen_shared::protocol::query::{Ask, Question, Refusal, Reply};
use ggen_shared::record::ContentId;
use ggen_shared::rules::Rules;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes that are written at once: below the frame of every transport.
const CHUNK_BYTES: usize = 8 * 1024;

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    /// The peer sent what is no message, or too much.
    #[error("the peer broke the protocol: {0}")]
    Protocol(#[from] codec::Error),
    /// The peer says no.
    #[error("the peer refused: {0}")]
    Refused(#[from] Refusal),
    /// The acknowledgements make no sense.
    #[error("the peer acknowledged bytes that were not sent")]
    BadAcknowledgement,
    /// A block does not have the hash that was asked for.
    #[error("the peer sent a block that is not {0}")]
    WrongBlock(ContentId),
}

/// Writes a message.
///
/// # Errors
/// [`Error::Io`].
pub async fn write_message<T: Serialize, S: AsyncWrite + Unpin>(stream: &mut S, message: &T) -> Result<(), Error> {
    write_frame(stream, &codec::encode(message)).await
}

/// Reads a message of at most `limit` bytes. Memory grows with what came, not with what was promised.
///
/// # Errors
/// [`Error::Io`], [`Error::Protocol`].
pub async fn read_message<T, S>(stream: &mut S, limit: usize) -> Result<T, Error>
where
    T: DeserializeOwned,
    S: AsyncRead + Unpin,
{
    let frame = read_frame(stream, limit).await?;
    Ok(codec::read(&frame, limit)?)
}

async fn write_frame<S: AsyncWrite + Unpin>(stream: &mut S, frame: &[u8]) -> Result<(), Error> {
    stream.write_all(&length_of(frame.len())?).await?;
    for chunk in frame.chunks(CHUNK_BYTES) {
        stream.write_all(chunk).await?;
    }
    Ok(stream.flush().await?)
}

async fn read_frame<S: AsyncRead + Unpin>(stream: &mut S, limit: usize) -> Result<Vec<u8>, Error> {
    let length = read_length(stream, limit).await?;
    let mut frame = Vec::with_capacity(length.min(CHUNK_BYTES));
    stream.take(length as u64).read_to_end(&mut frame).await?;
    if frame.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(frame)
}

fn length_of(bytes: usize) -> io::Result<[u8; 4]> {
    let length = u32::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(length.to_be_bytes())
}

async fn read_length<S: AsyncRead + Unpin>(stream: &mut S, limit: usize) -> Result<usize, Error> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(codec::Error::TooLong { limit, actual: length }.into());
    }
    Ok(length)
}

/// Asks a question and reads the reply's bytes.
///
/// # Errors
/// [`Error::Io`], [`Error::Protocol`] for a reply that is too long.
pub async fn ask_bytes<S>(stream: &mut S, ask: &Ask) -> Result<Vec<u8>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    write_message(stream, ask).await?;
    let length = read_length(stream, limits::MAX_ANSWER_BYTES).await?;
    let mut answer = Vec::with_capacity(length.min(CHUNK_BYTES));
    let mut acknowledged = 0;
    let mut chunk = [0; CHUNK_BYTES];
    while answer.len() < length {
        let room = CHUNK_BYTES.min(length - answer.len());
        let count = stream.read(&mut chunk[..room]).await?;
        if count == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        answer.extend_from_slice(&chunk[..count]);
        if answer.len() - acknowledged >= (ask.window / 2) as usize && answer.len() < length {
            acknowledged = answer.len();
            stream.write_all(&length_of(acknowledged)?).await?;
            stream.flush().await?;
        }
    }
    // The answer is whole, so a failing close changes nothing for us.
    _ = stream.close().await;
    Ok(answer)
}

/// The answer in a reply. Its records are not verified yet.
///
/// # Errors
/// [`Error::Protocol`], [`Error::Refused`].
pub fn answer_of<Q: Question>(reply: &[u8]) -> Result<Q::Answer, Error> {
    let reply: Reply<Q::Answer> = codec::read(reply, limits::MAX_ANSWER_BYTES)?;
    reply.map_err(|refusal| refusal.printable().into())
}

/// Asks a question and reads its answer: [`ask_bytes`] and [`answer_of`] in one.
///
/// # Errors
/// [`Error`]. The answer's records are not verified yet.
pub async fn ask<Q, S>(stream: &mut S, question: Q, window: u32) -> Result<Q::Answer, Error>
where
    Q: Question,
    S: AsyncRead + AsyncWrite + Unpin,
{
    let reply =
        ask_bytes(stream, &Ask { window, rules: Rules::FIRST.number, request: question.into_request() }).await?;
    answer_of::<Q>(&reply)
}

/// Reads a question.
///
/// # Errors
/// [`Error::Io`], [`Error::Protocol`].
pub async fn read_question<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Ask, Error> {
    read_message(stream, limits::MAX_REQUEST_BYTES).await
}

/// Writes an answer's bytes, never more than `window` ahead of what the asker took.
///
/// # Errors
/// [`Error::Io`], [`Error::BadAcknowledgement`].
pub async fn write_answer<S>(stream: &mut S, answer: &[u8], window: u32) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // An asker that states no room gets the least that lets an answer through.
    let window = (window as usize).max(1024);
    stream.write_all(&length_of(answer.len())?).await?;
    let (mut sent, mut taken) = (0, 0);
    while sent < answer.len() {
        while sent - taken >= window {
            let mut total = [0; 4];
            stream.read_exact(&mut total).await?;
            let total = u32::from_be_bytes(total) as usize;
            if total <= taken || total > sent {
                return Err(Error::BadAcknowledgement);
            }
            taken = total;
        }
        let room = CHUNK_BYTES.min(window - (sent - taken)).min(answer.len() - sent);
        stream.write_all(&answer[sent..sent + room]).await?;
        sent += room;
        if sent - taken >= window || sent == answer.len() {
            stream.flush().await?;
        }
    }
    Ok(stream.close().await?)
}

/// The publisher's side of a session: offers records, sends the blocks that are wanted, returns once the relay says that all
/// of it is durable.
///
/// # Errors
/// [`Error`]; nothing is known to be kept then, and the offer may be made again.
pub async fn publish<S>(
    stream: &mut S,
    offer: &Offer,
    mut block: impl FnMut(&ContentId) -> Option<Vec<u8>>,
) -> Result<ggen_shared::protocol::publish::Receipt, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    write_message(stream, offer).await?;
    let wanted: WantedReply = read_message(stream, limits::MAX_OFFER_BYTES).await?;
    let wanted = wanted.map_err(Refusal::printable)?;
    let (mut reader, mut writer) = stream.split();
    let receipt = {
        let sending = async {
            for cid in &wanted.blocks {
                // A relay that wants what was not offered gets an empty block, which it refuses itself.
                write_frame(&mut writer, &block(cid).unwrap_or_default()).await?;
            }
            Ok::<(), Error>(())
        };
        let receipt = read_message::<ReceiptReply, _>(&mut reader, limits::MAX_OFFER_BYTES);
        pin_mut!(sending, receipt);
        // A relay that refuses a block takes no further one, so its reply is listened for while blocks are sent.
        match select(sending, receipt).await {
            Either::Left((Ok(()), receipt)) => receipt.await?,
            // It may have said why before it stopped listening.
            Either::Left((Err(broken), receipt)) => receipt.await.map_err(|_| broken)?,
            Either::Right((receipt, _)) => receipt?,
        }
    };
    _ = writer.close().await;
    receipt.map_err(|refusal| refusal.printable().into())
}

/// The relay's side: reads an offer.
///
/// # Errors
/// [`Error::Io`], [`Error::Protocol`].
pub async fn read_offer<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Offer, Error> {
    read_message(stream, limits::MAX_OFFER_BYTES).await
}

/// The relay's side: asks for blocks and reads them, each checked against its hash as it arrives.
///
/// # Errors
/// [`Error`]; after [`Error::WrongBlock`] the rest is not read.
pub async fn read_blocks<S>(stream: &mut S, wanted: Vec<ContentId>) -> Result<Vec<(ContentId, Vec<u8>)>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let reply: WantedReply = Ok(Wanted { blocks: wanted.clone() });
    write_message(stream, &reply).await?;
    let mut blocks = Vec::new();
    for cid in wanted {
        blocks.push((cid, read_block(stream, cid).await?));
    }
    Ok(blocks)
}

/// The relay's side: reads one of the blocks that it asked for, in the order it asked.
///
/// # Errors
/// [`Error::Io`], [`Error::Protocol`], [`Error::WrongBlock`].
pub async fn read_block<S: AsyncRead + Unpin>(stream: &mut S, cid: ContentId) -> Result<Vec<u8>, Error> {
    let block = read_frame(stream, limits::MAX_BLOCK_BYTES).await?;
    if cid.matches(&block) { Ok(block) } else { Err(Error::WrongBlock(cid)) }
}
