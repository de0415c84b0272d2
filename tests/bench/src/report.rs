//! Rows of a benchmark: a table for people, a list for machines.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;

/// Units of which more is better.
const MORE_IS_BETTER: [&str; 3] = ["1/s", "MB/s", "share"];

/// One thing that was measured.
#[derive(Debug, Clone)]
pub struct Row {
    measure: String,
    unit: &'static str,
    ours: f64,
    peer: Option<(&'static str, f64)>,
    goal: Option<f64>,
    runs: usize,
}

impl Row {
    /// What was measured in so many runs, and the goal if there is one.
    pub fn new(measure: impl Into<String>, unit: &'static str, ours: f64, goal: Option<f64>, runs: usize) -> Self {
        Self { measure: measure.into(), unit, ours, peer: None, goal, runs }
    }

    /// The same measure of a peer. A goal is one for the ratio, ours to the peer's, from here on.
    #[must_use]
    pub const fn beside(mut self, name: &'static str, value: f64) -> Self {
        self.peer = Some((name, value));
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.map(|(_, value)| self.ours / value)
    }

    /// Whether the goal is met: at most so much, or at least so much where more is better.
    fn holds(&self) -> Option<bool> {
        let reached = self.ratio().unwrap_or(self.ours);
        self.goal.map(|goal| if MORE_IS_BETTER.contains(&self.unit) { reached >= goal } else { reached <= goal })
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "measure": self.measure, "unit": self.unit, "ours": self.ours,
            "peer": self.peer.map(|(_, value)| value), "peer_name": self.peer.map(|(name, _)| name),
            "ratio": self.ratio(), "goal": self.goal, "holds": self.holds(), "runs": self.runs,
        })
    }
}

/// Prints the rows as a table, and writes them as JSON if there is a file for them.
///
/// # Errors
/// When the file can't be written.
pub fn publish(rows: &[Row], file: Option<&Path>) -> Result<()> {
    for row in rows {
        let goal = row.goal.map(|goal| format!("{goal}")).unwrap_or_default();
        let holds = row.holds().map_or("", |holds| if holds { "holds" } else { "MISSED" });
        let peer = match (row.peer, row.ratio()) {
            (Some((name, value)), Some(ratio)) => format!("{name} {value:.3}, ratio {ratio:.2}"),
            _ => String::new(),
        };
        let runs = format!("{} runs", row.runs);
        println!("{:<52} {:>12.3} {:<8} {goal:>8} {holds:<7} {runs:<10} {peer}", row.measure, row.ours, row.unit);
    }
    let Some(file) = file else { return Ok(()) };
    let rows: Vec<_> = rows.iter().map(Row::json).collect();
    fs::write(file, serde_json::to_string_pretty(&rows)?).with_context(|| format!("cannot write {}", file.display()))
}

/// The result of some work, and how long it took.
pub fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// Hundredths of a second: what the kernel counts a process's time in.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of all cores that this process has used: on a busy machine they say more than those on the clock.
///
/// # Errors
/// Where there is no `/proc`.
pub fn cpu_time() -> Result<f64> {
    cpu_time_of("self")
}

/// As [`cpu_time`], of the process of this number.
///
/// # Errors
/// Where there is no `/proc`, or no such process.
pub fn cpu_time_of(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // Behind the name, which may hold anything: in user mode and in the kernel.
    let (_, fields) = stat.rsplit_once(')').context("a name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS_PER_SECOND)
}

/// How busy the machine is: processes that run or want to, over the last minute.
///
/// # Errors
/// Where there is no `/proc`.
pub fn load() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg")?;
    let cores = std::thread::available_parallelism()?;
    Ok(format!("load {} on {cores} cores", load.split_whitespace().next().context("a number")?))
}

/// The result, and the median of several times in milliseconds.
pub fn median_time<T>(runs: usize, mut work: impl FnMut() -> T) -> (T, f64) {
    let (result, took) = timed(&mut work);
    let mut times = vec![took.as_secs_f64() * 1000.0];
    times.extend((1..runs).map(|_| timed(&mut work).1.as_secs_f64() * 1000.0));
    (result, quantile(&mut times, 0.5))
}

/// The value that such a part of the values lies below. Sorts them; not a number if there are none.
pub fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = values.len().saturating_sub(1) as f64 * part;
    values.get(at.round() as usize).copied().unwrap_or(f64::NAN)
}

/// Memory of this process, in KiB.
///
/// # Errors
/// Where there is no `/proc`.
pub fn rss() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}
