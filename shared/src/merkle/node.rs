//! The nodes of a map. A subtree is a [`Node`] or a run of a bucket's entries; [`Sub`] hides which, so that everything that walks
//! the tree is written once.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::sync::{Arc, OnceLock};

use super::batch::{Batch, Part};
use super::key::{Key, Parts};
use super::{Hash, Value, bits};

/// Entries of a subtree that is kept as a sorted list. More of them save memory, fewer save time when the list is hashed.
pub const BUCKET: usize = 24;

/// A subtree of at least one entry: a bucket if it has at most [`BUCKET`], inner otherwise. So its shape is a function of its entries.
#[derive(Debug, Clone)]
pub(super) struct Node<V> {
    /// Computed when it is asked for: a hundred changes in a row hash each node once.
    hash: OnceLock<Hash>,
    pub(super) kind: Kind<V>,
}

#[derive(Debug, Clone)]
pub(super) enum Kind<V> {
    Bucket(Bucket<V>),
    Inner { bit: u16, count: u32, left: Arc<Node<V>>, right: Arc<Node<V>> },
}

/// At most [`BUCKET`] entries in order of their keys.
#[derive(Debug, Clone)]
pub(super) struct Bucket<V> {
    /// Where each key ends, in [`END_BYTES`] bytes, with [`IS_CUT`] where its value knows the rest; then the keys, one behind the other.
    keys: Box<[u8]>,
    values: Box<[V]>,
}

/// Bytes of a number in a bucket: its keys are bounded far below what they can say.
const END_BYTES: usize = 2;
/// The bit of such a number that says that [`Value::tail`] follows the key.
const IS_CUT: u16 = 1 << 15;

impl<V: Value> Bucket<V> {
    /// Of entries in order.
    fn new<'a>(entries: impl Iterator<Item = (Parts<'a>, &'a V)>) -> Self
    where
        V: 'a,
    {
        // Where a key is cut is asked once: values are far away.
        let entries: Vec<_> = entries.take(BUCKET).collect();
        let keys = Self::pack(entries.iter().map(|(key, _)| (key.0, !key.1.is_empty())));
        Self { keys, values: entries.into_iter().map(|(_, value)| value.clone()).collect() }
    }

