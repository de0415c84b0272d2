//! Tools that Cargo does not bring: installed when missing, or one sentence on what to install.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context, Result, bail};

use crate::cargo::{output, program, run};
use crate::{paths, say};

/// The oldest Node that the page's bundler runs on: major, minor.
const OLDEST_NODE: (u32, u32) = (20, 19);

/// Names under which systems install Chromium.
const CHROMIUM_NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

/// Makes sure that Rust can build for wasm32.
pub(crate) fn wasm_target() -> Result<()> {
    let sysroot = output(
        &mut program("rustc", ["--print", "sysroot"]),
        "rustc does not answer; install Rust from https://rustup.rs",
    )?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(paths::WASM_TARGET).is_dir() {
        return Ok(());
    }
    say::line("installing Rust's wasm32 target");
    run(
        &mut program("rustup", ["target", "add", paths::WASM_TARGET]),
        "cannot install Rust's wasm32 target; run `rustup target add wasm32-unknown-unknown` and see what it says",
    )
}

/// Makes sure that rustfmt and clippy are there.
pub(crate) fn rust_components() -> Result<()> {
    for (component, subcommand) in [("rustfmt", "fmt"), ("clippy", "clippy")] {
        let answers = program("cargo", [subcommand, "--version"]).output().is_ok_and(|output| output.status.success());
        if !answers {
            say::line(&format!("installing {component}"));
            run(
                &mut program("rustup", ["component", "add", component]),
                &format!("cannot install {component}; run `rustup component add {component}` and see what it says"),
            )?;
        }
    }
    Ok(())
}

/// Makes sure that Node is there and new enough, and that the npm packages are those of the lock file.
pub(crate) fn npm_packages() -> Result<()> {
    let (major, minor) = OLDEST_NODE;
    let next = format!("install Node {major}.{minor} or newer from https://nodejs.org");
    let version =
        Command::new("node").arg("--version").output().ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let Some(version) = version else {
        bail!("Node is missing: {next}");
    };
    if node_version(&version).is_none_or(|found| found < OLDEST_NODE) {
        bail!("Node {} is too old: {next}", version.trim());
    }
    npm_packages_of(paths::root())
}

/// Makes sure that the npm packages of a directory are those of its lock file.
pub(crate) fn npm_packages_of(directory: &Path) -> Result<()> {
    let lock = directory.join("package-lock.json");
    if !lock.exists() {
        bail!("{} is missing: run `npm install` there once and commit it", lock.display());
    }
    if modified(&directory.join("node_modules/.package-lock.json"))
        .is_some_and(|installed| modified(&lock) <= Some(installed))
    {
        return Ok(());
    }
    say::line("installing npm packages");
    run(
        program("npm", ["ci", "--no-audit", "--no-fund"]).current_dir(directory),
        "cannot install the npm packages; run `npm ci` and see whether the registry can be reached",
    )
}

/// `v20.20.2` gives (20, 20).
fn node_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// The path of a Chromium, installed if need be.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(path) = env::var_os("GGEN_CHROMIUM").map(PathBuf::from) {
        if !path.is_file() {
            bail!("GGEN_CHROMIUM names {}, which is no file: correct or unset it", path.display());
        }
        return Ok(path);
    }
    if let Some(path) = installed_chromium() {
        return Ok(path);
    }
    if !is_root() || find_in_path("apt-get").is_none() {
        bail!("Chromium is missing: install the package `chromium`, or name its path in GGEN_CHROMIUM");
    }
    say::line("installing Chromium");
    let failure = "cannot install Chromium; install the package `chromium`, or name its path in GGEN_CHROMIUM";
    run(&mut program("apt-get", ["update", "--quiet=2"]), failure)?;
    run(
        program("apt-get", ["install", "--yes", "--quiet=2", "chromium"]).env("DEBIAN_FRONTEND", "noninteractive"),
        failure,
    )?;
    installed_chromium().context(failure)
}

fn installed_chromium() -> Option<PathBuf> {
    CHROMIUM_NAMES.iter().find_map(|name| find_in_path(name))
}

/// Whether this is the system's administrator.
pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// Finds a program the way a shell does.
pub(crate) fn find_in_path(name: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version_that_node_prints() {
        assert_eq!(node_version("v20.20.2\n"), Some((20, 20)));
        assert_eq!(node_version("v8.1.0"), Some((8, 1)));
        assert_eq!(node_version("node"), None);
    }
}
