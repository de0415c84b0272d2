//! What was built, looked at from outside: sizes and imports of modules, versions, forbidden dependencies.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wasmparser::{Parser, Payload};

use crate::cargo::{cargo, output, program};
use crate::{paths, say};

/// A crate of ours that takes the place of another one (`[patch]`), whose version it has.
const IN_PLACE_OF_ANOTHER: &str = "chacha20poly1305";

/// The most that the module may weigh on its way to a browser.
const MAX_MODULE_BROTLI_BYTES: u64 = 655_000;

/// What the protocol crate must not reach, so that it stays free of clocks, sockets, randomness and JS.
const FORBIDDEN_IN_SHARED: [&str; 8] =
    ["tokio", "libp2p", "libp2p-swarm", "getrandom", "web-sys", "js-sys", "wasm-bindgen", "web-time"];

/// Measures what a module weighs raw, through gzip and through brotli: as JSON, with Node's compressors.
const MEASURE: &str = "
    const { readFileSync } = require('node:fs'), zlib = require('node:zlib');
    const raw = readFileSync(process.argv[1]);
    console.log(JSON.stringify({
        raw: raw.length,
        gzip: zlib.gzipSync(raw, { level: 9 }).length,
        brotli: zlib.brotliCompressSync(raw, { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 11 } }).length,
    }));";

/// Prints what the client's module weighs, and fails when it is too much.
pub(crate) fn check_module_size() -> Result<()> {
    let module = paths::client_module();
    let measured =
        output(program("node", ["-e", MEASURE]).arg(&module), "cannot measure the wasm module; is it built?")?;
    let sizes: Value = serde_json::from_str(&measured).context("Node measured the wasm module but printed no JSON")?;
    let bytes =
        |form: &str| sizes[form].as_u64().with_context(|| format!("Node did not measure the module's {form} size"));
    let (raw, gzip, brotli) = (bytes("raw")?, bytes("gzip")?, bytes("brotli")?);
    say::line(&format!(
        "wasm module: {raw} bytes raw, {gzip} gzip, {brotli} brotli (at most {MAX_MODULE_BROTLI_BYTES})"
    ));
    if brotli > MAX_MODULE_BROTLI_BYTES {
        bail!(
            "the wasm module is {} bytes over its limit after brotli: see what grew it",
            brotli - MAX_MODULE_BROTLI_BYTES
        );
    }
    Ok(())
}

/// Fails if the client's module wants anything of a C library, or the golden vectors want anything at all.
pub(crate) fn check_imports() -> Result<()> {
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let client = imports(&read(&paths::client_module())?)?;
    if let Some(import) = client.iter().find(|import| import.module == "env") {
        bail!(
            "the wasm module imports `{}` from `env`, which no browser has: some crate was built for C, not for browsers",
            import.name
        );
    }
    let vectors = imports(&read(&paths::vectors_module())?)?;
    if let Some(import) = vectors.first() {
        bail!(
            "the golden vectors import `{}` from `{}`: ggen-shared must need nothing from its host",
            import.name,
            import.module
        );
    }
    say::line(&format!("imports: {} of the client, none from `env`; none of the golden vectors", client.len()));
    Ok(())
}

/// Something that a module wants from its host.
#[derive(Debug, PartialEq, Eq)]
struct Import {
    module: String,
    name: String,
}

fn imports(module: &[u8]) -> Result<Vec<Import>> {
    let mut found = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::ImportSection(section) = payload.context("the wasm module is malformed")? {
            for import in section {
                let import = import.context("the wasm module's imports are malformed")?;
                found.push(Import { module: import.module.to_owned(), name: import.name.to_owned() });
            }
        }
    }
    Ok(found)
}

/// Fails if a `package.json` and `Cargo.toml` name different versions.
pub(crate) fn check_versions() -> Result<()> {
    let metadata = cargo(["metadata", "--locked", "--no-deps", "--format-version", "1"]);
    let metadata = output(&mut { metadata }, "cannot read the workspace; see what Cargo says above")?;
    let metadata: Value = serde_json::from_str(&metadata).context("`cargo metadata` printed no JSON")?;
    let mut versions = Vec::new();
    for package in metadata["packages"].as_array().context("`cargo metadata` names no packages")? {
        if package["name"] == IN_PLACE_OF_ANOTHER {
            continue;
        }
        versions.push((format!("crate {}", package["name"]), package["version"].clone()));
    }

    let root = package_json(&paths::at("package.json"))?;
    let workspaces = root["workspaces"].as_array().context("package.json names no workspaces")?.clone();
    versions.push(("package.json".to_owned(), root["version"].clone()));
    for directory in workspaces.iter().filter_map(Value::as_str) {
        let package = package_json(&paths::at(directory).join("package.json"))?;
        versions.push((format!("{directory}/package.json"), package["version"].clone()));
        for (name, wanted) in package["dependencies"].as_object().into_iter().flatten() {
            if name.starts_with("@ggen/") {
                versions.push((format!("{directory}/package.json's dependency {name}"), wanted.clone()));
            }
        }
    }
    same_versions(&versions)?;
    say::line(&format!("versions: {} in {} places", versions[0].1.as_str().unwrap_or_default(), versions.len()));
    Ok(())
}

