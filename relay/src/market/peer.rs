//! A light peer on this machine: tokio, with TCP, QUIC, WebSocket and DNS.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::channel::mpsc;
use ggen_net::P2PConfig;
use ggen_net::light::{self, Event, LightPeer, Platform, Transports};
use libp2p::connection_limits::ConnectionLimits;
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, dns, noise, quic, swarm, tcp, websocket, yamux};

use crate::holes::{Holes, Ways, When};

/// Inbound connections of a peer that fetches, once it listens for those of which holes are punched: as many as providers of a download, a few times.
const MAX_INBOUND: u32 = 64;
/// Those that are still shaking hands.
const MAX_PENDING_INBOUND: u32 = 16;

/// Dials at once: of relays, of whom the DHT asks, of providers, and of those for holes to them.
const MAX_PENDING_OUTBOUND: u32 = 64;

/// Tasks and time by tokio, and holes through routers. Clones know the same connections.
#[derive(Debug, Clone, Default)]
pub struct Tokio {
    ways: Ways,
}

impl Tokio {
    /// How the peers are connected of the light peer that runs here.
    pub const fn ways(&self) -> &Ways {
        &self.ways
    }
}

impl Platform for Tokio {
    type Holes = Holes;

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(task);
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam that time comes in by")]
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(duration)
    }

    fn holes(&self, local: PeerId) -> Holes {
        let listen = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1"];
        let listen = listen.map(|address| address.parse().expect("a constant multiaddr"));
        let limits = ConnectionLimits::default()
            .with_max_pending_incoming(Some(MAX_PENDING_INBOUND))
            .with_max_pending_outgoing(Some(MAX_PENDING_OUTBOUND))
            .with_max_established_incoming(Some(MAX_INBOUND));
        Holes::new(local, When::Relayed(listen.into()), limits, self.ways.clone())
    }

    fn swarm_config(&self) -> swarm::Config {
        swarm::Config::with_tokio_executor()
    }
}

/// Starts a light peer with an identity of its own, made for this run.
///
/// # Errors
/// When the system's DNS configuration can't be read.
pub fn start(config: P2PConfig) -> std::io::Result<(LightPeer<Tokio>, mpsc::Receiver<Event>)> {
    let keypair = Keypair::generate_ed25519();
    let transports = Transports { raw: None, secure: Some(transport(&keypair)?) };
    Ok(light::start(&keypair, transports, &Tokio::default(), config))
}

fn transport(keypair: &Keypair) -> std::io::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let noise = noise::Config::new(keypair).expect("an Ed25519 identity can sign the noise handshake");
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let websocket = websocket::Config::new(dns::tokio::Transport::system(tcp())?)
        .upgrade(Version::V1Lazy)
        .authenticate(noise.clone())
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let tcp = tcp()
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair))
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)));
    // DNS takes every address and fails later, so it stands outermost and what refuses an address at once comes first.
    let direct = dns::tokio::Transport::system(quic.or_transport(tcp).map(|either, _| either.into_inner()))?;
    Ok(websocket.or_transport(direct).map(|either, _| either.into_inner()).boxed())
}
