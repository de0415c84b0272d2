//! The programs that are measured: a relay, a publisher, peers that serve and peers that fetch.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ggen_shared::content;
use ggen_shared::record::ContentId;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::kinds::{Kind, Over};
use crate::network::{Network, Place, RELAY_LINK};

const NETWORK: &str = "nat-test";
const PASSPHRASE: &str = "correct horse battery staple";
/// How long a program may take to be ready. Several start at once on a small machine.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a download may take: ten times what it takes through the slowest path.
const FETCH_TIMEOUT: Duration = Duration::from_secs(60);

/// A program beside this one.
fn program(name: &str) -> PathBuf {
    let this = std::env::current_exe().expect("the path of the running program");
    this.with_file_name(name)
}

/// A relay that runs.
pub(crate) struct Relay {
    child: Child,
    peer: String,
}

impl Relay {
    /// Starts the relay on its data directory, and waits until it serves.
    pub(crate) async fn start(place: &Place, directory: &Path) -> Result<Self> {
        debug_assert_eq!(RELAY_LINK, 1);
        let ip = Network::relay_address();
        let mut command = place.command(program("ggen-relay"));
        command.args(["run", "--log-json", "--network", NETWORK, "--http", "0.0.0.0:8080", "--data-dir"]);
        command.arg(directory);
        for end in ["tcp/4801", "udp/4801/quic-v1", "tcp/4802/ws"] {
            command.arg("--listen").arg(format!("/ip4/{ip}/{end}"));
        }
        if let Some(page) = std::env::var_os("GGEN_WWW") {
            command.arg("--www").arg(page);
        }
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().context("the relay")?;
        let mut lines = BufReader::new(child.stderr.take().context("its log")?).lines();
        let ready = async {
            let mut peer = None;
            while let Some(line) = lines.next_line().await? {
                let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
                let fields = &entry["fields"];
                if let Some((_, id)) = fields["address"].as_str().and_then(|it| it.rsplit_once("/p2p/")) {
                    peer = Some(id.to_owned());
                }
                if fields["message"].as_str().is_some_and(|it| it.starts_with("http at ")) {
                    return Ok(peer);
                }
            }
            bail!("the relay ended at its start")
        };
        let peer = timeout(READY_TIMEOUT, ready).await.context("the relay does not start")??;
        // A pipe that nobody reads would stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, peer: peer.context("the relay tells no address")? })
    }

    /// Its address for a peer that talks over this and is behind that.
    fn address(&self, over: Over, kind: Kind) -> String {
        let (ip, peer) = (Network::relay_address(), &self.peer);
        match (over, kind) {
            (Over::Quic, kind) if kind != Kind::NoUdp => format!("/ip4/{ip}/udp/4801/quic-v1/p2p/{peer}"),
            _ => format!("/ip4/{ip}/tcp/4801/p2p/{peer}"),
        }
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        end(&mut self.child).await
    }
}

/// A package that was published.
#[derive(Debug, Clone)]
pub(crate) struct Published {
    pub(crate) name: String,
    pub(crate) full_name: String,
    pub(crate) content: ContentId,
}

/// Publishes the packages in a directory.
pub(crate) async fn publish(place: &Place, relay: &Relay, directory: &Path, packages: &Path) -> Result<Vec<Published>> {
    let key = directory.join("key");
    let market = || {
        let mut command = place.command(program("ggen-market"));
        command.env("GGEN_PASSPHRASE", PASSPHRASE).env("GGEN_HOME", directory);
        command
    };
    let mut new = market();
    new.args(["key", "new", "--handle", "nat", "--network", NETWORK, "--key"]).arg(&key);
    let drawer = directory.join("drawer");
    std::fs::create_dir(&drawer)?;
    output(new.arg("--next-key").arg(drawer.join("next"))).await?;
    let mut publish = market();
    publish.args(["publish", "--relay", &relay.address(Over::Tcp, Kind::Public), "--json", "--key"]).arg(&key);
    let report: Value = serde_json::from_str(&output(publish.arg("--all").arg(packages)).await?)?;
    let published = report["packages"].as_array().context("a list of packages")?;
    let published = published.iter().map(|row| {
        let field = |name: &str| row[name].as_str().with_context(|| format!("no {name} in {row}")).map(str::to_owned);
        Ok(Published { name: field("name")?, full_name: field("full_name")?, content: field("content")?.parse()? })
    });
    published.collect()
}

/// A peer that serves a package.
pub(crate) struct Serving {
    child: Child,
    /// Who it is.
    pub(crate) peer: String,
}

