//! What a relay serves over HTTP, and what it tells of its place in the network.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use ggen_net::light::HeadError;
use ggen_relay::{Config, policy};
use ggen_shared::id::FullName;
use ggen_shared::protocol::{names, query};
use ggen_tests::http::{Answer, get, get_with};
use ggen_tests::{Publisher, TestPeer, TestRelay, until};
use libp2p::{Multiaddr, PeerId};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const RELAY_JSON: &str = "/.well-known/ggen/relay.json";
const ROUTING_JSON: &str = "/.well-known/ggen/routing.json";

fn with_http(config: &mut Config) {
    config.http = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
}

fn http(relay: &TestRelay) -> SocketAddr {
    relay.relay().http().expect("the relay serves HTTP")
}

fn addresses(relay_json: &Answer) -> Vec<Multiaddr> {
    let listed = relay_json.json()["addresses"].as_array().unwrap().clone();
    listed.iter().map(|address| address.as_str().unwrap().parse().unwrap()).collect()
}

/// The peers in a relay's routing table, as it tells them over HTTP.
async fn routing(relay: &TestRelay) -> BTreeSet<PeerId> {
    let dump = get(http(relay), ROUTING_JSON).await;
    assert_eq!(dump.status, 200);
    dump.json().as_array().unwrap().iter().map(|peer| peer.as_str().unwrap().parse().unwrap()).collect()
}

#[tokio::test]
async fn healthz_and_readyz_say_that_the_relay_is_well_and_what_it_holds() {
    let relay = TestRelay::configured(with_http).await;
    let health = get(http(&relay), "/healthz").await;
    assert_eq!((health.status, health.text()), (200, "ok\n"));
    let ready = get(http(&relay), "/readyz").await;
    assert_eq!((ready.status, ready.text()), (200, "ready: 0 records, 0 peers\n"));

    let peer = TestPeer::start(&[&relay]).await;
    let package = Publisher::new(1).release("counted", "1.0.0", "makes two records", b"content");
    package.publish(&peer, relay.peer_id()).await.unwrap();
    assert_eq!(get(http(&relay), "/readyz").await.text(), "ready: 2 records, 1 peers\n");

    // Without a store that takes writes it is alive, and not ready.
    relay.relay().shelf().store().close().await;
    assert_eq!(get(http(&relay), "/readyz").await.status, 503);
    assert_eq!(get(http(&relay), "/healthz").await.status, 200);
}

/// The bytes that streams of a protocol received, and those that they sent, as the relay tells them.
async fn carried(relay: &TestRelay, protocol: &str) -> [u64; 2] {
    let metrics = get(http(relay), "/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    ["received", "sent"].map(|direction| {
        let line = format!("ggen_relay_stream_bytes_total{{protocol=\"{protocol}\",direction=\"{direction}\"}} ");
        let value = metrics.text().lines().find_map(|other| other.strip_prefix(&line));
        value.unwrap_or_else(|| panic!("{line} in {}", metrics.text())).parse().unwrap()
    })
}

#[tokio::test]
async fn what_streams_carry_is_measured_by_their_protocol() {
    const BYTES: u64 = 3_000_000;
    let relay = TestRelay::configured(with_http).await;
    let peer = TestPeer::start(&[&relay]).await;
    let content = ggen_tests::provider::bytes(BYTES as usize);
    let package = Publisher::new(1).release("counted", "1.0.0", "makes two records", &content);
    package.publish(&peer, relay.peer_id()).await.unwrap();
    let [received, sent] = carried(&relay, names::PUBLISH).await;
    assert!((BYTES..BYTES + BYTES / 50).contains(&received) && (100..BYTES / 50).contains(&sent), "{received} {sent}");
    let [asked, before] = carried(&relay, "/ipfs/bitswap/*").await;
    assert_eq!((asked, before), (0, 0));

    peer.peer.fetch(package.release.artifact).await.unwrap();
    let [asked, delivered] = carried(&relay, "/ipfs/bitswap/*").await;
    assert!(
        (BYTES..BYTES + BYTES / 50).contains(&delivered) && (100..BYTES / 50).contains(&asked),
        "{asked} {delivered}"
    );
    assert_eq!(carried(&relay, names::PUBLISH).await, [received, sent], "each for itself");
    for protocol in ["/ipfs/id/1.0.0", "/meshsub/*", names::KADEMLIA] {
        let [received, sent] = carried(&relay, protocol).await;
        assert!(received > 0 && sent > 0, "{protocol}: {received} {sent}");
    }
    assert_eq!(carried(&relay, "other").await, [0, 0], "each has a name");
    let metrics = get(http(&relay), "/metrics").await;
    assert!(metrics.text().contains("\nggen_relay_records 2\n") && metrics.text().contains("\nggen_relay_peers 1\n"));
    assert!(metrics.text().ends_with("# EOF\n"), "the whole of it");
}

