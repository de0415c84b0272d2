//! Which versions are installed: a pure function of what is asked for and what is known. What it lacks it says, and is asked again.
//!
//! PubGrub looks for one version of each series of a package that fits all who need one of it. What may be of several series is taken from one that
//! somebody needs anyway, or of the highest. Of a package that is in the lock file already, that version is tried first; of others the highest. Packages
//! that nothing is known of yet come last, so that what is lacking is told by whole layers.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use ggen_shared::id::{FullName, PackageId, PackageName, RecordId};
use ggen_shared::record::Dependency;
use pubgrub::{
    Dependencies, DependencyProvider, PackageResolutionStatistics, PubGrubError, SelectedDependencies, VersionSet,
};
use semver::{Version, VersionReq};

use super::explain::explain;
use super::known::{Candidate, Known, Meaning, PassedOver, Versions};
use super::node::{Node, What};
use super::range::VersionRange;
use super::series::{Pick, Series};

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
    pub keep: BTreeMap<PackageId, BTreeSet<RecordId>>,
}

/// A version that is to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// What.
    pub candidate: Candidate,
    /// What it needs, with what it asks of the packages.
    pub needs: BTreeMap<Pick, String>,
}

/// Versions that go together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Solution {
    /// Those that were asked for, each among the others.
    pub wanted: BTreeMap<PackageId, Pick>,
    /// All of them.
    pub packages: BTreeMap<Pick, Chosen>,
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
pub fn resolve(request: &Request, known: &Known) -> Result<Solution, Error> {
    let provider =
        Provider { request, known, lacks: RefCell::default(), needed: RefCell::default(), steps: Cell::new(0) };
    match pubgrub::resolve(&provider, Node::asked(), Version::new(0, 0, 0)) {
        Ok(selected) => provider.solution(&selected),
        Err(PubGrubError::NoSolution(tree)) => Err(Error::NoSolution(explain(tree, known))),
        Err(
            PubGrubError::ErrorChoosingVersion { source, .. }
            | PubGrubError::ErrorRetrievingDependencies { source, .. }
            | PubGrubError::ErrorInShouldCancel(source),
        ) => Err(source),
    }
}

/// The versions that may be chosen of a package: what is kept first, then the highest.
fn allowed<'a, 'b>(
    request: &'b Request,
    package: &PackageId,
    versions: &'a Versions,
) -> impl Iterator<Item = &'a Candidate> + use<'a, 'b> {
    let asked = asked_release(request, package).and_then(|release| versions.with(release));
    // Of the series of a release that is asked for, there is no other one.
    let ruled_by = move |it: &Candidate| asked.filter(|asked| series_of(asked) == series_of(it));
    let kept = request.keep.get(package);
    // What too few relays confirm is installed by nobody's lock file or release id: they say which release is meant, not that it stands.
    let is_confirmed = |it: &Candidate| !matches!(it.passed_over, Some(PassedOver::Unconfirmed { .. }));
    let is_kept = move |it: &&Candidate| {
        kept.is_some_and(|kept| kept.contains(&it.release))
            && is_confirmed(it)
            && ruled_by(it).is_none_or(|asked| asked.release == it.release)
    };
    let may_be = move |it: &&Candidate| match ruled_by(it) {
        Some(asked) => it.release == asked.release && it.passed_over != Some(PassedOver::Retracted) && is_confirmed(it),
        None => it.passed_over.is_none(),
    };
    let others = versions.candidates.iter().filter(move |it| may_be(it) && !is_kept(it));
    versions.candidates.iter().filter(is_kept).chain(others)
}

/// The release that a package is asked for by.
fn asked_release(request: &Request, package: &PackageId) -> Option<RecordId> {
    match request.wanted.get(package)?.which {
        Which::Release(release) => Some(release),
        Which::Any | Which::Matching(_) => None,
    }
}

const fn series_of(candidate: &Candidate) -> Series {
    Series::of(candidate.version.semver())
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

struct Provider<'a> {
    request: &'a Request,
    known: &'a Known,
    lacks: RefCell<(BTreeSet<PackageId>, BTreeSet<PackageName>)>,
    /// Series that something needed that was tried.
    needed: RefCell<BTreeSet<(PackageId, Series)>>,
    steps: Cell<usize>,
}

impl<'a> Provider<'a> {
    /// What is to be known before anything is chosen.
    fn lacking(&self) -> Error {
        let (packages, names) = self.lacks.borrow().clone();
        Error::Lacks { packages, names }
    }

