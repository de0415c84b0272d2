//! When a hole is punched over TCP, both ends dial, and one of them takes the part of who was dialed. If the other end can be dialed by anybody, its
//! system accepts that dial as such, and then both wait for the other to begin. So whoever takes that part dials once more, as itself.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::task::{Context, Poll};

use libp2p::core::Endpoint;
use libp2p::swarm::THandlerInEvent;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, ToSwarm, dummy};
use libp2p::{Multiaddr, PeerId};

use super::address::{Kind, kind_of};

/// Addresses of one peer that are dialed: it says by itself which they are.
const MAX_ADDRESSES: usize = 4;
/// Dials that may wait: the swarm takes them at once.
const MAX_WAITING: usize = 64;

/// What dials as itself whomever a hole is punched to.
#[derive(Debug, Default)]
pub struct Reverse {
    dials: VecDeque<(PeerId, Vec<Multiaddr>)>,
}

/// QUIC takes no part for the other: there the dial of the hole is one already.
fn is_tcp(address: &Multiaddr) -> bool {
    kind_of(address).is_some_and(|(kind, _)| kind == Kind::Tcp)
}

impl NetworkBehaviour for Reverse {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_outbound_connection(
        &mut self,
        _: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let (Some(peer), Endpoint::Listener) = (peer, role) {
            let tcp: Vec<Multiaddr> = addresses.iter().filter(|it| is_tcp(it)).take(MAX_ADDRESSES).cloned().collect();
            if !tcp.is_empty() && self.dials.len() < MAX_WAITING {
                self.dials.push_back((peer, tcp));
            }
        }
        Ok(Vec::new())
    }

    without_streams!();

    fn on_swarm_event(&mut self, _: FromSwarm) {}

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        let Some((peer, addresses)) = self.dials.pop_front() else { return Poll::Pending };
        // From another port, since the dial of the hole has the one that is listened on.
        let opts =
            DialOpts::peer_id(peer).addresses(addresses).condition(PeerCondition::Always).allocate_new_port().build();
        Poll::Ready(ToSwarm::Dial { opts })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use futures::FutureExt;
    use futures::future::poll_fn;

    use super::*;

    #[test]
    fn what_is_dialed_in_the_part_of_who_was_dialed_is_dialed_as_oneself_too_over_tcp() {
        let mut reverse = Reverse::default();
        let peer = PeerId::random();
        let tcp: Multiaddr = "/ip4/203.0.113.7/tcp/4801".parse().unwrap();
        let quic: Multiaddr = "/ip4/203.0.113.7/udp/4801/quic-v1".parse().unwrap();
        let mut dial = |addresses: &[Multiaddr], role| {
            let connection = ConnectionId::new_unchecked(0);
            assert!(reverse.handle_pending_outbound_connection(connection, Some(peer), addresses, role).is_ok());
            poll_fn(|context| reverse.poll(context)).now_or_never()
        };
        assert!(dial(std::slice::from_ref(&tcp), Endpoint::Dialer).is_none(), "a dial of one's own");
        assert!(dial(std::slice::from_ref(&quic), Endpoint::Listener).is_none(), "QUIC");
        let Some(ToSwarm::Dial { opts }) = dial(&[quic, tcp], Endpoint::Listener) else { panic!("no dial") };
        assert_eq!(opts.get_peer_id(), Some(peer));
    }
}
