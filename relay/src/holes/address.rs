//! What of an address matters for holes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::FromSwarm;

/// What holes are punched over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Tcp,
    Quic,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Tcp, Self::Quic];
}

/// The kind and the port of an IP address; None for one that no hole is punched over, such as one of a WebSocket or with a name.
pub(crate) fn kind_of(address: &Multiaddr) -> Option<(Kind, u16)> {
    let mut parts = address.iter();
    let (Protocol::Ip4(_) | Protocol::Ip6(_)) = parts.next()? else { return None };
    let found = match parts.next()? {
        Protocol::Tcp(port) => (Kind::Tcp, port),
        Protocol::Udp(port) if parts.next() == Some(Protocol::QuicV1) => (Kind::Quic, port),
        _ => return None,
    };
    let end = (parts.next(), parts.next());
    matches!(end, (None | Some(Protocol::P2p(_)), None)).then_some(found)
}

/// From where an address can be dialed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    Machine,
    Network,
    Anywhere,
}

/// A name counts as known everywhere.
pub(crate) fn reach(address: &Multiaddr) -> Reach {
    let ip = match address.iter().next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => ip.to_canonical(),
        _ => return Reach::Anywhere,
    };
    let is_local = match ip {
        // Carriers' own networks (RFC 6598) are no place that others can dial either.
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            ip.is_private()
                || ip.is_link_local()
                || ip.is_broadcast()
                || ip.is_multicast()
                || (a, b & 0xc0) == (100, 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_multicast(),
    };
    match ip.is_loopback() || ip.is_unspecified() {
        true => Reach::Machine,
        false if is_local => Reach::Network,
        false => Reach::Anywhere,
    }
}

/// Where we listen, by what holes are punched over.
#[derive(Debug, Default)]
pub(crate) struct Listening([BTreeSet<Multiaddr>; 2]);

impl Listening {
    /// Takes note of addresses that come and go.
    pub(crate) fn on_swarm_event(&mut self, event: &FromSwarm) {
        match event {
            FromSwarm::NewListenAddr(it) => {
                if let Some((kind, _)) = kind_of(it.addr) {
                    self.0[kind as usize].insert(it.addr.clone());
                }
            }
            FromSwarm::ExpiredListenAddr(it) => self.0.iter_mut().for_each(|all| _ = all.remove(it.addr)),
            _ => {}
        }
    }

    /// Whether we listen over this at all.
    pub(crate) fn over(&self, kind: Kind) -> bool {
        !self.0[kind as usize].is_empty()
    }

    /// Whether an address has a port that we listen on.
    pub(crate) fn has(&self, address: &Multiaddr) -> bool {
        kind_of(address).is_some_and(|of| self.0[of.0 as usize].iter().any(|own| kind_of(own) == Some(of)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn holes_are_punched_over_tcp_and_quic_by_ip_only() {
        let kind = |text: &str| kind_of(&text.parse().unwrap());
        assert_eq!(kind("/ip4/203.0.113.7/tcp/4001"), Some((Kind::Tcp, 4001)));
        assert_eq!(kind("/ip6/2a00::1/udp/4001/quic-v1"), Some((Kind::Quic, 4001)));
        let peer = libp2p::PeerId::random();
        assert_eq!(kind(&format!("/ip4/203.0.113.7/tcp/4001/p2p/{peer}")), Some((Kind::Tcp, 4001)));
        for other in ["tcp/1/ws", "udp/1", "udp/1/webrtc-direct", "tcp/1/tls/ws"] {
            assert_eq!(kind(&format!("/ip4/203.0.113.7/{other}")), None, "{other}");
        }
        assert_eq!(kind(&format!("/ip4/203.0.113.7/tcp/1/p2p/{peer}/p2p-circuit")), None);
        assert_eq!(kind("/dns4/relay.example/tcp/4001"), None);
    }
}
