//! A light peer on this machine: tokio, with TCP, QUIC, WebSocket and DNS.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::channel::mpsc;
use ggen_net::P2PConfig;
use ggen_net::light::{self, Event, LightPeer, Platform, Transports};
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, dns, noise, quic, swarm, tcp, websocket, yamux};

/// Tasks and time by tokio.
#[derive(Debug, Clone, Copy)]
pub struct Tokio;

impl Platform for Tokio {
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
    Ok(light::start(&keypair, transports, &Tokio, config))
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
