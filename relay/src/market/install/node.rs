//! What PubGrub gives versions to. Each series of a package is one of its packages; what several series would do for is one of its own, whose
//! versions are the series.

use std::fmt;
use std::hash::{Hash, Hasher};

use ggen_shared::id::{PackageId, PackageName};
use pubgrub::VersionSet;

use super::known::{Candidate, Known};
use super::range::VersionRange;
use super::series::Series;

/// A package in PubGrub's sense.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) what: What,
    /// How it is called in sentences.
    shown: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum What {
    /// The request itself.
    Asked,
    /// The versions of one series.
    Package(PackageId, Series),
    /// What fits a range and may be of any series, or of none: its versions are the first ones of the series.
    Either(PackageId, VersionRange),
    /// A name that means nobody's package, or nobody knows yet whose.
    Unsaid(PackageName),
}

impl Node {
    pub(super) fn asked() -> Self {
        Self { what: What::Asked, shown: "what you ask for".into() }
    }

    /// Versions of a series.
    pub(super) fn of(known: &Known, package: PackageId, series: Series) -> Self {
        Self { shown: known.short_name(&package), what: What::Package(package, series) }
    }

    /// What is of some series.
    pub(super) fn either(known: &Known, package: PackageId, range: VersionRange) -> Self {
        Self { shown: known.short_name(&package), what: What::Either(package, range) }
    }

    pub(super) fn unsaid(name: PackageName) -> Self {
        Self { shown: name.to_string(), what: What::Unsaid(name) }
    }

    /// The package that it has versions of.
    pub(super) const fn package(&self) -> Option<&PackageId> {
        match &self.what {
            What::Package(package, _) | What::Either(package, _) => Some(package),
            What::Asked | What::Unsaid(_) => None,
        }
    }

    /// Whether a version of the package is meant where these are asked for.
    pub(super) fn has(&self, candidate: &Candidate, range: &VersionRange) -> bool {
        let (version, series) = (candidate.version.semver(), Series::of(candidate.version.semver()));
        match &self.what {
            What::Package(_, own) => series == *own && range.contains(version),
            What::Either(_, own) => own.contains(version) && range.contains(&series.first()),
            What::Asked | What::Unsaid(_) => false,
        }
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.what == other.what
    }
}

impl Eq for Node {}

impl Hash for Node {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.what.hash(state);
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
