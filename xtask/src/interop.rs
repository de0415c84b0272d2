//! Our programs beside those of IPFS in JavaScript, which need a newer Node than the rest: it comes from npm.

use anyhow::{Context, Result, bail};

use crate::cargo::program;
use crate::test::with_environment;
use crate::{native, paths, say, tools};

/// An npm workspace of its own: three hundred packages that nothing else needs.
const DIRECTORY: &str = "tests/interop";

const TESTS: [&str; 2] = ["interop.test.mjs", "libp2p.test.mjs"];

/// Installs Helia and js-libp2p, builds what it talks to, and runs the tests.
pub(crate) fn run() -> Result<()> {
    let directory = paths::at(DIRECTORY);
    tools::npm_packages_of(&directory)?;
    native::binaries()?;
    say::line("tests: interop");
    let mut command = program(directory.join("node_modules/node/bin/node"), ["--test", "--test-concurrency=1"]);
    command.args(["--test-timeout=120000"]).args(TESTS.map(|name| directory.join(name)));
    // Relays serve some directory, and no browser is needed.
    let status =
        with_environment(&mut command).env("GGEN_WWW", directory.join("page")).env("GGEN_CHROMIUM", "none").status();
    if !status.context("Node does not start")?.success() {
        bail!("other software does not understand ours, or the other way round: see above");
    }
    Ok(())
}
