//! How a light peer reaches others, and what it runs.
#![allow(
    missing_docs,
    reason = "the derived event enum has no place for docs: its variants are the fields of the struct"
)]

use std::fmt::Debug;
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, OptionalTransport, Transport as _};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::{NetworkBehaviour, Swarm};
use libp2p::{PeerId, noise, relay, yamux};

use super::platform::Platform;
use crate::behaviour::{P2PBehaviour, Role};
use crate::{P2PConfig, gossip};

/// How long one address may take until its peer is known, handshakes included: the addresses behind it get their turn. Whoever dials us has
/// no longer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);

/// What a light peer runs.
#[derive(NetworkBehaviour)]
pub(super) struct LightBehaviour<H>
where
    H: NetworkBehaviour<ToSwarm: Debug>,
{
    // The first, because it refuses connections: the others would keep what they heard of one that is refused.
    pub(super) holes: H,
    pub(super) p2p: P2PBehaviour<MemoryStore>,
    pub(super) circuits: relay::client::Behaviour,
}

/// A byte stream to a peer, before it is encrypted and shared.
pub type RawStream = Box<dyn AsyncReadWrite>;

/// Reads, writes, and moves between threads.
pub trait AsyncReadWrite: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> AsyncReadWrite for T {}

/// How a light peer reaches others. Circuits are added to the raw ones, and one upgrade serves both: each further kind of stream
/// would be another copy of Noise and Yamux in a browser's download.
pub struct Transports {
    /// Streams that Noise and Yamux are still to be put on.
    pub raw: Option<Boxed<RawStream>>,
    /// Connections that bring encryption and streams of their own.
    pub secure: Option<Boxed<(PeerId, StreamMuxerBox)>>,
}

/// The swarm of a light peer.
pub(super) fn swarm<P: Platform>(
    keypair: &Keypair,
    transports: Transports,
    platform: &P,
    config: &P2PConfig,
) -> Swarm<LightBehaviour<P::Holes>> {
    let local = keypair.public().to_peer_id();
    let (circuit_transport, circuits) = relay::client::new(local);
    let noise = noise::Config::new(keypair).expect("an Ed25519 identity can sign the noise handshake");
    let raw = circuit_transport
        .map(|stream, _| -> RawStream { Box::new(stream) })
        .or_transport(transports.raw.map_or_else(OptionalTransport::none, OptionalTransport::some))
        .map(|either, _| either.into_inner())
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let secure = transports.secure.map_or_else(OptionalTransport::none, OptionalTransport::some);
    let transport = raw.or_transport(secure).map(|either, _| either.into_inner());
    let transport = TransportTimeout::new(transport, DIAL_TIMEOUT).boxed();
    let store = MemoryStore::with_config(local, MemoryStoreConfig { max_records: 64, ..MemoryStoreConfig::default() });
    let mut p2p = P2PBehaviour::new(keypair, store, config, Role::Light);
    gossip::subscribe(&mut p2p.gossipsub);
    let swarm_config = platform
        .swarm_config()
        .with_idle_connection_timeout(Duration::from_secs(600))
        // A stream's protocol and the question on it go together: one round trip for an answer, not two.
        .with_substream_upgrade_protocol_override(Version::V1Lazy);
    Swarm::new(transport, LightBehaviour { p2p, circuits, holes: platform.holes(local) }, local, swarm_config)
}
