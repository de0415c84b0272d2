//! Session descriptions: the browser's own one read, or edited, and the peer's made up from its multiaddr.

use data_encoding::HEXUPPER;

use webrtc_direct::frame::MAX_FRAME_BYTES;

use super::target::{Fingerprint, Target};

/// The browser's offer with other ICE credentials: the specification's version 1 has the peer know them without being told.
pub(super) fn with_credentials(offer: &str, ufrag: &str) -> String {
    let edit = |line: &str| {
        if line.starts_with("a=ice-ufrag:") {
            format!("a=ice-ufrag:{ufrag}\r\n")
        } else if line.starts_with("a=ice-pwd:") {
            format!("a=ice-pwd:{ufrag}\r\n")
        } else {
            format!("{line}\r\n")
        }
    };
    offer.lines().map(edit).collect()
}

/// What the peer would answer. `ufrag` is its user name fragment and its password.
pub(super) fn answer(target: Target, ufrag: &str) -> String {
    let Target { socket, certificate } = target;
    let (version, ip, port) = (if socket.is_ipv4() { 4 } else { 6 }, socket.ip(), socket.port());
    let fingerprint = certificate.0.map(|byte| HEXUPPER.encode(&[byte])).join(":");
    let lines = [
        "v=0".to_owned(),
        format!("o=- 0 0 IN IP{version} {ip}"),
        "s=-".to_owned(),
        "t=0 0".to_owned(),
        "a=ice-lite".to_owned(),
        format!("m=application {port} UDP/DTLS/SCTP webrtc-datachannel"),
        format!("c=IN IP{version} {ip}"),
        "a=mid:0".to_owned(),
        "a=ice-options:ice2".to_owned(),
        format!("a=ice-ufrag:{ufrag}"),
        format!("a=ice-pwd:{ufrag}"),
        format!("a=fingerprint:sha-256 {fingerprint}"),
        "a=setup:passive".to_owned(),
        "a=sctp-port:5000".to_owned(),
        format!("a=max-message-size:{MAX_FRAME_BYTES}"),
        format!("a=candidate:1467250027 1 UDP 1467250027 {ip} {port} typ host"),
        "a=end-of-candidates".to_owned(),
    ];
    lines.iter().flat_map(|line| [line, "\r\n"]).collect()
}

/// The ICE password that a description names, if it names one.
pub(super) fn password(description: &str) -> Option<&str> {
    description.lines().find_map(|line| line.strip_prefix("a=ice-pwd:"))
}

/// The SHA-256 of the certificate that a description names, if it names one.
pub(super) fn fingerprint(description: &str) -> Option<Fingerprint> {
    let text = description.lines().find_map(|line| {
        let (algorithm, value) = line.strip_prefix("a=fingerprint:")?.split_once(' ')?;
        algorithm.eq_ignore_ascii_case("sha-256").then_some(value)
    })?;
    let bytes: Option<Vec<u8>> = text.trim().split(':').map(|hex| u8::from_str_radix(hex, 16).ok()).collect();
    bytes?.try_into().ok().map(Fingerprint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_keeps_all_but_its_credentials() {
        let offer = "v=0\r\na=ice-ufrag:x\r\na=ice-pwd:y\r\na=ice-options:trickle\r\n";
        let edited = with_credentials(offer, "u");
        assert_eq!(edited, "v=0\r\na=ice-ufrag:u\r\na=ice-pwd:u\r\na=ice-options:trickle\r\n");
    }

    #[test]
    fn an_answer_names_the_address_and_the_certificate() {
        let answer = |socket: &str| {
            answer(Target { socket: socket.parse().expect("an address"), certificate: Fingerprint([0xab; 32]) }, "u")
        };
        let four = answer("1.2.3.4:5");
        assert!(four.contains("c=IN IP4 1.2.3.4\r\n") && four.contains("m=application 5 UDP/DTLS/SCTP"));
        assert!(four.contains("a=ice-ufrag:u\r\na=ice-pwd:u\r\n"));
        assert!(four.contains(&format!("a=fingerprint:sha-256 {}\r\n", ["AB"; 32].join(":"))));
        assert!(four.contains("a=max-message-size:16384\r\n"));
        assert!(answer("[::1]:5").contains("c=IN IP6 ::1\r\n"));
        assert!(four.ends_with("a=end-of-candidates\r\n"));
    }

    #[test]
    fn version_2_has_the_peer_be_told_the_password_that_the_browser_chose() {
        let offer = "v=0\r\na=ice-ufrag:x\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\n";
        let ufrag = webrtc_direct::ufrag::server(password(offer).expect("a password")).expect("a sound one");
        assert_eq!(ufrag, "libp2p+webrtc+v2/abcdefghijklmnopqrstuvwx");
        assert_eq!(password("v=0\r\na=ice-ufrag:x\r\n"), None);
    }

    #[test]
    fn a_fingerprint_is_read_or_refused() {
        let hex = ["0a"; 32].join(":");
        let read = |line: String| fingerprint(&format!("v=0\r\n{line}\r\ns=-\r\n"));
        assert_eq!(read(format!("a=fingerprint:sha-256 {hex}")), Some(Fingerprint([10; 32])));
        assert_eq!(read(format!("a=fingerprint:SHA-256 {}", hex.to_uppercase())), Some(Fingerprint([10; 32])));
        assert_eq!(read(format!("a=fingerprint:sha-512 {hex}")), None);
        assert_eq!(read(format!("a=fingerprint:sha-256 {hex}:00")), None);
        assert_eq!(read("a=fingerprint:sha-256 zz".into()), None);
        assert_eq!(read("a=fingerprint:".into()), None);
    }
}
