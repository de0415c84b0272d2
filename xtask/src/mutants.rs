//! Mutation tests: which change of the verification code would no test notice?
//!
//! Most mutants are noticed by the tests that stand beside the code. So each area of the core, such as `merkle`, is run against its
//! own tests first, and only what they miss is run against all of them: a quarter of the time of running everything every time.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::{cargo, output, program, run as run_command};
use crate::{say, tools};

const CORE: &str = "shared/src/";
/// Where the list of what was caught, missed and left open is written.
const OUTPUT: &str = "target/mutants.out";
/// How long the tests of one mutant may take, in seconds: honest ones need under ten on one core. What takes longer is an endless loop.
const SECONDS: &str = "60";
/// Every test of these files is in the library itself, and one that fails is enough.
const TESTS: [&str; 6] = ["--", "--lib", "--", "-Z", "unstable-options", "--fail-fast"];

/// Runs `cargo mutants` as `.cargo/mutants.toml` says: which files, and what is left out and why.
///
/// Arguments go on to each run of it; with `--iterate`, what an earlier run caught is not run again.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if tools::find_in_path("cargo-mutants").is_none() {
        say::line("installing cargo-mutants");
        run_command(
            &mut program("cargo", ["install", "cargo-mutants", "--locked"]),
            "cannot install cargo-mutants; run `cargo install cargo-mutants --locked` and see what it says",
        )?;
    }
    if !arguments.iter().any(|argument| argument == "--iterate") {
        match std::fs::remove_dir_all(OUTPUT) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {OUTPUT}, the results of an earlier run"));
            }
            _ => {}
        }
    }
    say::line("running the tests without any mutant");
    run_command(
        &mut cargo(["test", "--package", "ggen-shared", "--lib", "--quiet"]),
        "the tests fail without any mutant: run `cargo test --package ggen-shared`",
    )?;
    for area in areas()? {
        say::line(&format!("running mutants of {area} against its own tests"));
        let mut command = mutants(arguments);
        command.args(["--re", &format!("^{CORE}{area}[/.]")]);
        // What these miss is for the last run to judge.
        match finish(command.args(TESTS).arg(format!("{area}::")))? {
            0 | 2 | 3 => {}
            code => bail!("cargo-mutants ended with {code}; see what it says above"),
        }
    }
    say::line("running the mutants that are left against all tests");
    match finish(mutants(arguments).args(TESTS))? {
        0 => Ok(()),
        2 => bail!(
            "some mutants survived, listed in {OUTPUT}/missed.txt: \
             test what they change, or write into .cargo/mutants.toml why no test can"
        ),
        3 => bail!("some mutants ran into the time limit, listed in {OUTPUT}/timeout.txt: look why"),
        code => bail!("cargo-mutants ended with {code}; see what it says above"),
    }
}

/// The modules of the core that have mutants.
fn areas() -> Result<BTreeSet<String>> {
    let listed = output(
        &mut program("cargo", ["mutants", "--package", "ggen-shared", "--list-files"]),
        "cannot list the files to change; see what cargo-mutants says above",
    )?;
    let area = |file: &str| {
        let inside = file.strip_prefix(CORE).with_context(|| format!("{file} is not of the core"))?;
        let (area, _) = inside.split_once(['/', '.']).with_context(|| format!("{file} is no module"))?;
        Ok(area.to_owned())
    };
    listed.lines().map(area).collect()
}

fn mutants(arguments: &[String]) -> Command {
    let mut command =
        program("cargo", ["mutants", "--package", "ggen-shared", "--output", "target", "--iterate", "--no-shuffle"]);
    command.args(["--baseline", "skip", "--timeout", SECONDS]);
    // For `--fail-fast`, which the test harness has not made stable.
    command.env("RUSTC_BOOTSTRAP", "1");
    command.args(arguments.iter().filter(|argument| *argument != "--iterate"));
    command
}

fn finish(command: &mut Command) -> Result<i32> {
    let status = command.status().context("cannot start cargo-mutants")?;
    status.code().with_context(|| format!("cargo-mutants ended with {status}"))
}
