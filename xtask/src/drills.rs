//! The attack drills in the size that the claims are about, against a release build. Every test run does them smaller.

use anyhow::Result;

use crate::cargo::{cargo, run as run_command};
use crate::{native, say};

/// Builds the release relay, runs the drills, and shows what each measured.
pub(crate) fn run() -> Result<()> {
    native::release(&["ggen-relay"])?;
    say::line("an eclipse, floods, junk, idle connections, reservations and packets: one after the other");
    let arguments = ["test", "--locked", "--release"].into_iter().chain(native::MEMBERS);
    let arguments = arguments.chain(["--test", "all", "--", "drills::", "--nocapture"]);
    run_command(
        cargo(arguments).env("GGEN_DRILLS", "full"),
        "an attack did what it must not; the message above says what. Five thousand connections need as many open files: see `ulimit -n`",
    )
}
