//! Which versions are installed: a pure function of what is asked for and what is known. What it lacks it says, and is asked again.
//!
//! PubGrub looks for one version of each package that fits all who need it. Of a package that is in the lock file already, that version is
//! tried first; of others the highest. Packages that nothing is known of yet come last, so that what is lacking is told by whole layers.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};

use ggen_shared::id::{FullName, PackageId, PackageName, RecordId};
use ggen_shared::record::Dependency;
use pubgrub::{Dependencies, DependencyProvider, PackageResolutionStatistics, PubGrubError, VersionSet};
use semver::{Version, VersionReq};

use super::explain::explain;
use super::known::{Candidate, Known, Meaning, PassedOver, Versions};
use super::range::VersionRange;

/// Packages of one installation: some times what the largest programs have. Publishers decide what their packages need.
pub const MAX_PACKAGES: usize = 4096;

/// Steps of one search for versions that fit: some seconds. What publishers say could keep it busy for ever.
const MAX_STEPS: usize = 100_000;

/// Which version of a package is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest; a pre-release if there is nothing else.
    Any,
    /// One that the requirement matches.
    Matching(VersionReq),
    /// Just this release, yanked or contested or not.
    Release(RecordId),
}

/// A package that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which versions.
    pub which: Which,
    /// Whether its optional dependencies are wanted too.
    pub with_optional: bool,
}

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The packages.
    pub wanted: BTreeMap<PackageId, Wanted>,
    /// Releases that are kept if they fit, though they were yanked or contested since.
    pub keep: BTreeMap<PackageId, RecordId>,
}

/// A version that is to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What.
    pub candidate: Candidate,
    /// The packages that it needs, with what it asks of them.
    pub needs: BTreeMap<PackageId, String>,
}

/// Why nothing is chosen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Something has to be known first.
    #[error("more has to be known of {} packages", .packages.len() + .names.len())]
    Lacks {
        /// Versions of these packages.
        packages: BTreeSet<PackageId>,
        /// Whom these names mean.
        names: BTreeSet<PackageName>,
    },
    /// A package needs another one and does not say whose, and several publishers have one.
    #[error("{by} needs `{name}` and does not say whose. These have one: {}", list(.candidates))]
    Ambiguous {
        /// Who needs it.
        by: String,
        /// What it calls it.
        name: PackageName,
        /// Which are meant by that.
        candidates: Vec<FullName>,
    },
    /// No versions go together; why, in sentences.
    #[error("{0}")]
    NoSolution(String),
    /// The packages need more others than [`MAX_PACKAGES`], or there is no end to trying.
    #[error("what is asked for needs too many packages, or versions of them that hardly go together: no end was found")]
    TooMuch,
}

fn list(names: &[FullName]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Chooses versions.
///
/// # Errors
/// [`Error`]; after [`Error::Lacks`] it is worth asking again.
pub fn resolve(request: &Request, known: &Known) -> Result<BTreeMap<PackageId, Chosen>, Error> {
    let provider = Provider { request, known, lacks: RefCell::default(), steps: Cell::new(0) };
    let solved = pubgrub::resolve(&provider, Node::asked(), Version::new(0, 0, 0));
    match solved {
        Ok(selected) => {
            let chosen = selected.iter().filter_map(|(node, version)| Some((node.package()?, version)));
            Ok(chosen.filter_map(|(package, version)| chosen_of(request, known, package, version)).collect())
        }
        Err(PubGrubError::NoSolution(tree)) => Err(Error::NoSolution(explain(tree, known))),
        Err(
            PubGrubError::ErrorChoosingVersion { source, .. }
            | PubGrubError::ErrorRetrievingDependencies { source, .. }
            | PubGrubError::ErrorInShouldCancel(source),
        ) => Err(source),
    }
}

fn chosen_of(request: &Request, known: &Known, package: &PackageId, version: &Version) -> Option<(PackageId, Chosen)> {
    let candidate = allowed(request, package, known.versions(package)?).find(|it| it.version.semver() == version)?;
    let mut needs = BTreeMap::<PackageId, String>::new();
    for dependency in needed(request, package, candidate) {
        if let Some(needed) = meant(known, dependency).filter(|needed| needed != package) {
            let said = needs.entry(needed).or_default();
            if !said.is_empty() {
                said.push_str(", ");
            }
            said.push_str(&dependency.requirement);
        }
    }
    Some((package.clone(), Chosen { candidate: candidate.clone(), needs }))
}

/// The versions that may be chosen of a package: what is kept first, then the highest.
pub(super) fn allowed<'a>(
    request: &'a Request,
    package: &'a PackageId,
    versions: &'a Versions,
) -> impl Iterator<Item = &'a Candidate> {
    let asked = match request.wanted.get(package).map(|wanted| &wanted.which) {
        Some(Which::Release(release)) => Some(*release),
        _ => None,
    };
    let kept = request.keep.get(package);
    let is_kept = move |it: &&Candidate| kept == Some(&it.release) && asked.is_none_or(|asked| asked == it.release);
    let may_be = move |it: &&Candidate| match asked {
        Some(asked) => it.release == asked && it.passed_over != Some(PassedOver::Retracted),
        None => it.passed_over.is_none(),
    };
    let others = versions.candidates.iter().filter(move |it| may_be(it) && !is_kept(it));
    versions.candidates.iter().filter(is_kept).chain(others)
}

