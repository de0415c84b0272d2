//! Commands that xtask runs: Cargo and the rest.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::{lean, paths};

/// What `cargo run` sets for xtask. Build scripts that watch these would run again whenever a person calls Cargo
/// directly in between, and rebuild all that depends on them.
const SET_BY_CARGO_RUN: [&str; 17] = [
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_PKG_AUTHORS",
    "CARGO_PKG_DESCRIPTION",
    "CARGO_PKG_HOMEPAGE",
    "CARGO_PKG_LICENSE",
    "CARGO_PKG_LICENSE_FILE",
    "CARGO_PKG_NAME",
    "CARGO_PKG_README",
    "CARGO_PKG_REPOSITORY",
    "CARGO_PKG_RUST_VERSION",
    "CARGO_PKG_VERSION",
    "CARGO_PKG_VERSION_MAJOR",
    "CARGO_PKG_VERSION_MINOR",
    "CARGO_PKG_VERSION_PATCH",
    "CARGO_PKG_VERSION_PRE",
    "CARGO",
];

/// A function with more than so many bytes on its stack is called, and not copied into its callers. Otherwise whole futures, of which each holds the
/// next, become one function: a browser takes a fifth of a second to optimise it, and the same code is downloaded in several places.
const SMALL_FUNCTIONS: &str = "-Cllvm-args=-inline-max-stacksize=256";

/// `cargo` at the root of the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    program("cargo", arguments)
}

/// As [`cargo`], for wasm32: what only a panic or a debug print would say is left out, and paths of this machine are mapped to the
/// same short ones everywhere. A browser would download all of it, and no two machines would build the same module. For the same
/// reason some [features of dependencies](lean) are left out.
///
/// Two of the flags are not stable yet. They change no behaviour but texts; a compiler that drops them says so here.
pub(crate) fn cargo_wasm<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    cargo_wasm_with(&["-Zfmt-debug=none"], arguments)
}

/// As [`cargo_wasm`], with debug prints.
pub(crate) fn cargo_wasm_in_words<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    cargo_wasm_with(&[], arguments)
}

fn cargo_wasm_with<S: AsRef<OsStr>>(more: &[&str], arguments: impl IntoIterator<Item = S>) -> Command {
    let mut flags = remaps();
    flags.extend(["-Zlocation-detail=none", SMALL_FUNCTIONS].iter().chain(more).map(ToString::to_string));
    flags.push(lean::flag());
    let mut command = cargo(arguments);
    lean::wrap(&mut command);
    command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f")).env("RUSTC_BOOTSTRAP", "1");
    command
}

fn remaps() -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let sources = std::fs::read_dir(home.join("registry/src")).into_iter().flatten().flatten();
    let mut remaps = vec![format!("--remap-path-prefix={}=.", paths::root().display())];
    remaps.extend(sources.map(|source| format!("--remap-path-prefix={}=c", source.path().display())));
    remaps.sort();
    remaps
}

/// A program at the root of the workspace.
pub(crate) fn program<S: AsRef<OsStr>>(name: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(name);
    command.args(arguments).current_dir(paths::root());
    for variable in SET_BY_CARGO_RUN {
        command.env_remove(variable);
    }
    command
}

/// Runs a command with its output shown; `failure` is the sentence for the person when it fails.
pub(crate) fn run(command: &mut Command, failure: &str) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("{failure} ({status} from `{}`)", shown(command));
    }
    Ok(())
}

/// Runs a command and gives its standard output; standard error is shown.
pub(crate) fn output(command: &mut Command, failure: &str) -> Result<String> {
    let output = command.stderr(Stdio::inherit()).output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        bail!("{failure} ({} from `{}`)", output.status, shown(command));
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{}` printed bytes that are not UTF-8", shown(command)))
}

/// Runs a command, shows its standard output line by line, and gives it with the exit status.
pub(crate) fn shown_and_kept(command: &mut Command) -> Result<(ExitStatus, String)> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    let stdout = child.stdout.take().expect("its standard output was asked for as a pipe");
    let mut kept = String::new();
    for line in BufReader::new(stdout).split(b'\n') {
        let line = line.context("cannot read what the command prints")?;
        let line = String::from_utf8_lossy(&line);
        println!("{line}");
        kept.push_str(&line);
        kept.push('\n');
    }
    Ok((child.wait()?, kept))
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`: is it installed and in PATH?", command.get_program().display())
}

fn shown(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
