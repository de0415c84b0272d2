//! Why there is no connection.

use std::io;

/// Why a connection could not be made, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket failed.
    #[error("the UDP socket failed: {0}")]
    Socket(#[from] io::Error),
    /// DTLS failed: the peer has sent what it must not, or nothing in time.
    #[error("DTLS failed: {0}")]
    Dtls(dimpl::Error),
    /// A record of DTLS is larger than any datagram.
    #[error("a record of DTLS is too large")]
    Oversized,
    /// SCTP could not begin.
    #[error("SCTP can't begin: {0}")]
    Associate(sctp_proto::ConnectError),
    /// SCTP failed, or the peer has aborted it.
    #[error("SCTP failed: {0}")]
    Sctp(sctp_proto::AssociationError),
    /// The peer opened more channels than it may, or such as it must not.
    #[error("the peer opened too many data channels")]
    TooManyChannels,
    /// The peer cut what it sent into more pieces than can be kept.
    #[error("the peer sent too many pieces of messages that nobody reads")]
    TooManyPieces,
    /// The peer sent what SCTP forbids.
    #[error("the peer sent what SCTP forbids")]
    Violation,
    /// The peer leaves what was sent to it without an acknowledgement.
    #[error("the peer does not acknowledge what is sent to it")]
    Unacknowledged,
    /// The peer ends channels, and does not confirm that this end does.
    #[error("the peer does not confirm that channels are closed")]
    TooManyResets,
    /// The peer's certificate is not the one that its address names.
    #[error("the peer has another certificate than its address says")]
    WrongCertificate,
    /// The peer did not prove to be who it is.
    #[error("the Noise handshake failed: {0}")]
    Noise(#[from] libp2p_webrtc_utils::noise::Error),
    /// Nobody there, or nobody who goes on with the handshake.
    #[error("the handshake has not ended in time")]
    Timeout,
    /// The peer answers no longer.
    #[error("the peer is gone")]
    Lost,
    /// The peer has closed the connection.
    #[error("the peer has closed the connection")]
    ClosedByPeer,
    /// This end has.
    #[error("the connection is closed")]
    Closed,
    /// The credentials that were made up are none.
    #[error("no ICE credentials: {0}")]
    Credentials(#[from] webrtc_direct::ufrag::Error),
}
