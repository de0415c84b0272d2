//! `cargo xtask demo`: a marketplace on this machine, with real packages, from nothing.

mod crates;
mod http;
mod publish;
mod relays;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::{native, page, paths, say, wasm};

/// How often the demo looks whether it should stop and whether its relays still run.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a person may choose.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Stop after so many minutes instead of at Ctrl-C.
    #[arg(long, value_name = "N")]
    minutes: Option<f64>,
    /// The port on 127.0.0.1 that the marketplace is served on.
    #[arg(long, value_name = "P", default_value_t = 8080)]
    port: u16,
}

/// Set when the demo is asked to stop.
#[derive(Clone)]
struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens to Ctrl-C, SIGTERM and the closing of the terminal from now on.
    fn on_signal() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&flag)).context("cannot listen to signals")?;
        }
        Ok(Self(flag))
    }

    fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Builds what is not built, starts the relays, publishes what is not published, and serves until stopped.
pub(crate) fn run(options: &Options) -> Result<()> {
    let lifetime = options.minutes.map(|minutes| Duration::try_from_secs_f64(minutes * 60.0)).transpose();
    let lifetime = lifetime.context("--minutes wants a number that is not negative")?;
    let state = paths::at("target/demo");
    let url = format!("http://127.0.0.1:{}/", options.port);
    let _running = Running::alone(&state, &url)?;
    require_free(options.port)?;
    native::binaries()?;
    wasm::client()?;
    page::build()?;

    let stop = Stop::on_signal()?;
    let fresh = publish::is_first_start(&state);
    let mut network = relays::Network::start(&state, options.port, &stop)?;
    let published = publish::new_crates(&state, fresh, &network.publishing_addresses(), &stop, || network.check())?;
    if stop.is_asked() {
        return network.stop();
    }
    network.wait_until_ready(&stop)?;
    say::line(&format!(
        "{} releases of {} packages by {} demo publishers on 3 relays; state in {}",
        published.releases,
        published.packages,
        crates::HANDLES.len(),
        state.display()
    ));
    println!("\n    {url}\n");
    say::line("ggen-market talks to these relays after");
    println!("\n    export GGEN_RELAY={}\n", network.publishing_addresses().join(","));
    match options.minutes {
        Some(minutes) => say::line(&format!("stops after {minutes} minutes, or at Ctrl-C")),
        None => say::line("Ctrl-C stops it"),
    }

    let start = Instant::now();
    while !stop.is_asked() && lifetime.is_none_or(|lifetime| start.elapsed() < lifetime) {
        network.check()?;
        thread::sleep(LOOK_EVERY);
    }
    network.stop()
}

/// The one demo that runs on its state. Dropping it lets another run; so does its end, however it ends.
struct Running {
    /// Locked, and holds the URL of the page.
    _file: File,
}

impl Running {
    fn alone(state: &Path, url: &str) -> Result<Self> {
        fs::create_dir_all(state).with_context(|| format!("cannot create {}", state.display()))?;
        let path = state.join("running");
        let cannot = || format!("cannot use {}", path.display());
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let mut file = options.with_context(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let other = fs::read_to_string(&path).unwrap_or_default();
                bail!("a demo is already running, at {}: use that one, or stop it first", other.trim());
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(cannot),
        }
        file.set_len(0).and_then(|()| writeln!(file, "{url}")).with_context(cannot)?;
        Ok(Self { _file: file })
    }
}

/// Fails before anything is built if the port is taken.
fn require_free(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!("port {port} cannot be used ({error}): stop what uses it, or choose another with --port"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_demo_is_told_of_the_first() {
        let state = paths::at("target/xtask-state").join(format!("demo-lock-{}", std::process::id()));
        let first = Running::alone(&state, "http://127.0.0.1:1/").unwrap();
        let refused = Running::alone(&state, "http://127.0.0.1:2/").err().unwrap().to_string();
        assert!(refused.starts_with("a demo is already running, at http://127.0.0.1:1/"), "{refused}");
        drop(first);
        assert!(Running::alone(&state, "http://127.0.0.1:2/").is_ok());
        fs::remove_dir_all(&state).unwrap();
    }
}
