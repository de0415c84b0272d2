//! What a release delivers, apart from what it says: by this two releases of one version agree or contest each other.

use crate::codec;
use crate::record::Release;

/// The artifact and the dependencies of a release, as a hash. The order in which dependencies are written means nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delivery([u8; 32]);

impl Delivery {
    /// What a release delivers.
    pub fn of(release: &Release) -> Self {
        let mut dependencies: Vec<_> = release.dependencies.iter().collect();
        dependencies.sort_by_key(|dependency| (&dependency.name, dependency.publisher));
        let delivered = codec::encode(&(release.artifact.cid, dependencies));
        Self(blake3::derive_key("ggen marketplace 2026 delivery", &delivered))
    }
}
