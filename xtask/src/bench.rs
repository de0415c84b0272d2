//! `cargo xtask bench` and `corpus`: real packages by the ten thousands. Needs a Debian machine, whose package index they are.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::cargo::{cargo, run};
use crate::{paths, say};

/// What can be measured.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Bench {
    /// The catalogue: derive, insert, answer, verify.
    Catalogue,
}

/// What can be made a corpus of.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Corpus {
    /// The package index of this Debian machine.
    Debian,
}

/// Measures, prints a table and writes `target/bench/<name>.json`.
pub(crate) fn bench(Bench::Catalogue: Bench) -> Result<()> {
    let results = paths::at("target/bench");
    fs::create_dir_all(&results).with_context(|| format!("cannot create {}", results.display()))?;
    run_program("catalogue", &[&results.join("catalogue.json").display().to_string()])
}

/// Makes `target/corpus/<name>.records`.
pub(crate) fn corpus(Corpus::Debian: Corpus) -> Result<()> {
    run_program("corpus", &["debian", &paths::at("target/corpus/debian.records").display().to_string()])
}

fn run_program(name: &str, arguments: &[&str]) -> Result<()> {
    if crate::tools::find_in_path("apt-cache").is_none() {
        bail!("the packages are those of a Debian machine, and apt-cache is not in PATH: run it there");
    }
    say::line("building in release mode, then reading the package index");
    let build = ["run", "--locked", "--release", "--package", "ggen-bench", "--bin", name, "--"];
    run(
        &mut cargo(build.into_iter().chain(arguments.iter().copied())),
        "it did not come to an end; see above. Long descriptions come with `apt-get -o Acquire::Languages=en update`",
    )
}
