//! The one place that reads a clock or draws randomness.

use std::time::Instant;

use ring::rand::{SecureRandom, SystemRandom};

#[expect(clippy::disallowed_methods, reason = "this is the shell's clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Random bytes.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("an operating system without randomness has no TLS either");
    bytes
}

/// Random letters and digits, six bits each or a little less.
pub(crate) fn random_text<const N: usize>() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    random::<N>().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).into_iter().collect()
}
