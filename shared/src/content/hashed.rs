//! Blocks before and after their names were computed from their bytes.

use crate::record::ContentId;

/// A block as it comes: without its name. The shell's platform may hash it faster than [`Unhashed::hash`] does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unhashed {
    /// Whether it is a leaf; else it is said to be an inner node.
    pub is_raw: bool,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Unhashed {
    /// Hashes it here.
    pub fn hash(self) -> Hashed {
        if self.is_raw { Hashed::raw(self.data) } else { Hashed::dag_pb(self.data) }
    }
}

impl From<Hashed> for Unhashed {
    fn from(block: Hashed) -> Self {
        Self { is_raw: block.cid.is_raw(), data: block.data }
    }
}

/// A block and the hash of its bytes. There is no way to make one but to have it hashed, so that it need not be hashed again.
#[derive(Clone, PartialEq, Eq)]
pub struct Hashed {
    cid: ContentId,
    data: Vec<u8>,
}

impl Hashed {
    /// A leaf.
    pub fn raw(data: Vec<u8>) -> Self {
        Self { cid: ContentId::of_raw(&data), data }
    }

    /// An inner node, or what is said to be one.
    pub fn dag_pb(data: Vec<u8>) -> Self {
        Self { cid: ContentId::of_dag_pb(&data), data }
    }

    /// A block that the shell's platform hashed, faster than it is done here: `digest` is what its own SHA-256 gives of these bytes, and never
    /// what a peer says.
    pub fn by_platform(is_raw: bool, digest: [u8; 32], data: Vec<u8>) -> Self {
        Self { cid: ContentId::of_digest(is_raw, digest), data }
    }

    /// The hash of the bytes.
    pub const fn cid(&self) -> ContentId {
        self.cid
    }

    /// The bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The bytes, to keep.
    pub fn into_data(self) -> Vec<u8> {
        self.data
    }
}

impl std::fmt::Debug for Hashed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hashed({}, {} bytes)", self.cid, self.data.len())
    }
}
