//! `ggen-market publish`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use futures::StreamExt;
use ggen_relay::causes;
use ggen_relay::market::publish::{Outcome, read_publishers};
use libp2p::PeerId;

use crate::own::Own;

/// Packages that are published at once: enough to share a relay's disk syncs.
const CONCURRENCY: usize = 8;

#[derive(clap::Args)]
pub(crate) struct Publish {
    /// What to publish.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    own: Own,
    /// Lines `NAME PUBLISHER_ID`: whose packages the dependencies mean.
    #[arg(long, value_name = "FILE")]
    publishers: Option<PathBuf>,
}

/// Exit code 0: everything is published; 1: some packages are not; 2: nothing could be tried.
pub(crate) async fn run(arguments: Publish) -> anyhow::Result<ExitCode> {
    let publishers = arguments.publishers.as_deref().map(read_publishers).transpose()?.unwrap_or_default();
    let (publisher, publishing) = arguments.own.publishing(publishers).await?;
    let mut failed = 0;
    let mut outcomes = futures::stream::iter(&arguments.paths)
        .map(async |path| (path, publishing.publish(path).await))
        .buffer_unordered(CONCURRENCY);
    while let Some((path, outcome)) = outcomes.next().await {
        match outcome {
            Ok(outcome) => print_outcome(path, &publisher, &outcome),
            Err(error) => {
                failed += 1;
                let (path, reason) = (path.display().to_string(), causes::of(&error));
                // Some reasons begin with the path.
                let path = if reason.starts_with(&path) { String::new() } else { format!("{path}: ") };
                eprintln!("not published: {path}{reason}");
            }
        }
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn print_outcome(path: &Path, publisher: &str, outcome: &Outcome) {
    let Outcome { release, new, failed_at, warnings } = outcome;
    let (name, version, id, cid) = (&release.name, &release.version, release.id(), release.artifact.cid);
    let verb = if *new { "published" } else { "already" };
    // For programs; at a terminal it would say the same twice.
    if !std::io::stdout().is_terminal() {
        println!("{verb} {name} {version} {id} {cid}");
    }
    let verb = if *new { "published" } else { "already published:" };
    eprintln!("{verb} {name} {version}\n  full name  {publisher}/{name}\n  record     {id}\n  content    {cid}");
    for warning in warnings {
        eprintln!("warning: {}: {warning}", path.display());
    }
    warn_of(failed_at, &format!("{name} {version}"));
}

/// Says which relays did not take what another one did.
pub(crate) fn warn_of(failed_at: &[(PeerId, String)], what: &str) {
    for (relay, reason) in failed_at {
        eprintln!("warning: relay {relay} did not take {what}: {reason}");
    }
}
