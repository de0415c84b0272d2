//! The native binaries.

use std::fs;

use anyhow::Result;

use crate::cargo::{cargo, output, program, run};
use crate::{paths, say};

/// The members that native builds and tests select. Everything that is native is built with one selection, because
/// another one would resolve other features and build the dependencies a second time.
pub(crate) const MEMBERS: [&str; 3] = ["--workspace", "--exclude", "xtask"];

/// xtask itself, where it was built to run.
pub(crate) const OWN: [&str; 6] = ["--package", "xtask", "--profile", "xtask", "--target-dir", "target/xtask"];

/// Builds the relay, the command line and the binaries for tests in the dev profile.
pub(crate) fn binaries() -> Result<()> {
    say::line("building the relay and the command line");
    let arguments = ["build", "--locked", "--bins"].into_iter().chain(MEMBERS);
    run(&mut cargo(arguments), "the relay does not build; the compiler's message above says why")
}

/// Builds programs that are measured, optimised.
pub(crate) fn release(programs: &[&str]) -> Result<()> {
    say::line("building what is measured");
    let programs = programs.iter().flat_map(|&name| ["--bin", name]);
    let arguments = ["build", "--locked", "--release"].into_iter().chain(MEMBERS).chain(programs);
    run(&mut cargo(arguments), "it does not build; the compiler's message above says why")
}

/// Builds the relay and the command line for use, and nothing else with them.
pub(crate) fn release_relay() -> Result<()> {
    say::line("building the release relay");
    run(
        &mut cargo(["build", "--locked", "--release", "--package", "ggen-relay", "--bins"]),
        "the release relay does not build; the compiler's message above says why",
    )
}

/// Writes the command line's manual pages, and what shells complete its commands by, to `target/man` and `target/completions`.
pub(crate) fn manual() -> Result<()> {
    say::line("writing manual pages and completions");
    let market = || paths::at("target/release/ggen-market");
    let cannot = "the command line can't describe itself; the message above says why";
    run(program(market(), ["man", "--to"]).arg(paths::at("target/man")), cannot)?;
    let directory = paths::at("target/completions");
    fs::create_dir_all(&directory)?;
    for shell in ["bash", "zsh", "fish"] {
        let script = output(&mut program(market(), ["completions", shell]), cannot)?;
        fs::write(directory.join(format!("ggen-market.{shell}")), script)?;
    }
    Ok(())
}
