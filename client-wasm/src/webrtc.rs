//! A libp2p transport over WebRTC-direct for pages, version 1 of the
//! [specification](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md): no signalling, since the multiaddr
//! holds all that a browser needs to make up the other side's answer.
//!
//! The message framing and the Noise handshake come from `libp2p-webrtc-utils`. Three traps shape the rest:
//!
//! - **Peers open streams before our handshake ends.** A data channel whose handler is not there yet is lost, so channels
//!   are taken from the beginning, with handlers that keep their messages.
//! - **A browser calls handlers long after Rust has dropped a stream**, so every handler is detached first.
//! - **A browser has a few hundred data channels**, so each is closed after its stream. Not at once: the number of a closed
//!   channel is used again, and what the peer still sends for the old stream would arrive in the new one.

/// The seam: what is below it needs a browser.
#[cfg(target_arch = "wasm32")]
mod browser;
mod sdp;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::browser::{Transport, is_possible};

/// Bytes of one stream that may wait unread. Data channels offer no back-pressure: what a peer sends past this resets the
/// stream.
#[cfg(target_arch = "wasm32")]
const MAX_UNREAD_BYTES: usize = 1024 * 1024;

/// Streams that a peer opened and nobody took yet; more are refused.
#[cfg(target_arch = "wasm32")]
const MAX_WAITING_STREAMS: usize = 64;
