//! What dependencies are built with for browsers, and Cargo can't say.
//!
//! Cargo adds up features and can turn none off: a default feature that libp2p leaves on stays on, and a browser would download it in vain. Nor has it
//! compiler flags for one crate. So the wasm build calls the compiler through xtask, which leaves features out and puts flags in. Nothing that runs
//! natively is built so.

use std::ffi::{OsStr, OsString};
use std::process::{Command, ExitCode};

use crate::paths;

/// Crate and feature that the browser's module is built without.
const LEFT_OUT: [(&str, &str); 3] = [
    // 38 kB of multiples of the base point, which no compressor makes smaller. Without them a verification takes a
    // tenth longer, and a signature three times as long: a browser makes one a handshake.
    ("curve25519_dalek", "precomputed-tables"),
    // Ciphers and hashes of Noise protocols that libp2p does not speak.
    ("snow", "use-aes-gcm"),
    ("snow", "use-blake2"),
];

/// Crate and compiler flag that it is built with for wasm32. With SIMD, which BLAKE3 and the cipher use anyway, the hashes of Ed25519 and of content are
/// as fast as without, and 1.7 kB smaller. Built so as a whole, the module verifies an answer in a little more time.
const FLAGS: [(&str, &str); 1] = [("sha2", "-Ctarget-feature=+simd128")];

/// Says to xtask that Cargo called it in the compiler's place.
const IN_PLACE_OF_COMPILER: &str = "GGEN_XTASK_IN_PLACE_OF_COMPILER";

/// A compiler flag that does nothing but name what is left out and put in, so that Cargo builds anew when that changes.
pub(crate) fn flag() -> String {
    let names: Vec<_> = LEFT_OUT.iter().chain(&FLAGS).map(|(krate, what)| format!("{krate}/{what}")).collect();
    format!("--cfg=ggen_lean=\"{}\"", names.join(","))
}

/// Makes Cargo call xtask in the compiler's place.
pub(crate) fn wrap(command: &mut Command) {
    let xtask = std::env::current_exe().expect("a running program knows where it lies");
    command.env("RUSTC_WRAPPER", xtask).env(IN_PLACE_OF_COMPILER, "1");
}

/// When Cargo called xtask in the compiler's place: calls the compiler. None when a person called xtask.
pub(crate) fn compile() -> Option<ExitCode> {
    std::env::var_os(IN_PLACE_OF_COMPILER)?;
    let mut arguments = std::env::args_os().skip(1);
    let compiler = arguments.next()?;
    let status = Command::new(compiler).args(changed(arguments.collect())).status();
    let code = status.ok().and_then(|status| status.code()).and_then(|code| u8::try_from(code).ok());
    Some(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The compiler's arguments without the features that are left out of the crate they name, and with its flags.
fn changed(arguments: Vec<OsString>) -> Vec<OsString> {
    let named = arguments.iter().position(|argument| argument == "--crate-name");
    let name = named.and_then(|at| arguments.get(at + 1)).cloned().unwrap_or_default();
    let left_out: Vec<_> = LEFT_OUT.iter().filter(|(krate, _)| name == **krate).map(|(_, feature)| feature).collect();
    let is_left_out = |cfg: &OsStr| left_out.iter().any(|feature| *cfg == *format!("feature=\"{feature}\""));
    let mut kept: Vec<OsString> = Vec::with_capacity(arguments.len());
    for argument in arguments {
        if is_left_out(&argument) && kept.last().is_some_and(|last| last == "--cfg") {
            kept.pop();
        } else {
            kept.push(argument);
        }
    }
    // Build scripts are programs of this machine.
    let is_for_wasm = kept.iter().any(|argument| *argument == paths::WASM_TARGET);
    let flags = FLAGS.iter().filter(|(krate, _)| is_for_wasm && name == **krate);
    kept.extend(flags.map(|(_, flag)| OsString::from(flag)));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn leaves_features_out_of_the_crate_that_is_named() {
        let given = "--crate-name snow --cfg feature=\"std\" --cfg feature=\"use-blake2\" src/lib.rs";
        assert_eq!(changed(words(given)), words("--crate-name snow --cfg feature=\"std\" src/lib.rs"));
    }

    #[test]
    fn gives_a_crate_its_flags_for_wasm() {
        let given = "--crate-name sha2 src/lib.rs --target wasm32-unknown-unknown";
        assert_eq!(changed(words(given)), words(&format!("{given} -Ctarget-feature=+simd128")));
        let native = words("--crate-name sha2 src/lib.rs");
        assert_eq!(changed(native.clone()), native);
    }

    #[test]
    fn leaves_other_crates_alone() {
        let given = words("--crate-name sea --cfg feature=\"use-blake2\" src/lib.rs");
        assert_eq!(changed(given.clone()), given);
        assert_eq!(changed(words("-vV")), words("-vV"));
    }
}