impl Serving {
    /// Starts it, and waits until the DHT knows of it; where its router lets others in when it is asked, as somebody that can be dialed.
    pub(crate) async fn start(
        (over, kind, place): (Over, Kind, &Place),
        relay: &Relay,
        home: &Path,
        package: &Path,
    ) -> Result<Self> {
        let mut command = place.command(program("ggen-market"));
        let listen = match over {
            Over::Tcp => "/ip4/0.0.0.0/tcp/0",
            Over::Quic => "/ip4/0.0.0.0/udp/0/quic-v1",
        };
        command.arg("serve").arg(package).args(["--json", "--network", NETWORK, "--listen", listen]);
        command.args(["--relay", &relay.address(over, kind)]).env("GGEN_HOME", home);
        let mut child = log_to(&mut command, &home.join("log"))?.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await? {
                let status: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
                let addresses = status["addresses"].as_array().map_or(&[][..], Vec::as_slice);
                let leads = |address: &Value| {
                    let is_circuit = address.as_str().is_some_and(|address| address.contains("/p2p-circuit/"));
                    kind != Kind::Upnp || !is_circuit
                };
                if status["announced"] == status["contents"] && addresses.iter().any(leads) {
                    return status["peer"].as_str().map(str::to_owned).context("who it is");
                }
            }
            bail!("it ended at its start")
        };
        let peer = timeout(READY_TIMEOUT, ready).await.context("a peer does not begin to serve")??;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, peer })
    }

    pub(crate) async fn stop(mut self) -> Result<()> {
        end(&mut self.child).await
    }
}

/// How a download went that came whole.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    /// Whether its provider was connected directly at its end, and blocks came when it was.
    pub(crate) is_direct: bool,
    /// Since the content was asked for.
    pub(crate) first_block_seconds: f64,
    pub(crate) seconds: f64,
}

/// Fetches a package into a directory that does not exist yet, and compares what came with what was published.
pub(crate) async fn fetch(
    (over, kind, place): (Over, Kind, &Place),
    relay: &Relay,
    (package, from_peer): (&str, &str),
    to: &Path,
    noise: &[u8],
) -> Result<Fetched> {
    let mut command = place.command(program("ggen-market"));
    command.args(["fetch", package, "--json", "--network", NETWORK, "--relay", &relay.address(over, kind)]);
    command.arg("--to").arg(to).env("GGEN_HOME", to.with_extension("home"));
    log_to(&mut command, &to.with_extension("log"))?;
    let shown: Value = serde_json::from_str(&output(&mut command).await?)?;
    ensure!(tokio::fs::read(to.join("noise")).await? == noise, "other bytes came than were published");
    tokio::fs::remove_dir_all(to).await?;
    let fetched = &shown["fetched"];
    let from = fetched["from"].as_array().context("who it came from")?;
    ensure!(from.len() == 1 && from[0]["peer"] == from_peer, "only {from_peer} has it: {fetched}");
    Ok(Fetched {
        is_direct: from[0]["way"] == "direct" && from[0]["blocks"]["direct"].as_u64() > Some(0),
        first_block_seconds: fetched["first_block_seconds"].as_f64().context("first_block_seconds")?,
        seconds: fetched["seconds"].as_f64().context("seconds")?,
    })
}

/// Lets a page that the relay serves fetch content which a serving peer has taken up below `home`: the seconds that it takes.
pub(crate) async fn fetch_in_browser(place: &Place, package: &Published, home: &Path, logs: &Path) -> Result<f64> {
    let (content, fetched) = (package.content.to_string(), logs.join("fetched"));
    let size = std::fs::metadata(home.join("cache/content").join(&content))?.len();
    let mut node = place.command("node");
    node.args(["tests/browser/nat.mjs", &format!("http://{}:8080/", Network::relay_address()), &content]);
    let said: Value = serde_json::from_str(&output(node.arg(size.to_string()).arg(&fetched)).await?)?;
    let bytes = std::fs::read(fetched)?;
    ensure!(content::build(&bytes).root == package.content, "the page gave other bytes than were published");
    said["seconds"].as_f64().context("seconds")
}

/// Keeps what a program says of itself, for whoever looks for a failure.
fn log_to<'a>(command: &'a mut Command, path: &PathBuf) -> Result<&'a mut Command> {
    let log = File::options().create(true).append(true).open(path)?;
    Ok(command.stderr(log).env("RUST_LOG", "info,libp2p_dcutr=debug,ggen_relay=debug,ggen_net=debug"))
}

/// Runs a program to its end, and gives what it prints.
async fn output(command: &mut Command) -> Result<String> {
    let output = command.stdout(Stdio::piped()).output();
    let output = timeout(FETCH_TIMEOUT, output).await.context("a program does not end")??;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("a program ended with {}: {}", output.status, said.trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}

async fn end(child: &mut Child) -> Result<()> {
    let id = child.id().context("it has ended by itself")?.to_string();
    let told = Command::new("kill").args(["-s", "TERM", &id]).status().await?;
    ensure!(told.success(), "kill -s TERM {id}: {told}");
    timeout(READY_TIMEOUT, child.wait()).await.context("a program does not end after SIGTERM")??;
    Ok(())
}
