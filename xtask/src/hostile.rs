//! Relays that lie, against native clients and the browser's: each lie has a test of its own, which `cargo xtask test` runs too.

use anyhow::Result;

use crate::{browser, native, test};

/// The browser's tests of lies.
const BROWSER_TESTS: &str = "hostile.test.mjs";

/// Builds what lies and what is lied to, runs both suites, and prints what was expected, ran, passed and failed.
pub(crate) fn run() -> Result<()> {
    let chromium = test::prepare()?;
    let selection: Vec<&str> = native::MEMBERS.into_iter().chain(["--test", "all"]).collect();
    let suites = [
        test::cargo_suite("lies, native", &selection, &["hostile::", "compare::"], &[])?,
        browser::file("lies, browser", &chromium, BROWSER_TESTS)?,
    ];
    test::report(&suites)
}
