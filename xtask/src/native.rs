//! The native binaries.

use anyhow::Result;

use crate::cargo::{cargo, run};
use crate::say;

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

/// Builds the relay and the command line for use.
pub(crate) fn release_relay() -> Result<()> {
    say::line("building the release relay");
    run(
        &mut cargo(["build", "--locked", "--release", "--package", "ggen-relay", "--bins"]),
        "the release relay does not build; the compiler's message above says why",
    )
}
