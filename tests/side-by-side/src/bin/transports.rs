//! Connections and streams of the client in Chromium, beside js-libp2p and beside what the browser itself can do:
//! `transports SCRIPTS MODULE DIRECTORY CHROMIUM [JSON FILE]`. One relay is dialed, and serves the pages; a peer on the same transports moves bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use ggen_bench::report::{Row, publish, quantile};
use ggen_relay::{Config, Relay};
use ggen_shared::id::Network;
use ggen_side_by_side::{bare, node, perf, samples};
use serde_json::json;

/// How often each has its turn.
const ROUNDS: usize = 10;
/// What streams carry: one of them all of it, or several at once a part each.
const BYTES: usize = 50_000_000;
const STREAMS: usize = 8;
/// In each round.
const PINGS: usize = 200;

const LISTEN: [&str; 2] = ["/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/udp/0/webrtc-direct"];
/// As people, addresses and the client's options name them.
const TRANSPORTS: [(&str, &str, &str); 2] =
    [("WebSocket", "/ws/", "websocket"), ("WebRTC-direct", "/webrtc-direct/", "webrtc-direct")];

/// Goals: of the time until a connection, beside js-libp2p; of milliseconds over a bare echo; of rates, beside bare ones and js-libp2p.
const OF_THEIR_TIME: f64 = 0.8;
const OVER_BARE_MS: f64 = 1.0;
const OF_BARE: f64 = 0.6;
const AHEAD: f64 = 1.0;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [scripts, module, directory, chromium, json @ ..] = &arguments[..] else {
        anyhow::bail!("usage: transports SCRIPTS MODULE DIRECTORY CHROMIUM [JSON FILE]");
    };
    fs::create_dir_all(directory)?;
    let at = |name: &str| directory.join(name);
    println!("building the pages");
    node(&scripts.join("build.mjs"), &[&at("site"), module])?;

    let data = tempfile::tempdir()?;
    let config = Config {
        listen: LISTEN.iter().map(|address| address.parse().expect("a constant multiaddr")).collect(),
        http: Some(([127, 0, 0, 1], 0).into()),
        www: Some(at("site")),
        network: Network::main(),
        sync: false,
        ..ggen_tests::config(data.path(), Vec::new())
    };
    let relay = Relay::start(config).await?;
    let origin = format!("http://{}", relay.http().context("HTTP is configured")?);
    let peer = tempfile::tempdir()?;
    let peer = perf::serve(peer.path(), &LISTEN).await?;
    let bare = bare::serve(vec![0; BYTES].into()).await?;
    let named = |addresses: &[libp2p::Multiaddr], part: &str| {
        let mut texts = addresses.iter().map(ToString::to_string);
        texts.find(|address| address.contains(part)).with_context(|| format!("an address with {part}"))
    };
    let transports = TRANSPORTS.iter().map(|(name, part, transport)| {
        let (relay, peer) = (named(&relay.addresses(), part)?, named(&peer, part)?);
        Ok(json!({ "name": name, "transport": transport, "relay": relay, "peer": peer }))
    });
    let task = json!({
        "origin": origin, "socket": format!("ws://{bare}"), "rounds": ROUNDS, "pings": PINGS,
        "volume": { "bytes": BYTES, "streams": STREAMS }, "transports": transports.collect::<Result<Vec<_>>>()?,
    });
    let samples = samples(scripts, directory, chromium, &task).await?;
    relay.stop().await;
    publish(&rows(samples)?, json.first().map(PathBuf::as_path))
}

fn rows(mut samples: BTreeMap<String, BTreeMap<String, Vec<f64>>>) -> Result<Vec<Row>> {
    let mut median = |of: &str, whose: &'static str| -> Result<(f64, usize)> {
        let milliseconds = samples.get_mut(of).and_then(|of| of.get_mut(whose));
        let milliseconds = milliseconds.with_context(|| format!("samples of {of}, {whose}"))?;
        Ok((quantile(milliseconds, 0.5), milliseconds.len()))
    };
    let mut rows = Vec::new();
    for (name, ..) in TRANSPORTS {
        for (what, shown) in [("page", "page to connected"), ("dial", "dial to connected")] {
            let of = format!("{name}, {what}");
            let ((ours, runs), (theirs, _)) = (median(&of, "ours")?, median(&of, "js-libp2p")?);
            let row = Row::new(format!("{name}, {shown}"), "ms", ours, Some(OF_THEIR_TIME), runs);
            rows.push(row.beside("js-libp2p", theirs));
        }
        let of = format!("{name}, pings");
        let ((ours, runs), (bare, _)) = (median(&of, "ours")?, median(&of, "bare")?);
        rows.push(Row::new(of.clone(), "ms", ours, None, runs).beside("bare WebSocket", bare));
        // What is promised is promised of WebSocket.
        let goal = (name == TRANSPORTS[0].0).then_some(OVER_BARE_MS);
        rows.push(Row::new(format!("{of}, over those of a bare WebSocket"), "ms", ours - bare, goal, runs));
        for what in ["down", "up", "down in parallel", "up in parallel"] {
            let of = format!("{name}, {what}");
            let rate = |milliseconds: f64| BYTES as f64 / 1e3 / milliseconds;
            let (ours, runs) = median(&of, "ours")?;
            ensure!(runs == ROUNDS, "{of} has {runs} samples");
            for (whose, goal) in [("bare", OF_BARE), ("js-libp2p", AHEAD)] {
                let row = Row::new(&of, "MB/s", rate(ours), Some(goal), runs);
                match median(&of, whose) {
                    Ok((theirs, _)) => rows.push(row.beside(whose, rate(theirs))),
                    // Its connection did not get so far in any round.
                    Err(_) if whose == "js-libp2p" => println!("{of}: {whose} has no figure"),
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(rows)
}
