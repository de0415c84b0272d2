//! What the catalogue does with all packages of Debian: `catalogue [JSON FILE]`. Prints a table; every row is a median, or what its name says.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ed25519_dalek::SigningKey;
use ggen_bench::{another_version, debian, network, records, verified_catalogue};
use ggen_shared::catalogue::answer;
use ggen_shared::catalogue::build::Builder;
use ggen_shared::catalogue::snapshots::{Snapshot, Snapshots};
use ggen_shared::checkpoint::{Checkpoint, RULES};
use ggen_shared::codec;
use ggen_shared::id::PublicKey;
use ggen_shared::protocol::query::{RangeOf, Search, SearchAnswer};
use ggen_shared::record::Record;
use ggen_shared::search::verified::{Asked, verify_search};
use serde_json::json;

/// Queries of two words, as people ask a package index.
const QUERIES: [&str; 56] = [
    "web server",
    "image editor",
    "pdf viewer",
    "text editor",
    "json parser",
    "python library",
    "http client",
    "mail server",
    "video player",
    "music player",
    "file manager",
    "window manager",
    "terminal emulator",
    "password manager",
    "network monitor",
    "disk usage",
    "system monitor",
    "version control",
    "source code",
    "regular expressions",
    "command line",
    "shared library",
    "development files",
    "spell checker",
    "game engine",
    "chess game",
    "puzzle game",
    "strategy game",
    "perl module",
    "ruby library",
    "java library",
    "haskell library",
    "fonts chinese",
    "japanese input",
    "latex editor",
    "markdown converter",
    "xml parser",
    "yaml library",
    "database server",
    "sql client",
    "backup tool",
    "encryption library",
    "ssh client",
    "ftp server",
    "dns server",
    "proxy server",
    "web browser",
    "irc client",
    "rss reader",
    "photo management",
    "audio editor",
    "3d graphics",
    "machine learning",
    "linear algebra",
    "graph library",
    "desktop environment",
];

struct Row {
    measure: &'static str,
    unit: &'static str,
    ours: f64,
    goal: Option<f64>,
    runs: usize,
}

