//! How relays are reached from a browser: WebSocket with Noise and Yamux, and WebRTC-direct, which brings its own.

use ggen_net::light;
use libp2p::Transport as _;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::identity::Keypair;

use crate::js::has_global;
use crate::options::Transport;
use crate::{webrtc, websocket};

/// Whether this browser has the transport, here: on a page or in a worker.
pub(crate) fn possible(transport: Transport) -> bool {
    match transport {
        Transport::WebSocket => has_global("WebSocket"),
        Transport::WebRtcDirect => webrtc::is_possible(),
    }
}

/// These transports.
pub(crate) fn of(keypair: &Keypair, transports: &[Transport]) -> light::Transports {
    let raw = transports
        .contains(&Transport::WebSocket)
        .then(|| websocket::Transport.map(|stream, _| -> light::RawStream { Box::new(stream) }).boxed());
    let secure = transports.contains(&Transport::WebRtcDirect).then(|| {
        let connections = webrtc::Transport::new(keypair).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
        connections.boxed()
    });
    light::Transports { raw, secure }
}
