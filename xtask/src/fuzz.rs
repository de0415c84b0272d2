//! Mutated bytes for what reads what strangers send over WebRTC-direct. Every test run does it for a moment.

use anyhow::Result;
use clap::Args;

use crate::cargo::{cargo, run as run_command};
use crate::say;

#[derive(Args)]
pub(crate) struct Options {
    /// How long each of the parsers is fed: as many at once as there are cores, the others behind them.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// Builds the fuzzers optimised, but with the checks for overflows that a release leaves out, and runs them beside each other.
pub(crate) fn run(options: &Options) -> Result<()> {
    say::line(&format!("each parser of WebRTC-direct takes mutated bytes for {} s", options.seconds));
    let arguments = ["test", "--locked", "--release", "--package", "webrtc-direct-native", "--lib", "fuzz_tests::"];
    run_command(
        cargo(arguments.into_iter().chain(["--", "--nocapture"]))
            .env("FUZZ_SECONDS", options.seconds.to_string())
            .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
            .env("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true")
            .env("CARGO_TARGET_DIR", "target/fuzz"),
        "a parser fails for the bytes that are printed above",
    )
}
