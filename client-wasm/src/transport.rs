//! How relays are reached from a browser: WebSocket with Noise and Yamux, and WebRTC-direct, which brings its own.

use std::time::Duration;

use ggen_net::light;
use libp2p::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::identity::Keypair;

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

/// These transports, each within [`DIAL_TIMEOUT`].
pub(crate) fn of(keypair: &Keypair, transports: &[Transport]) -> light::Transports {
    let raw = transports.contains(&Transport::WebSocket).then(|| {
        let streams = websocket::Transport.map(|stream, _| -> light::RawStream { Box::new(stream) });
        TransportTimeout::with_outgoing_timeout(streams, DIAL_TIMEOUT).boxed()
    });
    let secure = transports.contains(&Transport::WebRtcDirect).then(|| {
        let connections = webrtc::Transport::new(keypair).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        TransportTimeout::with_outgoing_timeout(connections, DIAL_TIMEOUT).boxed()
    });
    light::Transports { raw, secure }
}
