//! Who reaches whom through which routers: real programs in network namespaces, with routers made of nftables between them.

use std::fs;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::run as run_command;
use crate::test::{self, with_environment};
use crate::tools::{find_in_path, is_root};
use crate::{paths, say};

/// What makes namespaces, routers and slow links, and the package that has it.
const PROGRAMS: [(&str, &str); 4] =
    [("ip", "iproute2"), ("tc", "iproute2"), ("nft", "nftables"), ("miniupnpd", "miniupnpd-nftables")];

/// What a person may choose.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each pair is tried that can be connected directly.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    tries: u32,
}

/// Builds the programs and the page, runs the matrix, prints it, and writes `target/bench/nat.json`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if !is_root() {
        bail!("network namespaces are root's to make: run this as root, such as in a container of its own");
    }
    for (program, package) in PROGRAMS {
        if find_in_path(program).is_none() {
            bail!("the program `{program}` is missing: install the package `{package}`");
        }
    }
    let chromium = test::prepare()?;
    let (results, logs) = (paths::at("target/bench"), paths::at("target/nat"));
    fs::create_dir_all(&results).with_context(|| format!("cannot create {}", results.display()))?;
    say::line("peers behind routers of six kinds fetch from each other, over TCP and QUIC");
    let mut command = Command::new(paths::native_binary("nat"));
    command.arg(results.join("nat.json")).arg(&logs).arg(options.tries.to_string());
    with_environment(&mut command).env("GGEN_CHROMIUM", chromium).current_dir(paths::root());
    let start = Instant::now();
    run_command(&mut command, "a pair did not do what it should: see above, and what its programs said in target/nat")?;
    say::line(&format!("all pairs in {:.0} s", start.elapsed().as_secs_f32()));
    Ok(())
}
