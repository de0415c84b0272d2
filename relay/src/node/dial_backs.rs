//! Tells peers whether they can be reached (AutoNAT v2), by dialing them: so many at once in all, for one peer, and for one group of IP addresses, because
//! a peer says itself where it is to be dialed, and each dial is a socket until nobody has answered there. The others wait.

use std::collections::{HashMap, VecDeque};
use std::task::{Context, Poll};

use ggen_net::address::{IpGroup, is_this_machine};
use libp2p::autonat::v2::server;
use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::swarm::behaviour::DialFailure;
use libp2p::swarm::dial_opts::DialOpts;
use libp2p::swarm::{ConnectionDenied, ConnectionId, DialError, FromSwarm, NetworkBehaviour, ToSwarm};
use libp2p::swarm::{THandler, THandlerInEvent, THandlerOutEvent};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::policy;

#[derive(Default)]
pub(super) struct DialBacks {
    server: server::Behaviour,
    /// Where those are that are connected; not those behind a proxy on this machine, which speaks for everybody.
    places: HashMap<PeerId, IpGroup>,
    /// Whom it dials at the moment.
    dialing: HashMap<ConnectionId, PeerId>,
    /// Dials that are to be made once others have ended, and since when.
    waiting: VecDeque<(Instant, DialOpts)>,
    /// Whether a dial has ended since nobody was found whose turn it is.
    has_ended: bool,
}

impl DialBacks {
    fn may_dial(&self, opts: &DialOpts) -> bool {
        let Some(peer) = opts.get_peer_id() else { return false };
        let of_peer = self.dialing.values().filter(|other| **other == peer).count();
        let group = self.places.get(&peer);
        let of_group = self.dialing.values().filter(|other| group.is_some() && self.places.get(other) == group).count();
        self.dialing.len() < policy::MAX_DIAL_BACKS
            && of_peer < policy::MAX_DIAL_BACKS_TO_PEER
            && of_group < policy::MAX_DIAL_BACKS_OF_GROUP
    }

    fn dial(&mut self, opts: DialOpts) -> ToSwarm<server::Event, THandlerInEvent<Self>> {
        self.dialing.extend(opts.get_peer_id().map(|peer| (opts.connection_id(), peer)));
        ToSwarm::Dial { opts }
    }

    fn end(&mut self, connection: ConnectionId) {
        self.has_ended |= self.dialing.remove(&connection).is_some();
    }

    /// Has the server forget a dial.
    fn give_up(&mut self, opts: &DialOpts) {
        self.server.on_swarm_event(FromSwarm::DialFailure(DialFailure {
            peer_id: opts.get_peer_id(),
            error: &DialError::Aborted,
            connection_id: opts.connection_id(),
        }));
    }
}

impl NetworkBehaviour for DialBacks {
    type ConnectionHandler = <server::Behaviour as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = server::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.server.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.server.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match &event {
            FromSwarm::ConnectionEstablished(established) => {
                let remote = established.endpoint.get_remote_address();
                if !is_this_machine(remote) {
                    self.places.entry(established.peer_id).or_insert_with(|| IpGroup::of(remote));
                }
                self.end(established.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) if closed.remaining_established == 0 => {
                self.places.remove(&closed.peer_id);
            }
            FromSwarm::DialFailure(failure) => self.end(failure.connection_id),
            _ => {}
        }
        self.server.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        self.server.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<server::Event, THandlerInEvent<Self>>> {
        let now = Instant::now();
        let is_late = |(since, _): &mut (Instant, DialOpts)| now - *since > policy::DIAL_BACK_PATIENCE;
        while let Some((_, opts)) = self.waiting.pop_front_if(is_late) {
            self.give_up(&opts);
        }
        // Nothing else wakes us for them: a dial that ends is an event of the swarm, which polls again.
        if self.has_ended {
            let next = self.waiting.iter().position(|(_, opts)| self.may_dial(opts));
            if let Some((_, opts)) = next.and_then(|at| self.waiting.remove(at)) {
                return Poll::Ready(self.dial(opts));
            }
            self.has_ended = false;
        }
        loop {
            match self.server.poll(context) {
                Poll::Ready(ToSwarm::Dial { opts }) if self.may_dial(&opts) => return Poll::Ready(self.dial(opts)),
                Poll::Ready(ToSwarm::Dial { opts }) if self.waiting.len() < policy::MAX_DIAL_BACKS_WAITING => {
                    self.waiting.push_back((now, opts));
                }
                Poll::Ready(ToSwarm::Dial { opts }) => self.give_up(&opts),
                other => return other,
            }
        }
    }
}