    /// The keys of a bucket: what is kept of each, and whether its value knows the rest. They are gone through twice, so that what is
    /// allocated is what is needed: a map has many buckets.
    fn pack<'a>(heads: impl Iterator<Item = (&'a [u8], bool)> + Clone) -> Box<[u8]> {
        let bytes = heads.clone().flat_map(|(head, _)| [END_BYTES, head.len()]).sum();
        let mut keys = Vec::with_capacity(bytes);
        let mut end = 0;
        for (head, is_cut) in heads.clone() {
            end += head.len();
            let flag = if is_cut { IS_CUT } else { 0 };
            keys.extend((u16::try_from(end).unwrap_or_default() + flag).to_be_bytes());
        }
        heads.for_each(|(head, _)| keys.extend_from_slice(head));
        keys.into()
    }

    /// Adds an entry that is not here, or gives one that is here another value. The other values, which are far away, are not looked at.
    fn put(&mut self, key: &[u8], value: V) {
        let (at, is_here) = match self.find(key) {
            Ok(at) => (at, true),
            Err(at) => (at, false),
        };
        let (Parts(head, tail), _) = Parts::entry(key, &value);
        let (before, behind) = (self.heads().take(at), self.heads().skip(at).skip(usize::from(is_here)));
        self.keys = Self::pack(before.chain([(head, !tail.is_empty())]).chain(behind));
        let mut values = std::mem::take(&mut self.values).into_vec();
        if is_here {
            values[at] = value;
        } else {
            values.reserve_exact(1);
            values.insert(at, value);
        }
        self.values = values.into();
        debug_assert!(self.len() <= BUCKET);
    }

    /// Takes out an entry, as [`Self::put`] adds one.
    fn take_out(&mut self, key: &[u8]) {
        let Ok(at) = self.find(key) else { return };
        let heads = self.heads().enumerate().filter(|(other, _)| *other != at);
        self.keys = Self::pack(heads.map(|(_, head)| head));
        let mut values = std::mem::take(&mut self.values).into_vec();
        values.remove(at);
        self.values = values.into();
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// What is kept of a key, and whether its value knows the rest.
    fn head(&self, at: usize) -> (&[u8], bool) {
        let (ends, keys) = self.keys.split_at(self.len() * END_BYTES);
        let end = |at: usize| u16::from_be_bytes([ends[at * END_BYTES], ends[at * END_BYTES + 1]]);
        let start = at.checked_sub(1).map_or(0, |before| usize::from(end(before) & !IS_CUT));
        (&keys[start..usize::from(end(at) & !IS_CUT)], end(at) & IS_CUT != 0)
    }

    fn heads(&self) -> impl Iterator<Item = (&[u8], bool)> + Clone {
        (0..self.len()).map(|at| self.head(at))
    }

    /// A key as it is kept.
    pub(super) fn parts(&self, at: usize) -> Parts<'_> {
        let (head, is_cut) = self.head(at);
        Parts(head, if is_cut { self.values[at].tail() } else { &[] })
    }

    pub(super) fn key(&self, at: usize) -> Key {
        Key::of(self.parts(at))
    }

    pub(super) fn value(&self, at: usize) -> &V {
        &self.values[at]
    }

    fn entries(&self) -> impl Iterator<Item = (Parts<'_>, &V)> + Clone {
        (0..self.len()).map(|at| (self.parts(at), &self.values[at]))
    }

    /// Where a key is, or would be.
    pub(super) fn find(&self, key: &[u8]) -> Result<usize, usize> {
        (0..self.len())
            .find_map(|at| match self.parts(at).cmp(key) {
                Ordering::Less => None,
                Ordering::Equal => Some(Ok(at)),
                Ordering::Greater => Some(Err(at)),
            })
            .unwrap_or(Err(self.len()))
    }

    /// The first bit in which the keys of two entries differ. Mostly it is in what is kept of them.
    fn critical(&self, one: usize, other: usize) -> u16 {
        let ((here, _), (there, _)) = (self.head(one), self.head(other));
        let both = here.len().min(there.len());
        let bit = bits::critical(&here[..both], &there[..both]);
        bit.or_else(|| bits::critical(&self.key(one), &self.key(other))).unwrap_or_default()
    }

    /// The critical bit of the entries from one up to but not including another, and the first that has a 1 there.
    #[inline(never)]
    fn split(&self, from: usize, to: usize) -> (u16, usize) {
        let bit = self.critical(from, to - 1);
        (bit, (from..to).find(|at| self.bit(*at, bit)).unwrap_or(to))
    }

    /// The bit of a key at a place. Mostly it is in what is kept of it.
    fn bit(&self, at: usize, bit: u16) -> bool {
        let (head, _) = self.head(at);
        if bits::prefix_length(bit) < head.len() { bits::bit(head, bit) } else { bits::bit(&self.key(at), bit) }
    }

    /// The hash of the entries from one up to but not including another, at least one: of the tree that they would be.
    fn hash(&self, from: usize, to: usize) -> Hash {
        if to - from == 1 {
            return Hash::entry(self.parts(from), self.values[from].bytes());
        }
        let mut batch = Batch::for_entries(to - from);
        let whole = self.gather(from, to, &mut batch);
        batch.hash(whole)
    }

    /// Looks at values before they are worked on: they are far away, and work in between would make each wait for the one before.
    fn fetch(&self, from: usize, to: usize) {
        let first_bytes = self.values[from..to].iter().flat_map(|value| [value.tail().first(), value.bytes().first()]);
        std::hint::black_box(first_bytes.flatten().fold(0, |all, byte| all ^ byte));
    }

    /// Adds the tree of these entries to what is to be hashed, from left to right.
    fn gather(&self, from: usize, to: usize, batch: &mut Batch<'_>) -> Part {
        self.fetch(from, to);
        // Subtrees that wait for what is on the right of their critical bit, the topmost first, and how many entries they have.
        let mut waiting: Vec<(u16, u64, Part)> = Vec::with_capacity(to - from);
        let mut here = (1, batch.entry(self.parts(from), self.values[from].bytes()));
        for at in from + 1..to {
            let bit = self.critical(at - 1, at);
            while let Some(left) = waiting.pop_if(|(above, ..)| bit.cmp(above).is_lt()) {
                here = self.join(left, here, at - 1, batch);
            }
            waiting.push((bit, here.0, here.1));
            here = (1, batch.entry(self.parts(at), self.values[at].bytes()));
        }
        while let Some(left) = waiting.pop() {
            here = self.join(left, here, to - 1, batch);
        }
        here.1
    }

    /// How many entries two subtrees have under a critical bit, and what stands above them. `below`: any entry of theirs says what all of
    /// them begin with.
    fn join(
        &self,
        (bit, count, left): (u16, u64, Part),
        right: (u64, Part),
        below: usize,
        batch: &mut Batch<'_>,
    ) -> (u64, Part) {
        let (head, _) = self.head(below);
        let part = if bits::prefix_length(bit) <= head.len() {
            batch.inner(bit, head, (count, left), right)
        } else {
            batch.inner(bit, &self.key(below), (count, left), right)
        };
        (count + right.0, part)
    }
}

