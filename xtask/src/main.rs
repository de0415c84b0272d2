//! Every command a person needs: `cargo xtask --help`.
//!
//! Each command installs what is missing, says what it does, and explains a failure in one sentence with the next step.

mod artifacts;
mod bench;
mod browser;
mod cargo;
mod ci;
mod count;
mod demo;
mod drills;
mod fuzz;
mod hostile;
mod interop;
mod lean;
mod mutants;
mod nat;
mod native;
mod page;
mod paths;
mod say;
mod soak;
mod stamp;
mod test;
mod tools;
mod wasm;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Every command a person needs")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start three relays, publish the crates in Cargo's cache, serve the marketplace and print its URL.
    Demo(demo::Options),
    /// Run every test that CI runs, but none that takes minutes of load.
    Test,
    /// Run the tests with relays that lie, native and in Chromium.
    Hostile,
    /// Attack a network in full size: identities that surround a key, floods, junk by gossip, idle connections, circuits and packets without end.
    Drills,
    /// Run the tests with the software of IPFS and libp2p in JavaScript: the same names for the same bytes, Bitswap both ways, and peers of theirs in
    /// our network.
    Interop,
    /// Feed mutated bytes to whatever reads what strangers send over WebRTC-direct.
    Fuzz(fuzz::Options),
    /// Kill relays and clients with SIGKILL at random moments of publishing, fetching and installing, many times, and check that nothing is lost.
    Soak(soak::Options),
    /// Let peers behind routers of six kinds fetch from each other, in network namespaces, as root: who is connected directly, who through a
    /// relay, and how fast; and a browser from a publisher behind a router. Writes `target/bench/nat.json`.
    Nat(nat::Options),
    /// Check format, lints, docs, tests and the built artifacts.
    Ci {
        /// Leave out the tests: `cargo xtask test` has just passed.
        #[arg(long)]
        after_test: bool,
    },
    /// Build the release relay, the npm package and the page.
    Build,
    /// Build the browser's module and print what it weighs.
    Size,
    /// Measure with tens of thousands of real packages; prints a table and writes `target/bench/NAME.json`.
    Bench {
        /// What to measure.
        #[arg(default_value = "catalogue")]
        name: bench::Bench,
    },
    /// Turn a package index into signed records, in target/corpus.
    Corpus {
        /// Which index.
        name: bench::Corpus,
    },
    /// Change the verification code in every way that should fail a test, and list what no test noticed.
    Mutants {
        /// Passed on to `cargo mutants`, after `--`.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
}

fn main() -> ExitCode {
    if let Some(code) = lean::compile() {
        return code;
    }
    say::start_clock();
    let result = match Arguments::parse().command {
        Command::Demo(options) => demo::run(&options),
        Command::Test => test::run(),
        Command::Hostile => hostile::run(),
        Command::Drills => drills::run(),
        Command::Interop => interop::run(),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Nat(options) => nat::run(&options),
        Command::Ci { after_test } => ci::run(after_test),
        Command::Build => build(),
        Command::Size => wasm::client().and_then(|()| artifacts::check_module_size()),
        Command::Bench { name } => bench::bench(name),
        Command::Corpus { name } => bench::corpus(name),
        Command::Mutants { arguments } => mutants::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> anyhow::Result<()> {
    native::release_relay()?;
    native::manual()?;
    wasm::client()?;
    page::build()?;
    say::line(
        "built: target/release/ggen-relay, target/release/ggen-market, target/man, target/completions, client-wasm/js, www/dist",
    );
    Ok(())
}
