//! The map itself.

use std::borrow::Borrow;
use std::ops::Range;
use std::sync::Arc;

use super::key::Key;
use super::node::{Bucket, Kind, Node, Split, Sub};
use super::{Hash, MAX_KEY_BYTES, Value, bits};

/// An ordered, counted Merkle map. See the module above. Clones share what they have in common.
#[derive(Debug, Clone)]
pub struct Map<V> {
    pub(super) root: Option<Arc<Node<V>>>,
}

impl<V> Default for Map<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V: Value> PartialEq for Map<V> {
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

impl<V: Value> Eq for Map<V> {}

/// A key longer than [`MAX_KEY_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has at most {MAX_KEY_BYTES} bytes, this one has {0}")]
pub struct KeyTooLong(pub usize);

impl<V: Value> Map<V> {
    /// The map without entries.
    pub const fn new() -> Self {
        Self { root: None }
    }

    /// The map of entries that are in strict order of their keys: much faster than inserting one after the other. None when
    /// they are not in order, or a key is longer than [`MAX_KEY_BYTES`].
    pub fn from_sorted<K: AsRef<[u8]>>(entries: &[(K, V)]) -> Option<Self> {
        Self::of_sorted::<K, V>(entries)
    }

    /// [`Self::from_sorted`] of values that are held elsewhere.
    pub fn from_sorted_refs<K: AsRef<[u8]>>(entries: &[(K, &V)]) -> Option<Self> {
        Self::of_sorted::<K, &V>(entries)
    }

    fn of_sorted<K: AsRef<[u8]>, B: Borrow<V>>(entries: &[(K, B)]) -> Option<Self> {
        let ordered = entries.windows(2).all(|pair| pair[0].0.as_ref() < pair[1].0.as_ref());
        if !ordered || entries.iter().any(|(key, _)| key.as_ref().len() > MAX_KEY_BYTES) {
            return None;
        }
        Some(Self { root: (!entries.is_empty()).then(|| Arc::new(Node::of::<K, B>(entries))) })
    }

    /// The map of all entries of some maps, each of which holds all keys that begin with some bytes; in order of those. What is
    /// sorted in parts needs less memory at a time. None when they overlap.
    pub fn join(parts: Vec<Self>) -> Option<Self> {
        let roots: Vec<_> = parts.into_iter().filter_map(|part| part.root).collect();
        let ordered = roots.windows(2).all(|pair| Node::stands_before(&pair[0], &pair[1]));
        ordered.then(|| Self { root: (!roots.is_empty()).then(|| Node::join(&roots)) })
    }

    /// How many entries there are.
    pub fn len(&self) -> u64 {
        self.root.as_ref().map_or(0, |root| root.count() as u64)
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.root.is_none()
    }

    /// The hash of all entries. Computes what changed since it was last asked for.
    pub fn root(&self) -> Hash {
        self.sub().map_or_else(Hash::empty, Sub::hash)
    }

    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&V> {
        let mut node = self.root.as_deref()?;
        loop {
            match &node.kind {
                Kind::Inner { bit, left, right, .. } => node = if bits::bit(key, *bit) { right } else { left },
                Kind::Bucket(bucket) => return bucket.find(key).ok().map(|at| bucket.value(at)),
            }
        }
    }

    /// Adds an entry, or gives a key another value.
    ///
    /// # Errors
    /// [`KeyTooLong`]; nothing changes then.
    pub fn insert(&mut self, key: &[u8], value: V) -> Result<(), KeyTooLong> {
        if key.len() > MAX_KEY_BYTES {
            return Err(KeyTooLong(key.len()));
        }
        match &mut self.root {
            None => self.root = Some(Node::leaf(key, value)),
            Some(root) => match bits::critical(&root.nearest(key), key) {
                Some(differs) => Node::insert(root, key, value, differs),
                None => Node::set(root, key, value),
            },
        }
        Ok(())
    }

