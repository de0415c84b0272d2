//! ChaCha20-Poly1305, the cipher of Noise ([RFC 8439](https://www.rfc-editor.org/rfc/rfc8439)), in place of RustCrypto's crate of this name, which has no
//! SIMD for WebAssembly: there the keystream is made by four blocks at once here. Elsewhere it is RustCrypto's, and so is Poly1305 everywhere.

pub use aead::{self, AeadCore, AeadInPlace, Error, KeyInit, KeySizeUser};

use aead::consts::{U0, U12, U16, U32};
use aead::generic_array::GenericArray;
use poly1305::Poly1305;
use poly1305::universal_hash::UniversalHash;
use zeroize::{Zeroize, ZeroizeOnDrop};

#[cfg(not(target_arch = "wasm32"))]
#[path = "keystream/native.rs"]
mod keystream;
#[cfg(target_arch = "wasm32")]
#[path = "keystream/wasm.rs"]
mod keystream;

use keystream::Keystream;

/// A key of 32 bytes.
pub type Key = GenericArray<u8, U32>;
/// A nonce of 12 bytes, of which no two messages under one key have the same.
pub type Nonce = GenericArray<u8, U12>;
/// What authenticates a message, in 16 bytes.
pub type Tag = GenericArray<u8, U16>;

/// A keystream has as many blocks of 64 bytes as 32 bits count, of which the first one is the key of Poly1305 (RFC 8439, section 2.8) and RustCrypto's does not
/// give the last.
const MAX_MESSAGE_BYTES: u64 = 64 * (u32::MAX as u64 - 1);

/// Encrypts and authenticates under one key.
#[derive(Clone)]
pub struct ChaCha20Poly1305 {
    key: Key,
}

impl KeySizeUser for ChaCha20Poly1305 {
    type KeySize = U32;
}

impl KeyInit for ChaCha20Poly1305 {
    fn new(key: &Key) -> Self {
        Self { key: *key }
    }
}

impl AeadCore for ChaCha20Poly1305 {
    type NonceSize = U12;
    type TagSize = U16;
    type CiphertextOverhead = U0;
}

impl AeadInPlace for ChaCha20Poly1305 {
    fn encrypt_in_place_detached(&self, nonce: &Nonce, associated: &[u8], message: &mut [u8]) -> Result<Tag, Error> {
        check_length(message)?;
        let (keystream, mac) = self.begin(nonce);
        keystream.apply(message);
        Ok(authenticated(mac, associated, message).finalize())
    }

    fn decrypt_in_place_detached(
        &self,
        nonce: &Nonce,
        associated: &[u8],
        message: &mut [u8],
        tag: &Tag,
    ) -> Result<(), Error> {
        check_length(message)?;
        let (keystream, mac) = self.begin(nonce);
        // In constant time. What is not authentic is not decrypted.
        authenticated(mac, associated, message).verify(tag).map_err(|_| Error)?;
        keystream.apply(message);
        Ok(())
    }
}

impl ChaCha20Poly1305 {
    /// The keystream from its second block on, and Poly1305 with the key that the first one begins with.
    fn begin(&self, nonce: &Nonce) -> (Keystream, Poly1305) {
        let (keystream, mut key) = Keystream::begin(self.key.as_ref(), nonce.as_ref());
        let mac = Poly1305::new(GenericArray::from_slice(&key));
        key.zeroize();
        (keystream, mac)
    }
}

fn check_length(message: &[u8]) -> Result<(), Error> {
    if message.len() as u64 > MAX_MESSAGE_BYTES { Err(Error) } else { Ok(()) }
}

/// What is authenticated, each part filled up to whole blocks, and how long the parts are.
fn authenticated(mut mac: Poly1305, associated: &[u8], message: &[u8]) -> Poly1305 {
    let mut lengths = [0; 16];
    lengths[..8].copy_from_slice(&(associated.len() as u64).to_le_bytes());
    lengths[8..].copy_from_slice(&(message.len() as u64).to_le_bytes());
    mac.update_padded(associated);
    mac.update_padded(message);
    mac.update(&[lengths.into()]);
    mac
}

impl Drop for ChaCha20Poly1305 {
    fn drop(&mut self) {
        self.key.as_mut_slice().zeroize();
    }
}

impl ZeroizeOnDrop for ChaCha20Poly1305 {}
