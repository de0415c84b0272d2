//! Relays as programs of their own: what can be killed, and whose memory can be measured.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use ggen_net::P2PConfig;
use ggen_relay::market::peer;
use libp2p::{Multiaddr, PeerId};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::watch;

use crate::{EPOCH, TestPeer, http, network, program, until, within};

/// Lines of a relay's log that are shown when it dies unexpectedly.
const LOG_LINES: usize = 60;

/// The end of a log, and what of it must never be.
#[derive(Default)]
struct Log {
    last: VecDeque<String>,
    panics: Vec<String>,
}

/// The program `ggen-relay` on loopback, every port chosen by the system. It is killed when this is dropped.
pub struct RelayProcess {
    child: Child,
    log: Arc<Mutex<Log>>,
    http: SocketAddr,
    peer_id: PeerId,
    addresses: Vec<Multiaddr>,
}

impl RelayProcess {
    /// Starts a relay on a data directory, and waits until it serves.
    ///
    /// # Panics
    /// With the end of its log, when it does not start.
    pub async fn start(directory: &Path) -> Self {
        Self::joined(directory, &[]).await
    }

    /// Starts a relay that joins the network of others, and waits until it serves.
    ///
    /// # Panics
    /// With the end of its log, when it does not start.
    pub async fn joined(directory: &Path, others: &[Multiaddr]) -> Self {
        let mut command = command(directory);
        command.args(others.iter().flat_map(|other| ["--bootstrap".to_owned(), other.to_string()]));
        Self::spawn(command).await
    }

    /// Starts a relay that has so many files to open until it asks for more, and waits until it serves.
    ///
    /// # Panics
    /// With the end of its log, when it does not start.
    pub async fn with_open_files(directory: &Path, count: u64) -> Self {
        let relay = command(directory);
        let mut shell = Command::new("sh");
        shell.args(["-c", "ulimit -S -n \"$1\" && shift && exec \"$@\"", "sh", &count.to_string()]);
        shell.arg(relay.as_std().get_program()).args(relay.as_std().get_args());
        Self::spawn(piped(shell)).await
    }

    async fn spawn(mut command: Command) -> Self {
        let mut child = command.kill_on_drop(true).spawn().expect("the program starts");
        let stderr = child.stderr.take().expect("the log is piped");
        let log = Arc::<Mutex<Log>>::default();
        let (tell, mut told) = watch::channel(None);
        tokio::spawn(read_log(stderr, Arc::clone(&log), tell));
        let http = within("the relay's start", told.wait_for(Option::is_some)).await.map(|http| *http).ok().flatten();
        let Some(http) = http else { panic!("the relay ended at its start:\n{}", text(&log)) };
        // It commits to what it holds once an epoch, and may have to wait for the next one.
        until("the relay's first checkpoint", async || (http::get(http, "/readyz").await.status == 200).then_some(()))
            .await;
        let relay = http::get(http, "/.well-known/ggen/relay.json").await.json();
        let peer_id = relay["peer_id"].as_str().and_then(|id| id.parse().ok()).expect("a peer id");
        let listed = relay["addresses"].as_array().expect("a list of addresses");
        let addresses = listed.iter().map(|address| address.as_str().and_then(|address| address.parse().ok()));
        let addresses = addresses.collect::<Option<_>>().expect("multiaddrs");
        Self { child, log, http, peer_id, addresses }
    }

    /// Who it is.
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Where it serves HTTP.
    pub const fn http(&self) -> SocketAddr {
        self.http
    }

    /// Its TCP address.
    ///
    /// # Panics
    /// When it has none.
    pub fn tcp(&self) -> Multiaddr {
        let plain = |address: &&Multiaddr| {
            let text = address.to_string();
            text.contains("/tcp/") && !text.contains("/ws")
        };
        self.addresses.iter().find(plain).cloned().expect("the relay listens on TCP")
    }

    /// Its WebSocket address.
    ///
    /// # Panics
    /// When it has none.
    pub fn websocket(&self) -> Multiaddr {
        self.addresses
            .iter()
            .find(|address| address.to_string().contains("/ws"))
            .cloned()
            .expect("it listens on WebSocket")
    }

    /// The number of its process.
    ///
    /// # Panics
    /// When it has ended.
    pub fn process_id(&self) -> u32 {
        self.child.id().expect("the relay runs")
    }

    /// The port of its WebRTC address.
    ///
    /// # Panics
    /// When it has none.
    pub fn webrtc_port(&self) -> u16 {
        let webrtc = self.addresses.iter().find(|address| address.to_string().contains("/webrtc-direct"));
        let port = webrtc.and_then(|address| {
            address.iter().find_map(|part| match part {
                libp2p::multiaddr::Protocol::Udp(port) => Some(port),
                _ => None,
            })
        });
        port.expect("the relay listens on WebRTC-direct")
    }

