//! The relay as a program.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use ggen_relay::config::FileConfig;
use ggen_relay::{Relay, causes, config, exclusions, open_files, policy};
use ggen_shared::id::RecordId;
use libp2p::Multiaddr;
use tokio::signal::unix::{SignalKind, signal};

/// A relay of the ggen marketplace: carries signed packages, and is trusted by nobody.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay until SIGTERM or Ctrl-C.
    Run(Run),
    /// Keep a release, or all of a publisher, off all lists of this relay, and stop serving its content by its CID. The
    /// list is public, at /api/v1/exclusions, and its hash is part of what the relay signs.
    Exclude {
        /// The record id of the release, or the publisher's id, as `ggen-market info --json` and the page show them.
        id: RecordId,
        /// Why, in a sentence for everybody to read.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        #[command(flatten)]
        place: Place,
    },
    /// Take something off the list of what is excluded.
    Include {
        /// The id that was excluded.
        id: RecordId,
        #[command(flatten)]
        place: Place,
    },
    /// Show what is excluded: a line for each, its id and the reason.
    Exclusions {
        #[command(flatten)]
        place: Place,
    },
}

/// Where the relay's data is.
#[derive(clap::Args)]
struct Place {
    /// The TOML file that the relay is run with.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The relay's data directory [default: ggen-relay-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Run {
    /// A TOML file with any of the fields below but `log-json`, and `sync = false` for `--no-sync`; the command line
    /// overrides it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where identity, records and content are kept [default: ggen-relay-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// An address to listen on; repeatable [default: TCP, QUIC, WebSocket and WebRTC-direct on ports 4801 to 4803, as far
    /// as they work].
    #[arg(long, value_name = "MULTIADDR")]
    listen: Vec<Multiaddr>,
    /// A relay to join the network through, ending in `/p2p/<peer id>`; repeatable.
    #[arg(long, value_name = "MULTIADDR")]
    bootstrap: Vec<Multiaddr>,
    /// Where to serve HTTP [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR:PORT")]
    http: Option<SocketAddr>,
    /// An address at which others reach this relay; repeatable.
    #[arg(long, value_name = "MULTIADDR")]
    external: Vec<Multiaddr>,
    /// The built marketplace page to serve: www/dist after `cargo xtask build`.
    #[arg(long, value_name = "DIR")]
    www: Option<PathBuf>,
    /// The network whose records count [default: ggen].
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Seconds of an epoch, in which a relay commits to what it holds once; the same throughout a network [default: 60].
    #[arg(long, value_name = "SECONDS")]
    epoch_seconds: Option<NonZeroU64>,
    /// Ask the router to let others in (UPnP): for a relay at home.
    #[arg(long)]
    upnp: bool,
    /// Circuits to carry at once between peers of which the one can't dial the other; 0: none [default: 1024].
    #[arg(long, value_name = "COUNT")]
    circuits: Option<usize>,
    /// How long each circuit may last [default: 600].
    #[arg(long, value_name = "SECONDS")]
    circuit_seconds: Option<NonZeroU32>,
    /// Bytes that may pass through each circuit; 0: as many as come in its time [default: 134217728].
    #[arg(long, value_name = "BYTES")]
    circuit_bytes: Option<u64>,
    /// Hold only what is published here or announced while it runs: don't get from other relays what it lacks.
    #[arg(long)]
    no_sync: bool,
    /// Log as JSON lines.
    #[arg(long)]
    log_json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => {
            start_log(arguments.log_json);
            run(arguments).await
        }
        Command::Exclude { id, reason, place } => exclude(id, &reason, place),
        Command::Include { id, place } => include(id, place),
        Command::Exclusions { place } => show_exclusions(place),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes::of(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Run) -> anyhow::Result<()> {
    let config = configuration(arguments)?;
    // Installed first, so that a signal during the start is not lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let files = open_files::raise();
    if files < policy::MAX_OPEN_FILES {
        let wanted = policy::MAX_OPEN_FILES;
        tracing::warn!(
            "the system lets {files} files be open, and connections past that fail: allow {wanted} (`ulimit -Hn`, `LimitNOFILE=`)"
        );
    }
    let relay = Relay::start(config).await.context("the relay did not start")?;
    for address in relay.addresses() {
        tracing::info!(%address, "reachable");
    }
    if let Some(http) = relay.http() {
        tracing::info!("http at http://{http}");
    }
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("Ctrl-C: stopping"),
    }
    relay.stop().await;
    Ok(())
}

/// When a relay that runs heeds a change.
const HEEDED: &str = "a running relay heeds it from its next checkpoint on, one of which it makes each epoch";

fn exclude(id: RecordId, reason: &str, place: Place) -> anyhow::Result<()> {
    match exclusions::add(&data_dir(place)?, id, reason)? {
        true => println!("excluded {id}: {HEEDED}"),
        false => println!("{id} is excluded already"),
    }
    Ok(())
}

fn include(id: RecordId, place: Place) -> anyhow::Result<()> {
    match exclusions::remove(&data_dir(place)?, &id)? {
        true => println!("{id} is excluded no more: {HEEDED}"),
        false => println!("{id} is not excluded"),
    }
    Ok(())
}

fn show_exclusions(place: Place) -> anyhow::Result<()> {
    print!("{}", exclusions::of_relay(&data_dir(place)?)?);
    Ok(())
}

fn data_dir(place: Place) -> Result<PathBuf, config::Error> {
    let file = place.config.as_deref().map(FileConfig::read).transpose()?.unwrap_or_default();
    Ok(file.overridden_by(FileConfig { data_dir: place.data_dir, ..FileConfig::default() }).data_dir())
}

fn configuration(arguments: Run) -> Result<ggen_relay::Config, config::Error> {
    let some = |list: Vec<Multiaddr>| (!list.is_empty()).then_some(list);
    let file = arguments.config.as_deref().map(FileConfig::read).transpose()?.unwrap_or_default();
    let over = FileConfig {
        data_dir: arguments.data_dir,
        listen: some(arguments.listen),
        bootstrap: some(arguments.bootstrap),
        http: arguments.http,
        external: some(arguments.external),
        www: arguments.www,
        network: arguments.network,
        epoch_seconds: arguments.epoch_seconds,
        upnp: arguments.upnp.then_some(true),
        circuits: arguments.circuits,
        circuit_seconds: arguments.circuit_seconds,
        circuit_bytes: arguments.circuit_bytes,
        sync: arguments.no_sync.then_some(false),
    };
    file.overridden_by(over).resolve()
}

fn start_log(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        // Kademlia warns of every start without a relay to join, which is how a network begins; AutoNAT, SCTP and DTLS of whatever a
        // stranger sends.
        "info,libp2p_kad=error,libp2p_gossipsub=error,libp2p_autonat=error,sctp_proto=off,dimpl=off".into()
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if json { builder.json().init() } else { builder.init() }
}
