//! The attack drills in the size that the claims are about, against a release build. Every test run does them smaller.

use anyhow::Result;

use crate::cargo::{cargo, run as run_command};
use crate::say;

/// What a drill runs: one selection, so that nothing is built twice.
const SELECTION: [&str; 6] = ["--locked", "--release", "--package", "ggen-relay", "--package", "ggen-tests"];

/// Builds the release relay, runs the drills, and shows what each measured.
pub(crate) fn run() -> Result<()> {
    say::line("building the release relay and the drills");
    run_command(
        &mut cargo(["build", "--bins"].into_iter().chain(SELECTION)),
        "the relay does not build; the compiler's message above says why",
    )?;
    say::line("an eclipse, floods, junk, idle connections, reservations and packets: one after the other");
    let arguments = ["test"].into_iter().chain(SELECTION).chain(["--test", "all", "--", "drills::", "--nocapture"]);
    run_command(
        cargo(arguments).env("GGEN_DRILLS", "full"),
        "an attack did what it must not; the message above says what. Five thousand connections need as many open files: see `ulimit -n`",
    )
}
