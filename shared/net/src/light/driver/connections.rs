//! The connections, as the owner sees them.

use ggen_shared::client::{Origin, RelayState};
use ggen_shared::limits::{DEFAULT_WINDOW_BYTES, WEBRTC_WINDOW_BYTES};
use libp2p::{Multiaddr, PeerId};

use super::{Driver, Event};
use crate::address::Transport;
use crate::light::peer::{Connection, Phase};
use crate::light::platform::Platform;

impl<P: Platform> Driver<P> {
    pub(super) fn window(&self, peer: &PeerId) -> u32 {
        let connections = self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        connections.iter().find(|connection| connection.peer == *peer).map_or(WEBRTC_WINDOW_BYTES, Connection::window)
    }

    pub(super) fn tell_connections(&mut self) {
        let view: Vec<Connection> = self
            .relays
            .view()
            .filter(|relay| relay.origin == Origin::Configured || relay.state != RelayState::Idle)
            .map(|relay| {
                let (phase, address) = match relay.state {
                    RelayState::Connected(address) => (Phase::Connected, Some(address)),
                    RelayState::Connecting(_) => (Phase::Connecting, relay.addresses.first().cloned()),
                    RelayState::Idle | RelayState::Waiting(_) => (Phase::Waiting, relay.addresses.first().cloned()),
                };
                let address = address.unwrap_or_else(Multiaddr::empty);
                let transport = Transport::of(&address);
                let rtt = self.rtts.get(&relay.peer).copied();
                let anchor = relay.origin == Origin::Configured;
                Connection { peer: relay.peer, address, transport, anchor, phase, rtt, problem: relay.problem }
            })
            .collect();
        view.clone_into(&mut self.connections.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        // A full channel drops this snapshot only: the next one tells all of it again.
        _ = self.events.try_send(Event::Connections(view));
    }
}

impl Connection {
    /// Whether the relay can be asked now.
    pub fn is_connected(&self) -> bool {
        self.phase == Phase::Connected
    }

    /// Answer bytes that may be in flight on a stream of this connection.
    pub fn window(&self) -> u32 {
        match self.transport {
            Transport::WebRtcDirect => WEBRTC_WINDOW_BYTES,
            Transport::WebSocket | Transport::Other => DEFAULT_WINDOW_BYTES,
        }
    }
}

/// Why a dial failed, short enough for a person: the first address's reason.
pub(super) fn describe(error: &libp2p::swarm::DialError) -> String {
    match error {
        libp2p::swarm::DialError::Transport(errors) => errors.last().map_or_else(
            || "no address could be dialed".into(),
            |(address, error)| format!("{address}: {}", innermost(error)),
        ),
        other => other.to_string(),
    }
}

/// The last cause that has something to say: transports wrap what the system said in errors without words.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).filter(|text| !text.is_empty()).last().unwrap_or_else(|| "no connection".into())
}