    /// The versions that may be chosen of what a node stands for and a range has, the first choice first.
    fn fitting(&self, node: &'a Node, range: &'a VersionRange) -> impl Iterator<Item = &'a Candidate> {
        let package = node.package();
        let versions = package.and_then(|package| Some((package, self.known.versions(package)?)));
        let allowed = versions.into_iter().flat_map(|(package, versions)| allowed(self.request, package, versions));
        allowed.filter(|it| node.has(it, range))
    }

    /// What stands for the versions of a package that a range has. The package is noted if nothing is known of it.
    fn node(&self, package: &PackageId, range: &VersionRange) -> Node {
        if !self.known.packages.contains_key(package) {
            self.lacks.borrow_mut().0.insert(package.clone());
        }
        let versions = self.known.versions(package).into_iter();
        let allowed = versions.flat_map(|versions| allowed(self.request, package, versions));
        let series: BTreeSet<Series> =
            allowed.filter(|it| range.contains(it.version.semver())).map(series_of).collect();
        match (series.first(), series.len()) {
            (Some(only), 1) => Node::of(self.known, package.clone(), *only),
            _ => Node::either(self.known, package.clone(), range.clone()),
        }
    }

    /// What is asked of a package.
    fn asked(&self, package: &PackageId, wanted: &Wanted) -> (Node, VersionRange) {
        let versions = self.known.versions(package);
        let range = match &wanted.which {
            Which::Matching(requirement) => VersionRange::matching(requirement),
            Which::Release(release) => {
                return match versions.map(|versions| versions.with(*release)) {
                    Some(Some(it)) => (Node::of(self.known, package.clone(), series_of(it)), VersionRange::any()),
                    Some(None) => (Node::either(self.known, package.clone(), VersionSet::empty()), VersionRange::any()),
                    None => (self.node(package, &VersionRange::any()), VersionRange::any()),
                };
            }
            Which::Any => {
                let mut allowed = versions.into_iter().flat_map(|versions| allowed(self.request, package, versions));
                let has_release = allowed.any(|it| !it.version.is_pre_release());
                if has_release { VersionRange::releases() } else { VersionRange::any() }
            }
        };
        self.needed_of(package, range)
    }

    /// What stands for a range of a package, and which versions of that.
    fn needed_of(&self, package: &PackageId, range: VersionRange) -> (Node, VersionRange) {
        let node = self.node(package, &range);
        match node.what {
            What::Either(..) => (node, VersionRange::any()),
            _ => (node, range),
        }
    }

    /// What a dependency needs.
    fn dependency(&self, by: &Pick, dependency: &Dependency) -> Result<Option<(Node, VersionRange)>, Error> {
        // The rules have let it in only as a requirement.
        let Ok(requirement) = VersionReq::parse(&dependency.requirement) else { return Ok(None) };
        let range = VersionRange::matching(&requirement);
        let package = match (dependency.publisher, self.known.names.get(&dependency.name)) {
            (Some(publisher), _) => PackageId { publisher, name: dependency.name.clone() },
            (None, Some(Meaning::One(meant))) => meant.clone(),
            (None, Some(Meaning::Several(candidates))) => {
                return Err(Error::Ambiguous {
                    by: format!("{} {}", self.known.short_name(&by.package), by.version),
                    name: dependency.name.clone(),
                    candidates: candidates.clone(),
                });
            }
            (None, meaning) => {
                if meaning.is_none() {
                    self.lacks.borrow_mut().1.insert(dependency.name.clone());
                }
                return Ok(Some((Node::unsaid(dependency.name.clone()), range)));
            }
        };
        if package == by.package && range.contains(by.version.semver()) {
            return Ok(None);
        }
        Ok(Some(self.needed_of(&package, range)))
    }

    /// A version that may be chosen.
    fn candidate(&self, package: &PackageId, version: &Version) -> Option<&'a Candidate> {
        let versions = self.known.versions(package)?;
        allowed(self.request, package, versions).find(|it| it.version.semver() == version)
    }

    fn dependencies(&self, package: &PackageId, version: &Version) -> Result<Needs, Error> {
        let Some(candidate) = self.candidate(package, version) else { return Ok(available(Vec::new())) };
        let by = Pick { package: package.clone(), version: candidate.version.clone() };
        let mut ranges: Vec<(Node, VersionRange)> = Vec::new();
        for dependency in needed(self.request, package, candidate) {
            let Some((node, range)) = self.dependency(&by, dependency)? else { continue };
            if node.what == What::Package(by.package.clone(), by.series()) {
                return Ok(Dependencies::Unavailable(format!("needs {range} of itself")));
            }
            match ranges.iter_mut().find(|(other, _)| *other == node) {
                Some((_, other)) => *other = other.intersection(&range),
                None => ranges.push((node, range)),
            }
        }
        Ok(available(ranges))
    }

    /// One of the series that would do.
    fn choose_series(&self, node: &Node, package: &PackageId, range: &VersionRange) -> Option<Version> {
        let needed = self.needed.borrow();
        let kept = self.request.keep.get(package);
        let fitting = self.fitting(node, range).map(|it| {
            let is_kept = kept.is_some_and(|kept| kept.contains(&it.release));
            // Who asks for a package wants the newest of it, and not what others have to do with.
            let is_needed =
                !self.request.wanted.contains_key(package) && needed.contains(&(package.clone(), series_of(it)));
            (is_kept, is_needed, series_of(it))
        });
        fitting.max().map(|(_, _, series)| series.first())
    }

    /// What was selected, in our words.
    fn solution(&self, selected: &Selected) -> Result<Solution, Error> {
        let mut solution = Solution::default();
        for (node, version) in selected.iter() {
            let What::Package(package, _) = &node.what else { continue };
            let Some(candidate) = self.candidate(package, version) else { continue };
            let by = Pick { package: package.clone(), version: candidate.version.clone() };
            let mut needs = BTreeMap::<Pick, String>::new();
            for dependency in needed(self.request, package, candidate) {
                let node = self.dependency(&by, dependency)?;
                let Some(pick) = node.and_then(|(node, _)| self.pick(selected, node)) else { continue };
                let said = needs.entry(pick).or_default();
                if !said.is_empty() {
                    said.push_str(", ");
                }
                said.push_str(&dependency.requirement);
            }
            solution.packages.insert(by, Chosen { candidate: candidate.clone(), needs });
        }
        if solution.packages.len() > MAX_PACKAGES {
            return Err(Error::TooMuch);
        }
        for (package, wanted) in &self.request.wanted {
            let (node, _) = self.asked(package, wanted);
            solution.wanted.extend(self.pick(selected, node).map(|pick| (package.clone(), pick)));
        }
        Ok(solution)
    }

    /// What was selected for a node.
    fn pick(&self, selected: &Selected, node: Node) -> Option<Pick> {
        let version = selected.get(&node)?;
        match node.what {
            What::Package(package, _) => {
                let version = self.candidate(&package, version)?.version.clone();
                Some(Pick { package, version })
            }
            What::Either(package, _) => {
                let of_series = Node::of(self.known, package, Series::of(version));
                self.pick(selected, of_series)
            }
            What::Asked | What::Unsaid(_) => None,
        }
    }
}

