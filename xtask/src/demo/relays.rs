//! Three relays in one network, as child processes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{LOOK_EVERY, Stop, http};
use crate::{paths, say, tools};

/// How many relays the demo starts.
const RELAYS: usize = 3;

/// Every transport that a relay offers, each on a port that the system chooses.
const LISTEN: [&str; 4] = [
    "/ip4/127.0.0.1/tcp/0",
    "/ip4/127.0.0.1/tcp/0/ws",
    "/ip4/127.0.0.1/udp/0/quic-v1",
    "/ip4/127.0.0.1/udp/0/webrtc-direct",
];

/// How long a relay may take to answer after its start.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// How long a relay may take to end after SIGTERM.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// The running relays. Dropping it stops them.
pub(super) struct Network {
    relays: Vec<Relay>,
}

struct Relay {
    name: String,
    process: Child,
    log: PathBuf,
    http_port: u16,
    /// Its multiaddrs, each with its peer id.
    addresses: Vec<String>,
}

/// Where a relay keeps its data in the demo's directory.
pub(super) fn data_directory(state: &Path, number: usize) -> PathBuf {
    state.join(format!("relay-{number}"))
}

/// The data directories of all relays.
pub(super) fn data_directories(state: &Path) -> impl Iterator<Item = PathBuf> {
    (1..=RELAYS).map(|number| data_directory(state, number))
}

impl Network {
    /// Starts the relays: each bootstraps from those before it. The last serves the page on `port`, for it knows whom to compare with.
    pub(super) fn start(state: &Path, port: u16, stop: &Stop) -> Result<Self> {
        fs::create_dir_all(state).with_context(|| format!("cannot create {}", state.display()))?;
        let mut network = Self { relays: Vec::new() };
        for number in 1..=RELAYS {
            say::line(&format!("starting relay {number}"));
            let http_port = if number == RELAYS { port } else { free_port()? };
            let bootstrap = network.publishing_addresses();
            network.relays.push(Relay::spawn(state, number, http_port, &bootstrap)?);
            network.relays[number - 1].wait_for_addresses(stop)?;
        }
        Ok(network)
    }

    /// A TCP address of each relay.
    pub(super) fn publishing_addresses(&self) -> Vec<String> {
        self.relays.iter().filter_map(|relay| tcp_address(&relay.addresses)).map(str::to_owned).collect()
    }

    /// Waits until every relay says that it is ready.
    pub(super) fn wait_until_ready(&mut self, stop: &Stop) -> Result<()> {
        for relay in &mut self.relays {
            relay.wait(stop, "/readyz", |_| true)?;
        }
        Ok(())
    }

    /// Fails if a relay has ended.
    pub(super) fn check(&mut self) -> Result<()> {
        self.relays.iter_mut().try_for_each(Relay::check)
    }

    /// Asks all relays to end, and makes those that do not.
    pub(super) fn stop(mut self) -> Result<()> {
        say::line("stopping the relays");
        self.end();
        Ok(())
    }