#[tokio::test]
async fn what_a_relay_thinks_of_those_that_it_asks_is_shown_and_outlives_it() {
    let mut other = TestRelay::start(&[]).await;
    let package = Publisher::new(1).release("synced", "1.0.0", "is got by a sync", b"content");
    package.publish_at(&other).await;
    let mut relay = TestRelay::configured(|config| {
        with_http(config);
        config.bootstrap = vec![other.address("/tcp/", false)];
    })
    .await;
    let asked = other.peer_id();
    let thought_of = async |relay: &TestRelay| {
        let all = get(http(relay), "/api/v1/reputations").await.json();
        let own = all.as_array()?.iter().find(|it| it["peer"] == asked.to_string())?.clone();
        let line = format!("ggen_relay_reputation{{peer=\"{asked}\"}} ");
        let metrics = get(http(relay), "/metrics").await;
        let shown: f64 = metrics.text().lines().find_map(|other| other.strip_prefix(&line))?.parse().unwrap();
        // Between both it may have asked once more.
        let score = own["score"].as_f64()?;
        (score > 0.5 && (shown - score).abs() < 0.01).then_some(own)
    };
    let known = until("a sync", async || thought_of(&relay).await).await;
    assert!(known["successes"].as_f64() >= Some(0.9) && known["faults"] == 0.0 && known["latency_ms"].is_number());
    // Before it can have asked again: nobody is there.
    other.stop().await;
    relay.stop().await;
    let relay = relay.restarted(with_http).await;
    let known = thought_of(&relay).await.expect("what it thought before");
    assert!(known["successes"].as_f64() >= Some(0.9), "{known}");
}

#[tokio::test]
async fn relay_json_is_all_that_a_light_client_of_any_origin_needs() {
    let relay = TestRelay::configured(with_http).await;
    let answer = get(http(&relay), RELAY_JSON).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
    assert_eq!(answer.header("cache-control"), Some("no-store"), "a relay's addresses change");
    assert_eq!(answer.json()["peer_id"], relay.peer_id().to_string());
    assert_eq!(answer.json()["versions"]["query"], "/ggen/query/1.0.0");

    let addresses = addresses(&answer);
    let end = format!("/p2p/{}", relay.peer_id());
    assert!(addresses.iter().all(|address| address.to_string().ends_with(&end)), "{addresses:?}");
    for part in ["/tcp/", "/quic-v1/", "/ws/", "/webrtc-direct/certhash/"] {
        assert!(addresses.iter().any(|address| address.to_string().contains(part)), "no {part} in {addresses:?}");
    }
    // Each of those that this peer speaks leads to the relay; browsers dial WebRTC-direct.
    for address in addresses.iter().filter(|address| !address.to_string().contains("/webrtc-direct/")) {
        let peer = TestPeer::at(std::slice::from_ref(address)).await;
        assert_eq!(peer.peer.connected(), [relay.peer_id()]);
    }
}

