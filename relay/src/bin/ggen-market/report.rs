//! What became of each package that was to be published: a line when it is known, and at the end the whole.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use ggen_relay::causes;
use ggen_relay::market::publish::{Delivery, Error, Outcome, Taken};
use ggen_relay::package;
use ggen_shared::record::{Release, Verified};
use indicatif::{ProgressBar, ProgressStyle};
use libp2p::PeerId;
use serde_json::{Value, json};

/// What was signed is here, and at too few relays.
pub(crate) const WAITING: u8 = 3;

/// What became of the packages of one publisher.
pub(crate) struct Report {
    publisher: String,
    is_json: bool,
    /// Whether they came from a search, so that there may be many of them.
    is_bulk: bool,
    rows: Vec<Row>,
    bar: ProgressBar,
}

/// A package, or what seemed to be one.
struct Row {
    path: PathBuf,
    end: End,
    warnings: Vec<package::Warning>,
}

/// A signed release, and the relays that did not take it.
type Named<'a> = (&'a Verified<Release>, &'a [(PeerId, String)]);

enum End {
    Published(Box<Verified<Release>>, Taken),
    Waiting(Box<Verified<Release>>, Vec<(PeerId, String)>),
    Skipped(String),
    Failed { reason: String, code: Option<&'static str> },
}

impl Report {
    /// A report on so many packages of a publisher, `handle~fingerprint`.
    pub(crate) fn new(publisher: String, count: usize, is_bulk: bool, is_json: bool) -> Self {
        // It shows itself only on a terminal.
        let bar = if is_bulk && !is_json { ProgressBar::new(count as u64) } else { ProgressBar::hidden() };
        let style = ProgressStyle::with_template("{bar:30} {pos} of {len} packages, {elapsed} {wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self { publisher, is_json, is_bulk, rows: Vec::new(), bar }
    }

    pub(crate) fn skipped(&mut self, path: PathBuf, reason: String) {
        self.add(Row { path, end: End::Skipped(reason), warnings: Vec::new() });
    }

    pub(crate) fn unreadable(&mut self, path: PathBuf, reason: String) {
        self.add(Row { path, end: End::Failed { reason, code: Some("package/io") }, warnings: Vec::new() });
    }

    pub(crate) fn ended(&mut self, path: PathBuf, outcome: Result<Outcome, Error>) {
        let row = match outcome {
            Ok(Outcome { release, delivery, warnings }) => {
                let end = match delivery {
                    Delivery::Taken(taken) => End::Published(Box::new(release), taken),
                    Delivery::Waiting(reasons) => End::Waiting(Box::new(release), reasons),
                };
                Row { path, end, warnings }
            }
            Err(error) => {
                let code = if let Error::Package(error) = &error { Some(error.code()) } else { None };
                Row { path, end: End::Failed { reason: causes::of(&error), code }, warnings: Vec::new() }
            }
        };
        self.add(row);
    }

    fn add(&mut self, row: Row) {
        self.bar.inc(1);
        if !self.is_json {
            self.bar.suspend(|| row.print(&self.publisher, self.is_bulk));
        }
        self.rows.push(row);
    }

    /// Ends the report. Exit code 0: all are published, those aside that were skipped; 1: some can't be; 3: some wait for a relay.
    pub(crate) fn finish(mut self, is_line: bool) -> ExitCode {
        self.bar.finish_and_clear();
        self.rows.sort_by(|one, other| one.path.cmp(&other.path));
        let counts = self.counts();
        let [.., waiting, _, failed] = counts;
        if self.is_json && is_line {
            println!("{}", self.json());
        } else if self.is_json {
            println!("{:#}", self.json());
        } else if self.is_bulk {
            let [published, already, waiting, skipped, failed] = counts;
            let others = self.rows.iter().filter(|row| matches!(row.end, End::Skipped(_) | End::Failed { .. }));
            for row in others {
                eprintln!("{}", row.line());
            }
            eprintln!(
                "{published} published, {already} already there, {waiting} waiting, {skipped} skipped, {failed} failed"
            );
        }
        match (failed, waiting) {
            (0, 0) => ExitCode::SUCCESS,
            (0, _) => ExitCode::from(WAITING),
            _ => ExitCode::from(1),
        }
    }

    /// How many are published, were already, wait, were skipped, failed.
    fn counts(&self) -> [usize; 5] {
        ["published", "already", "waiting", "skipped", "failed"]
            .map(|verb| self.rows.iter().filter(|row| row.end.verb() == verb).count())
    }

    fn json(&self) -> Value {
        let [published, already, waiting, skipped, failed] = self.counts();
        json!({
            "publisher": self.publisher,
            "published": published,
            "already": already,
            "waiting": waiting,
            "skipped": skipped,
            "failed": failed,
            "packages": self.rows.iter().map(|row| row.json(&self.publisher)).collect::<Vec<_>>(),
        })
    }
}

impl Row {
    /// For programs, a line of standard output for what is published; for people, what they want to know on standard error. At a terminal
    /// the first would say the same twice, but of many packages nobody reads more than a line each.
    fn print(&self, publisher: &str, is_bulk: bool) {
        if let Some((release, rest)) = self.end.release() {
            let (verb, name, version, id, cid) =
                (self.end.verb(), &release.name, &release.version, release.id(), release.artifact.cid);
            if is_bulk || !std::io::stdout().is_terminal() {
                println!("{verb} {name} {version} {id} {cid}");
            }
            if !is_bulk {
                let verb = match &self.end {
                    End::Published(..) if verb == "already" => "already published:",
                    End::Waiting(..) => "signed, and waiting for a relay:",
                    _ => verb,
                };
                eprintln!(
                    "{verb} {name} {version}\n  full name  {publisher}/{name}\n  record     {id}\n  content    {cid}"
                );
            }
            for warning in &self.warnings {
                eprintln!("warning: {}: {warning}", self.path.display());
            }
            if let End::Published(_, taken) = &self.end {
                warn_of_one(taken, &format!("{name} {version}"));
            }
            warn_of(rest, &format!("{name} {version}"));
        } else if !is_bulk {
            eprintln!("{}", self.line());
        }
    }

