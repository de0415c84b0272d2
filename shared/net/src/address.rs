//! What can be told from a multiaddr without dialing it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ggen_shared::id::PublicKey;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, identity};

/// The key of a peer whose id holds it, as an Ed25519 identity's does.
pub fn key_of(peer: &PeerId) -> Option<PublicKey> {
    let key = identity::PublicKey::try_decode_protobuf(peer.as_ref().digest()).ok()?;
    Some(PublicKey::from_bytes(key.try_into_ed25519().ok()?.to_bytes()))
}

/// The kind of connection that an address leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    /// WebSocket, with or without TLS.
    WebSocket,
    /// WebRTC-direct.
    WebRtcDirect,
    /// TCP, QUIC, a circuit, or what is not known here.
    Other,
}

impl Transport {
    /// The transport of an address.
    pub fn of(address: &Multiaddr) -> Self {
        address
            .iter()
            .find_map(|part| match part {
                Protocol::P2pCircuit => Some(Self::Other),
                Protocol::Ws(_) | Protocol::Wss(_) => Some(Self::WebSocket),
                Protocol::WebRTCDirect => Some(Self::WebRtcDirect),
                _ => None,
            })
            .unwrap_or(Self::Other)
    }

    /// The name in the npm package's API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::WebRtcDirect => "webrtc-direct",
            Self::Other => "other",
        }
    }
}

/// The peer that an address ends with, and the address without it.
pub fn split_peer(address: &Multiaddr) -> Option<(PeerId, Multiaddr)> {
    let mut rest = address.clone();
    match rest.pop() {
        Some(Protocol::P2p(peer)) => Some((peer, rest)),
        _ => None,
    }
}

/// The relay that an address leads through, if it leads through one.
pub fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    let mut relay = None;
    for part in address {
        match part {
            Protocol::P2p(peer) => relay = Some(peer),
            Protocol::P2pCircuit => return relay,
            _ => {}
        }
    }
    None
}

/// Whether the address names one host and no other: transports dial the last that is named, so one that names two counts as one place and leads to
/// another.
pub fn names_one_host(address: &Multiaddr) -> bool {
    let is_host = |part: &Protocol<'_>| {
        matches!(
            part,
            Protocol::Ip4(_)
                | Protocol::Ip6(_)
                | Protocol::Dns(_)
                | Protocol::Dns4(_)
                | Protocol::Dns6(_)
                | Protocol::Dnsaddr(_)
                | Protocol::Memory(_)
        )
    };
    address.iter().filter(is_host).count() == 1
}

/// Whether the address names no host, as `0.0.0.0` does: it can be listened on, never dialed.
pub fn is_unspecified(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip.is_unspecified(),
        Protocol::Ip6(ip) => ip.is_unspecified(),
        _ => false,
    })
}

/// Whether the address is the one by which a machine speaks to itself: a proxy there speaks for everybody. Other addresses of 127.0.0.0/8 have no
/// such meaning.
pub fn is_this_machine(address: &Multiaddr) -> bool {
    address.iter().any(|part| match part {
        Protocol::Ip4(ip) => ip == Ipv4Addr::LOCALHOST,
        Protocol::Ip6(ip) => ip == Ipv6Addr::LOCALHOST,
        _ => false,
    })
}

/// Addresses that one party has as a rule: what may be counted together, so that many identities at one place weigh no more than one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IpGroup {
    /// The first two bytes of an IPv4 address.
    V4([u8; 2]),
    /// The first four bytes of an IPv6 address: what a network operator is given.
    V6([u8; 4]),
    /// The hash of the last two labels of a name, where a peer is reached by one: whoever has a domain has all names below it.
    Name(u64),
    /// Neither is told.
    Unknown,
}

impl IpGroup {
    /// The group of the first IP address or name in a multiaddr: of a circuit, that of the relay.
    pub fn of(address: &Multiaddr) -> Self {
        let group = address.iter().find_map(|part| match part {
            Protocol::Ip4(ip) => Some(Self::of_v4(ip)),
            Protocol::Ip6(ip) => Some(Self::of_v6(ip)),
            Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) | Protocol::Dnsaddr(name) => {
                Some(Self::of_name(&name))
            }
            _ => None,
        });
        group.unwrap_or(Self::Unknown)
    }

    fn of_name(name: &str) -> Self {
        let name = name.trim_end_matches('.');
        // Resolvers take an IP address for a name of itself.
        match name.parse() {
            Ok(IpAddr::V4(ip)) => return Self::of_v4(ip),
            Ok(IpAddr::V6(ip)) => return Self::of_v6(ip),
            Err(_) => {}
        }
        let last_two = name.rsplit('.').take(2).flat_map(|label| label.bytes().chain(*b"."));
        // FNV-1a: names that collide share a group, no more.
        Self::Name(last_two.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte.to_ascii_lowercase())).wrapping_mul(0x0100_0000_01b3)
        }))
    }

    const fn of_v4(ip: Ipv4Addr) -> Self {
        let [a, b, ..] = ip.octets();
        Self::V4([a, b])
    }

    fn of_v6(ip: Ipv6Addr) -> Self {
        let [a, b, c, d, ..] = ip.octets();
        ip.to_ipv4_mapped().map_or(Self::V6([a, b, c, d]), Self::of_v4)
    }
}

