//! The half that touches the browser.

mod channel;
mod connection;
mod peer;
mod transport;

pub(crate) use self::transport::{Transport, is_possible};
use wasm_bindgen::{JsCast, JsValue};

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
