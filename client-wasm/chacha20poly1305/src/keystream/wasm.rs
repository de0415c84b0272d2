//! ChaCha20 by SIMD of 128 bits: a vector has the same word of four blocks.

use core::arch::wasm32::{
    i8x16_shuffle, i32x4_shuffle, i64x2_shuffle, u32x4, u32x4_add, u32x4_shl, u32x4_shr, u32x4_splat, u64x2,
    u64x2_extract_lane, v128, v128_or, v128_xor,
};

use zeroize::Zeroize;

/// Of four blocks.
const BYTES: usize = 256;

/// The constants that a block begins with (RFC 8439, section 2.3).
const EXPAND: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

pub(crate) struct Keystream {
    /// Words of a block, with a zero for its number.
    words: [u32; 16],
    /// The number of the next block.
    next: u32,
    /// The first four blocks, of which the first one is not for messages.
    first: [u8; BYTES],
}

impl Keystream {
    /// The keystream from its second block on, and what the first one begins with.
    pub(crate) fn begin(key: &[u8; 32], nonce: &[u8; 12]) -> (Self, [u8; 32]) {
        let mut words = [0; 16];
        words[..4].copy_from_slice(&EXPAND);
        read(key, &mut words[4..12]);
        read(nonce, &mut words[13..]);
        let mut first = [0; BYTES];
        four_blocks(&words, 0, &mut first);
        let mut begin = [0; 32];
        begin.copy_from_slice(&first[..32]);
        (Self { words, next: 4, first }, begin)
    }

    /// Encrypts, or decrypts, one message.
    #[target_feature(enable = "simd128")]
    pub(crate) fn apply(mut self, message: &mut [u8]) {
        let (head, rest) = message.split_at_mut(message.len().min(BYTES - 64));
        combine(head, &self.first[64..]);
        let (parts, last) = rest.as_chunks_mut();
        for part in parts {
            four_blocks(&self.words, self.next, part);
            self.next = self.next.wrapping_add(4);
        }
        if !last.is_empty() {
            let mut keystream = [0; BYTES];
            four_blocks(&self.words, self.next, &mut keystream);
            combine(last, &keystream);
            keystream.zeroize();
        }
    }
}

impl Drop for Keystream {
    fn drop(&mut self) {
        self.words.zeroize();
        self.first.zeroize();
    }
}

fn read(bytes: &[u8], words: &mut [u32]) {
    for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_le_bytes(*bytes);
    }
}

#[target_feature(enable = "simd128")]
fn combine(message: &mut [u8], keystream: &[u8]) {
    for (byte, key) in message.iter_mut().zip(keystream) {
        *byte ^= key;
    }
}

/// Rotates each word to the left.
macro_rules! rotate {
    ($words:expr, $bits:literal) => {
        v128_or(u32x4_shl($words, $bits), u32x4_shr($words, 32 - $bits))
    };
}

/// Encrypts, or decrypts, by the keystream from block `number` on; of zeros, that is the keystream.
#[target_feature(enable = "simd128")]
fn four_blocks(words: &[u32; 16], number: u32, message: &mut [u8; BYTES]) {
    let mut begin = [u32x4_splat(0); 16];
    for (vector, word) in begin.iter_mut().zip(words) {
        *vector = u32x4_splat(*word);
    }
    begin[12] = u32x4_add(u32x4_splat(number), u32x4(0, 1, 2, 3));
    let mut state = begin;
    for _ in 0..10 {
        // Columns, then diagonals.
        quarter_round(&mut state, 0, 4, 8, 12);
        quarter_round(&mut state, 1, 5, 9, 13);
        quarter_round(&mut state, 2, 6, 10, 14);
        quarter_round(&mut state, 3, 7, 11, 15);
        quarter_round(&mut state, 0, 5, 10, 15);
        quarter_round(&mut state, 1, 6, 11, 12);
        quarter_round(&mut state, 2, 7, 8, 13);
        quarter_round(&mut state, 3, 4, 9, 14);
    }
    for row in 0..4 {
        let [a, b, c, d] = [0, 1, 2, 3].map(|column| 4 * row + column).map(|word| u32x4_add(state[word], begin[word]));
        // From the same word of four blocks to four words of the same block.
        let (ab, cd) = (i32x4_shuffle::<0, 4, 1, 5>(a, b), i32x4_shuffle::<0, 4, 1, 5>(c, d));
        let (ab_high, cd_high) = (i32x4_shuffle::<2, 6, 3, 7>(a, b), i32x4_shuffle::<2, 6, 3, 7>(c, d));
        let blocks = [
            i64x2_shuffle::<0, 2>(ab, cd),
            i64x2_shuffle::<1, 3>(ab, cd),
            i64x2_shuffle::<0, 2>(ab_high, cd_high),
            i64x2_shuffle::<1, 3>(ab_high, cd_high),
        ];
        for (block, keystream) in blocks.into_iter().enumerate() {
            let at = &mut message.as_chunks_mut::<16>().0[4 * block + row];
            store(at, v128_xor(load(at), keystream));
        }
    }
}

#[target_feature(enable = "simd128")]
#[inline]
fn load(bytes: &[u8; 16]) -> v128 {
    let (words, _) = bytes.as_chunks();
    u64x2(u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1]))
}

#[target_feature(enable = "simd128")]
#[inline]
fn store(bytes: &mut [u8; 16], words: v128) {
    bytes[..8].copy_from_slice(&u64x2_extract_lane::<0>(words).to_le_bytes());
    bytes[8..].copy_from_slice(&u64x2_extract_lane::<1>(words).to_le_bytes());
}

/// RFC 8439, section 2.1.
#[target_feature(enable = "simd128")]
#[inline]
fn quarter_round(state: &mut [v128; 16], a: usize, b: usize, c: usize, d: usize) {
    state[a] = u32x4_add(state[a], state[b]);
    let turned = v128_xor(state[d], state[a]);
    state[d] = i8x16_shuffle::<2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13>(turned, turned);
    state[c] = u32x4_add(state[c], state[d]);
    state[b] = rotate!(v128_xor(state[b], state[c]), 12);
    state[a] = u32x4_add(state[a], state[b]);
    let turned = v128_xor(state[d], state[a]);
    state[d] = i8x16_shuffle::<3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14>(turned, turned);
    state[c] = u32x4_add(state[c], state[d]);
    state[b] = rotate!(v128_xor(state[b], state[c]), 7);
}
