//! The libp2p transport.

use std::{
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Pending},
};
use libp2p::{
    Multiaddr, PeerId,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    identity::Keypair,
};
use libp2p_webrtc_utils::{Fingerprint, noise, parse_webrtc_dial_addr, sdp::random_ufrag};
use send_wrapper::SendWrapper;

use super::{
    super::sdp,
    Error,
    connection::{Connection, Stream},
    peer::Peer,
};

/// Whether this browser has WebRTC, here: workers have none.
pub(crate) fn is_possible() -> bool {
    js_sys::Reflect::has(&js_sys::global(), &"RTCPeerConnection".into()).unwrap_or(false)
}

/// Dials WebRTC-direct. It cannot listen: no browser can.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    keypair: Keypair,
}

impl Transport {
    /// A transport that authenticates with this key.
    pub(crate) fn new(keypair: &Keypair) -> Self {
        Self { keypair: keypair.clone() }
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        let target = parse_webrtc_dial_addr(&address)
            .filter(|(socket, _)| socket.port() != 0 && !socket.ip().is_unspecified())
            .filter(|_| !options.role.is_listener());
        match target {
            Some((socket, certificate)) => {
                Ok(SendWrapper::new(connect(socket, certificate, self.keypair.clone())).boxed())
            }
            None => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

async fn connect(
    socket: SocketAddr,
    certificate: Fingerprint,
    keypair: Keypair,
) -> Result<(PeerId, Connection), Error> {
    let peer = Peer::new()?;
    // Before the offer, which would otherwise offer nothing.
    let handshake = Stream::handshake(peer.handshake()?);
    let ufrag = random_ufrag();
    let own_certificate = Fingerprint::raw(peer.offer(&ufrag).await?);
    peer.answer(&sdp::answer(socket, &certificate.to_sdp_format(), &ufrag)).await?;
    let id = noise::outbound(keypair, handshake, certificate, own_certificate)
        .await
        .map_err(|error| Error::Handshake(error.to_string()))?;
    Ok((id, Connection::new(peer)))
}