/// What a version needs: what is optional, only where that was asked for.
fn needed<'a>(
    request: &Request,
    package: &PackageId,
    candidate: &'a Candidate,
) -> impl Iterator<Item = &'a Dependency> {
    let with_optional = request.wanted.get(package).is_some_and(|wanted| wanted.with_optional);
    candidate.dependencies.iter().filter(move |dependency| with_optional || !dependency.optional)
}

/// The package that a dependency means, if that is known.
fn meant(known: &Known, dependency: &Dependency) -> Option<PackageId> {
    match (dependency.publisher, known.names.get(&dependency.name)) {
        (Some(publisher), _) => Some(PackageId { publisher, name: dependency.name.clone() }),
        (None, Some(Meaning::One(package))) => Some(package.clone()),
        (None, _) => None,
    }
}

/// What PubGrub gives versions to.
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
    Package(PackageId),
    /// A name that means nobody's package, or nobody knows yet whose.
    Unsaid(PackageName),
}

impl Node {
    fn asked() -> Self {
        Self { what: What::Asked, shown: "what you ask for".into() }
    }

    fn of(known: &Known, package: PackageId) -> Self {
        Self { shown: known.short_name(&package), what: What::Package(package) }
    }

    const fn package(&self) -> Option<&PackageId> {
        match &self.what {
            What::Package(package) => Some(package),
            What::Asked | What::Unsaid(_) => None,
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

struct Provider<'a> {
    request: &'a Request,
    known: &'a Known,
    lacks: RefCell<(BTreeSet<PackageId>, BTreeSet<PackageName>)>,
    steps: Cell<usize>,
}

impl Provider<'_> {
    /// What is to be known before anything is chosen.
    fn lacking(&self) -> Error {
        let (packages, names) = self.lacks.borrow().clone();
        Error::Lacks { packages, names }
    }

    /// The package, noted if nothing is known of it.
    fn node(&self, package: PackageId) -> Node {
        if !self.known.packages.contains_key(&package) {
            self.lacks.borrow_mut().0.insert(package.clone());
        }
        Node::of(self.known, package)
    }

    fn asked(&self) -> Vec<(Node, VersionRange)> {
        let asked = self.request.wanted.iter().map(|(package, wanted)| {
            let range = match &wanted.which {
                Which::Matching(requirement) => VersionRange::matching(requirement),
                Which::Release(_) => VersionRange::any(),
                Which::Any => {
                    let mut versions = self.known.versions(package).into_iter();
                    let has_release = versions.any(|versions| {
                        allowed(self.request, package, versions).any(|it| !it.version.is_pre_release())
                    });
                    if has_release { VersionRange::releases() } else { VersionRange::any() }
                }
            };
            (self.node(package.clone()), range)
        });
        asked.collect()
    }

    fn dependencies(&self, package: &PackageId, version: &Version) -> Result<Needs, Error> {
        let mut versions = self.known.versions(package).into_iter();
        let candidate = versions
            .find_map(|versions| allowed(self.request, package, versions).find(|it| it.version.semver() == version));
        let Some(candidate) = candidate else { return Ok(Dependencies::Available(std::iter::empty().collect())) };
        let mut ranges: Vec<(Node, VersionRange)> = Vec::new();
        for dependency in needed(self.request, package, candidate) {
            let node = match (dependency.publisher, self.known.names.get(&dependency.name)) {
                (Some(publisher), _) => self.node(PackageId { publisher, name: dependency.name.clone() }),
                (None, Some(Meaning::One(meant))) => self.node(meant.clone()),
                (None, Some(Meaning::Several(candidates))) => {
                    return Err(Error::Ambiguous {
                        by: format!("{} {version}", self.known.short_name(package)),
                        name: dependency.name.clone(),
                        candidates: candidates.clone(),
                    });
                }
                (None, meaning) => {
                    if meaning.is_none() {
                        self.lacks.borrow_mut().1.insert(dependency.name.clone());
                    }
                    let (what, shown) = (What::Unsaid(dependency.name.clone()), dependency.name.to_string());
                    Node { what, shown }
                }
            };
            // The rules have let it in only as a requirement.
            let Ok(requirement) = VersionReq::parse(&dependency.requirement) else { continue };
            let range = VersionRange::matching(&requirement);
            if node.package() == Some(package) {
                if !range.contains(version) {
                    return Ok(Dependencies::Unavailable(format!("needs {range} of itself")));
                }
                continue;
            }
            match ranges.iter_mut().find(|(other, _)| *other == node) {
                Some((_, other)) => *other = other.intersection(&range),
                None => ranges.push((node, range)),
            }
        }
        Ok(Dependencies::Available(ranges.into_iter().collect()))
    }
}

type Needs = Dependencies<Node, VersionRange, String>;

impl DependencyProvider for Provider<'_> {
    type P = Node;
    type V = Version;
    type VS = VersionRange;
    type M = String;
    type Priority = (bool, u32, Reverse<usize>);
    type Err = Error;