    /// Why it is not published, in a line.
    fn line(&self) -> String {
        let (verb, reason) = match &self.end {
            End::Skipped(reason) => ("skipped", &reason[..]),
            End::Failed { reason, .. } => ("not published", &reason[..]),
            End::Published(..) | End::Waiting(..) => return format!("{} {}", self.end.verb(), self.path.display()),
        };
        let path = self.path.display().to_string();
        // Some reasons begin with the path.
        if reason.starts_with(&path) { format!("{verb}: {reason}") } else { format!("{verb}: {path}: {reason}") }
    }

    fn json(&self, publisher: &str) -> Value {
        let mut row = json!({ "path": self.path.display().to_string(), "outcome": self.end.verb() });
        if let Some((release, relays)) = self.end.release() {
            row["name"] = json!(release.name.as_str());
            row["version"] = json!(release.version.to_string());
            row["full_name"] = json!(format!("{publisher}/{}", release.name));
            row["record"] = json!(release.id().to_string());
            row["content"] = json!(release.artifact.cid.to_string());
            row["warnings"] = self.warnings.iter().map(ToString::to_string).collect();
            row["failed_at"] = failures_json(relays);
        }
        match &self.end {
            End::Skipped(reason) => row["reason"] = json!(reason),
            End::Failed { reason, code } => {
                row["reason"] = json!(reason);
                row["code"] = json!(code);
            }
            End::Published(_, taken) => row["waits"] = json!(taken.waits),
            End::Waiting(..) => row["waits"] = json!(true),
        }
        row
    }
}

impl End {
    const fn verb(&self) -> &'static str {
        match self {
            Self::Published(_, Taken { new: true, .. }) => "published",
            Self::Published(..) => "already",
            Self::Waiting(..) => "waiting",
            Self::Skipped(_) => "skipped",
            Self::Failed { .. } => "failed",
        }
    }

    /// The signed release, and the relays that did not take it.
    fn release(&self) -> Option<Named<'_>> {
        match self {
            Self::Published(release, taken) => Some((release, &taken.failed_at)),
            Self::Waiting(release, reasons) => Some((release, reasons)),
            Self::Skipped(_) | Self::Failed { .. } => None,
        }
    }
}

/// Says which relays did not take something.
pub(crate) fn warn_of(failed_at: &[(PeerId, String)], what: &str) {
    for (relay, reason) in failed_at {
        eprintln!("warning: relay {relay} did not take {what}: {reason}");
    }
}

/// Says that only one relay keeps something, where more were named.
pub(crate) fn warn_of_one(taken: &Taken, what: &str) {
    if taken.waits {
        eprintln!(
            "warning: only one relay says that it keeps {what}, and one may lie: it is kept here too, until another one says so. Try again \
             later: ggen-market send"
        );
    }
}

pub(crate) fn failures_json(failures: &[(PeerId, String)]) -> Value {
    failures.iter().map(|(relay, reason)| json!({ "relay": relay.to_string(), "reason": reason })).collect()
}