    /// Takes out a key. Whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let Some(root) = &mut self.root else { return false };
        if bits::critical(&root.nearest(key), key).is_some() {
            return false;
        }
        if Node::remove(root, key) {
            self.root = None;
        }
        true
    }

    pub(super) fn sub(&self) -> Option<Sub<'_, V>> {
        self.root.as_deref().map(Sub::Node)
    }

    /// The subtree of all keys that begin with these bytes.
    pub(super) fn under(&self, prefix: &[u8]) -> Option<Sub<'_, V>> {
        let mut sub = self.sub()?;
        while let Split::Inner { bit, left, right } = sub.split() {
            if bit >= bits::of_bytes(prefix) {
                break;
            }
            sub = if bits::bit(prefix, bit) { right } else { left };
        }
        sub.first_key().starts_with(prefix).then_some(sub)
    }

    /// How many keys begin with these bytes.
    pub fn count(&self, prefix: &[u8]) -> u64 {
        self.under(prefix).map_or(0, Sub::count)
    }

    /// The hash of all entries whose keys begin with these bytes; None when there is none.
    pub fn hash(&self, prefix: &[u8]) -> Option<Hash> {
        self.under(prefix).map(Sub::hash)
    }

    /// The entries whose keys begin with these bytes, in order.
    pub fn iter<'a>(&'a self, prefix: &[u8]) -> Iter<'a, V> {
        Iter::over(self.under(prefix).into_iter().collect())
    }

    /// The entries whose keys begin with these bytes and stand behind `after`, in order.
    pub fn iter_after<'a>(&'a self, prefix: &[u8], after: &[u8]) -> Iter<'a, V> {
        let (mut left, mut next) = (Vec::new(), self.under(prefix));
        while let Some(sub) = next.take() {
            match sub.split() {
                Split::Leaf(key, _) if key.cmp(after).is_gt() => left.push(sub),
                Split::Leaf(..) => {}
                Split::Inner { bit, left: lower, right } => {
                    // Where `after` leaves the keys of this subtree, if it does so before the critical bit.
                    let differs = bits::critical(&sub.first_key(), after).filter(|differs| *differs < bit);
                    match differs.map(|differs| bits::bit(after, differs)) {
                        Some(true) => {}
                        Some(false) => left.push(sub),
                        None if bits::bit(after, bit) => next = Some(right),
                        None => {
                            left.push(right);
                            next = Some(lower);
                        }
                    }
                }
            }
        }
        Iter::over(left)
    }
}

/// Entries in order of their keys.
#[derive(Debug)]
pub struct Iter<'a, V> {
    /// Subtrees that are still to come, the last one first.
    left: Vec<Sub<'a, V>>,
    /// Entries of a bucket that come before them.
    first: Option<(&'a Bucket<V>, Range<usize>)>,
}

impl<'a, V: Value> Iter<'a, V> {
    const fn over(left: Vec<Sub<'a, V>>) -> Self {
        Self { left, first: None }
    }

    /// The values alone, whose keys need not be put together.
    pub fn values(mut self) -> impl Iterator<Item = &'a V> {
        std::iter::from_fn(move || self.entry().map(|(bucket, at)| bucket.value(at)))
    }

    fn entry(&mut self) -> Option<(&'a Bucket<V>, usize)> {
        loop {
            if let Some((bucket, range)) = &mut self.first
                && let Some(at) = range.next()
            {
                return Some((bucket, at));
            }
            let sub = self.left.pop()?;
            self.first = sub.in_bucket();
            if self.first.is_none()
                && let Split::Inner { left, right, .. } = sub.split()
            {
                self.left.extend([right, left]);
            }
        }
    }
}

impl<'a, V: Value> Iterator for Iter<'a, V> {
    type Item = (Key, &'a V);

    fn next(&mut self) -> Option<Self::Item> {
        self.entry().map(|(bucket, at)| (bucket.key(at), bucket.value(at)))
    }
}