fn main() -> Result<()> {
    let mut rows = Vec::new();
    let packages = debian()?;
    let (mut publishers, all) = records(&packages);
    let bytes: Vec<Vec<u8>> = all.iter().map(|record| record.bytes().to_vec()).collect();
    let record_bytes: usize = bytes.iter().map(Vec::len).sum();
    println!("{} packages, {} records, {} kB of records", packages.len(), all.len(), record_bytes / 1000);

    let before = rss()?;
    let (mut catalogue, derived) = timed(|| {
        let mut builder = Builder::new();
        for record in all.iter().cloned() {
            builder.insert(record)?;
        }
        let catalogue = builder.finish();
        catalogue.root();
        anyhow::Ok(catalogue)
    });
    let catalogue_ref = catalogue.as_mut().map_err(|error| anyhow::anyhow!("{error}"))?;
    let memory = rss()? - before;
    println!("{} entries", catalogue_ref.map().len());
    rows.push(row("derive the whole map", "s", derived.as_secs_f64(), Some(4.0), 1));
    rows.push(row("memory of records and map", "MiB", memory / 1024.0, Some(700.0), 1));
    let mut catalogue = catalogue?;

    let (loaded, took) = timed(|| verified_catalogue(bytes.iter().map(Vec::as_slice)).map(|loaded| loaded.root()));
    anyhow::ensure!(loaded? == catalogue.root(), "what is loaded is what was there");
    rows.push(row("restart: verify and derive again", "s", took.as_secs_f64(), Some(8.0), 1));

    // Another version of every hundredth package, and of the one that most depend on.
    let mut inserts = Vec::new();
    for at in (0..all.len()).step_by(100) {
        let Record::Release(release) = &all[at] else { continue };
        let publisher = publishers.iter_mut().find(|one| one.id() == release.publisher).context("its publisher")?;
        let newer = another_version(publisher, release, "2.0.0")?;
        let (inserted, took) = timed(|| catalogue.insert(Record::Release(Box::new(newer))));
        inserted?;
        inserts.push(took.as_secs_f64() * 1000.0);
    }
    let runs = inserts.len();
    rows.push(row("insert a release, p50", "ms", quantile(&mut inserts, 0.5), Some(1.0), runs));
    rows.push(row("insert a release, p99", "ms", quantile(&mut inserts, 0.99), Some(5.0), runs));
    let (_, took) = timed(|| catalogue.root());
    rows.push(row("hash what so many inserts changed", "ms", took.as_secs_f64() * 1000.0, None, 1));

    let key = SigningKey::from_bytes(&[7; 32]);
    let relay = PublicKey::from_bytes(key.verifying_key().to_bytes());
    let map = catalogue.snapshot();
    let root = map.root().into();
    let checkpoint =
        Checkpoint { network: network(), relay, epoch: 1, root, rules: RULES, exclusions: None, previous: None };
    let mut snapshots = Snapshots::default();
    snapshots.push(Snapshot { checkpoint: checkpoint.sign(&key)?, map });
    let network = network();
    let asked = Asked { network: &network, relay: &relay, epoch: 1 };

    let (mut sizes, mut answer_times, mut verify_times, mut hits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut compare_sizes = Vec::new();
    for text in QUERIES {
        let question = Search { text: text.into(), limit: 20, cursor: None };
        let (reply, took) = median_time(7, || answer::search(&catalogue, &snapshots, &question));
        let reply: SearchAnswer = reply.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        sizes.push(codec::encode(&reply).len() as f64 / 1000.0);
        answer_times.push(took);
        let (verified, took) = median_time(3, || verify_search(&question, reply.clone(), &asked));
        let verified = verified?;
        anyhow::ensure!(verified.hits.iter().all(Result::is_ok), "an honest answer is refused");
        hits.push(verified.hits.len() as f64);
        verify_times.push(took);
        let proven = verified.proven.context("it stands on a proof")?;
        let range = answer::range(&snapshots, &RangeOf::first(&proven.range, 0));
        compare_sizes
            .push(codec::encode(&range.map_err(|refusal| anyhow::anyhow!("{refusal}"))?).len() as f64 / 1000.0);
    }
    let runs = QUERIES.len();
    rows.push(row("results of two words, mean", "packages", hits.iter().sum::<f64>() / runs as f64, None, runs));
    rows.push(row("answer of two words, p50", "kB", quantile(&mut sizes, 0.5), Some(16.0), runs));
    rows.push(row("answer of two words, p95", "kB", quantile(&mut sizes, 0.95), Some(48.0), runs));
    rows.push(row("answer of two words, largest", "kB", quantile(&mut sizes, 1.0), Some(64.0), runs));
    rows.push(row("relay's time for two words, p50", "ms", quantile(&mut answer_times, 0.5), Some(1.0), runs));
    rows.push(row("relay's time for two words, p99", "ms", quantile(&mut answer_times, 0.99), Some(10.0), runs));
    rows.push(row("verify natively, p50", "ms", quantile(&mut verify_times, 0.5), None, runs));
    rows.push(row(
        "compare the range with one more relay, p50",
        "kB",
        quantile(&mut compare_sizes, 0.5),
        Some(2.0),
        runs,
    ));

    let mut keystrokes = Vec::new();
    for text in QUERIES.iter().filter_map(|text| text.split(' ').next()) {
        for end in 1..=text.len().min(6) {
            let question = Search { text: text[..end].into(), limit: 20, cursor: None };
            let (reply, took) = median_time(5, || answer::search(&catalogue, &snapshots, &question));
            reply.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
            keystrokes.push(took);
        }
    }
    let runs = keystrokes.len();
    rows.push(row("relay's time for a prefix, p50", "ms", quantile(&mut keystrokes, 0.5), Some(1.0), runs));
    let (count, second) = (Instant::now(), Duration::from_secs(2));
    let mut answers = 0_u32;
    while count.elapsed() < second {
        let text = QUERIES[answers as usize % QUERIES.len()];
        let question = Search { text: text.into(), limit: 20, cursor: None };
        let reply = answer::search(&catalogue, &snapshots, &question);
        std::hint::black_box(codec::encode(&reply));
        answers += 1;
    }
    let per_second = f64::from(answers) / count.elapsed().as_secs_f64();
    rows.push(row(
        "proven answers of two words a second and core",
        "1/s",
        per_second,
        Some(10_000.0),
        answers as usize,
    ));

    print_table(&rows);
    if let Some(file) = std::env::args().nth(1) {
        let rows: Vec<_> = rows.iter().map(Row::json).collect();
        fs::write(&file, serde_json::to_string_pretty(&rows)?).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(())
}

const fn row(measure: &'static str, unit: &'static str, ours: f64, goal: Option<f64>, runs: usize) -> Row {
    Row { measure, unit, ours, goal, runs }
}

impl Row {
    /// Whether the goal is met: at most so much, except of what is counted a second.
    fn holds(&self) -> Option<bool> {
        self.goal.map(|goal| if self.unit == "1/s" { self.ours >= goal } else { self.ours <= goal })
    }

    fn json(&self) -> serde_json::Value {
        json!({
            "measure": self.measure, "unit": self.unit, "ours": self.ours, "peer": null, "peer_name": null, "ratio": null,
            "goal": self.goal, "holds": self.holds(), "runs": self.runs,
        })
    }
}

fn print_table(rows: &[Row]) {
    for row in rows {
        let goal = row.goal.map(|goal| format!("{goal}")).unwrap_or_default();
        let holds = row.holds().map_or("", |holds| if holds { "holds" } else { "MISSED" });
        println!("{:<48} {:>12.3} {:<8} {goal:>8} {holds:<7} {} runs", row.measure, row.ours, row.unit, row.runs);
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// The result, and the median of several times in milliseconds.
fn median_time<T>(runs: usize, mut work: impl FnMut() -> T) -> (T, f64) {
    let mut times = Vec::new();
    let mut result = None;
    for _ in 0..runs.max(1) {
        let (value, took) = timed(&mut work);
        times.push(took.as_secs_f64() * 1000.0);
        result = Some(value);
    }
    (result.expect("it ran at least once"), quantile(&mut times, 0.5))
}

fn quantile(values: &mut [f64], part: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len().saturating_sub(1)) as f64 * part;
    values[at.round() as usize]
}

/// Memory of this process, in KiB.
fn rss() -> Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}
