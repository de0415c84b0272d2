//! What a multiaddr says of a peer: where it is, and by which certificate it is known.

use std::net::{IpAddr, SocketAddr};

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

/// The code of SHA-256 in a multihash, and the length of its digest.
const SHA_256: [u8; 2] = [0x12, 32];

/// Where to dial, and what is to be found there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) socket: SocketAddr,
    pub(super) certificate: Fingerprint,
}

/// The SHA-256 of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u8; 32]);

impl Target {
    /// Reads `/ip4|ip6/…/udp/…/webrtc-direct/certhash/…[/p2p/…]`; `None` for any other address.
    pub(super) fn parse(address: &Multiaddr) -> Option<Self> {
        let mut parts = address.iter();
        let ip: IpAddr = match parts.next()? {
            Protocol::Ip4(ip) => ip.into(),
            Protocol::Ip6(ip) => ip.into(),
            _ => return None,
        };
        let (Protocol::Udp(port), Protocol::WebRTCDirect, Protocol::Certhash(hash)) =
            (parts.next()?, parts.next()?, parts.next()?)
        else {
            return None;
        };
        if !matches!(parts.next(), None | Some(Protocol::P2p(_))) || parts.next().is_some() {
            return None;
        }
        let digest = hash.digest().try_into().ok().filter(|_| hash.code() == u64::from(SHA_256[0]))?;
        let dialable = port != 0 && !ip.is_unspecified();
        dialable.then_some(Self { socket: SocketAddr::new(ip, port), certificate: Fingerprint(digest) })
    }
}

/// What both ends put before their Noise handshake, so that it is of this connection and no other.
pub(super) fn noise_prologue(client: Fingerprint, server: Fingerprint) -> Vec<u8> {
    [&b"libp2p-webrtc-noise:"[..], &SHA_256, &client.0, &SHA_256, &server.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "uEiDikp5KVUgkLta1EjUN-IKbHk-dUBg8VzKgf5nXxLK46w";
    const PEER: &str = "12D3KooWNpDk9w6WrEEcdsEH1y47W71S36yFjw4sd3j7omzgCSMS";

    fn parse(address: &str) -> Option<Target> {
        Target::parse(&address.parse().expect("a multiaddr"))
    }

    #[test]
    fn an_address_is_read() {
        for (address, socket) in [("/ip4/127.0.0.1", "127.0.0.1:39901"), ("/ip6/::1", "[::1]:39901")] {
            for peer in [String::new(), format!("/p2p/{PEER}")] {
                let target =
                    parse(&format!("{address}/udp/39901/webrtc-direct/certhash/{HASH}{peer}")).expect("a target");
                assert_eq!(target.socket, socket.parse().expect("a socket address"));
                assert_eq!(target.certificate.0[..4], [0xe2, 0x92, 0x9e, 0x4a]);
            }
        }
    }

    #[test]
    fn another_address_is_none() {
        for address in [
            "/ip4/127.0.0.1/udp/0/webrtc-direct/certhash/HASH",
            "/ip4/0.0.0.0/udp/1/webrtc-direct/certhash/HASH",
            "/dns4/example.com/udp/1/webrtc-direct/certhash/HASH",
            "/ip4/127.0.0.1/tcp/1/webrtc-direct/certhash/HASH",
            "/ip4/127.0.0.1/udp/1/webrtc-direct",
            "/ip4/127.0.0.1/udp/1/webrtc-direct/p2p/PEER",
            "/ip4/127.0.0.1/udp/1/webrtc-direct/certhash/HASH/p2p/PEER/p2p-circuit",
            "/ip4/127.0.0.1/udp/1/quic-v1/certhash/HASH",
            // A hash of another kind: the identity of 32 bytes.
            "/ip4/127.0.0.1/udp/1/webrtc-direct/certhash/uACAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert_eq!(parse(&address.replace("HASH", HASH).replace("PEER", PEER)), None, "{address}");
        }
    }

    #[test]
    fn a_prologue_names_both_certificates_as_multihashes() {
        let prologue = noise_prologue(Fingerprint([1; 32]), Fingerprint([2; 32]));
        let expected = ["libp2p-webrtc-noise:\x12\x20", &"\x01".repeat(32), "\x12\x20", &"\x02".repeat(32)].concat();
        assert_eq!(prologue, expected.as_bytes());
    }
}
