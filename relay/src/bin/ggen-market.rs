//! The marketplace for people at a terminal.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use futures::StreamExt;
use ggen_net::P2PConfig;
use ggen_net::light::{Connection, LightPeer, Phase};
use ggen_relay::causes;
use ggen_relay::market::keys::{self, PublisherKey};
use ggen_relay::market::ledger::{self, Ledger};
use ggen_relay::market::publish::{Outcome, Publishing, read_publishers};
use ggen_relay::market::{address, peer};
use ggen_shared::id::{Handle, Network};
use ggen_shared::record::KeyLog;
use libp2p::Multiaddr;

/// How long the relays may take to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// Packages that are published at once: enough to share a relay's disk syncs.
const CONCURRENCY: usize = 8;

/// Publish signed packages to the ggen marketplace.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Publish package directories (package.toml or pack.toml) and .crate files. Records are public and permanent.
    ///
    /// For programs, standard output has a line `published NAME VERSION RECORD_ID CID` for each package, or `already …` where every
    /// relay that took it had it before. Exit code 0: all are published; 1: some are not; 2: nothing could be tried.
    Publish(Publish),
    /// Make or show a publisher's key.
    #[command(subcommand)]
    Key(Key),
}

#[derive(clap::Args)]
struct Publish {
    /// What to publish.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// A relay to publish to, such as `/ip4/127.0.0.1/tcp/4801/p2p/12D3KooW…`: one of the addresses in its
    /// `/.well-known/ggen/relay.json`; repeatable.
    #[arg(long, value_name = "MULTIADDR", value_parser = address::parse)]
    relay: Vec<Multiaddr>,
    /// The publisher's key [default: ~/.config/ggen/market.key].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Lines `NAME PUBLISHER_ID`: whose packages the dependencies mean.
    #[arg(long, value_name = "FILE")]
    publishers: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Key {
    /// Make a new publisher: a key, and the next key that can take its place.
    New {
        /// What the publisher calls itself: lower-case letters, digits and '-'.
        #[arg(long)]
        handle: Handle,
        /// Where to put it [default: ~/.config/ggen/market.key].
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// The network it signs for.
        #[arg(long, default_value = "ggen")]
        network: String,
    },
    /// Show who a key makes you.
    Show {
        /// Where it is [default: ~/.config/ggen/market.key].
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let done = match Arguments::parse().command {
        Command::Publish(publish) => run_publish(publish).await,
        Command::Key(Key::New { handle, key, network }) => {
            new_key(handle, &path_of(key), network).map(|()| ExitCode::SUCCESS)
        }
        Command::Key(Key::Show { key }) => show_key(&path_of(key)).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {}", causes::of(error.as_ref()));
        ExitCode::from(2)
    })
}

fn path_of(key: Option<PathBuf>) -> PathBuf {
    key.unwrap_or_else(keys::default_path)
}

fn new_key(handle: Handle, path: &Path, network: String) -> anyhow::Result<()> {
    let key = PublisherKey::create(path, handle, Network::named(network)?)?;
    print_publisher(&key.key_log);
    eprintln!("key written to {}", path.display());
    eprintln!("next key written to {}", keys::next_path(path).display());
    eprintln!("Move the next key to a place apart from this machine: it is what takes your name back from a thief.");
    Ok(())
}

fn show_key(path: &Path) -> anyhow::Result<()> {
    print_publisher(&PublisherKey::load(path)?.key_log);
    Ok(())
}

fn print_publisher(key_log: &KeyLog) {
    println!("publisher {}", key_log.publisher());
    println!("handle {}", key_log.handle());
    println!("full-name {}~{}", key_log.handle(), key_log.publisher().fingerprint());
}

/// Exit code 0: everything is published; 1: some packages are not; 2: nothing could be tried.
async fn run_publish(arguments: Publish) -> anyhow::Result<ExitCode> {
    if arguments.relay.is_empty() {
        bail!("--relay is missing: {}", address::EXPECTED);
    }
    let path = path_of(arguments.key);
    let key = PublisherKey::load(&path)?;
    let ledger = Ledger::open(&ledger::path_of(&path), &key.key_log, &key.network)?;
    let publishers = arguments.publishers.as_deref().map(read_publishers).transpose()?.unwrap_or_default();
    let publisher = format!("{}~{}", key.key_log.handle(), key.key_log.publisher().fingerprint());
    let peer = connect(key.network.clone(), arguments.relay).await?;
    let publishing = Publishing::new(key, ledger, peer, publishers);
    let mut failed = 0;
    let mut outcomes = futures::stream::iter(&arguments.paths)
        .map(async |path| (path, publishing.publish(path).await))
        .buffer_unordered(CONCURRENCY);
    while let Some((path, outcome)) = outcomes.next().await {
        match outcome {
            Ok(outcome) => print_outcome(path, &publisher, &outcome),
            Err(error) => {
                failed += 1;
                let (path, reason) = (path.display().to_string(), causes::of(&error));
                // Some reasons begin with the path.
                let path = if reason.starts_with(&path) { String::new() } else { format!("{path}: ") };
                eprintln!("not published: {path}{reason}");
            }
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn print_outcome(path: &Path, publisher: &str, outcome: &Outcome) {
    let Outcome { release, new, failed_at, warnings } = outcome;
    let (name, version, id, cid) = (&release.name, &release.version, release.id(), release.artifact.cid);
    let verb = if *new { "published" } else { "already" };
    // For programs; at a terminal it would say the same twice.
    if !std::io::stdout().is_terminal() {
        println!("{verb} {name} {version} {id} {cid}");
    }
    let verb = if *new { "published" } else { "already published:" };
    eprintln!("{verb} {name} {version}\n  full name  {publisher}/{name}\n  record     {id}\n  content    {cid}");
    for warning in warnings {
        eprintln!("warning: {}: {warning}", path.display());
    }
    for (relay, reason) in failed_at {
        eprintln!("warning: relay {relay} did not take {name} {version}: {reason}");
    }
}

/// Connects to the relays: at least one, and the others as far as they answer while the first does.
async fn connect(network: Network, relays: Vec<Multiaddr>) -> anyhow::Result<LightPeer<peer::Tokio>> {
    let wanted = relays.len();
    let config = P2PConfig { network, relays, discover: false, connections: wanted, ..P2PConfig::default() };
    let (peer, mut events) = peer::start(config).context("the network could not be set up")?;
    let settled = async {
        loop {
            let connections = peer.connections();
            // A relay that failed once is not waited for.
            let trying = connections.iter().filter(|c| c.phase == Phase::Connecting).count();
            if connections.len() == wanted && trying == 0 || events.next().await.is_none() {
                return;
            }
        }
    };
    // What is connected by then is used.
    _ = tokio::time::timeout(CONNECT_TIMEOUT, settled).await;
    let connections = peer.connections();
    let failed = connections.iter().filter(|connection| connection.phase != Phase::Connected);
    let problems: Vec<String> = failed.map(problem).collect();
    if peer.connected().is_empty() {
        bail!("no relay could be reached. Is it running, and is this its address?\n  {}", problems.join("\n  "));
    }
    for problem in problems {
        eprintln!("warning: relay {problem}");
    }
    // Nobody reads events from here on; the peer does not mind.
    Ok(peer)
}

/// Which relay is not connected, and why.
fn problem(Connection { peer, address, problem, .. }: &Connection) -> String {
    let address = match ggen_net::address::split_peer(address) {
        Some(_) => address.to_string(),
        None => format!("{address}/p2p/{peer}"),
    };
    let reason = problem.as_deref().unwrap_or("no answer");
    // The reason of a failed dial begins with the address that was dialed.
    let reason = causes::one_line(reason.strip_prefix(address.as_str()).unwrap_or(reason));
    let reason = reason.trim_start_matches([':', ' ']);
    format!("{address}: {}", if reason.is_empty() { "no connection" } else { reason })
}
