//! `ggen-market serve`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use ggen_relay::causes;
use ggen_relay::identity::Identity;
use ggen_relay::market::install::archives::Archives;
use ggen_relay::market::install::home;
use ggen_relay::package;
use ggen_relay::provider::{Config, Files, Provider, Status};
use ggen_shared::content;
use ggen_shared::id::Network;
use ggen_shared::record::Content;
use libp2p::Multiaddr;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::relays::Relays;

/// Where a serving peer's key is, below what a user decided.
const IDENTITY: &str = "serve";

/// Where a serving peer listens that nobody chose for.
const DEFAULT_LISTEN: [&str; 4] =
    ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1"];

#[derive(clap::Args)]
pub(crate) struct Serve {
    /// Package directories and .crate files. Nothing: all archives that were fetched or installed on this machine.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    relays: Relays,
    /// The network of the relays.
    #[arg(long, default_value = "ggen")]
    network: String,
    #[command(flatten)]
    way: WayHere,
    /// Write JSON, one object in a line.
    #[arg(long)]
    json: bool,
}

// How others get here, for `publish --stay` too. No doc comment, as for [`Relays`].
#[derive(clap::Args)]
pub(crate) struct WayHere {
    /// Where to listen for those that can reach this machine by itself; repeatable [default: TCP and QUIC on all interfaces].
    #[arg(long = "listen", value_name = "MULTIADDR")]
    listen: Vec<Multiaddr>,
    /// Listen nowhere: only relays lead here, and nobody but them learns where this machine is.
    #[arg(long, conflicts_with = "listen")]
    relays_only: bool,
    /// Don't ask the router to let others in (UPnP).
    #[arg(long)]
    no_upnp: bool,
}

impl WayHere {
    /// Whether anything is chosen.
    pub(crate) const fn is_given(&self) -> bool {
        !self.listen.is_empty() || self.relays_only || self.no_upnp
    }

    fn listen(&self) -> Vec<Multiaddr> {
        match &self.listen[..] {
            [] if self.relays_only => Vec::new(),
            [] => DEFAULT_LISTEN.map(|address| address.parse().expect("a constant multiaddr")).into(),
            chosen => chosen.to_vec(),
        }
    }
}

/// Exit code 0: it was stopped; 2: there is nothing that could be served, or nowhere.
pub(crate) async fn run(serve: Serve) -> Result<ExitCode> {
    let Serve { paths, relays, network, way, json: is_json } = serve;
    relays.check()?;
    let network = Network::named(network)?;
    let files = tokio::task::spawn_blocking(move || take_up(&paths, is_json)).await.context("reading ended")??;
    if files.contents().is_empty() {
        bail!("there is nothing to serve: name packages, or install some first");
    }
    serve_files(files, relays.into_addresses(), network, way, is_json).await
}

/// Serves until it is told to stop, and says where it is reached.
pub(crate) async fn serve_files(
    files: Files,
    relays: Vec<Multiaddr>,
    network: Network,
    way: WayHere,
    is_json: bool,
) -> Result<ExitCode> {
    let keypair = Identity::load_or_create(&home::data().join(IDENTITY))?.keypair;
    let count = files.contents().len();
    let listen = way.listen();
    let provider = Provider::start(Config { keypair, network, relays, listen, upnp: !way.no_upnp }, files).await?;
    let mut status = provider.status().clone();
    let mut said = Status::default();
    let mut told_to_end = signal(SignalKind::terminate())?;
    let stop = tokio::signal::ctrl_c();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            _ = &mut stop => break,
            _ = told_to_end.recv() => break,
            changed = status.changed() => if changed.is_err() {
                bail!("the network ended");
            },
        }
        let now = status.borrow_and_update().clone();
        say(&provider, &said, &now, count, is_json);
        said = now;
    }
    eprintln!("stopped; {} blocks were sent", said.sent);
    Ok(ExitCode::SUCCESS)
}

/// Says what is new.
fn say(provider: &Provider, before: &Status, now: &Status, count: usize, is_json: bool) {
    if is_json {
        println!(
            "{}",
            json!({
                "peer": provider.peer_id().to_string(),
                "relays": now.connected.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "addresses": now.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "announced": now.announced,
                "contents": count,
                "sent": now.sent,
            })
        );
        return;
    }
    for address in now.addresses.iter().filter(|address| !before.addresses.contains(address)) {
        println!("reachable {address}");
    }
    if before.addresses.len() > now.addresses.len() && now.addresses.is_empty() {
        eprintln!("warning: nobody can reach this peer now; relays are tried again");
    }
    if now.announced == count && before.announced != count {
        eprintln!("serving {count} contents; the DHT knows of them. Stop with Ctrl-C");
    }
}

/// Takes up what is named, or all that is here. What can't be read is said, and left out.
pub(crate) fn take_up(paths: &[PathBuf], is_json: bool) -> Result<Files> {
    let (archives, mut files) = (Archives::of_user(), Files::default());
    if paths.is_empty() {
        for path in archives.paths().context("what was fetched can't be listed")? {
            if let Err(error) = files.add(path.clone()) {
                eprintln!("warning: {} is left out: {error}", path.display());
            }
        }
        return Ok(files);
    }
    for path in paths {
        let package = match package::read(path) {
            Ok(package) => package,
            Err(error) => bail!("{}", causes::of(&error)),
        };
        let keep = |bytes: &[u8]| -> Result<Content> {
            let content = content::build(bytes).content();
            archives.put(&content, bytes).context("what is to be served can't be kept")?;
            Ok(files.add(archives.path(&content))?)
        };
        let kept: Vec<Content> = [Some(&package.artifact), package.readme.as_ref()]
            .into_iter()
            .flatten()
            .map(|it| &it[..])
            .map(keep)
            .collect::<Result<_>>()?;
        let (name, version) = (&package.manifest.name, &package.manifest.version);
        if let (false, Some(artifact)) = (is_json, kept.first()) {
            println!("serving {name} {version} {} {}", artifact.cid, artifact.size);
        }
    }
    Ok(files)
}
