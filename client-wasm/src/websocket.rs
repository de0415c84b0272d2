//! A libp2p transport over the WebSocket of a browser, for pages and workers.
//!
//! Everything is driven by the socket's own events (`open`, `message`, `error`, `close`): no interval runs, so an idle
//! connection costs nothing and a flush never waits for a clock. Four things about browsers shape it:
//!
//! - **Nothing pauses a WebSocket.** What arrives is queued up to a bound; a peer that overruns it is disconnected.
//! - **No event tells that `bufferedAmount` fell.** A writer waits only above a bound; see [`outbound`].
//! - **A browser moves bytes between our tasks only.** So a large message is worked on after its event, and a writer makes way; see [`turns`].
//! - **A failure has no reason.** Scripts are told neither the HTTP status nor the socket error, so [`Error`] cannot
//!   tell them either.
//!
//! The parts that decide something are pure and tested natively; [`browser`] holds all that touches JavaScript.

mod address;
/// The seam: what is below it needs a browser.
#[cfg(target_arch = "wasm32")]
mod browser;
mod outbound;
mod turns;

use std::io;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::browser::Transport;

/// How many bytes may wait unread, in bytes.
///
/// The reader runs after each message, or in the next turn if little waits, so this fills only while the reader itself is held up. A
/// peer that respects a multiplexer's windows (256 KiB a stream to begin with) then stays well below it. One message is always taken
/// whole by the browser before a script sees it: larger ones are dropped on arrival.
const MAX_UNREAD_BYTES: usize = 4 * 1024 * 1024;

/// Why a WebSocket could not be opened, or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The browser would not even try: a page on https that dials plain `ws`, a blocked port, a content policy.
    #[error("the browser refused to open {url}: {reason}")]
    Refused {
        /// What was to be opened.
        url: String,
        /// The browser's exception, such as `SecurityError`.
        reason: String,
    },
    /// The connection was never established. Browsers tell scripts no more.
    #[error("no WebSocket answered at {url}")]
    Unreachable {
        /// What was to be opened.
        url: String,
    },
    /// An established connection broke without a closing handshake.
    #[error("the WebSocket broke")]
    Broken,
    /// The peer closed the connection and gave a code other than a normal end.
    #[error("the peer closed the WebSocket with code {code}: {reason}")]
    Closed {
        /// The code of RFC 6455, section 7.4.
        code: u16,
        /// What the peer says; at most 123 bytes.
        reason: String,
    },
    /// The connection was closed before this was written.
    #[error("the WebSocket is closed")]
    AlreadyClosed,
    /// The peer sent a text message; only binary ones carry the stream.
    #[error("the peer sent something other than a binary message")]
    NotBinary,
    /// The peer sent more than may wait unread.
    #[error("the peer sent more than {} unread bytes", MAX_UNREAD_BYTES)]
    Overrun,
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Refused { .. } => io::ErrorKind::PermissionDenied,
            Error::Unreachable { .. } => io::ErrorKind::ConnectionRefused,
            Error::Broken | Error::Closed { .. } => io::ErrorKind::ConnectionReset,
            Error::AlreadyClosed => io::ErrorKind::BrokenPipe,
            Error::NotBinary | Error::Overrun => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
