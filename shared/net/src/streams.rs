//! Streams as such: a behaviour that opens and accepts them, and leaves what is said on them to [`crate::exchange`].
//!
//! Unlike libp2p-stream it hands every inbound stream to the swarm's owner as an event, so none is dropped because a task was
//! not scheduled in time; the owner decides what is too much.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use futures::channel::oneshot;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::core::{Endpoint, Multiaddr};
use libp2p::swarm::handler::{ConnectionEvent, ConnectionHandler, ConnectionHandlerEvent, FullyNegotiatedInbound};
use libp2p::swarm::handler::{DialUpgradeError, FullyNegotiatedOutbound, StreamUpgradeError};
use libp2p::swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, SubstreamProtocol};
use libp2p::swarm::{THandler, THandlerInEvent, THandlerOutEvent, ToSwarm};
use libp2p::{PeerId, Stream, StreamProtocol};

/// Streams that may wait to be opened on one connection: more are refused at once.
const MAX_PENDING_OPENS: usize = 64;

/// Why a stream could not be opened.
#[derive(Debug, Clone, thiserror::Error)]
pub enum OpenError {
    /// There is no connection to the peer.
    #[error("not connected")]
    NotConnected,
    /// The peer does not speak the protocol.
    #[error("the peer does not speak the protocol")]
    Unsupported,
    /// The connection ended, or negotiation failed or took too long.
    #[error("the stream could not be opened: {0}")]
    Failed(String),
}

type Opened = oneshot::Sender<Result<Stream, OpenError>>;

/// An inbound stream whose protocol is negotiated.
#[derive(Debug)]
pub struct Inbound {
    /// Who opened it.
    pub peer: PeerId,
    /// Which of the accepted protocols it speaks.
    pub protocol: StreamProtocol,
    /// The stream. Dropping it resets it.
    pub stream: Stream,
}

/// Opens streams to connected peers and accepts streams of some protocols.
pub struct Behaviour {
    accepted: Vec<StreamProtocol>,
    /// Each with whether it leads through a relay, the oldest first.
    connections: HashMap<PeerId, Vec<(ConnectionId, bool)>>,
    events: VecDeque<ToSwarm<Inbound, OpenStream>>,
}

impl Behaviour {
    /// Accepts inbound streams of these protocols.
    pub fn new(accepted: Vec<StreamProtocol>) -> Self {
        Self { accepted, connections: HashMap::new(), events: VecDeque::new() }
    }

    /// Opens a stream on the oldest connection to the peer, one through a relay only where there is no other; the sender gets it, or the
    /// reason why not. Does not dial.
    pub fn open(&mut self, peer: PeerId, protocol: StreamProtocol, opened: Opened) {
        let connections = self.connections.get(&peer);
        match connections.and_then(|all| all.iter().min_by_key(|(_, is_relayed)| is_relayed)) {
            Some((connection, _)) => self.events.push_back(ToSwarm::NotifyHandler {
                peer_id: peer,
                handler: NotifyHandler::One(*connection),
                event: OpenStream { protocol, opened },
            }),
            // Nobody waits any more when the send fails.
            None => _ = opened.send(Err(OpenError::NotConnected)),
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Inbound;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.accepted.clone()))
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::new(self.accepted.clone()))
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(established) => {
                let connection = (established.connection_id, established.endpoint.is_relayed());
                self.connections.entry(established.peer_id).or_default().push(connection);
            }
            FromSwarm::ConnectionClosed(closed) => {
                if let Some(connections) = self.connections.get_mut(&closed.peer_id) {
                    connections.retain(|(connection, _)| *connection != closed.connection_id);
                    if connections.is_empty() {
                        self.connections.remove(&closed.peer_id);
                    }
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        let (protocol, stream) = event;
        self.events.push_back(ToSwarm::GenerateEvent(Inbound { peer, protocol, stream }));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // Nothing else wakes us: every push comes from a call by the swarm or its owner, who polls again.
        self.events.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

/// A request to open a stream on one connection.
#[derive(Debug)]
pub struct OpenStream {
    protocol: StreamProtocol,
    opened: Opened,
}

/// The part of [`Behaviour`] that lives with one connection.
pub struct Handler {
    accepted: Vec<StreamProtocol>,
    to_open: VecDeque<OpenStream>,
    /// By the number that the swarm gives back with the negotiated stream.
    opening: HashMap<u64, Opened>,
    next: u64,
    accepted_streams: VecDeque<(StreamProtocol, Stream)>,
}

impl Handler {
    fn new(accepted: Vec<StreamProtocol>) -> Self {
        Self { accepted, to_open: VecDeque::new(), opening: HashMap::new(), next: 0, accepted_streams: VecDeque::new() }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = OpenStream;
    type ToBehaviour = (StreamProtocol, Stream);
    type InboundProtocol = AnyOf;
    type OutboundProtocol = AnyOf;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = u64;

    fn listen_protocol(&self) -> SubstreamProtocol<AnyOf, ()> {
        SubstreamProtocol::new(AnyOf(self.accepted.clone()), ())
    }

    fn on_behaviour_event(&mut self, open: OpenStream) {
        if self.to_open.len() + self.opening.len() >= MAX_PENDING_OPENS {
            _ = open.opened.send(Err(OpenError::Failed("too many streams are waiting to be opened".into())));
        } else {
            self.to_open.push_back(open);
        }
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<AnyOf, u64, Self::ToBehaviour>> {
        if let Some(accepted) = self.accepted_streams.pop_front() {
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(accepted));
        }
        if let Some(OpenStream { protocol, opened }) = self.to_open.pop_front() {
            let number = self.next;
            self.next += 1;
            self.opening.insert(number, opened);
            let protocol = SubstreamProtocol::new(AnyOf(vec![protocol]), number);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, AnyOf, AnyOf, (), u64>) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: negotiated, .. }) => {
                self.accepted_streams.push_back(negotiated);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: (_, stream), info }) => {
                if let Some(opened) = self.opening.remove(&info) {
                    _ = opened.send(Ok(stream));
                }
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                if let Some(opened) = self.opening.remove(&info) {
                    _ = opened.send(Err(match error {
                        StreamUpgradeError::NegotiationFailed => OpenError::Unsupported,
                        other => OpenError::Failed(other.to_string()),
                    }));
                }
            }
            _ => {}
        }
    }
}

/// Negotiates one of some protocols and leaves the stream as it is.
#[derive(Debug, Clone)]
pub struct AnyOf(Vec<StreamProtocol>);

impl UpgradeInfo for AnyOf {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for AnyOf {
    type Output = (StreamProtocol, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((protocol, stream)))
    }
}

impl OutboundUpgrade<Stream> for AnyOf {
    type Output = (StreamProtocol, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((protocol, stream)))
    }
}
