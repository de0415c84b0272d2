//! The marketplace's client in a page, beside MiniSearch with a prebuilt index and beside a plain JSON endpoint:
//! `side-by-side SCRIPTS DIRECTORY CHROMIUM [JSON FILE]`. One relay holds all packages of Debian and serves the three pages.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ggen_bench::queries::QUERIES;
use ggen_bench::report::{Row, publish, quantile};
use ggen_bench::{debian, network, records};
use ggen_relay::store::{Batch, Store};
use ggen_relay::{Config, Relay};
use ggen_shared::catalogue::build::Builder;
use ggen_shared::checkpoint::EPOCH_SECONDS;
use ggen_shared::record::Record;
use ggen_shared::rules::Schedule;
use ggen_side_by_side::{documents, node, plain};
use serde::Deserialize;

/// Records that become durable together.
const RECORDS_PER_BATCH: usize = 2000;
/// A goal of being ahead.
const AHEAD: f64 = 1.0;
/// A goal of staying within twice as much.
const WITHIN_TWICE: f64 = 2.0;
/// What the client may take to make verified rows of an answer, in milliseconds.
const VERIFYING_MS: f64 = 6.0;

/// What a page took, in milliseconds and bytes.
#[derive(Debug, Deserialize)]
struct Samples {
    keys: Vec<f64>,
    first: Vec<f64>,
    bytes: Vec<f64>,
    /// From an answer's last byte to verified rows; of the client only.
    worked: Vec<f64>,
    rows: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [scripts, directory, chromium, json @ ..] = &arguments[..] else {
        anyhow::bail!("usage: side-by-side SCRIPTS DIRECTORY CHROMIUM [JSON FILE]");
    };
    fs::create_dir_all(directory)?;
    let (_, records) = records(&debian()?);
    let data = tempfile::tempdir()?;
    fill(data.path(), &records).await?;
    let mut builder = Builder::new();
    for record in records {
        builder.insert(record)?;
    }
    let catalogue = builder.finish();

    let at = |name: &str| directory.join(name);
    serde_json::to_writer(File::create(at("documents.json"))?, &documents(&catalogue))?;
    println!("building the pages, and MiniSearch's index");
    node(&scripts.join("site.mjs"), &[&at("documents.json"), &at("site")])?;
    let endpoint = plain::serve(Arc::new(catalogue)).await?;
    println!("starting the relay");
    let relay = Relay::start(config(data.path(), &at("site"))).await?;
    let origin = format!("http://{}", relay.http().context("HTTP is configured")?);

    println!("typing into {origin}");
    serde_json::to_writer(File::create(at("queries.json"))?, &QUERIES[..])?;
    let (script, chromium, queries, out) =
        (scripts.join("drive.mjs"), chromium.clone(), at("queries.json"), at("samples.json"));
    let samples = out.clone();
    let driven = tokio::task::spawn_blocking(move || {
        let endpoint = format!("http://{endpoint}");
        node(&script, &[&chromium, Path::new(&origin), Path::new(&endpoint), &queries, &out])
    });
    driven.await??;
    relay.stop().await;
    let samples: BTreeMap<String, Samples> = serde_json::from_reader(File::open(samples)?)?;
    publish(&rows(samples)?, json.first().map(PathBuf::as_path))
}

/// Puts records into a relay's store, as if it had admitted them.
async fn fill(directory: &Path, records: &[Record]) -> Result<()> {
    let store = Store::open(directory)?;
    for some in records.chunks(RECORDS_PER_BATCH) {
        let mut batch = Batch::default();
        some.iter().for_each(|record| batch.keep(record));
        store.commit(batch).await?;
    }
    Ok(())
}

fn config(data: &Path, www: &Path) -> Config {
    let listen = ["/ip4/127.0.0.1/tcp/0/ws"];
    Config {
        data_dir: data.into(),
        listen: listen.iter().map(|address| address.parse().expect("a constant multiaddr")).collect(),
        bootstrap: Vec::new(),
        http: Some(([127, 0, 0, 1], 0).into()),
        external: Vec::new(),
        www: Some(www.into()),
        network: network(),
        epoch: Duration::from_secs(EPOCH_SECONDS),
        rules: Schedule::default(),
        upnp: false,
        circuits: ggen_relay::config::Circuits::default(),
        sync: false,
    }
}

fn rows(mut samples: BTreeMap<String, Samples>) -> Result<Vec<Row>> {
    let mut ours = samples.remove("ours").context("samples of ours")?;
    let mut rows = Vec::new();
    for (name, goals) in
        [("MiniSearch", [Some(AHEAD); 4]), ("plain JSON", [Some(WITHIN_TWICE), Some(WITHIN_TWICE), None, None])]
    {
        let mut peer = samples.remove(name).with_context(|| format!("samples of {name}"))?;
        ensure!(ours.rows > 0 && peer.rows > 0, "a first answer without a row");
        let measures = [
            (
                "key press to list, p50",
                "ms",
                quantile(&mut ours.keys, 0.5),
                quantile(&mut peer.keys, 0.5),
                ours.keys.len(),
            ),
            (
                "key press to list, p95",
                "ms",
                quantile(&mut ours.keys, 0.95),
                quantile(&mut peer.keys, 0.95),
                ours.keys.len(),
            ),
            (
                "bytes before the first answer, p50",
                "B",
                quantile(&mut ours.bytes, 0.5),
                quantile(&mut peer.bytes, 0.5),
                ours.bytes.len(),
            ),
            (
                "page load to first answer, p50",
                "ms",
                quantile(&mut ours.first, 0.5),
                quantile(&mut peer.first, 0.5),
                ours.first.len(),
            ),
        ];
        for ((measure, unit, value, theirs, runs), goal) in measures.into_iter().zip(goals) {
            let name = if name == "MiniSearch" { "MiniSearch" } else { "plain JSON" };
            rows.push(Row::new(measure, unit, value, goal, runs).beside(name, theirs));
        }
    }
    for (part, name, goal) in [(0.5, "p50", Some(VERIFYING_MS)), (0.95, "p95", None)] {
        let measure = format!("an answer of two words, its last byte to verified rows, {name}");
        rows.push(Row::new(measure, "ms", quantile(&mut ours.worked, part), goal, ours.worked.len()));
    }
    Ok(rows)
}
