//! What is measured beside the clock: how busy the machine is, and what gossip drops.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use anyhow::{Context, Result};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::report::cpu_time;

/// Where the machine, and this process, stood at some time.
pub(super) struct Machine {
    at: Instant,
    cpu: f64,
    /// Ticks of all cores: busy ones, and all.
    ticks: [f64; 2],
}

impl Machine {
    pub(super) fn now() -> Result<Self> {
        Ok(Self { at: Instant::now(), cpu: cpu_time()?, ticks: ticks()? })
    }

    /// What part of all cores this process has taken since.
    pub(super) fn own_share(&self) -> Result<f64> {
        let cores = std::thread::available_parallelism()?.get() as f64;
        Ok((cpu_time()? - self.cpu) / self.at.elapsed().as_secs_f64() / cores)
    }

    /// What part of all cores everybody has taken since.
    pub(super) fn busy(&self) -> Result<f64> {
        let now = ticks()?;
        Ok((now[0] - self.ticks[0]) / (now[1] - self.ticks[1]).max(1.0))
    }
}

fn ticks() -> Result<[f64; 2]> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("a line for all cores")?;
    let ticks: Vec<f64> = line.split_whitespace().skip(1).take(8).map(str::parse).collect::<Result<_, _>>()?;
    let all: f64 = ticks.iter().sum();
    // The fourth are idle, the fifth wait for the disk.
    let idle: f64 = ticks.iter().skip(3).take(2).sum();
    Ok([all - idle, all])
}

/// Counts the messages that gossip drops because they came before: it says so in its log, and nowhere else.
#[derive(Clone, Default)]
pub struct Duplicates(Arc<AtomicU64>);

impl Duplicates {
    /// Counts from now on, in the whole process.
    ///
    /// # Panics
    /// When something else listens to the log already.
    pub fn listen() -> Self {
        let duplicates = Self::default();
        tracing::subscriber::set_global_default(duplicates.clone()).expect("nobody else listens to the log");
        duplicates
    }

    pub(super) fn reset(&self) {
        self.0.store(0, Relaxed);
    }

    pub(super) fn count(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl Subscriber for Duplicates {
    /// Once for each place in the code, so that those which nobody listens to cost nothing: some are passed with every packet.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::DEBUG
            && metadata.is_event()
            && metadata.target() == "libp2p_gossipsub::behaviour"
            && metadata.fields().field("message_id").is_some()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Dropped(&self.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Dropped<'a>(&'a AtomicU64);

impl Visit for Dropped<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" && format!("{value:?}").starts_with("Message already received") {
            self.0.fetch_add(1, Relaxed);
        }
    }
}