impl<V: Value> Node<V> {
    /// The subtree of entries in strict order of their keys, at least one.
    pub(super) fn of<K: AsRef<[u8]>, B: Borrow<V>>(entries: &[(K, B)]) -> Self {
        if entries.len() <= BUCKET {
            return Self::bucket(entries.iter().map(|(key, value)| Parts::entry(key.as_ref(), value.borrow())));
        }
        let (first, last) = (entries[0].0.as_ref(), entries[entries.len() - 1].0.as_ref());
        let bit = bits::critical(first, last).unwrap_or_default();
        let at = entries.partition_point(|(key, _)| !bits::bit(key.as_ref(), bit));
        let (left, right) = entries.split_at(at);
        Self::inner(bit, Arc::new(Self::of(left)), Arc::new(Self::of(right)))
    }

    /// The subtree of all entries of some subtrees, which are in order and stand apart.
    pub(super) fn join(parts: &[Arc<Self>]) -> Arc<Self> {
        let [first, .., last] = parts else { return parts[0].clone() };
        let count: usize = parts.iter().map(|part| part.count()).sum();
        if count <= BUCKET {
            let mut entries = Vec::with_capacity(count);
            parts.iter().for_each(|part| part.collect(&mut entries));
            return Arc::new(Self::of::<_, V>(&entries));
        }
        let bit = bits::critical(&first.first_key(), &last.first_key()).unwrap_or_default();
        let at = parts.partition_point(|part| !bits::bit(&part.first_key(), bit));
        Arc::new(Self::inner(bit, Self::join(&parts[..at]), Self::join(&parts[at..])))
    }

    /// Whether all keys here come before all keys there, and neither subtree could hold a key of the other.
    pub(super) fn stands_before(&self, other: &Self) -> bool {
        let (here, there) = (self.first_key(), other.first_key());
        let Some(differ) = bits::critical(&here, &there) else { return false };
        let is_apart = |node: &Self| bits::critical(&node.first_key(), &node.last_key()).is_none_or(|bit| bit > differ);
        bits::bit(&there, differ) && is_apart(self) && is_apart(other)
    }

    fn last_key(&self) -> Key {
        let mut node = self;
        loop {
            match &node.kind {
                Kind::Bucket(bucket) => return bucket.key(bucket.len() - 1),
                Kind::Inner { right, .. } => node = right,
            }
        }
    }

    /// Adds the entries to a list, in order.
    fn collect(&self, into: &mut Vec<(Vec<u8>, V)>) {
        match &self.kind {
            Kind::Bucket(bucket) => {
                into.extend(bucket.entries().map(|(key, value)| (Key::of(key).to_vec(), value.clone())))
            }
            Kind::Inner { left, right, .. } => {
                left.collect(into);
                right.collect(into);
            }
        }
    }

    fn bucket<'a>(entries: impl Iterator<Item = (Parts<'a>, &'a V)>) -> Self
    where
        V: 'a,
    {
        Self { hash: OnceLock::new(), kind: Kind::Bucket(Bucket::new(entries)) }
    }

    pub(super) fn leaf(key: &[u8], value: V) -> Arc<Self> {
        Arc::new(Self::bucket(std::iter::once(Parts::entry(key, &value))))
    }

