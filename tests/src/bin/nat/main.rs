//! `cargo xtask nat`: who reaches whom through which routers, directly or through a relay, with the programs that people run.
//!
//! `nat REPORT LOGS [TRIES]` writes its figures to the file REPORT, and what the programs say to the directory LOGS.

mod kinds;
mod network;
mod programs;
mod report;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use crate::kinds::{Kind, Over, can_go_direct};
use crate::network::{Network, Place};
use crate::programs::{Relay, Serving, fetch, fetch_in_browser, publish};
use crate::report::Row;

/// Bytes of each package.
const ARTIFACT_BYTES: usize = 5_000_000;
/// Tries of a pair that can go direct, unless the command line says otherwise.
const TRIES: usize = 10;
/// Tries of a pair that can't: they only have to exchange the package.
const TRIES_THROUGH_RELAY: usize = 3;
/// Downloads at once for each core.
const AT_ONCE_PER_CORE: usize = 3;

/// What is at one place of the matrix.
struct Peer {
    over: Over,
    kind: Kind,
    place: Place,
}

impl Peer {
    fn all(network: &mut Network, kinds: &[Kind], does: &str) -> Result<Vec<Self>> {
        let all = Over::ALL.into_iter().flat_map(|over| kinds.iter().map(move |kind| (over, *kind)));
        all.map(|(over, kind)| {
            let name = format!("{}-{}-{does}", over.name(), kind.name());
            Ok(Self { over, kind, place: network.host(kind, over, &name)? })
        })
        .collect()
    }

    fn name(&self) -> String {
        format!("{}-{}", self.over.name(), self.kind.name())
    }

    fn at(&self) -> (Over, Kind, &Place) {
        (self.over, self.kind, &self.place)
    }
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (report, logs, tries) = match &arguments[..] {
        [report, logs] => (report, logs, TRIES),
        [report, logs, tries] => (report, logs, tries.parse()?),
        _ => bail!("nat REPORT LOGS [TRIES]"),
    };
    let [mut terminate, mut interrupt, mut hang_up] =
        [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?, signal(SignalKind::hangup())?];
    // Whatever ends it, what it made is dropped, and with it the namespaces and what runs in them.
    let Measured { rows, browser } = tokio::select! {
        measured = measure(Path::new(logs), tries) => measured?,
        _ = terminate.recv() => bail!("told to end"),
        _ = interrupt.recv() => bail!("interrupted"),
        _ = hang_up.recv() => bail!("the terminal is gone"),
    };
    report::print(&rows, &browser);
    fs::write(report, format!("{:#}\n", report::json(&rows, &browser))).with_context(|| report.clone())?;
    let faults = report::faults(&rows, &browser);
    faults.iter().for_each(|fault| println!("{fault}"));
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What comes of all of it.
struct Measured {
    rows: Vec<Row>,
    /// The seconds that a page took to fetch a package from a peer behind a symmetric router.
    browser: Result<f64>,
}

async fn measure(logs: &Path, tries: usize) -> Result<Measured> {
    if logs.exists() {
        fs::remove_dir_all(logs)?;
    }
    let directory = tempfile::tempdir()?;
    let (mut network, relay_place) = Network::new()?;
    let serving = Peer::all(&mut network, &Kind::SERVING, "serves")?;
    let fetching = Peer::all(&mut network, &Kind::FETCHING, "fetches")?;
    let visitor = network.host(Kind::Restricted, Over::Tcp, "browser")?;
    println!("{} hosts, behind routers of {} kinds", serving.len() + fetching.len() + 1, Kind::SERVING.len());

    let packages = directory.path().join("packages");
    let made = serving.iter().enumerate().map(|(number, peer)| Package::make(&packages, &peer.name(), number as u64));
    let made: Vec<Package> = made.collect::<Result<_>>()?;
    let data = directory.path().join("relay");
    let relay = Relay::start(&relay_place, &data).await?;
    let published = publish(&relay_place, &relay, directory.path(), &packages).await?;
    relay.stop().await?;
    // The relay knows of the packages, and has lost what is in them: only those that serve have it.
    fs::remove_dir_all(data.join("blocks"))?;
    let relay = Relay::start(&relay_place, &data).await?;

    let turns = std::thread::available_parallelism().map_or(1, usize::from) * AT_ONCE_PER_CORE;
    let matrix = Arc::new(Matrix { relay, fetching, turns: Semaphore::new(turns), tries, logs: logs.to_owned() });
    let mut columns = tokio::task::JoinSet::new();
    let (mut hidden, mut running) = (None, Vec::new());
    for (serves, package) in serving.into_iter().zip(made) {
        let known = published.iter().find(|published| published.name == package.name);
        let known = known.with_context(|| format!("{} is not published", package.name))?.clone();
        let home = logs.join(&package.name).join("serves");
        fs::create_dir_all(&home)?;
        let serving = Serving::start(serves.at(), &matrix.relay, &home, &package.directory).await?;
        let peer = serving.peer.clone();
        running.push(serving);
        if serves.kind == Kind::Symmetric {
            hidden = Some((known.clone(), home));
        }
        columns.spawn(matrix.clone().column(serves, package, known.full_name, peer));
    }
    let mut rows = Vec::new();
    while let Some(done) = columns.join_next().await {
        rows.extend(done??);
    }
    rows.sort_by_key(Row::key);
    let (package, home) = hidden.context("nobody is behind a symmetric router")?;
    let browser = fetch_in_browser(&visitor, &package, &home, logs).await;
    for serving in running {
        serving.stop().await?;
    }
    Ok(Measured { rows, browser })
}

/// What all columns of the matrix share.
struct Matrix {
    relay: Relay,
    fetching: Vec<Peer>,
    turns: Semaphore,
    tries: usize,
    logs: PathBuf,
}

impl Matrix {
    /// Everybody fetches what one peer serves.
    async fn column(self: Arc<Self>, serves: Peer, package: Package, name: String, peer: String) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        let mut fetching: Vec<&Peer> = self.fetching.iter().filter(|fetches| fetches.over == serves.over).collect();
        // Each column begins elsewhere: a relay bounds the circuits that it makes for one address in a minute.
        let count = fetching.len();
        fetching.rotate_left(serves.kind as usize % count);
        for fetches in fetching {
            let (direct, _) = can_go_direct(serves.over, serves.kind, fetches.kind);
            let mut row = Row::new(serves.over, serves.kind, fetches.kind);
            for number in 0..if direct { self.tries } else { self.tries.min(TRIES_THROUGH_RELAY) } {
                let _turn = self.turns.acquire().await?;
                let to = self.logs.join(&package.name).join(format!("{}-{number}", fetches.kind.name()));
                row.note(fetch(fetches.at(), &self.relay, (&name, &peer), &to, &package.noise).await);
            }
            println!("{row}");
            rows.push(row);
        }
        Ok(rows)
    }
}

/// A package that no other one shares a block with.
struct Package {
    name: String,
    directory: PathBuf,
    noise: Vec<u8>,
}

impl Package {
    fn make(packages: &Path, name: &str, seed: u64) -> Result<Self> {
        let directory = packages.join(name);
        fs::create_dir_all(&directory)?;
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\ndescription = \"Noise.\"\n");
        fs::write(directory.join("package.toml"), manifest)?;
        let noise = noise(seed);
        fs::write(directory.join("noise"), &noise)?;
        Ok(Self { name: name.to_owned(), directory, noise })
    }
}

/// Bytes that nothing compresses: Marsaglia's xorshift.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    std::iter::repeat_with(&mut next).flatten().take(ARTIFACT_BYTES).collect()
}