#[tokio::test]
async fn a_relay_that_listens_on_all_interfaces_never_tells_an_unspecified_address() {
    let relay = TestRelay::configured(|config| {
        with_http(config);
        let ends = ["tcp/0", "udp/0/quic-v1", "tcp/0/ws", "udp/0/webrtc-direct"];
        config.listen = ends.iter().map(|end| format!("/ip4/0.0.0.0/{end}").parse().unwrap()).collect();
        config.external =
            vec!["/ip4/0.0.0.0/tcp/1".parse().unwrap(), "/dns4/relay.example/tcp/443/tls/ws".parse().unwrap()];
    })
    .await;
    let addresses = addresses(&get(http(&relay), RELAY_JSON).await);
    assert!(!addresses.iter().any(ggen_net::address::is_unspecified), "{addresses:?}");
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    assert!(texts.contains(&format!("/dns4/relay.example/tcp/443/tls/ws/p2p/{}", relay.peer_id())), "{texts:?}");
    for part in ["/tcp/", "/quic-v1/", "/ws/", "/webrtc-direct/certhash/"] {
        let there = texts.iter().any(|text| text.starts_with("/ip4/127.0.0.1/") && text.contains(part));
        assert!(there, "no {part} on loopback in {texts:?}");
    }
    // What identify tells peers is as good: the routing table of another relay holds dialable addresses only.
    TestPeer::at(&[texts.iter().find(|text| text.starts_with("/ip4/127.0.0.1/tcp/")).unwrap().parse().unwrap()]).await;
}

#[tokio::test]
async fn a_routing_table_never_holds_a_light_peer() {
    let first = TestRelay::configured(with_http).await;
    let bootstrap = first.address("/tcp/", false);
    let second = TestRelay::configured(|config| {
        with_http(config);
        config.bootstrap = vec![bootstrap];
        // It would have the record in a moment, and there would be nothing to ask the DHT for.
        config.sync = false;
    })
    .await;
    until("the relays' meeting", || async { routing(&first).await.contains(&second.peer_id()).then_some(()) }).await;
    until("the relays' meeting", || async { routing(&second).await.contains(&first.peer_id()).then_some(()) }).await;

    // Each of them finds the second relay in the DHT, so each was identified by the first and has asked it.
    let mut peers = Vec::new();
    for _ in 0..4 {
        let mut peer = TestPeer::start_with(&[&first], true).await;
        peer.connected(2).await;
        peers.push(peer);
    }
    let unknown = Publisher::new(2).release("unknown", "1.0.0", "nobody has it", b"");
    for peer in &peers {
        let head = peer.peer.get_head(&unknown.release.package()).await;
        assert!(matches!(head, Err(HeadError::NotFound)), "{head:?}");
    }
    first.relay().wait_for(|status| status.connected == 1 + peers.len()).await;
    assert_eq!(routing(&first).await, [second.peer_id()].into());
    assert_eq!(routing(&second).await, [first.peer_id()].into());
}

#[tokio::test]
async fn a_light_peer_reads_a_head_through_the_dht_when_the_relay_it_knows_lacks_the_record() {
    let keeper = TestRelay::configured(with_http).await;
    let mut publisher = Publisher::new(3);
    let package = publisher.release("far", "1.0.0", "published before the other relay came", b"content");
    let writer = TestPeer::start(&[&keeper]).await;
    package.publish(&writer, keeper.peer_id()).await.unwrap();

    let bootstrap = keeper.address("/tcp/", false);
    let late = TestRelay::configured(|config| {
        with_http(config);
        config.bootstrap = vec![bootstrap];
        // It would have the record in a moment, and there would be nothing to ask the DHT for.
        config.sync = false;
    })
    .await;
    until("the relays' meeting", || async { routing(&late).await.contains(&keeper.peer_id()).then_some(()) }).await;

    let reader = TestPeer::start(&[&late]).await;
    let release = &package.release;
    let name = FullName { handle: None, fingerprint: release.publisher.fingerprint(), name: release.name.clone() };
    let asked = reader.peer.ask(late.peer_id(), query::Package { name, version: None }).await.unwrap();
    assert!(asked.releases.is_empty() && asked.key_log.is_empty(), "the relay that came later has it already");

    let head = until("the head", || async { reader.peer.get_head(&release.package()).await.ok() }).await;
    let (from, key_log, found) = head;
    assert_eq!(from, Some(keeper.peer_id()), "it comes from the relay that the peer did not know");
    assert_eq!((key_log.publisher(), found.id()), (release.publisher, release.id()));
    assert_eq!(reader.peer.connected(), [late.peer_id()], "of the relays it asks it still knows one");
    assert_eq!(routing(&late).await, [keeper.peer_id()].into());
    assert_eq!(routing(&keeper).await, [late.peer_id()].into());
}

