use proptest::prelude::*;

use super::*;

fn range(requirement: &str) -> VersionRange {
    VersionRange::matching(&requirement.parse().unwrap())
}

fn versions() -> impl Strategy<Value = Version> {
    let pre = prop_oneof![3 => Just(""), 1 => Just("0"), 1 => Just("alpha"), 1 => Just("alpha.2"), 1 => Just("rc.1")];
    // Few numbers, so that most are near each other.
    (number(), number(), number(), pre).prop_map(|(major, minor, patch, pre)| Version {
        pre: Prerelease::new(pre).unwrap(),
        ..Version::new(major, minor, patch)
    })
}

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![10 => 0..4_u64, 1 => Just(u64::MAX), 1 => Just(u64::MAX - 1)]
}

fn requirements() -> impl Strategy<Value = VersionReq> {
    let op = proptest::sample::select(vec!["", "=", ">", ">=", "<", "<=", "~", "^"]);
    let comparator = (op, versions(), 1..4_usize).prop_map(|(op, version, parts)| match parts {
        1 => format!("{op}{}", version.major),
        2 => format!("{op}{}.{}", version.major, version.minor),
        _ => format!("{op}{version}"),
    });
    let wildcard = (number(), number(), any::<bool>()).prop_map(|(major, minor, is_minor)| match is_minor {
        true => format!("{major}.{minor}.*"),
        false => format!("{major}.*"),
    });
    let one = prop_oneof![6 => comparator, 1 => wildcard];
    let some = proptest::collection::vec(one, 1..4).prop_map(|parts| parts.join(", "));
    prop_oneof![20 => some, 1 => Just("*".to_owned())].prop_map(|text| text.parse().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_range_has_just_the_versions_that_the_requirement_matches(
        requirement in requirements(),
        version in versions(),
        other in requirements(),
    ) {
        let (range, other_range) = (VersionRange::matching(&requirement), VersionRange::matching(&other));
        let (matches, other_matches) = (requirement.matches(&version), other.matches(&version));
        prop_assert_eq!(range.contains(&version), matches, "{} {}", requirement, version);
        prop_assert_eq!(range.complement().contains(&version), !matches);
        prop_assert_eq!(range.intersection(&other_range).contains(&version), matches && other_matches);
        prop_assert_eq!(range.union(&other_range).contains(&version), matches || other_matches);
        prop_assert!(range.subset_of(&range.union(&other_range)));
        prop_assert_eq!(<VersionRange as VersionSet>::singleton(version.clone()).subset_of(&range), matches);
    }

    #[test]
    fn bounds_of_releases_are_releases(requirement in requirements()) {
        use std::ops::Bound::{Excluded, Included, Unbounded};
        for (start, end) in VersionRange::matching(&requirement).releases.iter() {
            for bound in [start, end] {
                match bound {
                    Included(version) | Excluded(version) => prop_assert!(version.pre.is_empty(), "{}", version),
                    Unbounded => {}
                }
            }
        }
    }
}

#[test]
fn a_range_is_shown_as_requirements_are_written() {
    assert_eq!(range("1.2").to_string(), ">=1.2.0, <2.0.0");
    assert_eq!(range("=1.2.3").to_string(), "1.2.3");
    assert_eq!(range("*").to_string(), "*");
    assert_eq!(range("^1.0.0-rc.1").to_string(), ">=1.0.0-rc.1, <2.0.0");
    assert_eq!(range("=1.0.0-rc.1").to_string(), "1.0.0-rc.1");
    assert_eq!(range("^1").complement().to_string(), "<1.0.0 | >=2.0.0");
    assert_eq!(range("^1").intersection(&range("^2")).to_string(), "∅");
    assert_eq!(VersionRange::any().to_string(), "*");
}

#[test]
fn a_pre_release_is_in_a_range_only_if_it_was_asked_for() {
    let version = |text: &str| Version::parse(text).unwrap();
    assert!(!range("*").contains(&version("1.0.0-rc.1")) && !range("^1").contains(&version("1.1.0-rc.1")));
    assert!(range("^1.1.0-rc.1").contains(&version("1.1.0-rc.2")));
    assert!(!range("^1.1.0-rc.1").contains(&version("1.2.0-rc.1")));
    assert!(!VersionRange::releases().contains(&version("1.0.0-rc.1")));
    assert!(VersionRange::any().contains(&version("1.0.0-rc.1")));
}
