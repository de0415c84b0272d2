//! Sets of versions, as the resolver computes with them: what a requirement of the semver crate matches, exactly.
//!
//! A pre-release matches a requirement only if that names a pre-release of the same three numbers. No range of versions says so, but two do: one
//! that is asked of releases and one that is asked of pre-releases.

use std::fmt;

use pubgrub::{Ranges, VersionSet};
use semver::{BuildMetadata, Comparator, Op, Prerelease, Version, VersionReq};

/// A set of versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// Those of the set that are no pre-releases; its bounds are none either.
    releases: Ranges<Version>,
    /// Those that are.
    pre_releases: Ranges<Version>,
}

impl VersionRange {
    /// What a requirement matches.
    pub fn matching(requirement: &VersionReq) -> Self {
        let mut asked_for = Ranges::empty();
        let mut matching = <Self as VersionSet>::full();
        for comparator in &requirement.comparators {
            matching = matching.intersection(&of_comparator(comparator));
            if let (Some(minor), Some(patch)) = (comparator.minor, comparator.patch)
                && !comparator.pre.is_empty()
            {
                let numbers = Some((comparator.major, minor, patch));
                asked_for = asked_for.union(&from(lowest(numbers)).intersection(&below(release(numbers))));
            }
        }
        matching.pre_releases = matching.pre_releases.intersection(&asked_for);
        matching
    }

    /// Every release, and no pre-release.
    pub fn releases() -> Self {
        Self { releases: Ranges::full(), pre_releases: Ranges::empty() }
    }

    /// Every version.
    pub fn any() -> Self {
        <Self as VersionSet>::full()
    }
}

/// Three numbers of a version; None stands for numbers beyond all versions.
type Numbers = Option<(u64, u64, u64)>;

/// What a comparator matches, whether the requirement that it is a part of names a pre-release or not.
fn of_comparator(comparator: &Comparator) -> VersionRange {
    let Comparator { op, major, minor, patch, ref pre } = *comparator;
    let first = Some((major, minor.unwrap_or_default(), patch.unwrap_or_default()));
    let after_major = major.checked_add(1).map(|major| (major, 0, 0));
    // Behind the greatest number of all comes the next one before it.
    let after_minor = |minor: u64| minor.checked_add(1).map(|minor| (major, minor, 0)).or(after_major);
    // Behind all versions that begin with the numbers that it has.
    let next = match (minor, patch) {
        (None, _) => after_major,
        (Some(minor), None) => after_minor(minor),
        (Some(minor), Some(patch)) => patch.checked_add(1).map(|patch| (major, minor, patch)).or(after_minor(minor)),
    };
    let is_whole = minor.is_some() && patch.is_some();
    let exact = release(first).map(|version| Version { pre: pre.clone(), ..version });
    let both = |range: Ranges<Version>| VersionRange { releases: rounded(&range), pre_releases: range };
    match op {
        Op::Exact | Op::Wildcard if is_whole => {
            exact.map_or_else(VersionSet::empty, <VersionRange as VersionSet>::singleton)
        }
        Op::Exact | Op::Wildcard => only_releases(first, next),
        Op::Greater if is_whole => both(exact.map_or_else(Ranges::empty, Ranges::strictly_higher_than)),
        Op::Greater => both(from(lowest(next))),
        Op::GreaterEq if is_whole => both(from(exact)),
        Op::GreaterEq => VersionRange { releases: from(release(first)), pre_releases: from(lowest(next)) },
        Op::Less if is_whole => both(below(exact)),
        Op::Less => both(below(lowest(first))),
        Op::LessEq if is_whole => both(exact.map_or_else(Ranges::full, Ranges::lower_than)),
        Op::LessEq => VersionRange { releases: below(release(next)), pre_releases: below(lowest(first)) },
        Op::Tilde if is_whole => both(between(exact, lowest(after_minor(minor.unwrap_or_default())))),
        Op::Tilde => only_releases(first, next),
        Op::Caret => {
            let end = match (major, minor, patch) {
                (0, Some(0), Some(_)) => next,
                (0, Some(minor), _) => after_minor(minor),
                _ => after_major,
            };
            both(between(if is_whole { exact } else { lowest(first) }, lowest(end)))
        }
        // The library may learn an operator that nobody here knows: it matches nothing.
        _ => VersionSet::empty(),
    }
}