fn available(needs: Vec<(Node, VersionRange)>) -> Needs {
    Dependencies::Available(needs.into_iter().collect())
}

type Selected = SelectedDependencies<Node, Version>;
type Needs = Dependencies<Node, VersionRange, String>;

impl DependencyProvider for Provider<'_> {
    type P = Node;
    type V = Version;
    type VS = VersionRange;
    type M = String;
    type Priority = (bool, bool, u32, Reverse<usize>);
    type Err = Error;

    fn prioritize(
        &self,
        node: &Node,
        range: &VersionRange,
        statistics: &PackageResolutionStatistics,
    ) -> Self::Priority {
        let is_known = match &node.what {
            What::Asked => true,
            What::Package(package, _) | What::Either(package, _) => self.known.packages.contains_key(package),
            What::Unsaid(name) => self.known.names.contains_key(name),
        };
        // What leaves a choice comes after what does not.
        let is_settled = !matches!(node.what, What::Either(..));
        (is_known, is_settled, statistics.conflict_count(), Reverse(self.fitting(node, range).count()))
    }

    fn choose_version(&self, node: &Node, range: &VersionRange) -> Result<Option<Version>, Error> {
        match &node.what {
            What::Asked => Ok(Some(Version::new(0, 0, 0))),
            What::Package(package, _) | What::Either(package, _) if !self.known.packages.contains_key(package) => {
                Err(self.lacking())
            }
            What::Package(..) => Ok(self.fitting(node, range).next().map(|it| it.version.semver().clone())),
            What::Either(package, _) => Ok(self.choose_series(node, package, range)),
            What::Unsaid(name) if self.known.names.contains_key(name) => Ok(None),
            What::Unsaid(_) => Err(self.lacking()),
        }
    }

    fn get_dependencies(&self, node: &Node, version: &Version) -> Result<Needs, Error> {
        let needs = match &node.what {
            What::Asked => {
                available(self.request.wanted.iter().map(|(package, wanted)| self.asked(package, wanted)).collect())
            }
            What::Package(package, _) => self.dependencies(package, version)?,
            What::Either(package, range) => {
                let of_series = Node::of(self.known, package.clone(), Series::of(version));
                available(vec![(of_series, range.clone())])
            }
            What::Unsaid(_) => available(Vec::new()),
        };
        if let Dependencies::Available(needs) = &needs {
            let series = needs.iter().filter_map(|(node, _)| match &node.what {
                What::Package(package, series) => Some((package.clone(), *series)),
                _ => None,
            });
            self.needed.borrow_mut().extend(series);
        }
        Ok(needs)
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
