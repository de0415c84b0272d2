//! How relays are reached from a browser: WebSocket with Noise and Yamux, and WebRTC-direct, which brings its own.

use std::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, OptionalTransport};
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::{PeerId, Transport as _, noise, yamux};

use crate::js::has_global;
use crate::options::Transport;
use crate::{webrtc, websocket};

/// How long one address may take until its peer is known. A browser itself waits minutes for an address that drops
/// packets, and WebRTC for ever; the addresses behind it get their turn.
const DIAL_TIMEOUT: Duration = Duration::from_secs(8);

/// Whether this browser has the transport, here: on a page or in a worker.
pub(crate) fn possible(transport: Transport) -> bool {
    match transport {
        Transport::WebSocket => has_global("WebSocket"),
        Transport::WebRtcDirect => webrtc::is_possible(),
    }
}

/// These transports as one.
pub(crate) fn combined(
    keypair: &Keypair,
    transports: &[Transport],
) -> Result<Boxed<(PeerId, StreamMuxerBox)>, noise::Error> {
    let websocket = websocket::Transport
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let webrtc = webrtc::Transport::new(keypair)
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let combined = only(transports.contains(&Transport::WebSocket), websocket)
        .or_transport(only(transports.contains(&Transport::WebRtcDirect), webrtc))
        .map(|either, _| either.into_inner());
    Ok(TransportTimeout::with_outgoing_timeout(combined, DIAL_TIMEOUT).boxed())
}

fn only<T>(wanted: bool, transport: T) -> OptionalTransport<T> {
    if wanted { OptionalTransport::some(transport) } else { OptionalTransport::none() }
}
