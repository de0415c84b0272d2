//! Where things are.

use std::path::{Path, PathBuf};

/// The root of the workspace.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// A path given from the root of the workspace.
pub(crate) fn at(relative: &str) -> PathBuf {
    root().join(relative)
}

/// Workspaces beside this one, of what is measured beside ours.
pub(crate) const BESIDE: [&str; 2] = ["tests/webrtc-beside", "tests/side-by-side/tantivy"];

/// Where xtask keeps its stamps, logs and reports.
pub(crate) fn state() -> PathBuf {
    at("target/xtask-state")
}

/// The name of the wasm target.
pub(crate) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Where `cargo build` leaves the client for wasm32, before bindings and shrinking.
pub(crate) fn client_built() -> PathBuf {
    at("target/wasm").join(WASM_TARGET).join("wasm-release").join("ggen_client_wasm.wasm")
}

/// The generated half of the npm package.
pub(crate) fn wasm_package() -> PathBuf {
    at("client-wasm/js/wasm")
}

/// The module that browsers download.
pub(crate) fn client_module() -> PathBuf {
    module_of(&wasm_package())
}

/// The module among its bindings.
pub(crate) fn module_of(package: &Path) -> PathBuf {
    package.join("ggen_client_wasm_bg.wasm")
}

/// The golden vectors as a module without imports.
pub(crate) fn vectors_module() -> PathBuf {
    at("target/wasm-vectors").join(WASM_TARGET).join("wasm-release").join("ggen_wasm_vectors.wasm")
}

/// The built page.
pub(crate) fn page() -> PathBuf {
    at("www/dist")
}

/// A binary of the dev profile.
pub(crate) fn native_binary(name: &str) -> PathBuf {
    at("target/debug").join(name)
}
