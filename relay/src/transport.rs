//! The four transports of a relay, and the swarm on top of them.

use std::sync::Arc;
use std::time::Duration;

use ggen_net::gathering;
use libp2p::core::Transport as _;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox};
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::upgrade::Version;
use libp2p::swarm::{self, NetworkBehaviour, Swarm};
use libp2p::{PeerId, dns, noise, quic, tcp, websocket, yamux};

use crate::identity::Identity;
use crate::meter::{Meter, Metered};

/// Why no swarm could be made.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// How long a dial and its handshakes may take, and those of whoever dials.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// A swarm that speaks TCP, QUIC, WebSocket and WebRTC-direct, and counts what its streams carry.
///
/// # Errors
/// Without what one of them needs of the system.
pub fn swarm<B: NetworkBehaviour>(
    identity: &Identity,
    behaviour: B,
    idle: Duration,
    meter: &Arc<Meter>,
) -> Result<Swarm<B>, Error> {
    let keypair = &identity.keypair;
    let tcp = || tcp::tokio::Transport::new(tcp::Config::default());
    let tcp_streams = tcp()
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .map(metered(meter));
    let quic = quic::tokio::Transport::new(quic::Config::new(keypair)).map(metered(meter));
    let webrtc = webrtc_direct_native::Transport::new(keypair, identity.certificate.clone())?.map(metered(meter));
    let websocket = websocket::Config::new(dns::tokio::Transport::system(tcp())?)
        .upgrade(Version::V1Lazy)
        .authenticate(gathering::Noise::new(keypair)?)
        .multiplex(yamux::Config::default())
        .map(metered(meter));
    let others = tcp_streams.or_transport(quic).map(|either, _| either.into_inner());
    let others = others.or_transport(webrtc).map(|either, _| either.into_inner());
    let transport = websocket.or_transport(dns::tokio::Transport::system(others)?).map(|either, _| either.into_inner());
    let transport = TransportTimeout::new(transport, CONNECTION_TIMEOUT).boxed();
    let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(idle);
    Ok(Swarm::new(transport, behaviour, keypair.public().to_peer_id(), config))
}

/// Counts what the streams of a connection carry.
fn metered<M, E>(meter: &Arc<Meter>) -> impl FnOnce((PeerId, M), E) -> (PeerId, StreamMuxerBox) + Clone + use<M, E>
where
    M: StreamMuxer<Substream: Send + Unpin + 'static, Error: Send + Sync + 'static> + Send + Unpin + 'static,
{
    let meter = meter.clone();
    move |(peer, muxer), _| (peer, StreamMuxerBox::new(Metered::new(muxer, &meter)))
}

/// Says which cryptography TLS uses, of the two that are linked: without it the first connection over it panics. Calling it again
/// does nothing.
pub fn install_crypto() {
    // An error says that one is installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
}
