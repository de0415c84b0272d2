//! Multiaddr to the URL that a browser opens.

use libp2p::multiaddr::{Multiaddr, Protocol};

/// The URL for a multiaddr of one of these forms, or `None` when it is of no such form:
///
/// ```text
/// /<host>/tcp/<port>/ws
/// /<host>/tcp/<port>/wss
/// /<host>/tcp/<port>/tls/ws
/// /<host>/tcp/<port>/tls/sni/<name>/ws
/// ```
///
/// `<host>` is `ip4`, `ip6`, `dns`, `dns4` or `dns6`; a final `/p2p/<peer id>` is allowed, nothing else after it: an
/// address that goes on (`/p2p-circuit`) means another peer. A path of `ws` or `wss` is kept.
///
/// `dnsaddr` is refused because it wants a TXT lookup, which scripts cannot make; an unspecified address or port 0
/// because they are no destination.
pub(super) fn url(address: &Multiaddr) -> Option<String> {
    let mut parts = address.iter().peekable();
    let host = host(parts.next()?)?;
    let port = match parts.next()? {
        Protocol::Tcp(port) if port != 0 => port,
        _ => return None,
    };

    let tls = parts.next_if_eq(&Protocol::Tls).is_some();
    let sni = match parts.next_if(|part| tls && matches!(part, Protocol::Sni(_))) {
        Some(Protocol::Sni(name)) => Some(dns_name(&name)?),
        _ => None,
    };
    let (scheme, path) = match parts.next()? {
        Protocol::Ws(path) if tls => ("wss", path),
        Protocol::Ws(path) => ("ws", path),
        Protocol::Wss(path) if !tls => ("wss", path),
        _ => return None,
    };

    parts.next_if(|part| matches!(part, Protocol::P2p(_)));
    if parts.next().is_some() {
        return None;
    }

    // A browser takes the name for SNI and for checking the certificate from the URL and cannot be given an address
    // beside it. Whoever advertises `sni` means that this name resolves to the address, so the name stands for both.
    let host = sni.unwrap_or(host);
    Some(format!("{scheme}://{host}:{port}{}", url_path(&path)))
}

fn host(part: Protocol<'_>) -> Option<String> {
    match part {
        Protocol::Ip4(ip) if !ip.is_unspecified() => Some(ip.to_string()),
        Protocol::Ip6(ip) if !ip.is_unspecified() => Some(format!("[{ip}]")),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => dns_name(&name),
        _ => None,
    }
}

/// The name, if it can only be read as a host. Multiaddrs come from peers and may hold any text there: `a@b`,
/// `host/path` or `host?query` would make a URL that leads elsewhere.
fn dns_name(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!name.is_empty() && name.chars().all(plain)).then(|| name.to_owned())
}

/// The path as it may stand in a URL: everything that would end the path or is no URL text is percent-encoded.
/// `%` stays, so that a path which is already encoded means the same.
fn url_path(path: &str) -> String {
    let mut encoded = String::with_capacity(path.len() + 1);
    if !path.starts_with('/') {
        encoded.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => encoded.push(char::from(byte)),
            _ if b"/-._~!$&'()*+,;=:@%?".contains(&byte) => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn url_of(address: &str) -> Option<String> {
        url(&address.parse().expect("a well-formed multiaddr"))
    }

    #[test]
    fn every_supported_form_has_its_url() {
        for (address, expected) in [
            ("/ip4/127.0.0.1/tcp/4001/ws", "ws://127.0.0.1:4001/"),
            ("/ip6/::1/tcp/4001/ws", "ws://[::1]:4001/"),
            ("/dns/relay.example/tcp/80/ws", "ws://relay.example:80/"),
            ("/dns4/relay.example/tcp/443/wss", "wss://relay.example:443/"),
            ("/dns6/relay.example/tcp/443/tls/ws", "wss://relay.example:443/"),
            ("/ip4/1.2.3.4/tcp/443/tls/sni/relay.example/ws", "wss://relay.example:443/"),
            ("/dns4/relay.example/tcp/80/x-parity-ws/%2Fsocket%3Fa=b", "ws://relay.example:80/socket?a=b"),
            ("/dns4/relay.example/tcp/443/x-parity-wss/%2Fsocket", "wss://relay.example:443/socket"),
        ] {
            assert_eq!(url_of(address).as_deref(), Some(expected), "{address}");
            assert_eq!(url_of(&format!("{address}/p2p/{PEER}")).as_deref(), Some(expected), "{address} with peer id");
        }
    }

    #[test]
    fn refuses_every_other_form() {
        for address in [
            "/ip4/127.0.0.1/tcp/4001",
            "/ip4/127.0.0.1/tcp/0/ws",
            "/ip4/0.0.0.0/tcp/4001/ws",
            "/ip6/::/tcp/4001/ws",
            "/ip4/127.0.0.1/udp/4001/ws",
            "/ip4/127.0.0.1/udp/4001/webrtc-direct",
            "/ip4/127.0.0.1/ws",
            "/ip4/127.0.0.1/tcp/443/tls",
            "/ip4/127.0.0.1/tcp/443/tls/wss",
            "/ip4/127.0.0.1/tcp/443/sni/relay.example/ws",
            "/dnsaddr/relay.example/tcp/443/wss",
            "/memory/7",
            "/ip4/127.0.0.1/tcp/4001/ws/p2p-circuit",
        ] {
            assert_eq!(url_of(address), None, "{address}");
        }
        assert_eq!(url(&Multiaddr::empty()), None);
    }

    #[test]
    fn refuses_an_address_that_goes_on_to_another_peer() {
        assert_eq!(url_of(&format!("/ip4/127.0.0.1/tcp/4001/ws/p2p/{PEER}/p2p-circuit/p2p/{PEER}")), None);
        assert_eq!(url_of(&format!("/ip4/127.0.0.1/tcp/4001/ws/p2p/{PEER}/p2p/{PEER}")), None);
    }

    #[test]
    fn refuses_a_name_that_a_url_would_read_otherwise() {
        for name in
            ["", "user@relay.example", "relay.example/path", "relay.example?query", "relay#", "a b", "relay:80", "ä"]
        {
            let address = Multiaddr::empty()
                .with(Protocol::Dns(Cow::Borrowed(name)))
                .with(Protocol::Tcp(80))
                .with(Protocol::Ws(Cow::Borrowed("/")));
            assert_eq!(url(&address), None, "{name:?}");
        }
    }

    #[test]
    fn encodes_what_would_end_the_path() {
        let address = Multiaddr::empty()
            .with(Protocol::Dns(Cow::Borrowed("relay.example")))
            .with(Protocol::Tcp(80))
            .with(Protocol::Ws(Cow::Borrowed("a b#ä\\%20")));
        assert_eq!(url(&address).as_deref(), Some("ws://relay.example:80/a%20b%23%C3%A4%5C%20"));
    }
}
