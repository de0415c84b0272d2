//! Counting tests: how many there should be, how many ran, and how they ended.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

/// What a suite of tests did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Tests that there are.
    pub(crate) expected: usize,
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    /// Tests that were skipped, ignored or marked as still to do.
    pub(crate) skipped: usize,
}

impl Counts {
    /// Tests that ran to an end.
    pub(crate) fn ran(&self) -> usize {
        self.passed + self.failed
    }

    /// Adds the counts of another suite.
    pub(crate) fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Whether every test there is ran and passed. A suite without any test proves nothing.
    pub(crate) fn is_good(&self) -> bool {
        self.expected > 0 && self.passed == self.expected && self.failed == 0 && self.skipped == 0
    }
}

/// A suite, and what came of it.
pub(crate) struct Suite {
    pub(crate) name: &'static str,
    pub(crate) counts: Counts,
    pub(crate) took: Duration,
    /// What else is wrong with it, a sentence each.
    pub(crate) faults: Vec<String>,
}

/// Names of tests in what `cargo test -- --list` prints.
pub(crate) fn listed_by_libtest(stdout: &str) -> Vec<&str> {
    stdout.lines().filter_map(|line| line.strip_suffix(": test")).collect()
}

/// Sums up the `test result:` lines that `cargo test` prints, one for each binary; `expected` stays 0.
pub(crate) fn ran_by_libtest(stdout: &str) -> Counts {
    let mut counts = Counts::default();
    for line in stdout.lines() {
        // What a test prints itself may stand before it on the line.
        let Some((_, summary)) = line.split_once("test result: ") else {
            continue;
        };
        let Some((_, numbers)) = summary.split_once(". ") else {
            continue;
        };
        for part in numbers.split(';') {
            match part.trim().split_once(' ') {
                Some((number, "passed")) => counts.passed += number.parse().unwrap_or(0),
                Some((number, "failed")) => counts.failed += number.parse().unwrap_or(0),
                Some((number, "ignored")) => counts.skipped += number.parse().unwrap_or(0),
                _ => {}
            }
        }
    }
    counts
}

/// What the reporter `xtask/node-reporter.mjs` wrote.
#[derive(Debug, Default)]
pub(crate) struct NodeReport {
    pub(crate) counts: Counts,
    /// Names of the tests that passed.
    pub(crate) passed: Vec<String>,
}

impl NodeReport {
    /// Reads a line for each run of `node --test`.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut report = Self::default();
        for line in text.lines() {
            let run: Value = serde_json::from_str(line).context("the report of the Node tests is not JSON")?;
            let names = |field: &str| -> Vec<String> {
                let list = run[field].as_array().map(Vec::as_slice).unwrap_or_default();
                list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            };
            let passed = names("passed");
            report.counts.add(&Counts {
                expected: run["expected"].as_u64().and_then(|count| count.try_into().ok()).unwrap_or(0),
                passed: passed.len(),
                failed: names("failed").len(),
                skipped: names("skipped").len(),
            });
            report.passed.extend(passed);
        }
        Ok(report)
    }
}

/// The names in an `expected.txt`: one a line; empty lines and those that begin with `#` are for people.
pub(crate) fn names_in(text: &str) -> Vec<&str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// Compares names that should be there with names that are: what is missing, what is too many. Counts repetitions.
pub(crate) fn compare<'a>(
    expected: impl IntoIterator<Item = &'a str>,
    found: impl IntoIterator<Item = &'a str>,
) -> (Vec<&'a str>, Vec<&'a str>) {
    let mut balance = BTreeMap::<&str, i32>::new();
    for name in expected {
        *balance.entry(name).or_default() -= 1;
    }
    for name in found {
        *balance.entry(name).or_default() += 1;
    }
    let with_sign =
        |sign| balance.iter().filter(move |(_, count)| count.signum() == sign).map(|(name, _)| *name).collect();
    (with_sign(-1), with_sign(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_tests_and_neither_benchmarks_nor_totals() {
        let stdout = "codec::tests::round_trips: test\nspeed: benchmark\nsrc/lib.rs - id (line 3): test\n\n2 tests, 1 benchmark\n";
        assert_eq!(listed_by_libtest(stdout), ["codec::tests::round_trips", "src/lib.rs - id (line 3)"]);
    }

    #[test]
    fn sums_the_results_of_all_binaries() {
        let stdout = "running 2 tests\ntest a ... ok\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s\n\
            noise test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 4 filtered out; finished in 1.20s\n";
        assert_eq!(ran_by_libtest(stdout), Counts { expected: 0, passed: 5, failed: 1, skipped: 1 });
    }

    #[test]
    fn a_binary_that_died_has_no_result_and_so_fewer_ran_than_expected() {
        let stdout = "running 2 tests\ntest a ... ok\n";
        let counts = Counts { expected: 2, ..ran_by_libtest(stdout) };
        assert!(!counts.is_good());
    }

    #[test]
    fn an_empty_or_partly_skipped_suite_is_not_good() {
        assert!(!Counts::default().is_good());
        assert!(!Counts { expected: 2, passed: 1, failed: 0, skipped: 1 }.is_good());
        assert!(Counts { expected: 2, passed: 2, failed: 0, skipped: 0 }.is_good());
    }

    #[test]
    fn reads_a_report_of_two_node_runs() {
        let text = "{\"expected\":2,\"passed\":[\"a\",\"b\"],\"failed\":[],\"skipped\":[]}\n\
            {\"expected\":2,\"passed\":[],\"failed\":[\"c\"],\"skipped\":[\"d\"]}\n";
        let report = NodeReport::parse(text).unwrap();
        assert_eq!(report.counts, Counts { expected: 4, passed: 2, failed: 1, skipped: 1 });
        assert_eq!(report.passed, ["a", "b"]);
        assert!(NodeReport::parse("{\"expected\":").is_err());
    }

    #[test]
    fn names_what_is_missing_and_what_is_too_many() {
        let expected = names_in("# over both transports\nsearches\n\nopens\nopens\n");
        assert_eq!(compare(expected, ["opens", "scrolls"]), (vec!["opens", "searches"], vec!["scrolls"]));
    }
}
