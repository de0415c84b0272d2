//! Tests that run under Node: those of the npm packages, and those that drive the page in Chromium.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::program;
use crate::count::{NodeReport, Suite, compare, names_in};
use crate::test::with_environment;
use crate::{paths, say};

/// Where the browser tests are.
const BROWSER_TESTS: &str = "tests/browser";

/// The names of the browser tests, one a line: what a test says it is must not vanish unnoticed.
const EXPECTED: &str = "tests/browser/expected.txt";

/// Runs the unit tests of the npm packages.
pub(crate) fn npm_suite() -> Result<Suite> {
    say::line("tests: npm packages");
    let reporter = format!("--test-reporter=\"{}\"", reporter().display());
    let mut command = program("npm", ["test", "--silent"]);
    command.env("NODE_OPTIONS", reporter);
    let (suite, _) = node_suite("npm packages", &mut command)?;
    Ok(suite)
}

/// Runs the tests that drive the page in a real browser against real relays.
pub(crate) fn suite(chromium: &Path) -> Result<Suite> {
    say::line("tests: browser");
    let files = browser_test_files()?;
    if files.is_empty() {
        bail!("{BROWSER_TESTS} holds no *.test.mjs: the browser tests are missing");
    }
    let mut command = program("node", ["--test", "--test-concurrency=1"]);
    command.arg(format!("--test-reporter={}", reporter().display())).args(files).env("GGEN_CHROMIUM", chromium);
    let (mut suite, passed) = node_suite("browser", &mut command)?;

    let expected = fs::read_to_string(paths::at(EXPECTED))
        .with_context(|| format!("cannot read {EXPECTED}, which names the browser tests, one a line"))?;
    let expected = names_in(&expected);
    let (missing, unknown) = compare(expected.iter().copied(), passed.iter().map(String::as_str));
    suite.counts.expected = suite.counts.expected.max(expected.len());
    suite.faults.extend(missing.iter().map(|name| format!("`{name}` is in {EXPECTED} but did not pass")));
    suite.faults.extend(unknown.iter().map(|name| format!("`{name}` passed but is not in {EXPECTED}: add it there")));
    Ok(suite)
}

/// Runs the browser tests of one file.
pub(crate) fn file(name: &'static str, chromium: &Path, file: &str) -> Result<Suite> {
    say::line(&format!("tests: {name}"));
    let mut command = program("node", ["--test"]);
    let path = paths::at(BROWSER_TESTS).join(file);
    command.arg(format!("--test-reporter={}", reporter().display())).arg(path).env("GGEN_CHROMIUM", chromium);
    let (suite, _) = node_suite(name, &mut command)?;
    Ok(suite)
}

/// Runs a suite, and gives it with the names of the tests that passed.
fn node_suite(name: &'static str, command: &mut Command) -> Result<(Suite, Vec<String>)> {
    let path = paths::state().join(format!("{}.report", name.replace(' ', "-")));
    fs::create_dir_all(paths::state())?;
    fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;

    let start = Instant::now();
    let status =
        with_environment(command).env("GGEN_TEST_REPORT", &path).status().context("cannot start Node's tests")?;
    let took = start.elapsed();
    let NodeReport { counts, passed } = NodeReport::parse(&fs::read_to_string(&path)?)?;
    let mut faults = Vec::new();
    if !status.success() && counts.failed == 0 {
        faults.push(format!("it ended with {status} though no test failed: see what it says above"));
    }
    Ok((Suite { name, counts, took, faults }, passed))
}

fn reporter() -> PathBuf {
    paths::at("xtask/node-reporter.mjs")
}

fn browser_test_files() -> Result<Vec<PathBuf>> {
    let directory = paths::at(BROWSER_TESTS);
    let entries = fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|path| path.to_string_lossy().ends_with(".test.mjs"));
    files.sort();
    Ok(files)
}