    fn prioritize(
        &self,
        node: &Node,
        range: &VersionRange,
        statistics: &PackageResolutionStatistics,
    ) -> Self::Priority {
        let fitting = |package: &PackageId| {
            let versions = self.known.versions(package)?;
            Some(allowed(self.request, package, versions).filter(|it| range.contains(it.version.semver())).count())
        };
        let (is_known, fitting) = match &node.what {
            What::Asked => (true, 1),
            What::Package(package) => (self.known.packages.contains_key(package), fitting(package).unwrap_or_default()),
            What::Unsaid(name) => (self.known.names.contains_key(name), 0),
        };
        (is_known, statistics.conflict_count(), Reverse(fitting))
    }

    fn choose_version(&self, node: &Node, range: &VersionRange) -> Result<Option<Version>, Error> {
        match &node.what {
            What::Asked => Ok(Some(Version::new(0, 0, 0))),
            What::Package(package) => match self.known.packages.get(package) {
                None => Err(self.lacking()),
                Some(None) => Ok(None),
                Some(Some(versions)) => {
                    let mut fitting = allowed(self.request, package, versions).map(|it| it.version.semver());
                    Ok(fitting.find(|version| range.contains(version)).cloned())
                }
            },
            What::Unsaid(name) if self.known.names.contains_key(name) => Ok(None),
            What::Unsaid(_) => Err(self.lacking()),
        }
    }

    fn get_dependencies(&self, node: &Node, version: &Version) -> Result<Needs, Error> {
        match &node.what {
            What::Asked => Ok(Dependencies::Available(self.asked().into_iter().collect())),
            What::Package(package) => self.dependencies(package, version),
            What::Unsaid(_) => Ok(Dependencies::Available(std::iter::empty().collect())),
        }
    }

    fn should_cancel(&self) -> Result<(), Error> {
        self.steps.set(self.steps.get() + 1);
        let is_too_much = self.steps.get() > MAX_STEPS || self.known.packages.len() > MAX_PACKAGES;
        if is_too_much { Err(Error::TooMuch) } else { Ok(()) }
    }
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
