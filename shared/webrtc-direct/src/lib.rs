//! What both ends of libp2p's [WebRTC-direct](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md) share, native
//! and in browsers. Nothing here does I/O, reads a clock or needs threads.
//!
//! A WebRTC data channel can be closed, but not half of it, and what was sent before may be lost by that. So libp2p puts frames
//! on it ([`frame`]), of which some end one direction and others confirm that. [`Machine`] is what these mean, [`Stream`] is the
//! bytes that a protocol sees.
//!
//! A back end implements [`Channel`] for its data channels and keeps one [`Departures`] for each connection. That makes its streams
//! and takes them back when they are dropped: what a stream still has to say then, and whether the peer has all of it, is between
//! the two ends and no matter of whoever used the stream.

mod departures;
pub mod frame;
mod machine;
mod stream;
pub mod ufrag;

pub use self::departures::Departures;
pub use self::machine::{End, MAX_READ_AHEAD_BYTES, Machine};
pub use self::stream::{Channel, Stream};
