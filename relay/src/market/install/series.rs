//! Which versions of a package may stand for each other: one of them is enough for all that need one, and of others a second one is installed.

use std::fmt;

use ggen_shared::id::PackageId;
use ggen_shared::record::Version;

/// Versions that are compatible by SemVer, as Cargo sees it: those with the same first number that is not zero, and zeros before it.
/// Pre-releases belong to the series of what they precede.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Series {
    major: u64,
    /// Where the major number is 0.
    minor: u64,
    /// Where the minor number is 0 too.
    patch: u64,
}

impl Series {
    /// The one that a version belongs to.
    pub const fn of(version: &semver::Version) -> Self {
        match (version.major, version.minor) {
            (0, 0) => Self { major: 0, minor: 0, patch: version.patch },
            (0, minor) => Self { major: 0, minor, patch: 0 },
            (major, _) => Self { major, minor: 0, patch: 0 },
        }
    }

    /// Its first release.
    pub const fn first(self) -> semver::Version {
        semver::Version::new(self.major, self.minor, self.patch)
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.major, self.minor) {
            (0, 0) => write!(f, "0.0.{}", self.patch),
            (0, minor) => write!(f, "0.{minor}.x"),
            (major, _) => write!(f, "{major}.x"),
        }
    }
}

/// A version of a package that is installed, or is to be: of each series one at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pick {
    /// The package.
    pub package: PackageId,
    /// Which version of it.
    pub version: Version,
}

impl Pick {
    /// The series that it is the only one of.
    pub const fn series(&self) -> Series {
        Series::of(self.version.semver())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_series_has_what_its_first_release_is_compatible_with_and_no_other(
            one in (0..3_u64, 0..3_u64, 0..3_u64),
            other in (0..3_u64, 0..3_u64, 0..3_u64),
        ) {
            let version = |(major, minor, patch)| semver::Version::new(major, minor, patch);
            let (one, other) = (version(one), version(other));
            let caret: semver::VersionReq = format!("^{}", Series::of(&one).first()).parse().unwrap();
            prop_assert!(caret.matches(&one));
            prop_assert_eq!(Series::of(&one) == Series::of(&other), caret.matches(&other));
        }
    }

    #[test]
    fn a_pre_release_is_of_the_series_that_it_precedes() {
        for (version, shown) in
            [("1.0.0-rc.1", "1.x"), ("0.3.0-alpha", "0.3.x"), ("0.0.0", "0.0.0"), ("12.1.0", "12.x")]
        {
            assert_eq!(Series::of(&version.parse().unwrap()).to_string(), shown);
        }
    }
}
