//! Keys as they are read from a map. A map has millions of them, so their ends, which their values know, are not kept beside them.

use std::cmp::Ordering;
use std::ops::Deref;

use super::{MAX_KEY_BYTES, Value};

/// A key of a map, put together from what the map keeps of it and what its value knows: bytes like any others.
#[derive(Clone, Copy)]
pub struct Key {
    bytes: [u8; MAX_KEY_BYTES],
    length: usize,
}

impl Key {
    /// The key of two parts, which have at most [`MAX_KEY_BYTES`] together.
    pub(super) fn of(Parts(head, tail): Parts<'_>) -> Self {
        let mut bytes = [0; MAX_KEY_BYTES];
        let length = head.len() + tail.len();
        bytes[..head.len()].copy_from_slice(head);
        bytes[head.len()..length].copy_from_slice(tail);
        Self { bytes, length }
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self[..].fmt(f)
    }
}

/// A key where it is kept: what a bucket has of it, and the end that its value knows.
#[derive(Clone, Copy)]
pub(super) struct Parts<'a>(pub(super) &'a [u8], pub(super) &'a [u8]);

impl<'a> Parts<'a> {
    /// An entry as it is kept.
    pub(super) fn entry<V: Value>(key: &'a [u8], value: &'a V) -> (Self, &'a V) {
        let tail = value.tail();
        let head = key.strip_suffix(tail);
        (head.map_or(Self(key, &[]), |head| Self(head, tail)), value)
    }

    /// How it stands to a key. Mostly the bucket's part tells, and the value, which is far away, is not looked at.
    pub(super) fn cmp(self, key: &[u8]) -> Ordering {
        match key.split_at_checked(self.0.len()) {
            Some((front, rest)) => self.0.cmp(front).then_with(|| self.1.cmp(rest)),
            None => self.0.cmp(key),
        }
    }
}
