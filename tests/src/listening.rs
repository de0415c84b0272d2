//! What a peer that only a test has runs on: a swarm that listens on loopback, at whichever of its addresses, and dials from there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::future::BoxFuture;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp, yamux};
use tokio::net::TcpSocket;

use crate::within;

/// Starts a swarm on TCP: it, and where it can be dialed, its id at the end.
pub(crate) async fn listening<B: NetworkBehaviour>(keypair: Keypair, behaviour: B) -> (Swarm<B>, Multiaddr) {
    listening_at(Ipv4Addr::LOCALHOST, keypair, behaviour).await
}

/// As [`listening`], at one of the addresses of 127.0.0.0/8. What it dials is dialed from there.
pub(crate) async fn listening_at<B: NetworkBehaviour>(
    ip: Ipv4Addr,
    keypair: Keypair,
    behaviour: B,
) -> (Swarm<B>, Multiaddr) {
    let local = keypair.public().to_peer_id();
    let mut swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_other_transport(|keypair| {
            let noise = noise::Config::new(keypair).expect("an Ed25519 identity can sign the noise handshake");
            let tcp = FromThere { ip, tcp: tcp::tokio::Transport::new(tcp::Config::default()) };
            let upgraded = tcp.upgrade(Version::V1Lazy).authenticate(noise).multiplex(yamux::Config::default());
            upgraded.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        })
        .expect("a transport")
        .with_behaviour(|_| behaviour)
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    swarm.listen_on(format!("/ip4/{ip}/tcp/0").parse().expect("an address")).expect("it can listen");
    let address = within("an address to listen on", async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    });
    let address = address.await.with_p2p(local).expect("an address without a peer");
    (swarm, address)
}

/// TCP that dials from an address of its own. Left to itself, everything on loopback comes from 127.0.0.1.
struct FromThere {
    ip: Ipv4Addr,
    tcp: tcp::tokio::Transport,
}

impl Transport for FromThere {
    type Output = tcp::tokio::TcpStream;
    type Error = io::Error;
    type ListenerUpgrade = <tcp::tokio::Transport as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<Self::Output>>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.tcp.listen_on(id, address)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.tcp.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        let mut parts = address.iter();
        let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port))) = (parts.next(), parts.next()) else {
            return Err(TransportError::MultiaddrNotSupported(address));
        };
        if parts.any(|part| !matches!(part, Protocol::P2p(_))) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let from = SocketAddr::new(IpAddr::V4(self.ip), 0);
        Ok(Box::pin(async move {
            let socket = TcpSocket::new_v4()?;
            // A relay that dials from the port it listens on takes that port at all addresses.
            socket.set_reuseport(true)?;
            socket.bind(from)?;
            let stream = socket.connect(SocketAddr::new(IpAddr::V4(ip), port)).await?;
            stream.set_nodelay(true)?;
            Ok(tcp::tokio::TcpStream(stream))
        }))
    }

    fn poll(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut self.tcp).poll(context)
    }
}
