//! Strict dag-cbor: one value has one encoding, and nothing else is read.

mod writer;

use serde::Serialize;
use serde::de::DeserializeOwned;

use writer::Writer;

/// Characters of the decoder's own text that an error keeps.
const MAX_REASON_CHARS: usize = 200;

/// Bytes that are not the one encoding of a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Longer than the bound of its kind; not even looked at.
    #[error("{actual} bytes, at most {limit} are allowed")]
    TooLong {
        /// The bound.
        limit: usize,
        /// What came.
        actual: usize,
    },
    /// Not dag-cbor, truncated, with bytes after the end, or of another shape. One bounded line, whatever came.
    #[error("not the dag-cbor of what is expected: {0}")]
    Malformed(String),
    /// Reads as a value whose encoding is another.
    #[error("not the canonical encoding of its value")]
    NotCanonical,
}

/// The encoding of a value.
///
/// # Panics
/// Never for our types: memory is the only sink, and they hold no floating-point numbers, no maps, and no lists that do not know their length. Dev
/// builds compare the bytes with those of the library.
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let mut writer = Writer::new();
    value.serialize(&mut writer).expect("our types have only what dag-cbor can hold");
    let bytes = writer.into_bytes();
    debug_assert_eq!(serde_ipld_dagcbor::to_vec(value).ok().as_ref(), Some(&bytes), "as the library has it");
    bytes
}

/// Reads a message of at most `limit` bytes. The decoder is strict; that the encoding is the only one is not demanded of what is
/// neither hashed nor signed, and a browser need not download an encoder for what it only reads.
///
/// # Errors
/// [`Error`]; the text of [`Error::Malformed`] is for logs.
pub fn read<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, Error> {
    if bytes.len() > limit {
        return Err(Error::TooLong { limit, actual: bytes.len() });
    }
    serde_ipld_dagcbor::from_slice(bytes).map_err(|error| Error::Malformed(reason(&error)))
}

/// Reads a value of at most `limit` bytes, and demands that its encoding is these very bytes.
///
/// # Errors
/// [`Error`]; the text of [`Error::Malformed`] is for logs.
pub fn decode<T: Serialize + DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, Error> {
    let value: T = read(bytes, limit)?;
    // The decoder is strict about numbers, keys and trailing bytes; this also catches absent fields written out, and makes
    // "one encoding" hold whatever becomes of the decoder.
    if encode(&value) != bytes {
        return Err(Error::NotCanonical);
    }
    Ok(value)
}

/// What the decoder says, cut: it quotes field names that a peer chose, escaped and as long as they came.
fn reason(error: &impl ToString) -> String {
    error.to_string().chars().take(MAX_REASON_CHARS).collect()
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
