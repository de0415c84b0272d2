//! `ggen-market publish`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use futures::StreamExt;
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::publish::{Error, Outcome, Publishing, read_publishers};
use ggen_relay::market::survey::{self, Finding, Found};
use ggen_relay::{causes, package};

use crate::own::Own;
use crate::report::Report;
use crate::send;
use crate::serve::{WayHere, serve_files, take_up};

/// Packages that are published at once: enough to share a disk's syncs, here and at relays. Each is in memory.
const CONCURRENCY: usize = 12;

#[derive(clap::Args)]
pub(crate) struct Publish {
    /// What to publish.
    #[arg(required_unless_present = "all", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Publish every package below a directory; repeatable. What lies in another package's directory belongs to that.
    #[arg(long, value_name = "DIR")]
    all: Vec<PathBuf>,
    #[command(flatten)]
    own: Own,
    /// Lines `NAME PUBLISHER_ID`: whose packages the dependencies mean.
    #[arg(long, value_name = "FILE")]
    publishers: Option<PathBuf>,
    /// Then serve what is published, as `serve` does, until Ctrl-C. With --json each object is a line.
    #[arg(long)]
    stay: bool,
    #[command(flatten)]
    way: WayHere,
}

/// Exit code 0: everything is published; 1: some packages can't be; 2: nothing could be tried; 3: all are signed, and some wait for a relay.
pub(crate) async fn run(Publish { paths, all, own, publishers, stay, way }: Publish) -> anyhow::Result<ExitCode> {
    let publishers = publishers.as_deref().map(read_publishers).transpose()?.unwrap_or_default();
    if way.is_given() && !stay {
        bail!("--listen, --relays-only and --no-upnp say how others get here: they go with --stay");
    }
    let (is_bulk, is_json) = (!all.is_empty(), own.is_json());
    let relays = own.relays().addresses().to_vec();
    let found =
        tokio::task::spawn_blocking(move || find(paths, &all)).await.context("the search for packages ended")?;
    if found.is_empty() {
        bail!("there is no package below the directory: no package.toml, no pack.toml, and no .crate file");
    }
    let names = found.iter().filter_map(|found| match &found.finding {
        Finding::Package(Some((name, _))) => Some(name.clone()),
        _ => None,
    });
    let (publisher, publishing) = own.publishing(publishers, names.collect()).await?;
    send::before(&publishing, is_json).await?;

    let mut report = Report::new(publisher, found.len(), is_bulk, is_json);
    let mut packages: Vec<Vec<PathBuf>> = Vec::new();
    let mut places = BTreeMap::new();
    for Found { path, finding } in found {
        match finding {
            Finding::Package(Some(known)) => {
                let place = *places.entry(known).or_insert(packages.len());
                if place == packages.len() {
                    packages.push(Vec::new());
                }
                packages[place].push(path);
            }
            Finding::Package(None) => packages.push(vec![path]),
            Finding::Skipped(reason) => report.skipped(path, reason),
            Finding::Unreadable(error) => report.unreadable(path, causes::of(&error)),
        }
    }
    let rows = futures::stream::iter(packages).map(|paths| one_of(&publishing, paths));
    let mut rows = rows.buffer_unordered(CONCURRENCY);
    let mut published = Vec::new();
    while let Some(rows) = rows.next().await {
        for (path, row) in rows {
            match row {
                Ok(outcome) => {
                    published.extend(outcome.is_ok().then(|| path.clone()));
                    report.ended(path, outcome);
                }
                Err(first) => report.skipped(path, format!("{} has the same name and version", first.display())),
            }
        }
    }
    drop(rows);
    let code = report.finish(stay);
    if stay && !published.is_empty() {
        let network = publishing.network().clone();
        // Whoever publishes something else meanwhile needs the ledger.
        drop(publishing);
        let serving = async {
            let taken = tokio::task::spawn_blocking(move || take_up(&published, is_json)).await;
            serve_files(taken.context("reading ended")??, relays, network, way, is_json).await
        };
        // What is published is, whatever becomes of serving it.
        if let Err(error) = serving.await {
            eprintln!("error: it is published, and not served from here: {}", causes::of(error.as_ref()));
            return Ok(ExitCode::from(1));
        }
    }
    Ok(code)
}

/// What became of a path, or the path that was published instead of it.
type OneRow = (PathBuf, Result<Result<Outcome, Error>, PathBuf>);

/// Publishes the first of some paths that can be: they have the same name and version.
async fn one_of(publishing: &Publishing<Tokio>, paths: Vec<PathBuf>) -> Vec<OneRow> {
    let mut published: Option<PathBuf> = None;
    let mut rows = Vec::new();
    for path in paths {
        if let Some(first) = &published {
            rows.push((path, Err(first.clone())));
            continue;
        }
        let outcome = publishing.publish(&path).await;
        published = outcome.is_ok().then(|| path.clone());
        rows.push((path, Ok(outcome)));
    }
    rows
}

/// What is named, and what is found below directories.
fn find(paths: Vec<PathBuf>, all: &[PathBuf]) -> Vec<Found> {
    let named = paths.into_iter().map(|path| Found { finding: Finding::Package(package::glance(&path)), path });
    named.chain(all.iter().flat_map(|directory| survey::below(directory))).collect()
}
