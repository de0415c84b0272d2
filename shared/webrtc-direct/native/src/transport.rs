//! The libp2p transport.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use futures::stream::{SelectAll, StreamExt};
use libp2p::core::transport::{DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};
use libp2p_webrtc_utils::{Fingerprint, parse_webrtc_dial_addr};
use webrtc_direct::ufrag::Version;

use crate::certificate::Certificate;
use crate::connection::Connection;
use crate::error::Error;
use crate::handshake;
use crate::listener::Listener;
use crate::port::{Counters, Port};
use crate::session;

/// WebRTC-direct. Listens for both versions; dials the first one, which all peers know, unless told otherwise.
pub struct Transport {
    keypair: Keypair,
    config: Arc<session::Config>,
    dials: Version,
    counters: Arc<Counters>,
    listeners: SelectAll<Listener>,
}

/// What becomes a connection, or not.
pub type Upgrade = BoxFuture<'static, Result<(PeerId, Connection), Error>>;

impl Transport {
    /// A transport that authenticates with this key, and whose addresses name this certificate.
    ///
    /// # Errors
    /// [`Error`] without the cryptography that DTLS needs.
    pub fn new(keypair: &Keypair, certificate: Certificate) -> Result<Self, Error> {
        Ok(Self {
            keypair: keypair.clone(),
            config: Arc::new(session::Config::new(certificate)?),
            dials: Version::One,
            counters: Arc::default(),
            listeners: SelectAll::new(),
        })
    }

    /// Dials by this version from now on.
    #[must_use]
    pub fn dialing(mut self, version: Version) -> Self {
        self.dials = version;
        self
    }

    /// What was done with what has come to its sockets.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        let Some(socket) = listen_address(&address) else { return Err(TransportError::MultiaddrNotSupported(address)) };
        let other = |error| TransportError::Other(Error::Socket(error));
        let (port, newcomers) = Port::bind(socket, self.counters.clone()).map_err(other)?;
        let listener = Listener::new(id, port, newcomers, self.keypair.clone(), self.config.clone()).map_err(other)?;
        self.listeners.push(listener);
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let listener = self.listeners.iter_mut().find(|listener| listener.id() == id);
        listener.map(Listener::close).is_some()
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Upgrade, TransportError<Error>> {
        let target = parse_webrtc_dial_addr(&address)
            .filter(|(socket, _)| socket.port() != 0 && !socket.ip().is_unspecified())
            .filter(|_| !options.role.is_listener());
        let Some((socket, certificate)) = target else { return Err(TransportError::MultiaddrNotSupported(address)) };
        let (config, keypair) = (self.config.clone(), self.keypair.clone());
        Ok(Box::pin(handshake::dial(config, keypair, self.dials, socket, certificate)))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TransportEvent<Upgrade, Error>> {
        match self.listeners.poll_next_unpin(context) {
            Poll::Ready(Some(event)) => Poll::Ready(event),
            _ => Poll::Pending,
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("listeners", &self.listeners.len()).finish_non_exhaustive()
    }
}

/// `/ip4/…/udp/…/webrtc-direct`, or the same with IPv6, and nothing else.
fn listen_address(address: &Multiaddr) -> Option<SocketAddr> {
    let mut parts = address.iter();
    let ip = match parts.next()? {
        Protocol::Ip4(ip) => IpAddr::V4(ip),
        Protocol::Ip6(ip) => IpAddr::V6(ip),
        _ => return None,
    };
    match (parts.next()?, parts.next()?, parts.next()) {
        (Protocol::Udp(port), Protocol::WebRTCDirect, None) => Some((ip, port).into()),
        _ => None,
    }
}

/// The address of a peer, with the hash of its certificate if that is known.
pub(crate) fn multiaddr(socket: SocketAddr, certificate: Option<Fingerprint>) -> Multiaddr {
    let address = Multiaddr::empty().with(socket.ip().into()).with(Protocol::Udp(socket.port()));
    let address = address.with(Protocol::WebRTCDirect);
    match certificate {
        Some(certificate) => address.with(Protocol::Certhash(certificate.to_multihash())),
        None => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_address_is_listened_on() {
        let socket = |address: &str| listen_address(&address.parse().unwrap());
        assert_eq!(socket("/ip4/127.0.0.1/udp/9/webrtc-direct"), Some("127.0.0.1:9".parse().unwrap()));
        assert_eq!(socket("/ip6/::/udp/0/webrtc-direct"), Some("[::]:0".parse().unwrap()));
        for other in [
            "/ip4/127.0.0.1/udp/9",
            "/ip4/127.0.0.1/tcp/9",
            "/dns4/localhost/udp/9/webrtc-direct",
            "/ip4/127.0.0.1/udp/9/quic-v1",
        ] {
            assert_eq!(socket(other), None, "{other}");
        }
        let fingerprint = Certificate::generate().unwrap().fingerprint();
        let whole = multiaddr("127.0.0.1:9".parse().unwrap(), Some(fingerprint));
        assert_eq!(listen_address(&whole), None);
        assert_eq!(parse_webrtc_dial_addr(&whole).unwrap().0, "127.0.0.1:9".parse().unwrap());
    }
}
