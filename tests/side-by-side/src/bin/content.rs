//! Content in Chromium: the client with and without a gateway, beside a bare WebSocket, plain `fetch` and Helia:
//! `content SCRIPTS DIRECTORY CHROMIUM [JSON FILE]`. One relay has it all, and serves the page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use ggen_bench::report::{Row, publish, quantile};
use ggen_relay::{Config, Relay};
use ggen_shared::id::Network;
use ggen_shared::record::ContentId;
use ggen_shared::registry::{Publication, Registry};
use ggen_side_by_side::{bare, node, samples};
use ggen_tests::{Publisher, provider};
use serde_json::{Value, json};

/// What is downloaded: how it is called, how many bytes it has, how often each way has its turn.
const CONTENTS: [(&str, usize, usize); 2] = [("50 MB", 50_000_000, 9), ("1 MB", 1_000_000, 25)];
/// Goals of the larger one: beside a bare WebSocket, plain `fetch`, and Helia.
const OF_BARE: f64 = 0.6;
const OF_FETCH: f64 = 0.7;
const AHEAD: f64 = 1.0;

/// Seconds of each run, by the way it went.
type Samples = BTreeMap<String, Vec<f64>>;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [scripts, directory, chromium, json @ ..] = &arguments[..] else {
        anyhow::bail!("usage: content SCRIPTS DIRECTORY CHROMIUM [JSON FILE]");
    };
    fs::create_dir_all(directory)?;
    let at = |name: &str| directory.join(name);
    println!("building the page, and Helia for it");
    node(&scripts.join("build.mjs"), &[&at("site")])?;

    let data = tempfile::tempdir()?;
    let relay = Relay::start(config(data.path(), &at("site"))).await?;
    let origin = format!("http://{}", relay.http().context("HTTP is configured")?);
    let contents = offer(&relay, &at("site")).await?;
    let largest = CONTENTS.iter().map(|(_, bytes, _)| *bytes).max().unwrap_or_default();
    let bare = bare::serve(provider::bytes(largest).into()).await?;
    let websocket = relay.addresses().into_iter().map(|address| address.to_string());
    let websocket = websocket.into_iter().find(|address| address.contains("/ws")).context("it listens on WebSocket")?;
    let task = json!({ "origin": origin, "relay": websocket, "bare": format!("ws://{bare}"), "contents": contents });
    let samples = samples(scripts, directory, chromium, &task).await?;
    relay.stop().await;
    publish(&rows(samples)?, json.first().map(PathBuf::as_path))
}

fn config(data: &Path, www: &Path) -> Config {
    let listen = ["/ip4/127.0.0.1/tcp/0/ws"];
    Config {
        listen: listen.iter().map(|address| address.parse().expect("a constant multiaddr")).collect(),
        http: Some(([127, 0, 0, 1], 0).into()),
        www: Some(www.into()),
        network: Network::main(),
        sync: false,
        ..ggen_tests::config(data, Vec::new())
    }
}

/// Publishes each content at the relay, and puts it among the files of the page: what of it the browser is told.
async fn offer(relay: &Relay, site: &Path) -> Result<Vec<Value>> {
    let mut publisher = Publisher::of_network(1, Network::main());
    let mut told = Vec::new();
    for (number, (name, length, rounds)) in CONTENTS.into_iter().enumerate() {
        let content = provider::bytes(length);
        let package = publisher.release(&format!("content-{number}"), "1.0.0", "many blocks", &content);
        let blocks = package.artifact.blocks.iter().map(|block| (block.cid, block.data.clone())).collect();
        let publication = Publication::read(&package.offer.records, blocks, &Network::main())?;
        relay.registry().hand_over(&publication).await?;
        let file = format!("content-{number}.bin");
        fs::write(site.join(&file), &content)?;
        told.push(json!({
            "name": name, "cid": package.artifact.root.to_string(), "size": length, "file": file, "rounds": rounds,
            "sha256": HEXLOWER.encode(ContentId::of_raw(&content).cid().hash().digest()),
        }));
    }
    Ok(told)
}

fn rows(mut samples: BTreeMap<String, Samples>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (position, (name, bytes, _)) in CONTENTS.into_iter().enumerate() {
        let mut samples = samples.remove(name).with_context(|| format!("samples of {name}"))?;
        let mut rate = |way: &str| -> Result<(f64, usize)> {
            let seconds = samples.get_mut(way).with_context(|| format!("samples of {way}"))?;
            ensure!(!seconds.is_empty(), "{way} has no samples");
            Ok((bytes as f64 / 1e6 / quantile(seconds, 0.5), seconds.len()))
        };
        let (bare, _) = rate("bare")?;
        let (plain, _) = rate("plain")?;
        let (helia, _) = rate("helia")?;
        // Of a small one the first answer is most of the time: it says nothing of a rate.
        let goal = |of: f64| (position == 0).then_some(of);
        for (way, how, goals) in [
            ("ours", "Bitswap over WebSocket", [goal(OF_BARE), None, goal(AHEAD)]),
            ("unkept", "the same, nothing kept in IndexedDB", [None; 3]),
            ("gateway", "with the relay's gateway", [None, goal(OF_FETCH), goal(AHEAD)]),
        ] {
            let (ours, runs) = rate(way)?;
            for ((peer, value), goal) in
                [("bare WebSocket", bare), ("fetch + SHA-256", plain), ("Helia", helia)].into_iter().zip(goals)
            {
                rows.push(Row::new(format!("{name}, {how}"), "MB/s", ours, goal, runs).beside(peer, value));
            }
        }
    }
    Ok(rows)
}
