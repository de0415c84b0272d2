//! `cargo xtask bench` and `corpus`: real packages by the ten thousands. Needs a Debian machine, whose package index they are.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::cargo::{cargo, program, run};
use crate::{native, page, paths, say, tools, wasm};

/// What can be measured.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Bench {
    /// The catalogue: derive, insert, answer, verify.
    Catalogue,
    /// Answers over the wire, beside an echo of the same sizes.
    Wire,
    /// Whether people find what they look for, beside MiniSearch and tantivy.
    Relevance,
    /// Two thousand clients of one relay: what each costs it, and when each hears of an announcement.
    Clients,
    /// Networks of up to a thousand relays in one process, some of them dead: lookups and announcements.
    Network,
    /// Publishing 600 crates of Cargo's cache to three relays.
    Publish,
    /// Five hundred connections over WebRTC-direct: what each costs whoever listens, beside libp2p-webrtc.
    Webrtc,
    /// Sync: the bytes and the time that relays need to hold the same.
    Sync,
    /// Content in a browser: with and without a gateway, beside a bare WebSocket, plain `fetch` and Helia.
    Content,
    /// Connections and streams of the client in a browser, beside js-libp2p, a bare WebSocket and a bare data channel.
    Transports,
    /// The client in a browser, beside MiniSearch with a prebuilt index and beside a plain JSON endpoint.
    SideBySide,
}

/// What can be made a corpus of.
#[derive(Clone, Copy, clap::ValueEnum)]
pub(crate) enum Corpus {
    /// The package index of this Debian machine.
    Debian,
}

/// Measures, prints a table and writes `target/bench/NAME.json`.
pub(crate) fn bench(name: Bench) -> Result<()> {
    let results = paths::at("target/bench");
    fs::create_dir_all(&results).with_context(|| format!("cannot create {}", results.display()))?;
    match name {
        Bench::Catalogue => run_core_program("catalogue", &[&shown(&results.join("catalogue.json"))]),
        Bench::Wire => with_packages("wire", &[&shown(&results.join("wire.json"))]),
        Bench::Clients => with_relays("clients", &[&shown(&results.join("clients.json"))]),
        Bench::Network => with_relays("network", &[&shown(&results.join("network.json"))]),
        Bench::Publish => publish(&results),
        Bench::Relevance => relevance(&results),
        Bench::Content => content(&results),
        Bench::Transports => transports(&results),
        Bench::SideBySide => side_by_side(&results),
        Bench::Webrtc => webrtc(&results),
        Bench::Sync => with_packages("sync", &[&shown(&results.join("sync.json"))]),
    }
}

/// Six hundred crates are more than what is built here needs; with those of other systems and of what is measured beside ours there are enough.
fn publish(results: &Path) -> Result<()> {
    for workspace in [""].iter().chain(&paths::BESIDE) {
        say::line(&format!("fetching the crates of {}", paths::at(workspace).display()));
        let mut fetch = cargo(["fetch", "--locked", "--quiet"]);
        run(fetch.current_dir(paths::at(workspace)), "Cargo can't fetch them; its message above says why")?;
    }
    with_relays("publish", &[&shown(&results.join("publish.json"))])
}

fn webrtc(results: &Path) -> Result<()> {
    say::line("building libp2p-webrtc, which nothing else uses");
    let built = paths::at("target/webrtc-beside");
    let mut build = cargo(["build", "--locked", "--release", "--target-dir"]);
    build.arg(&built).current_dir(paths::at("tests/webrtc-beside"));
    run(&mut build, "the program does not build; the compiler's message above says why")?;
    let measure = program(built.join("release/webrtc-beside"), [shown(&results.join("webrtc.json"))]);
    run(
        &mut { measure },
        "a connection failed; the message above says which. Five hundred need as many open files: see `ulimit -n`",
    )
}

