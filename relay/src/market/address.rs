//! The address of a relay, as a person gives it.

use libp2p::Multiaddr;

/// What is said to whoever gave something else.
pub const EXPECTED: &str = "the address of a relay looks like /ip4/127.0.0.1/tcp/4801/p2p/12D3KooW… and ends with the relay's \
     whole peer id: copy one from the \"addresses\" in the relay's /.well-known/ggen/relay.json";

/// Reads the address of a relay: a multiaddr that ends in a peer id.
///
/// # Errors
/// What an address looks like and where to get one.
pub fn parse(text: &str) -> Result<Multiaddr, String> {
    if text.starts_with("http://") || text.starts_with("https://") {
        let server = text.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        return Err(format!(
            "a URL is not enough, since it names no peer id; {EXPECTED}, here {server}/.well-known/ggen/relay.json"
        ));
    }
    let address = text.parse::<Multiaddr>().map_err(|_| EXPECTED)?;
    match ggen_net::address::split_peer(&address) {
        Some((_, rest)) if !rest.is_empty() => Ok(address),
        _ => Err(EXPECTED.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_of_a_relay_is_told_what_one_looks_like() {
        let peer = libp2p::PeerId::random();
        assert!(parse(&format!("/ip4/127.0.0.1/tcp/4801/p2p/{peer}")).is_ok());
        for wrong in [
            "127.0.0.1:4801",
            "http://127.0.0.1:8080/",
            "/ip4/127.0.0.1/tcp/4801",
            "/ip4/127.0.0.1/tcp/4801/p2p/12D3KooW…",
            "/ip4/127.0.0.1/tcp/4801/p2p/<peer id>",
            &format!("/p2p/{peer}"),
            "",
        ] {
            let message = parse(wrong).unwrap_err();
            assert!(
                message.contains("/ip4/127.0.0.1/tcp/4801/p2p/") && message.contains("relay.json"),
                "{wrong}: {message}"
            );
        }
        let message = parse("http://127.0.0.1:8080/p/some").unwrap_err();
        assert!(message.ends_with("here http://127.0.0.1:8080/.well-known/ggen/relay.json"), "{message}");
    }
}