/// A page as the build makes it: an index and a file beside it.
fn page(directory: &Path) {
    std::fs::write(directory.join("index.html"), "<!doctype html><title>market</title>").unwrap();
    std::fs::create_dir(directory.join("assets")).unwrap();
    std::fs::write(directory.join("assets/app.js"), "export {};").unwrap();
    std::fs::write(directory.join("assets/app.wasm"), "\0asm").unwrap();
}

#[tokio::test]
async fn the_page_is_served_under_its_own_paths_with_a_strict_policy() {
    let www = tempfile::tempdir().unwrap();
    page(www.path());
    let relay = TestRelay::configured(|config| {
        with_http(config);
        config.www = Some(www.path().into());
    })
    .await;
    for path in
        ["/", "/index.html", "/?q=serde", "/p/ggen~abcdefghijklmnop/serde", "/p/ggen~abcdefghijklmnop/serde/1.0.0"]
    {
        let answer = get(http(&relay), path).await;
        assert_eq!((answer.status, answer.text()), (200, "<!doctype html><title>market</title>"), "{path}");
        assert_eq!(answer.header("content-type"), Some("text/html"), "{path}");
    }
    let script = get(http(&relay), "/assets/app.js").await;
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript")));
    let wasm = get(http(&relay), "/assets/app.wasm").await;
    assert_eq!((wasm.status, wasm.header("content-type")), (200, Some("application/wasm")));
    for path in ["/assets/app.js", "/assets/app.wasm"] {
        let unchanged = [("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT")];
        for (headers, status) in [(&[][..], 200), (&unchanged[..], 304)] {
            let answer = get_with(http(&relay), path, headers).await;
            let kept = answer.header("cache-control");
            assert_eq!((answer.status, kept), (status, Some("public, max-age=29030400, immutable")), "{path}");
        }
        // Caches that several share keep what is compressed apart.
        assert_eq!(get(http(&relay), path).await.header("vary"), Some("accept-encoding"), "{path}");
    }
    // What names them is asked for again, and that one of them is missing is not kept.
    for (path, status) in [("/", 200), ("/p/a/b", 200), ("/assets/app-of-another-version.js", 404)] {
        let answer = get(http(&relay), path).await;
        assert_eq!((answer.status, answer.header("cache-control")), (status, Some("no-cache")), "{path}");
    }
    for path in ["/", "/p/a/b", "/assets/app.js", RELAY_JSON, "/healthz"] {
        let answer = get(http(&relay), path).await;
        let policy = answer.header("content-security-policy").unwrap_or_else(|| panic!("no policy for {path}"));
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "), "{policy}");
        assert!(!policy.contains("'unsafe-inline'") && !policy.contains("'unsafe-eval'"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "{path}");
    }
    // A package's page is the page, and its address is not a way out of the directory.
    for path in ["/../identity", "/..%2fidentity", "/assets/../../identity", "/%2e%2e/identity"] {
        let answer = get(http(&relay), path).await;
        assert!(!answer.text().contains("ggen relay identity"), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn without_a_page_there_is_none() {
    let relay = TestRelay::configured(with_http).await;
    for path in ["/", "/p/ggen~abcdefghijklmnop/serde", "/index.html"] {
        let answer = get(http(&relay), path).await;
        assert_eq!((answer.status, answer.text()), (404, "this relay serves no page\n"), "{path}");
    }
    assert_eq!(get(http(&relay), "/healthz").await.status, 200);
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_and_others_are_served_meanwhile() {
    let relay = TestRelay::configured(with_http).await;
    let mut slow = tokio::net::TcpStream::connect(http(&relay)).await.unwrap();
    slow.write_all(b"GET /healthz HTTP/1.1\r\nx-slow: ").await.unwrap();
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(2 * policy::HTTP_HEAD_TIMEOUT, slow.read_to_end(&mut answer));
    let served = async {
        loop {
            assert_eq!(get(http(&relay), "/healthz").await.status, 200);
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        closed = closed => {
            // With a reset, or without.
            _ = closed.expect("the relay cuts it off");
        }
        () = served => unreachable!("it goes on for ever"),
    }
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "nothing was asked yet");
}