/// Who has a key as its identity; None for bytes that are no key.
pub fn peer_of(key: &PublicKey) -> Option<PeerId> {
    let key = libp2p::identity::ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(libp2p::identity::PublicKey::from(key).to_peer_id())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn tells_transports_apart() {
        let transport = |text: &str| Transport::of(&text.parse().unwrap());
        assert_eq!(transport("/ip4/127.0.0.1/tcp/80/ws"), Transport::WebSocket);
        assert_eq!(transport("/dns4/relay.example/tcp/443/tls/ws"), Transport::WebSocket);
        assert_eq!(transport("/ip4/127.0.0.1/udp/9/webrtc-direct"), Transport::WebRtcDirect);
        assert_eq!(transport("/ip4/127.0.0.1/tcp/80"), Transport::Other);
    }

    #[test]
    fn addresses_of_one_network_are_one_group() {
        let group = |text: &str| IpGroup::of(&text.parse().unwrap());
        assert_eq!(group("/ip4/10.1.2.3/tcp/80"), group("/ip4/10.1.9.9/udp/1/quic-v1"));
        assert_eq!(group("/ip4/10.1.2.3/tcp/80"), group("/ip6/::ffff:10.1.0.1/tcp/80"));
        assert_ne!(group("/ip4/10.1.2.3/tcp/80"), group("/ip4/10.2.2.3/tcp/80"));
        assert_eq!(group("/ip6/2001:db8:1::1/tcp/80"), group("/ip6/2001:db8:ffff::2/tcp/80"));
        assert_ne!(group("/ip6/2001:db8::1/tcp/80"), group("/ip6/2001:db9::1/tcp/80"));
        assert_eq!(group("/dns4/relay.example.org/tcp/80"), group("/dns6/Other.Example.org/tcp/443/tls/ws"));
        assert_eq!(group("/dns4/example.org/tcp/80"), group("/dns/a.b.example.org/tcp/443"));
        assert_ne!(group("/dns4/relay.example.org/tcp/80"), group("/dns4/relay.example.net/tcp/80"));
        assert_eq!(group("/dns/2001:db8::1/tcp/80"), group("/ip6/2001:db8:1::1/tcp/80"), "a name may be an address");
        assert_eq!(group("/dns4/10.1.2.3./tcp/80"), group("/ip4/10.1.9.9/tcp/80"));
        assert_eq!(group("/memory/1"), IpGroup::Unknown);
    }

    #[test]
    fn an_address_that_names_two_hosts_counts_for_none() {
        let one = |text: &str| names_one_host(&text.parse().unwrap());
        for plain in [
            "/ip4/10.1.2.3/tcp/80",
            "/ip6/2001:db8::1/udp/1/quic-v1",
            "/dns4/relay.example.org/tcp/443/tls/sni/relay.example.org/ws",
            "/dnsaddr/relay.example.org",
            "/memory/1",
        ] {
            assert!(one(plain), "{plain}");
        }
        let relay = PeerId::random();
        assert!(one(&format!("/ip4/10.1.2.3/tcp/80/p2p/{relay}/p2p-circuit")));
        for forged in
            ["/ip4/9.9.9.9/ip4/10.1.2.3/tcp/80", "/dns4/a.example/tcp/1/ip4/10.1.2.3/tcp/80", "/p2p-circuit", ""]
        {
            assert!(!one(forged), "{forged}");
        }
    }

    #[test]
    fn the_relay_of_a_circuit_is_known_and_others_have_none() {
        let (relay, peer) = (PeerId::random(), PeerId::random());
        let of = |text: String| relay_of(&text.parse().unwrap());
        assert_eq!(of(format!("/ip4/127.0.0.1/tcp/80/p2p/{relay}/p2p-circuit/p2p/{peer}")), Some(relay));
        assert_eq!(of(format!("/ip4/127.0.0.1/tcp/80/p2p/{peer}")), None);
        assert_eq!(of("/p2p-circuit".into()), None);
    }

    #[test]
    fn an_unspecified_address_is_recognised() {
        assert!(is_unspecified(&"/ip4/0.0.0.0/tcp/1".parse().unwrap()));
        assert!(is_unspecified(&"/ip6/::/tcp/1".parse().unwrap()));
        assert!(!is_unspecified(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()));
    }
}
