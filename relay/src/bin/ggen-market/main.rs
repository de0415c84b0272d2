//! The marketplace for people at a terminal.

/// As the standard one, but that it goes on when nobody reads any more: see [`output`].
macro_rules! println {
    () => { crate::output::text("\n") };
    ($($arguments:tt)+) => { crate::output::line(format_args!($($arguments)+)) };
}

/// As the standard one, but that it goes on when nobody reads any more.
macro_rules! eprintln {
    ($($arguments:tt)*) => { crate::output::error_line(format_args!($($arguments)*)) };
}

mod fetch;
mod find;
mod install;
mod installed;
mod key;
mod output;
mod own;
mod passphrase;
mod peers;
mod progress;
mod publish;
mod relays;
mod report;
mod say;
mod send;
mod serve;
mod shell;
mod status;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use ggen_relay::causes;
use ggen_shared::record::State;

/// Search the ggen marketplace, and publish signed packages to it.
///
/// Exit code 0: done; 1: not found, or not taken; 2: nothing could be tried; 3: signed, and waiting here for a relay.
#[derive(Parser)]
#[command(name = "ggen-market", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Search packages. Each result is verified here; with several relays, the answer is compared among them.
    ///
    /// Exit code 0: something is found; 1: nothing is; 2: nobody could be asked.
    Search(find::Search),
    /// Show a package: its newest release, or the version asked for.
    ///
    /// Exit code 0: it is there; 1: it is not, or not to be had; 2: nobody could be asked.
    Info(find::Info),
    /// List the versions of a package, highest first.
    ///
    /// Exit code 0: it is there; 1: it is not, or not to be had; 2: nobody could be asked.
    Versions(find::Versions),
    /// Fetch a package, verified block by block, and unpack it.
    ///
    /// Exit code 0: it is there; 1: it is not to be had, or can't be unpacked; 2: nobody could be asked.
    Fetch(fetch::Fetch),
    /// Install packages with all that they need: versions that go together, confirmed by two relays, verified, and locked.
    ///
    /// Exit code 0: all is installed; 1: it is not; 2: nobody could be asked.
    Install(install::Install),
    /// Compare every file of what is installed with the archives that were published.
    ///
    /// Exit code 0: every file is as its archive has it; 1: some are not; 2: that could not be looked at.
    Verify(installed::Installed),
    /// List what is installed and not the newest: the newest that is allowed, and the newest of all.
    ///
    /// Exit code 0: all is the newest; 1: something is not; 2: nobody could be asked.
    Outdated(installed::Installed),
    /// Show what needs what.
    ///
    /// Exit code 0: it is shown; 2: nothing is installed there.
    Tree(installed::Tree),
    /// Publish package directories (package.toml or pack.toml) and .crate files. Records are public and permanent.
    ///
    /// What waits from before is delivered first. Where no relay can be reached, packages are signed and kept here until `publish` or
    /// `send` reaches one. For programs, standard output has a line `published NAME VERSION RECORD_ID CID` for each package, `already …`
    /// where every relay that took it had it before, `waiting …` where none could be reached. Exit code 0: all are published, but for
    /// what was skipped; 1: some can't be, or are published and can't be served with `--stay`; 2: nothing could be tried; 3: all are signed,
    /// and some wait for a relay.
    Publish(publish::Publish),
    /// Deliver what was signed while no relay could be reached, in that order.
    ///
    /// Exit code 0: nothing waits any more; 1: some of it can't be read, or every relay refused it; 2: nothing could be tried; 3: some waits
    /// on.
    Send(send::Send),
    /// Serve packages from this machine to others, behind a home router too: relays lead to it.
    ///
    /// It runs until it is stopped, and says on standard output under which addresses it is reached. Exit code 0: it was stopped; 2: there is
    /// nothing to serve, or no relay is named.
    Serve(serve::Serve),
    /// Say that a version is not to be chosen any more. Whoever asks for this very version still gets it.
    ///
    /// Exit code 0: it is said; 1: it could not be; 2: nothing could be tried; 3: it is signed, and waits for a relay.
    Yank(say::Say),
    /// Take a yank or a deprecation back.
    ///
    /// Exit code 0: it is said; 1: it could not be; 2: nothing could be tried; 3: it is signed, and waits for a relay.
    Unyank(say::Say),
    /// Say that a version works, and that there is something better.
    ///
    /// Exit code 0: it is said; 1: it could not be; 2: nothing could be tried; 3: it is signed, and waits for a relay.
    Deprecate(say::Deprecate),
    /// Withdraw a version for good: out of listings and search, and its number is never used again.
    ///
    /// Exit code 0: it is said; 1: it could not be; 2: nothing could be tried; 3: it is signed, and waits for a relay.
    Retract(say::Say),
    /// Make, show, rotate or move a publisher's key.
    #[command(subcommand)]
    Key(key::Key),
    /// Show how you stand as a publisher: what you signed, what waits for a relay, and what relays know of your key.
    ///
    /// Exit code 0: all is well; 1: a relay knows of a rotation that the key here lacks, or of two; 2: there is no key; 3: something waits.
    Status(status::Status),
    /// Show the relays that are named: whether they are reached, how fast they answer, what is thought of them, what they committed to.
    ///
    /// Exit code 0: one answers as it should; 1: none does; 2: nobody could be asked.
    Peers(peers::Peers),
    /// Write what a shell needs to complete commands, to standard output.
    Completions(shell::Completions),
    /// Write manual pages.
    Man(shell::Man),
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let done = match Arguments::parse().command {
        Command::Search(search) => find::search(search).await,
        Command::Info(info) => find::info(info).await,
        Command::Versions(versions) => find::versions(versions).await,
        Command::Fetch(fetch) => fetch::run(fetch).await,
        Command::Install(install) => install::run(install).await,
        Command::Verify(installed) => installed::verify(installed).await,
        Command::Outdated(installed) => installed::outdated(installed).await,
        Command::Tree(tree) => installed::tree(tree),
        Command::Publish(publish) => publish::run(publish).await,
        Command::Send(send) => send::run(send).await,
        Command::Serve(serve) => serve::run(serve).await,
        Command::Yank(say) => say::run(say, State::Yanked).await,
        Command::Unyank(say) => say::run(say, State::Active).await,
        Command::Deprecate(deprecate) => say::deprecate(deprecate).await,
        Command::Retract(say) => say::run(say, State::Retracted).await,
        Command::Key(command) => key::run(command).await,
        Command::Status(status) => status::run(status).await,
        Command::Peers(peers) => peers::run(peers).await,
        Command::Completions(shell) => Ok(shell::completions(shell, Arguments::command())),
        Command::Man(man) => shell::man(man, Arguments::command()),
    };
    relays::keep_reputations();
    done.unwrap_or_else(|error| {
        eprintln!("error: {}", causes::of(error.as_ref()));
        ExitCode::from(2)
    })
}
