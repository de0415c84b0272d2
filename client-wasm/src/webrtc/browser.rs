//! The half that touches the browser.

mod attempt;
mod channel;
mod connection;
mod peer;
mod transport;

pub(crate) use self::transport::{Transport, is_possible};
use std::time::Duration;

use wasm_bindgen::{JsCast, JsValue};
use webrtc_direct::ufrag::Version;

/// Why a WebRTC connection could not be made, or ended.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Error {
    /// The browser refused a step.
    #[error("the browser refused to {step}: {reason}")]
    Refused {
        /// Which step.
        step: &'static str,
        /// The browser's exception.
        reason: String,
    },
    /// The browser's description names no certificate, or one by another hash than SHA-256.
    #[error("the browser's session description has no SHA-256 fingerprint")]
    NoFingerprint,
    /// The browser's description names no ICE password that could be passed on.
    #[error("the browser's session description has no ICE password that fits")]
    NoPassword,
    /// The peer did not prove to be who it is.
    #[error("the Noise handshake failed: {0}")]
    Handshake(String),
    /// The connection failed or was closed.
    #[error("the WebRTC connection is gone")]
    Gone,
}

impl Error {
    fn refused(step: &'static str) -> impl FnOnce(JsValue) -> Self {
        move |exception| {
            let reason = exception.dyn_ref::<js_sys::Error>().map_or_else(
                || exception.as_string().unwrap_or_else(|| "an exception without a message".into()),
                |error| String::from(error.to_string()),
            );
            Self::Refused { step, reason }
        }
    }
}

/// How long a stream that was dropped waits for its peer to confirm that it has all. Peers of version 1 may be such as never do,
/// and then have all long before.
fn patience(version: Version) -> Duration {
    match version {
        Version::One => Duration::from_millis(500),
        Version::Two => Duration::from_secs(10),
    }
}

/// How long the browser keeps a channel behind its stream. The number of a closed channel is used again, and the SCTP of `webrtc-rs`,
/// which relays of version 1 have, may send what it still has for the old stream after the reset: it would arrive in the new one. By
/// then it was sent.
fn linger(version: Version) -> Duration {
    match version {
        Version::One => Duration::from_secs(3),
        Version::Two => Duration::ZERO,
    }
}
