//! The wasm modules: the client with its bindings, and the golden vectors.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

use crate::cargo::{cargo_wasm, cargo_wasm_in_words, program, run};
use crate::stamp::{Freshness, Inputs};
use crate::{paths, say, tools};

/// What `wasm-opt` may use: what rustc uses for wasm32 by default, and every browser of the last years has. Named one by
/// one, because "all features" gives a module that Chromium refuses.
const SHRINK: [&str; 20] = [
    // What compresses best: -Oz makes a smaller module of which 10 kB more have to be downloaded.
    "-O1",
    "--duplicate-function-elimination",
    "--remove-unused-module-elements",
    "--dae-optimizing",
    "--rse",
    "--vacuum",
    "--simplify-locals-nostructure",
    "--coalesce-locals",
    "--reorder-locals",
    // What loads and stores say of alignment is a hint, which compresses worse than none.
    "--dealign",
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-call-indirect-overlong",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
    "--enable-simd",
    "--strip-producers",
];

/// The client, but for its package.
const BUILD: [&str; 8] =
    ["build", "--locked", "--target", paths::WASM_TARGET, "--profile", "wasm-release", "--target-dir", "target/wasm"];

/// The golden vectors, in a directory of their own: they compare debug prints too, which the client's flags leave out.
const VECTORS: [&str; 10] = [
    "build",
    "--locked",
    "--target",
    paths::WASM_TARGET,
    "--profile",
    "wasm-release",
    "--target-dir",
    "target/wasm-vectors",
    "--package",
    "ggen-wasm-vectors",
];

/// Builds the client's module and its bindings into the npm package.
pub(crate) fn client() -> Result<()> {
    tools::wasm_target()?;
    tools::npm_packages()?;
    say::line("building the wasm module");
    run(
        &mut cargo_wasm(BUILD.into_iter().chain(["--package", "ggen-client-wasm"])),
        "the client does not build for wasm32; the compiler's message above says why",
    )?;

    let built = paths::client_built();
    let mut inputs = Inputs::of(&format!("{SHRINK:?} no declarations {}", env!("CARGO_PKG_VERSION")));
    inputs.add(&built)?;
    inputs.add(&paths::at("node_modules/binaryen/package.json"))?;
    let Freshness::Stale(ticket) = inputs.fresh("client-wasm") else {
        if paths::client_module().exists() {
            return Ok(());
        }
        return bind_and_shrink(&paths::wasm_package());
    };
    bind_and_shrink(&paths::wasm_package())?;
    ticket.redeem()
}

/// Builds the client's module with the methods that `bench transports` needs, and its bindings into another directory.
pub(crate) fn client_for_bench(package: &Path) -> Result<()> {
    tools::wasm_target()?;
    tools::npm_packages()?;
    say::line("building the wasm module, with what is measured of its streams");
    run(
        &mut cargo_wasm(BUILD.into_iter().chain(["--package", "ggen-client-wasm", "--features", "perf"])),
        "the client does not build for wasm32; the compiler's message above says why",
    )?;
    bind_and_shrink(package)
}

fn bind_and_shrink(package: &Path) -> Result<()> {
    say::line("generating the bindings");
    if package.exists() {
        fs::remove_dir_all(package).with_context(|| format!("cannot remove {}", package.display()))?;
    }
    Bindgen::new()
        .input_path(paths::client_built())
        .web(true)?
        // The package declares by hand what it uses.
        .typescript(false)
        .generate(package)
        .context("cannot generate the bindings: is wasm-bindgen in Cargo.lock the version that xtask uses?")?;

    say::line("shrinking the wasm module");
    let module = paths::module_of(package);
    let mut shrink = program(paths::at("node_modules/.bin/wasm-opt"), SHRINK);
    shrink.arg(&module).arg("--output").arg(&module);
    run(&mut shrink, "cannot shrink the wasm module; see what wasm-opt says above")
}

/// Builds the golden vectors as a module without imports: of the code that the client has.
pub(crate) fn vectors() -> Result<()> {
    tools::wasm_target()?;
    say::line("building the golden vectors for wasm32");
    run(
        &mut cargo_wasm_in_words(VECTORS),
        "the golden vectors do not build for wasm32; the compiler's message above says why",
    )
}