    fn end(&mut self) {
        for relay in &mut self.relays {
            relay.ask_to_end();
        }
        let deadline = Instant::now() + STOP_DEADLINE;
        for relay in &mut self.relays {
            while matches!(relay.process.try_wait(), Ok(None)) {
                if Instant::now() > deadline {
                    say::line(&format!("{} did not end in time and is killed", relay.name));
                    let _ = relay.process.kill();
                    let _ = relay.process.wait();
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        self.relays.clear();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.end();
    }
}

impl Relay {
    fn spawn(state: &Path, number: usize, http_port: u16, bootstrap: &[String]) -> Result<Self> {
        let log = state.join(format!("relay-{number}.log"));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut arguments: Vec<OsString> =
            vec!["run".into(), "--data-dir".into(), data_directory(state, number).into()];
        let each = |flag: &str, value: &str| [OsString::from(flag), OsString::from(value)];
        arguments.extend(LISTEN.iter().flat_map(|address| each("--listen", address)));
        arguments.extend(bootstrap.iter().flat_map(|address| each("--bootstrap", address)));
        arguments.extend(each("--http", &format!("127.0.0.1:{http_port}")));
        arguments.extend(["--www".into(), paths::page().into()]);

        let process = child(&paths::native_binary("ggen-relay"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start ggen-relay")?;
        Ok(Self { name: format!("relay {number}"), process, log, http_port, addresses: Vec::new() })
    }

    /// Waits for the relay to say where it listens, on TCP too.
    fn wait_for_addresses(&mut self, stop: &Stop) -> Result<()> {
        let mut addresses = Vec::new();
        self.wait(stop, "/.well-known/ggen/relay.json", |answer| {
            addresses = addresses_in(answer);
            tcp_address(&addresses).is_some()
        })?;
        self.addresses = addresses;
        Ok(())
    }

    /// Asks over HTTP again and again, until an answer is good.
    fn wait(&mut self, stop: &Stop, path: &str, mut is_good: impl FnMut(&str) -> bool) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            self.check()?;
            let answer = http::get(self.http_port, path);
            if answer.as_ref().is_ok_and(|answer| is_good(answer)) {
                return Ok(());
            }
            if stop.is_asked() {
                bail!("stopped before {} was ready", self.name);
            }
            if Instant::now() > deadline {
                let seconds = START_DEADLINE.as_secs();
                let answer = answer.unwrap_or_else(|error| format!("{error:#}"));
                bail!(
                    "{} has no good answer for {path} after {seconds} s ({answer}): see {}",
                    self.name,
                    self.log.display()
                );
            }
            thread::sleep(LOOK_EVERY / 2);
        }
    }

    fn check(&mut self) -> Result<()> {
        let Some(status) = self.process.try_wait()? else {
            return Ok(());
        };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        bail!(
            "{} ended with {status} and last said\n{}\nsee {}; if its data are of another version, delete target/demo",
            self.name,
            last_lines(&log, 5),
            self.log.display()
        );
    }

    fn ask_to_end(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            // The standard library has no SIGTERM; every shell has.
            let _ = Command::new("sh").arg("-c").arg(format!("kill -TERM {}", self.process.id())).status();
        }
    }
}

/// A command whose process gets no Ctrl-C of its own, since the demo ends it in order, and ends when the demo is
/// killed, where the system can do that.
pub(super) fn child(binary: &Path) -> Command {
    let mut command = match tools::find_in_path("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command.args(["--pdeathsig", "TERM", "--"]).arg(binary);
            command
        }
        None => Command::new(binary),
    };
    command.process_group(0);
    command
}

fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot find a free port")?;
    Ok(listener.local_addr()?.port())
}

fn addresses_in(relay_json: &str) -> Vec<String> {
    let relay: Value = serde_json::from_str(relay_json).unwrap_or_default();
    let addresses = relay["addresses"].as_array().map(Vec::as_slice).unwrap_or_default();
    addresses.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The first address that is plain TCP.
fn tcp_address(addresses: &[String]) -> Option<&str> {
    let is_plain = |address: &&String| address.contains("/tcp/") && !address.contains("/ws");
    addresses.iter().find(is_plain).map(String::as_str)
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_plain_tcp_of_what_relay_json_lists() {
        let json = r#"{"peer_id":"12D","addresses":["/ip4/127.0.0.1/tcp/1/ws/p2p/12D","/ip4/127.0.0.1/udp/2/quic-v1/p2p/12D","/ip4/127.0.0.1/tcp/3/p2p/12D"]}"#;
        assert_eq!(tcp_address(&addresses_in(json)), Some("/ip4/127.0.0.1/tcp/3/p2p/12D"));
        assert_eq!(tcp_address(&addresses_in("{}")), None);
        assert_eq!(tcp_address(&addresses_in("starting")), None);
    }

    #[test]
    fn shows_the_end_of_a_log() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("a", 2), "a");
    }
}
