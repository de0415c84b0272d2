//! Every test that CI runs. The runner knows how many tests there are before it runs them, and fails if fewer ran.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::cargo::{cargo, output, program, run as run_command, shown_and_kept};
use crate::count::{Counts, Suite, listed_by_libtest, ran_by_libtest};
use crate::{browser, native, page, paths, say, tools, wasm};

/// Scenarios with real nodes that the design this project grew from names. They must be there under these names.
const SCENARIOS: [&str; 11] = [
    "test_announce_package_via_gossipsub",
    "test_dht_put_get_operations",
    "test_discover_peers_via_dht",
    "test_gossipsub_topic_subscription",
    "test_multiple_peers_package_discovery",
    "test_p2p_network_initialization",
    "test_package_republishing_prevents_duplicates",
    "test_package_version_updates",
    "test_peer_reputation_tracking",
    "test_retrieve_package_from_peer",
    "test_search_discovers_remote_packages",
];

/// Builds everything, runs every suite, and prints what was expected, ran, passed and failed.
pub(crate) fn run() -> Result<()> {
    let chromium = prepare()?;
    wasm::vectors()?;
    say::line("checking types");
    run_command(
        &mut program("npm", ["run", "check", "--silent"]),
        "the types do not check; the message above says why",
    )?;

    let suites = [
        cargo_suite("native", &native::MEMBERS, &[], &SCENARIOS)?,
        cargo_suite("xtask", &native::OWN, &[], &[])?,
        browser::npm_suite()?,
        browser::suite(&chromium)?,
    ];
    report(&suites)
}

/// Builds the programs and the page, and says where Chromium is to drive it.
pub(crate) fn prepare() -> Result<PathBuf> {
    // What may be missing comes first, so that nobody waits for a build to learn of it.
    let chromium = tools::chromium()?;
    tools::npm_packages()?;
    tools::wasm_target()?;
    native::binaries()?;
    wasm::client()?;
    page::build()?;
    Ok(chromium)
}

/// Tells the tests where the binaries, the page and the modules are, so that none is built twice or looked for.
pub(crate) fn with_environment(command: &mut Command) -> &mut Command {
    command
        .env("GGEN_RELAY_BIN", paths::native_binary("ggen-relay"))
        .env("GGEN_MARKET_BIN", paths::native_binary("ggen-market"))
        .env("GGEN_TEST_BINS", paths::at("target/debug"))
        .env("GGEN_WWW", paths::page())
        .env("GGEN_WASM_VECTORS", paths::vectors_module())
}

/// Runs the tests of the selected programs; of these, where `filters` are given, those whose paths hold one of them.
pub(crate) fn cargo_suite(
    name: &'static str,
    selection: &[&str],
    filters: &[&str],
    required: &[&str],
) -> Result<Suite> {
    say::line(&format!("tests: {name}"));
    let arguments =
        || ["test", "--locked", "--no-fail-fast"].iter().chain(selection).chain(&["--"]).chain(filters).copied();
    let listing = output(
        with_environment(&mut cargo(arguments().chain(["--list"]))),
        "the tests do not build; the compiler's message above says why",
    )?;
    let listed = listed_by_libtest(&listing);

    let start = Instant::now();
    let (status, stdout) = shown_and_kept(with_environment(&mut cargo(arguments())))?;
    let took = start.elapsed();
    let counts = Counts { expected: listed.len(), ..ran_by_libtest(&stdout) };
    let mut faults = missing(&listed, required);
    if !status.success() && counts.failed == 0 {
        faults.push(format!("cargo test ended with {status} though no test failed: a test binary died"));
    }
    Ok(Suite { name, counts, took, faults })
}

/// A sentence for each required test that no module has.
fn missing(listed: &[&str], required: &[&str]) -> Vec<String> {
    let there: BTreeSet<&str> = listed.iter().filter_map(|name| name.rsplit("::").next()).collect();
    let absent = required.iter().filter(|name| !there.contains(*name));
    absent.map(|name| format!("the scenario {name} is missing")).collect()
}

pub(crate) fn report(suites: &[Suite]) -> Result<()> {
    let mut total = Counts::default();
    println!(
        "\n{:<20}{:>9}{:>7}{:>8}{:>8}{:>9}{:>9}",
        "suite", "expected", "ran", "passed", "failed", "skipped", "seconds"
    );
    for Suite { name, counts, took, .. } in suites {
        let Counts { expected, passed, failed, skipped } = counts;
        let (ran, seconds) = (counts.ran(), took.as_secs_f32());
        println!("{name:<20}{expected:>9}{ran:>7}{passed:>8}{failed:>8}{skipped:>9}{seconds:>9.1}");
        total.add(counts);
    }
    println!();
    let mut bad = Vec::new();
    for suite in suites {
        for fault in &suite.faults {
            println!("{}: {fault}", suite.name);
        }
        if !suite.counts.is_good() || !suite.faults.is_empty() {
            bad.push(suite.name);
        }
    }
    println!("expected {} tests, {} ran", total.expected, total.ran());
    println!("{} passed, {} failed", total.passed, total.failed);
    if !bad.is_empty() {
        bail!("not every test that there is ran and passed: see {} above", bad.join("; "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn suite(counts: Counts, faults: Vec<String>) -> Suite {
        Suite { name: "s", counts, took: Duration::ZERO, faults }
    }

    #[test]
    fn finds_a_scenario_in_any_module() {
        assert_eq!(missing(&["dht::test_a", "test_b"], &["test_a", "test_b"]), Vec::<String>::new());
        assert_eq!(missing(&["dht::test_ab"], &["test_a"]), ["the scenario test_a is missing"]);
    }

    #[test]
    fn fails_when_fewer_ran_than_expected() {
        assert!(report(&[suite(Counts { expected: 2, passed: 2, failed: 0, skipped: 0 }, vec![])]).is_ok());
        assert!(report(&[suite(Counts { expected: 3, passed: 2, failed: 0, skipped: 0 }, vec![])]).is_err());
        assert!(
            report(&[suite(Counts { expected: 2, passed: 2, failed: 0, skipped: 0 }, vec!["died".to_owned()])])
                .is_err()
        );
    }
}