/// Names the first two places that disagree; a private package without a version is no place.
fn same_versions(versions: &[(String, Value)]) -> Result<()> {
    let mut named = versions.iter().filter(|(_, version)| !version.is_null());
    let Some((first, version)) = named.next() else { bail!("no version is named anywhere") };
    match named.find(|(_, other)| other != version) {
        Some((second, other)) => {
            bail!("{first} has version {version} but {second} has {other}: make them one")
        }
        None => Ok(()),
    }
}

fn package_json(path: &Path) -> Result<Value> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
}

/// Fails if the protocol crate reaches a runtime, the network, randomness or a browser, natively or on wasm32.
pub(crate) fn check_dependencies() -> Result<()> {
    for target in [host()?.as_str(), paths::WASM_TARGET] {
        let mut tree = cargo(["tree", "--locked", "--package", "ggen-shared", "--edges", "normal", "--prefix", "none"]);
        let tree = output(tree.args(["--target", target]), "cannot list the dependencies of ggen-shared")?;
        if let Some(name) = forbidden(&tree) {
            bail!(
                "ggen-shared reaches `{name}` on {target}, and must not; \
                 `cargo tree --package ggen-shared --target {target} --invert {name}` shows through what"
            );
        }
    }
    say::line(&format!("ggen-shared: none of {}", FORBIDDEN_IN_SHARED.join(", ")));
    Ok(())
}

fn forbidden(tree: &str) -> Option<&str> {
    tree.lines().filter_map(|line| line.split_whitespace().next()).find(|name| FORBIDDEN_IN_SHARED.contains(name))
}

fn host() -> Result<String> {
    let about = output(&mut program("rustc", ["-vV"]), "rustc does not answer")?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not name its host")?;
    Ok(host.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A module that has one type, and imports `now` from `env` and a memory from `wbg`.
    const IMPORTING: [u8; 38] = [
        0, b'a', b's', b'm', 1, 0, 0, 0, // header
        1, 4, 1, 0x60, 0, 0, // types: one, () -> ()
        2, 22, 2, // imports: two, in 22 bytes
        3, b'e', b'n', b'v', 3, b'n', b'o', b'w', 0, 0, // function of type 0
        3, b'w', b'b', b'g', 3, b'm', b'e', b'm', 2, 0, 1, // memory of a page
    ];

    #[test]
    fn reads_what_a_module_imports() {
        let import = |module: &str, name: &str| Import { module: module.to_owned(), name: name.to_owned() };
        assert_eq!(imports(&IMPORTING).unwrap(), [import("env", "now"), import("wbg", "mem")]);
        assert_eq!(imports(&IMPORTING[..14]).unwrap(), []);
    }

    #[test]
    fn refuses_what_is_no_module() {
        assert!(imports(b"not wasm").is_err());
        assert!(imports(&IMPORTING[..30]).is_err());
    }

    #[test]
    fn names_two_places_whose_versions_differ() {
        let place = |name: &str, version: Value| (name.to_owned(), version);
        let agreeing = [place("a", json!("0.1.0")), place("b", Value::Null), place("c", json!("0.1.0"))];
        assert!(same_versions(&agreeing).is_ok());
        let error = same_versions(&[place("a", json!("0.1.0")), place("b", json!("0.2.0"))]).unwrap_err();
        assert_eq!(error.to_string(), "a has version \"0.1.0\" but b has \"0.2.0\": make them one");
        assert!(same_versions(&[]).is_err());
    }

    #[test]
    fn finds_a_forbidden_crate_by_its_whole_name() {
        assert_eq!(forbidden("ggen-shared v0.1.0 (/shared)\ntokio-util v0.7.0\nblake3 v1.8.7"), None);
        assert_eq!(forbidden("ggen-shared v0.1.0 (/shared)\ngetrandom v0.4.2"), Some("getrandom"));
    }
}