fn only_releases(first: Numbers, end: Numbers) -> VersionRange {
    VersionRange { releases: between(release(first), release(end)), pre_releases: Ranges::empty() }
}

/// The release with these numbers.
fn release(numbers: Numbers) -> Option<Version> {
    numbers.map(|(major, minor, patch)| Version::new(major, minor, patch))
}

/// The lowest version with these numbers, which is a pre-release.
fn lowest(numbers: Numbers) -> Option<Version> {
    let zero = Prerelease::new("0").expect("a digit is a pre-release");
    numbers.map(|(major, minor, patch)| Version { major, minor, patch, pre: zero, build: BuildMetadata::EMPTY })
}

fn from(version: Option<Version>) -> Ranges<Version> {
    version.map_or_else(Ranges::empty, Ranges::higher_than)
}

fn below(version: Option<Version>) -> Ranges<Version> {
    version.map_or_else(Ranges::full, Ranges::strictly_lower_than)
}

fn between(first: Option<Version>, end: Option<Version>) -> Ranges<Version> {
    from(first).intersection(&below(end))
}

/// The same releases, between bounds that are none but releases: below a release, its pre-releases mean nothing.
fn rounded(range: &Ranges<Version>) -> Ranges<Version> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let without = |version: &Version| Version { pre: Prerelease::EMPTY, ..version.clone() };
    range
        .iter()
        .map(|(start, end)| {
            let start = match start {
                Included(version) => Included(without(version)),
                // What is higher than a pre-release begins with its release.
                Excluded(version) if !version.pre.is_empty() => Included(without(version)),
                Excluded(version) => Excluded(version.clone()),
                Unbounded => Unbounded,
            };
            let end = match end {
                Included(version) if version.pre.is_empty() => Included(version.clone()),
                Included(version) | Excluded(version) => Excluded(without(version)),
                Unbounded => Unbounded,
            };
            Ranges::from_range_bounds((start, end))
        })
        .fold(Ranges::empty(), |all, part| all.union(&part))
}

impl VersionSet for VersionRange {
    type V = Version;

    fn empty() -> Self {
        Self { releases: Ranges::empty(), pre_releases: Ranges::empty() }
    }

    fn singleton(version: Version) -> Self {
        let (alone, none) = (Ranges::singleton(version.clone()), Ranges::empty());
        match version.pre.is_empty() {
            true => Self { releases: alone, pre_releases: none },
            false => Self { releases: none, pre_releases: alone },
        }
    }

    fn complement(&self) -> Self {
        Self { releases: self.releases.complement(), pre_releases: self.pre_releases.complement() }
    }

    fn intersection(&self, other: &Self) -> Self {
        Self {
            releases: self.releases.intersection(&other.releases),
            pre_releases: self.pre_releases.intersection(&other.pre_releases),
        }
    }

    fn contains(&self, version: &Version) -> bool {
        if version.pre.is_empty() { self.releases.contains(version) } else { self.pre_releases.contains(version) }
    }
}

impl fmt::Display for VersionRange {
    /// As requirements are written, alternatives with `|` between. Pre-releases are shown where they were asked for, not where they are left over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_asked_for =
            self.pre_releases.bounding_range().is_some_and(|(start, _)| start != std::ops::Bound::Unbounded);
        match is_asked_for {
            true => write!(f, "{}", self.releases.union(&self.pre_releases)),
            false => write!(f, "{}", self.releases),
        }
    }
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
