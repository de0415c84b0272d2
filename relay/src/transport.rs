//! The four transports of a relay, and the swarm on top of them.

use std::time::Duration;

use ggen_net::gathering;
use libp2p::core::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Swarm, SwarmBuilder, noise, tcp, yamux};

use crate::identity::Identity;

/// Why no swarm could be made.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// A swarm that speaks TCP, QUIC, WebSocket and WebRTC-direct.
///
/// # Errors
/// Without what one of them needs of the system.
pub async fn swarm<B: NetworkBehaviour>(identity: &Identity, behaviour: B, idle: Duration) -> Result<Swarm<B>, Error> {
    let certificate = identity.certificate.clone();
    let swarm = SwarmBuilder::with_existing_identity(identity.keypair.clone())
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)?
        .with_quic()
        .with_other_transport(|keypair| {
            let transport = webrtc_direct_native::Transport::new(keypair, certificate)?;
            Ok(transport.map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection))))
        })?
        .with_dns()?
        .with_websocket(gathering::Noise::new, yamux::Config::default)
        .await?
        .with_behaviour(|_| behaviour)?
        .with_swarm_config(|config| config.with_idle_connection_timeout(idle))
        .build();
    Ok(swarm)
}

/// Says which cryptography TLS uses, of the two that are linked: without it the first connection over it panics. Calling it again
/// does nothing.
pub fn install_crypto() {
    // An error says that one is installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
}
