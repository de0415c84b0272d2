//! RustCrypto's ChaCha20.

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

pub(crate) struct Keystream(ChaCha20);

impl Keystream {
    /// The keystream from its second block on, and what the first one begins with.
    pub(crate) fn begin(key: &[u8; 32], nonce: &[u8; 12]) -> (Self, [u8; 32]) {
        let mut cipher = ChaCha20::new(key.into(), nonce.into());
        let mut first = [0; 32];
        cipher.apply_keystream(&mut first);
        cipher.seek(64_u32);
        (Self(cipher), first)
    }

    /// Encrypts, or decrypts, one message.
    pub(crate) fn apply(mut self, message: &mut [u8]) {
        self.0.apply_keystream(message);
    }
}
