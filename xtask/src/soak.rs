//! More kills than a test run has time for, of real relays and clients.

use std::time::Instant;

use anyhow::Result;

use crate::cargo::{cargo, run as run_command};
use crate::test::with_environment;
use crate::{native, say};

/// What a person may choose.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many kills.
    #[arg(long, value_name = "N", default_value_t = 200)]
    kills: u32,
    /// The seed that another run printed: who is killed, at which part of the work, and what is published are the same then.
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
}

/// Builds the programs, runs the drill, and shows what it prints: how many kills came during what, and what was signed and acknowledged.
pub(crate) fn run(options: &Options) -> Result<()> {
    native::binaries()?;
    say::line(&format!(
        "{} kills (SIGKILL) of a relay or a client, in turn while it publishes, fetches and installs; after each one what was acknowledged \
         has to be there, and what is visible whole",
        options.kills
    ));
    let arguments = ["test", "--locked"].into_iter().chain(native::MEMBERS);
    let mut command = cargo(arguments.chain(["--test", "all", "--", "kills::", "--nocapture"]));
    with_environment(&mut command).env("GGEN_KILLS", options.kills.to_string());
    if let Some(seed) = options.seed {
        command.env("GGEN_SEED", seed.to_string());
    }
    let start = Instant::now();
    run_command(
        &mut command,
        "a kill did what it must not: the message above says what, and the seed to try it again",
    )?;
    say::line(&format!("{} kills survived in {:.0} s", options.kills, start.elapsed().as_secs_f32()));
    Ok(())
}
