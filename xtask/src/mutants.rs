//! Mutation tests: which change of the verification code would no test notice?

use anyhow::{Context, Result, bail};

use crate::cargo::{program, run as run_command};
use crate::{say, tools};

/// Runs `cargo mutants` as `.cargo/mutants.toml` says: which files, and what is left out and why.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if tools::find_in_path("cargo-mutants").is_none() {
        say::line("installing cargo-mutants");
        run_command(
            &mut program("cargo", ["install", "cargo-mutants", "--locked"]),
            "cannot install cargo-mutants; run `cargo install cargo-mutants --locked` and see what it says",
        )?;
    }
    say::line("running mutants of the verification code");
    let mut command = program("cargo", ["mutants", "--package", "ggen-shared", "--output", "target"]);
    let status = command.args(arguments).status().context("cannot start cargo-mutants")?;
    match status.code() {
        Some(0) => Ok(()),
        Some(2) => bail!(
            "some mutants survived, listed in target/mutants.out/missed.txt: \
             test what they change, or write into .cargo/mutants.toml why no test can"
        ),
        Some(3) => bail!("some mutants ran into the time limit, listed in target/mutants.out/timeout.txt: look why"),
        Some(4) => {
            bail!("the tests fail without any mutant: run `cargo test --package ggen-shared`")
        }
        _ => bail!("cargo-mutants ended with {status}; see what it says above"),
    }
}
