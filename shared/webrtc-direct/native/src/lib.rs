//! libp2p's [WebRTC-direct](https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md) for native peers: a listener that
//! takes browsers of both versions on one UDP port, and a dialer.
//!
//! It stands on [`dimpl`] (DTLS) and [`sctp_proto`] (SCTP), neither of which does I/O, and on its own STUN, as ICE needs little here: who listens is
//! where its address says. A connection is driven by whoever polls its muxer; one task for each socket hands out datagrams.
//!
//! What a peer may have this end keep or do is bounded in `limits.rs`, each bound with its reason.

mod admission;
mod certificate;
mod clock;
mod connection;
mod dcep;
mod driver;
mod error;
mod handshake;
mod ice;
mod limits;
mod listener;
mod port;
mod return_path;
mod session;
pub mod stun;
mod transport;

#[cfg(test)]
mod fuzz_tests;
#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;

pub use self::certificate::{Certificate, Error as CertificateError};
pub use self::connection::{Connection, DataChannel, Stream};
pub use self::error::Error;
pub use self::port::Counters;
pub use self::transport::{Transport, Upgrade};
pub use libp2p_webrtc_utils::Fingerprint;
pub use webrtc_direct::ufrag::Version;
