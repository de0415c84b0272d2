//! Small markets, each searched in full: versions are found if there are some that go together, and those that are found do.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];
const VERSIONS: [&str; 4] = ["1.0.0", "1.1.0", "2.0.0", "0.1.0"];
const REQUIREMENTS: [&str; 8] = ["^1", "~1.0", "^1.1", "^2", "*", ">=1.1", "<2", "=0.1.0"];

/// What a version needs: a package and a requirement, by their numbers.
type Needed = Vec<(usize, usize)>;

/// Which versions there are of each package, and what they need.
fn markets() -> impl Strategy<Value = Vec<Vec<Option<Needed>>>> {
    let needed = proptest::collection::vec((0..NAMES.len(), 0..REQUIREMENTS.len()), 0..4);
    let version = prop_oneof![1 => Just(None), 3 => needed.prop_map(Some)];
    proptest::collection::vec(proptest::collection::vec(version, VERSIONS.len()), NAMES.len())
}

fn market_of(packages: &[Vec<Option<Needed>>]) -> Market {
    let mut market = Market::default();
    for (name, versions) in NAMES.iter().zip(packages) {
        for (version, needed) in VERSIONS.iter().zip(versions) {
            let Some(needed) = needed else { continue };
            let needed: Vec<_> =
                needed.iter().map(|(on, asked)| format!("{} {}", NAMES[*on], REQUIREMENTS[*asked])).collect();
            market.add(name, candidate(version, &needed.iter().map(String::as_str).collect::<Vec<_>>()));
        }
    }
    market
}

/// Whether one of some versions matches.
fn has(picks: &[(usize, usize)], (package, asked): (usize, usize)) -> bool {
    let requirement: VersionReq = REQUIREMENTS[asked].parse().unwrap();
    picks.iter().any(|(of, version)| *of == package && requirement.matches(&VERSIONS[*version].parse().unwrap()))
}

/// Whether any versions of these go together, one of each series at most.
fn is_possible(packages: &[Vec<Option<Needed>>], asked: (usize, usize)) -> bool {
    let all: Vec<_> =
        (0..NAMES.len()).flat_map(|package| (0..VERSIONS.len()).map(move |version| (package, version))).collect();
    (0..1_u32 << all.len()).any(|chosen| {
        let picks: Vec<_> =
            all.iter().enumerate().filter(|(at, _)| chosen & (1 << at) != 0).map(|(_, pick)| *pick).collect();
        // The first two versions are of one series.
        let is_one_of_each =
            NAMES.iter().enumerate().all(|(at, _)| !picks.contains(&(at, 0)) || !picks.contains(&(at, 1)));
        let goes = |(package, version): &(usize, usize)| match &packages[*package][*version] {
            Some(needed) => needed.iter().all(|needed| has(&picks, *needed)),
            None => false,
        };
        is_one_of_each && has(&picks, asked) && picks.iter().all(goes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn versions_that_go_together_are_found_if_there_are_any(packages in markets(), asked in 0..REQUIREMENTS.len()) {
        let mut market = market_of(&packages);
        let requirement: VersionReq = REQUIREMENTS[asked].parse().unwrap();
        let mut request = request(&["a"]);
        request.wanted.values_mut().for_each(|wanted| wanted.which = Which::Matching(requirement.clone()));
        let found = market.resolve(&request);
        prop_assert_eq!(found.is_ok(), is_possible(&packages, (0, asked)), "{:?}", found);
        let Ok(found) = found else { return Ok(()) };
        prop_assert!(requirement.matches(found.wanted[&package(ALICE, "a")].version.semver()));
        let series: BTreeSet<_> = found.packages.keys().map(|pick| (pick.package.clone(), pick.series())).collect();
        prop_assert_eq!(series.len(), found.packages.len());
        for (pick, chosen) in &found.packages {
            for dependency in &chosen.candidate.dependencies {
                let requirement: VersionReq = dependency.requirement.parse().unwrap();
                let is_met = |by: &Pick| by.package.name == dependency.name && requirement.matches(by.version.semver());
                prop_assert!(is_met(pick) || chosen.needs.keys().any(is_met), "{:?} of {:?}", dependency, pick);
            }
            prop_assert!(chosen.needs.keys().all(|needed| found.packages.contains_key(needed)));
        }
        // Nothing is there that nobody needs.
        let mut reached: BTreeSet<&Pick> = BTreeSet::new();
        let mut open: Vec<&Pick> = found.wanted.values().collect();
        while let Some(next) = open.pop() {
            if reached.insert(next) {
                open.extend(found.packages[next].needs.keys());
            }
        }
        prop_assert_eq!(reached.len(), found.packages.len());
    }
}
