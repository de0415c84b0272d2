//! How peers are connected.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use libp2p::PeerId;
use libp2p::swarm::{FromSwarm, NetworkBehaviour, THandlerInEvent, ToSwarm, dummy};

/// How a peer is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// By a connection to itself, whatever else.
    Direct,
    /// Through relays only.
    Relayed,
}

impl Way {
    /// As programs read it: `direct` or `relayed`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
        }
    }
}

/// How all peers are connected that are. Clones share it: one is in the swarm, which keeps it true.
#[derive(Debug, Clone, Default)]
pub struct Ways(Arc<Mutex<HashMap<PeerId, Connections>>>);

#[derive(Debug, Default)]
struct Connections {
    direct: usize,
    relayed: usize,
}

impl Connections {
    const fn of(&mut self, is_relayed: bool) -> &mut usize {
        if is_relayed { &mut self.relayed } else { &mut self.direct }
    }
}

impl Ways {
    /// How a peer is connected; None: it is not.
    pub fn of(&self, peer: &PeerId) -> Option<Way> {
        self.connections().get(peer).map(|connections| if connections.direct > 0 { Way::Direct } else { Way::Relayed })
    }

    fn connections(&self) -> MutexGuard<'_, HashMap<PeerId, Connections>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn opened(&self, peer: PeerId, is_relayed: bool) {
        let mut all = self.connections();
        let connections = all.entry(peer).or_default();
        *connections.of(is_relayed) += 1;
        if !is_relayed && connections.direct == 1 && connections.relayed > 0 {
            tracing::info!(%peer, "a connection through a relay became a direct one");
        }
    }

    fn closed(&self, peer: PeerId, is_relayed: bool) {
        let mut all = self.connections();
        if let Some(connections) = all.get_mut(&peer) {
            let count = connections.of(is_relayed);
            *count = count.saturating_sub(1);
            if connections.direct + connections.relayed == 0 {
                all.remove(&peer);
            }
        }
    }
}

impl NetworkBehaviour for Ways {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    without_streams!();

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(it) => self.opened(it.peer_id, it.endpoint.is_relayed()),
            FromSwarm::ConnectionClosed(it) => self.closed(it.peer_id, it.endpoint.is_relayed()),
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direct_connection_counts_before_others_for_as_long_as_it_lasts() {
        let (ways, peer) = (Ways::default(), PeerId::random());
        assert_eq!(ways.of(&peer), None);
        ways.opened(peer, true);
        assert_eq!(ways.of(&peer), Some(Way::Relayed));
        ways.opened(peer, false);
        ways.opened(peer, false);
        assert_eq!(ways.of(&peer), Some(Way::Direct));
        ways.closed(peer, false);
        assert_eq!(ways.of(&peer), Some(Way::Direct));
        ways.closed(peer, false);
        assert_eq!(ways.of(&peer), Some(Way::Relayed));
        ways.closed(peer, true);
        assert_eq!(ways.of(&peer), None);
        assert!(ways.connections().is_empty());
    }
}