    fn inner(bit: u16, left: Arc<Self>, right: Arc<Self>) -> Self {
        let count = u32::try_from(left.count() + right.count()).unwrap_or(u32::MAX);
        Self { hash: OnceLock::new(), kind: Kind::Inner { bit, count, left, right } }
    }

    fn hash(&self) -> Hash {
        if let Some(hash) = self.hash.get() {
            return *hash;
        }
        let mut batch = Batch::for_entries(self.count());
        let whole = self.gather(&mut batch);
        batch.hash(whole)
    }

    /// Adds what is not hashed yet to what is to be hashed.
    fn gather<'a>(&'a self, batch: &mut Batch<'a>) -> Part {
        if let Some(hash) = self.hash.get() {
            return Part::Known(*hash);
        }
        let part = match &self.kind {
            Kind::Bucket(bucket) => bucket.gather(0, bucket.len(), batch),
            Kind::Inner { bit, left, right, .. } => {
                let (on_left, on_right) = (left.gather(batch), right.gather(batch));
                // It may have been hashed to make room for what is on the right.
                let on_left = left.hash.get().map_or(on_left, |hash| Part::Known(*hash));
                Self::gather_inner(*bit, (left, on_left), (right, on_right), batch)
            }
        };
        batch.keep(part, &self.hash);
        if batch.is_full() { Part::Known(batch.hash(part)) } else { part }
    }

    /// Adds an inner node. A function of its own: a key on the stack would be there once a level.
    #[inline(never)]
    fn gather_inner(bit: u16, left: (&Self, Part), right: (&Self, Part), batch: &mut Batch<'_>) -> Part {
        let side = |(node, part): (&Self, Part)| (node.count() as u64, part);
        batch.inner(bit, &left.0.first_key(), side(left), side(right))
    }

    pub(super) fn count(&self) -> usize {
        match &self.kind {
            Kind::Bucket(bucket) => bucket.len(),
            Kind::Inner { count, .. } => *count as usize,
        }
    }

    fn first_key(&self) -> Key {
        let mut node = self;
        loop {
            match &node.kind {
                Kind::Bucket(bucket) => return bucket.key(0),
                Kind::Inner { left, .. } => node = left,
            }
        }
    }

    /// A key here that shares as many bits with this one as any: this one itself if it is here.
    pub(super) fn nearest(&self, key: &[u8]) -> Key {
        let mut node = self;
        loop {
            match &node.kind {
                Kind::Inner { bit, left, right, .. } => node = if bits::bit(key, *bit) { right } else { left },
                Kind::Bucket(bucket) => {
                    // One of those that it would stand between: keys are in the order of their bits.
                    let at = bucket.find(key).unwrap_or_else(|at| at);
                    let common = |at: &usize| bits::critical(&bucket.key(*at), key).unwrap_or(u16::MAX);
                    let best = (at.saturating_sub(1)..bucket.len().min(at + 1)).max_by_key(common).unwrap_or_default();
                    return bucket.key(best);
                }
            }
        }
    }

    /// Adds an entry that is not here. `differs`: the first bit in which its key differs from the nearest one here.
    pub(super) fn insert(mut this: &mut Arc<Self>, key: &[u8], value: V, differs: u16) {
        while matches!(this.kind, Kind::Inner { bit, .. } if bit <= differs) {
            let node = Arc::make_mut(this);
            node.hash.take();
            let Kind::Inner { bit, count, left, right } = &mut node.kind else { return };
            *count += 1;
            this = if bits::bit(key, *bit) { right } else { left };
        }
        let Kind::Bucket(bucket) = &this.kind else {
            // All keys here agree in that bit, and the new one does not.
            let leaf = Self::leaf(key, value);
            let (left, right) = if bits::bit(key, differs) { (this.clone(), leaf) } else { (leaf, this.clone()) };
            *this = Arc::new(Self::inner(differs, left, right));
            return;
        };
        if bucket.len() < BUCKET {
            let node = Arc::make_mut(this);
            node.hash.take();
            if let Kind::Bucket(bucket) = &mut node.kind {
                bucket.put(key, value);
            }
            return;
        }
        let at = bucket.find(key).unwrap_or_else(|at| at);
        let entries = bucket.entries().take(at).chain([Parts::entry(key, &value)]).chain(bucket.entries().skip(at));
        *this = Arc::new(Self::of::<_, &V>(&entries.map(|(key, value)| (Key::of(key), value)).collect::<Vec<_>>()));
    }

    /// Gives a key that is here another value.
    pub(super) fn set(mut this: &mut Arc<Self>, key: &[u8], value: V) {
        loop {
            let node = Arc::make_mut(this);
            node.hash.take();
            match &mut node.kind {
                Kind::Inner { bit, left, right, .. } => this = if bits::bit(key, *bit) { right } else { left },
                Kind::Bucket(bucket) => {
                    bucket.put(key, value);
                    return;
                }
            }
        }
    }

    /// Takes out a key that is here. Whether nothing is left.
    pub(super) fn remove(this: &mut Arc<Self>, key: &[u8]) -> bool {
        let node = Arc::make_mut(this);
        node.hash.take();
        match &mut node.kind {
            Kind::Bucket(bucket) => {
                bucket.take_out(key);
                bucket.len() == 0
            }
            Kind::Inner { bit, count, left, right } => {
                let (from, other) = if bits::bit(key, *bit) { (&mut *right, &*left) } else { (&mut *left, &*right) };
                if Self::remove(from, key) {
                    let other = other.clone();
                    *this = other;
                    return false;
                }
                *count -= 1;
                if *count as usize <= BUCKET {
                    // Both children are buckets: what is below an inner node of so few entries can't be inner.
                    if let (Kind::Bucket(left), Kind::Bucket(right)) = (&left.kind, &right.kind) {
                        let entries = left.entries().chain(right.entries());
                        *node = Self::bucket(entries);
                    }
                }
                false
            }
        }
    }
}

