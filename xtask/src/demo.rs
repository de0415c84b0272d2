//! `cargo xtask demo`: a marketplace on this machine, with real packages, from nothing.

mod crates;
mod http;
mod publish;
mod relays;

use std::net::{Ipv4Addr, TcpListener};
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
    require_free(options.port)?;
    native::binaries()?;
    wasm::client()?;
    page::build()?;

    let stop = Stop::on_signal()?;
    let state = paths::at("target/demo");
    let fresh = publish::is_first_start(&state);
    let mut network = relays::Network::start(&state, options.port, &stop)?;
    let published = publish::new_crates(&state, fresh, &network.publishing_addresses(), &stop, || network.check())?;
    if stop.is_asked() {
        return network.stop();
    }
    network.wait_until_ready(&stop)?;
    say::line(&format!(
        "{published} packages by {} demo publishers on 3 relays; state in {}",
        crates::HANDLES.len(),
        state.display()
    ));
    println!("\n    http://127.0.0.1:{}/\n", options.port);
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

/// Fails before anything is built if the port is taken.
fn require_free(port: u16) -> Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) => bail!("port {port} cannot be used ({error}): stop what uses it, or choose another with --port"),
    }
}
