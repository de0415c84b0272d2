//! What CI checks besides the tests: format, lints, docs, and the built artifacts.

use anyhow::Result;

use crate::cargo::{cargo, cargo_wasm, run as run_command};
use crate::{artifacts, native, page, paths, say, test, tools, wasm};

/// The crates that go into the browser.
const BROWSER_CRATES: [&str; 8] = [
    "--package",
    "ggen-shared",
    "--package",
    "ggen-net",
    "--package",
    "webrtc-direct",
    "--package",
    "ggen-client-wasm",
];

/// Where wasm32 is built, with the profile of the real build so that what both make is made once.
const BROWSER_BUILD: [&str; 5] = ["--locked", "--target", paths::WASM_TARGET, "--target-dir", "target/wasm"];

/// Runs all checks; `after_test` leaves out the tests.
pub(crate) fn run(after_test: bool) -> Result<()> {
    tools::rust_components()?;
    tools::wasm_target()?;
    format()?;
    lock_files()?;
    lints()?;
    docs()?;
    if !after_test {
        test::run()?;
    }
    // After `test` these find nothing to do.
    wasm::client()?;
    wasm::vectors()?;
    page::build()?;
    artifacts::check_module_size()?;
    artifacts::check_imports()?;
    artifacts::check_versions()?;
    artifacts::check_dependencies()?;
    say::line("every check passed");
    Ok(())
}

fn format() -> Result<()> {
    say::line("checking the format");
    run_command(&mut cargo(["fmt", "--all", "--check"]), "the format differs: run `cargo fmt --all`")
}

/// Nothing else builds the workspaces beside this one, so nothing else sees that they need other packages now.
fn lock_files() -> Result<()> {
    for beside in paths::BESIDE {
        say::line(&format!("checking the lock file of {beside}"));
        let mut check = cargo(["update", "--workspace", "--locked", "--quiet"]);
        let failure = format!("it is not up to date: run `cargo metadata` in {beside}");
        run_command(check.current_dir(paths::at(beside)), &failure)?;
    }
    Ok(())
}

fn lints() -> Result<()> {
    let failure = "a lint found something: see its message above";
    let deny = ["--", "--deny", "warnings"];

    say::line("lints: native");
    let native = ["clippy", "--locked", "--all-targets"].into_iter().chain(native::MEMBERS).chain(deny);
    run_command(&mut cargo(native), failure)?;

    say::line("lints: xtask");
    let own = ["clippy", "--locked", "--all-targets"].into_iter().chain(native::OWN);
    run_command(&mut cargo(own.chain(deny)), failure)?;

    say::line("lints: wasm32");
    let browser = ["clippy", "--profile", "wasm-release"].into_iter().chain(BROWSER_BUILD).chain(BROWSER_CRATES);
    run_command(&mut cargo_wasm(browser.chain(["--package", "ggen-wasm-vectors"]).chain(deny)), failure)
}

fn docs() -> Result<()> {
    let failure = "the documentation has a fault: see rustdoc's message above";
    let deny = "--deny warnings";

    say::line("docs: native");
    let native = ["doc", "--locked", "--no-deps", "--document-private-items"].into_iter().chain(native::MEMBERS);
    run_command(cargo(native).env("RUSTDOCFLAGS", deny), failure)?;

    say::line("docs: wasm32");
    let browser = ["doc", "--no-deps", "--document-private-items", "--profile", "wasm-release"];
    let browser = browser.into_iter().chain(BROWSER_BUILD).chain(["--package", "ggen-client-wasm"]);
    run_command(cargo_wasm(browser).env("RUSTDOCFLAGS", deny), failure)
}