    /// The hash of its WebRTC certificate, as its address has it.
    ///
    /// # Panics
    /// When it has none.
    pub fn certhash(&self) -> String {
        let hash = |address: &Multiaddr| {
            let text = address.to_string();
            text.split_once("/certhash/").map(|(_, rest)| rest.split('/').next().unwrap_or(rest).to_owned())
        };
        self.addresses.iter().find_map(hash).expect("the relay listens on WebRTC-direct")
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    ///
    /// # Panics
    /// When it ended by itself before.
    pub async fn kill(mut self) {
        assert!(self.ended().is_none(), "the relay ended by itself:\n{}", text(&self.log));
        within("the end after SIGKILL", self.child.kill()).await.expect("a child can be killed");
    }

    /// Asks it to end with a signal (`TERM`, `INT`), and waits until it has.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn end_by(mut self, signal: &str) -> ExitStatus {
        let id = self.child.id().expect("the relay runs").to_string();
        let told = Command::new("kill").args(["-s", signal, &id]).status().await.expect("the program kill");
        assert!(told.success(), "kill -s {signal} {id}: {told}");
        within("the end after the signal", self.child.wait()).await.expect("a child can be waited for")
    }

    /// How it ended, if it has.
    ///
    /// # Panics
    /// When the system does not say.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the state of a child")
    }

    /// Panics of its tasks: a relay goes on after one, and must not have any.
    pub fn panics(&self) -> Vec<String> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).panics.clone()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        text(&self.log)
    }

    /// Bytes of its memory that are in RAM now, as `/proc` says; its stack and libraries included.
    ///
    /// # Panics
    /// When it has ended.
    pub fn resident_bytes(&self) -> u64 {
        let id = self.child.id().expect("the relay runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the relay runs");
        let resident = |line: &str| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok();
        let kilobytes = status.lines().find_map(resident);
        kilobytes.unwrap_or_else(|| panic!("no VmRSS in:\n{status}\n{}", self.log())) * 1024
    }

    /// How many files it may have open now, and at most.
    ///
    /// # Panics
    /// When it has ended.
    pub fn open_files(&self) -> [u64; 2] {
        let id = self.child.id().expect("the relay runs");
        let limits = std::fs::read_to_string(format!("/proc/{id}/limits")).expect("the relay runs");
        let of = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let mut numbers = of.into_iter().flat_map(str::split_whitespace).map_while(|number| match number {
            "unlimited" => Some(u64::MAX),
            number => number.parse().ok(),
        });
        std::array::from_fn(|_| numbers.next().unwrap_or_else(|| panic!("no open files in:\n{limits}")))
    }
}

/// The program on a data directory, its log piped as JSON lines.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(program("ggen-relay"));
    command
        .args(["run", "--log-json", "--http", "127.0.0.1:0", "--network", network().as_str()])
        .args(["--epoch-seconds", &EPOCH.as_secs().to_string(), "--data-dir"])
        .arg(directory);
    for end in ["tcp/0", "udp/0/quic-v1", "tcp/0/ws", "udp/0/webrtc-direct"] {
        command.arg("--listen").arg(format!("/ip4/127.0.0.1/{end}"));
    }
    piped(command)
}

fn piped(mut command: Command) -> Command {
    command.env("RUST_LOG", "info,sctp_proto=off,dimpl=off");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Keeps the end of the log, and tells where HTTP is served once the log says it.
async fn read_log(stderr: ChildStderr, log: Arc<Mutex<Log>>, http: watch::Sender<Option<SocketAddr>>) {
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let message = serde_json::from_str::<Value>(&line).ok();
        let message = message.as_ref().and_then(|entry| entry["fields"]["message"].as_str());
        if let Some(address) = message.and_then(|message| message.strip_prefix("http at http://")) {
            http.send_replace(address.parse().ok());
        }
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if line.contains("panicked at") {
            log.panics.push(line.clone());
        }
        if log.last.len() == LOG_LINES {
            log.last.pop_front();
        }
        log.last.push_back(line);
    }
}

fn text(log: &Mutex<Log>) -> String {
    log.lock().unwrap_or_else(PoisonError::into_inner).last.iter().map(|line| format!("{line}\n")).collect()
}

impl TestPeer {
    /// Starts a light peer that knows these addresses of relays, and waits until it is connected to them.
    ///
    /// # Panics
    /// When it can't start or connect.
    pub async fn at(relays: &[Multiaddr]) -> Self {
        let config = P2PConfig {
            network: network(),
            epoch: EPOCH,
            relays: relays.to_vec(),
            discover: false,
            ..P2PConfig::default()
        };
        let (peer, events) = peer::start(config).expect("the system's DNS configuration can be read");
        let mut started = Self { peer, events };
        started.connected(relays.len()).await;
        started
    }
}
