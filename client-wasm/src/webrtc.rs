//! A libp2p transport over WebRTC-direct for pages, after the
//! [specification](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md): no signalling, since the multiaddr
//! holds all that a browser needs to make up the other side's answer.
//!
//! What both ends share is in the crate `webrtc-direct`. Four traps shape the rest:
//!
//! - **An address does not say which version its peer speaks**, and a peer that does not speak one is silent. So version 2
//!   begins, and version 1 beside it if that takes longer than a peer's first word does (`browser/attempt.rs`). Browsers
//!   that no longer let a page edit its offer refuse version 1, and lose nothing by it.
//! - **Peers open streams before our handshake ends.** A data channel whose handler is not there yet is lost, so channels
//!   are taken from the beginning, with handlers that keep their messages.
//! - **A browser calls handlers long after Rust has dropped a stream**, so every handler is detached first.
//! - **A browser has a few hundred data channels**, so each is closed after its stream; and a page can't hold back who sends,
//!   so what may wait unread is bounded.

mod sdp;
mod target;
mod versions;

/// The seam: what is below it needs a browser.
#[cfg(target_arch = "wasm32")]
mod browser;

#[cfg(target_arch = "wasm32")]
pub(crate) use self::browser::{Transport, is_possible};