/// A subtree of at least one entry.
#[derive(Debug)]
pub(super) enum Sub<'a, V> {
    Node(&'a Node<V>),
    /// Entries of a bucket, from one up to but not including another.
    Run(&'a Bucket<V>, usize, usize),
}

impl<V> Clone for Sub<'_, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V> Copy for Sub<'_, V> {}

/// What a subtree is.
pub(super) enum Split<'a, V> {
    Leaf(Parts<'a>, &'a V),
    Inner { bit: u16, left: Sub<'a, V>, right: Sub<'a, V> },
}

impl<'a, V: Value> Sub<'a, V> {
    pub(super) fn split(self) -> Split<'a, V> {
        match self {
            Sub::Node(Node { kind: Kind::Inner { bit, left, right, .. }, .. }) => {
                Split::Inner { bit: *bit, left: Sub::Node(left), right: Sub::Node(right) }
            }
            Sub::Node(Node { kind: Kind::Bucket(bucket), .. }) => Sub::Run(bucket, 0, bucket.len()).split(),
            Sub::Run(bucket, from, to) if to - from == 1 => Split::Leaf(bucket.parts(from), bucket.value(from)),
            Sub::Run(bucket, from, to) => {
                let (bit, middle) = bucket.split(from, to);
                Split::Inner { bit, left: Sub::Run(bucket, from, middle), right: Sub::Run(bucket, middle, to) }
            }
        }
    }

    /// Its entries one behind the other, if they are in one bucket.
    pub(super) fn in_bucket(self) -> Option<(&'a Bucket<V>, std::ops::Range<usize>)> {
        match self {
            Sub::Node(Node { kind: Kind::Bucket(bucket), .. }) => Some((bucket, 0..bucket.len())),
            Sub::Node(_) => None,
            Sub::Run(bucket, from, to) => Some((bucket, from..to)),
        }
    }

    pub(super) fn count(self) -> u64 {
        match self {
            Sub::Node(node) => node.count() as u64,
            Sub::Run(_, from, to) => (to - from) as u64,
        }
    }

    pub(super) fn hash(self) -> Hash {
        match self {
            Sub::Node(node) => node.hash(),
            Sub::Run(bucket, from, to) => bucket.hash(from, to),
        }
    }

    /// The first key; all others here agree with it up to the critical bit.
    pub(super) fn first_key(self) -> Key {
        match self {
            Sub::Node(node) => node.first_key(),
            Sub::Run(bucket, from, _) => bucket.key(from),
        }
    }
}
