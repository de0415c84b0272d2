//! What is known of packages when versions are chosen: lists that were verified and confirmed, and whom names mean.

use std::collections::BTreeMap;

use ggen_shared::id::{FullName, PackageId, PackageName, RecordId};
use ggen_shared::record::{Content, Dependency, Version};

/// A version that may be chosen, or why it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Which version.
    pub version: Version,
    /// The release that stands for it; of a contested version, one of those.
    pub release: RecordId,
    /// The signed record of it.
    pub record: Vec<u8>,
    /// The archive.
    pub content: Content,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
    /// Why it is passed over; None when it may be chosen.
    pub passed_over: Option<PassedOver>,
    /// What its publisher says against it, where there is something better.
    pub deprecated: Option<String>,
}

/// Why a version is not chosen by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PassedOver {
    /// Its publisher does not want it to be chosen any more.
    #[error("yanked")]
    Yanked,
    /// Its publisher withdrew it for good.
    #[error("retracted")]
    Retracted,
    /// Its publisher signed releases of it that contradict each other.
    #[error("contested")]
    Contested,
    /// Too few anchors have it in their checkpoints.
    #[error("confirmed by {by} of {needed} relays")]
    Unconfirmed {
        /// How many have.
        by: usize,
        /// How many have to.
        needed: usize,
    },
}

/// The versions of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// The name that means the package and no other.
    pub full_name: FullName,
    /// The highest first.
    pub candidates: Vec<Candidate>,
    /// Whether these are all: a long list ends with the oldest that an answer holds.
    pub is_whole: bool,
}

impl Versions {
    /// The one that is this release.
    pub fn with(&self, release: RecordId) -> Option<&Candidate> {
        self.candidates.iter().find(|it| it.release == release)
    }
}

/// Whom a dependency means that names no publisher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// The package of the one publisher who has it, or of the one that the user has pinned.
    One(PackageId),
    /// Nobody has a package of this name.
    Nobody,
    /// Several have, and none of them is pinned.
    Several(Vec<FullName>),
}

/// All that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Versions of packages; None for one that nobody knows.
    pub packages: BTreeMap<PackageId, Option<Versions>>,
    /// Whom names mean.
    pub names: BTreeMap<PackageName, Meaning>,
}

impl Known {
    /// The versions of a package, as far as it is known and there is one.
    pub fn versions(&self, package: &PackageId) -> Option<&Versions> {
        self.packages.get(package)?.as_ref()
    }

    /// Whether a version of some package is passed over because too few anchors confirm it.
    pub fn is_any_unconfirmed(&self) -> bool {
        let candidates = self.packages.values().flatten().flat_map(|versions| &versions.candidates);
        candidates.into_iter().any(|it| matches!(it.passed_over, Some(PassedOver::Unconfirmed { .. })))
    }

    /// The name of a package as people read it: without its publisher, where no other package here has it.
    pub fn short_name(&self, package: &PackageId) -> String {
        let is_shared = self.packages.keys().any(|other| other.name == package.name && other != package);
        match self.versions(package) {
            Some(versions) if is_shared => versions.full_name.to_string(),
            None if is_shared => format!("~{}/{}", package.publisher.fingerprint(), package.name),
            _ => package.name.to_string(),
        }
    }
}
