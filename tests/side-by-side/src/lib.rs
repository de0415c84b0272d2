//! What the marketplace is compared with others on: corpora, documents that others index, queries.

pub mod bare;
pub mod crates;
pub mod perf;
pub mod plain;
pub mod relevance;

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use ggen_bench::report;
use ggen_shared::catalogue::Catalogue;
use ggen_shared::record::Release;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A package as others index it: the same texts that the marketplace finds it by.
#[derive(Debug, Clone, Serialize)]
pub struct Document {
    /// Its name.
    pub name: String,
    /// One line.
    pub title: String,
    /// Tags and categories.
    pub tags: String,
    /// A paragraph.
    pub description: String,
}

/// Every package of a catalogue, newest first.
pub fn documents(catalogue: &Catalogue) -> Vec<Document> {
    let document = |release: &Release| Document {
        name: release.name.as_str().to_owned(),
        title: release.title.clone().unwrap_or_default(),
        tags: [&release.tags[..], &release.categories[..]].concat().join(" "),
        description: release.description.clone(),
    };
    catalogue.newest(usize::MAX).map(|release| document(release)).collect()
}

/// Runs a script, and waits for its end.
///
/// # Errors
/// It fails, or there is no Node.
pub fn node(script: &Path, arguments: &[&Path]) -> Result<()> {
    let status = Command::new("node").arg(script).args(arguments).status().context("cannot start node")?;
    ensure!(status.success(), "{} ended with {status}", script.display());
    Ok(())
}

/// What a browser measured.
#[derive(Debug, Deserialize)]
struct Measured<S> {
    chromium: String,
    samples: S,
}

/// Lets Chromium do a task: what the `drive.mjs` of these scripts makes of it. The task and what comes of it are in the directory afterwards.
///
/// # Errors
/// The browser does not come to an end, or brings something else than samples.
pub async fn samples<S: DeserializeOwned>(
    scripts: &Path,
    directory: &Path,
    chromium: &Path,
    task: &Value,
) -> Result<S> {
    let [told, brought] = ["task.json", "samples.json"].map(|name| directory.join(name));
    serde_json::to_writer(File::create(&told)?, task)?;
    println!("measuring, {}", report::load()?);
    let (script, chromium, out) = (scripts.join("drive.mjs"), chromium.to_owned(), brought.clone());
    tokio::task::spawn_blocking(move || node(&script, &[&chromium, &told, &out])).await??;
    let Measured { chromium, samples } = serde_json::from_reader(File::open(brought)?)?;
    println!("{chromium}, {}", report::load()?);
    Ok(samples)
}