fn relevance(results: &Path) -> Result<()> {
    tools::npm_packages()?;
    say::line("building tantivy");
    let tantivy = paths::at("tests/side-by-side/tantivy");
    let built = paths::at("target/tantivy");
    let mut build = cargo(["build", "--locked", "--quiet", "--target-dir"]);
    build.arg(&built).current_dir(tantivy);
    run(&mut build, "tantivy does not build; the compiler's message above says why")?;
    let arguments = [
        paths::at("tests/relevance/queries.tsv"),
        results.join("relevance"),
        built.join("debug/ggen-tantivy"),
        paths::at("tests/side-by-side/minisearch.mjs"),
        results.join("relevance.json"),
    ];
    let arguments = arguments.each_ref().map(|path| shown(path));
    // What is found is the same however fast it is, and what tests run is built already.
    run_built(
        "dev",
        &["--package", "ggen-side-by-side", "--bin", "relevance"],
        &arguments.each_ref().map(String::as_str),
    )
}

fn side_by_side(results: &Path) -> Result<()> {
    let chromium = tools::chromium()?;
    wasm::client()?;
    page::build()?;
    let arguments =
        [paths::at("tests/side-by-side"), results.join("side-by-side"), chromium, results.join("side-by-side.json")];
    let arguments = arguments.each_ref().map(|path| shown(path));
    with_packages("side-by-side", &arguments.each_ref().map(String::as_str))
}

fn content(results: &Path) -> Result<()> {
    let chromium = tools::chromium()?;
    tools::npm_packages_of(&paths::at("tests/interop"))?;
    wasm::client()?;
    page::build()?;
    let arguments = [paths::at("tests/interop/race"), results.join("content"), chromium, results.join("content.json")];
    let arguments = arguments.each_ref().map(|path| shown(path));
    with_relays("content", &arguments.each_ref().map(String::as_str))
}

fn transports(results: &Path) -> Result<()> {
    let chromium = tools::chromium()?;
    tools::npm_packages_of(&paths::at("tests/interop"))?;
    let module = results.join("transports/module");
    wasm::client_for_bench(&module)?;
    wasm::client()?;
    page::build()?;
    let scripts = paths::at("tests/interop/transports");
    let arguments = [scripts, module, results.join("transports"), chromium, results.join("transports.json")];
    let arguments = arguments.each_ref().map(|path| shown(path));
    with_relays("transports", &arguments.each_ref().map(String::as_str))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// Makes `target/corpus/NAME.records`.
pub(crate) fn corpus(Corpus::Debian: Corpus) -> Result<()> {
    run_core_program("corpus", &["debian", &shown(&paths::at("target/corpus/debian.records"))])
}

/// Runs a program of `ggen-bench` that needs no relay, and builds none for it.
fn run_core_program(name: &str, arguments: &[&str]) -> Result<()> {
    run_built("release", &["--package", "ggen-bench", "--no-default-features", "--bin", name], arguments)
}

/// Runs a program that needs relays, and packages of this machine.
fn with_packages(name: &str, arguments: &[&str]) -> Result<()> {
    packages_of_this_machine()?;
    with_relays(name, arguments)
}

/// Runs a program that needs relays.
fn with_relays(name: &str, arguments: &[&str]) -> Result<()> {
    native::release(&[name, "ggen-relay"])?;
    say::line("measuring");
    let measure = &mut program(paths::at("target/release").join(name), arguments);
    run(measure, "it did not come to an end; see above. Two thousand clients need as many open files: see `ulimit -n`")
}

/// Runs a program of one package, built for itself.
fn run_built(profile: &str, program: &[&str], arguments: &[&str]) -> Result<()> {
    packages_of_this_machine()?;
    say::line("building, then reading the package index");
    let build = ["run", "--locked", "--profile", profile];
    run(
        &mut cargo(build.iter().chain(program).chain(&["--"]).chain(arguments)),
        "it did not come to an end; see above. Long descriptions come with `apt-get -o Acquire::Languages=en update`",
    )
}

fn packages_of_this_machine() -> Result<()> {
    if crate::tools::find_in_path("apt-cache").is_none() {
        bail!("the packages are those of a Debian machine, and apt-cache is not in PATH: run it there");
    }
    Ok(())
}
