use ggen_shared::id::PublisherId;
use ggen_shared::record::{Content, ContentId};

use super::*;

const ALICE: PublisherId = PublisherId::from_bytes([1; 32]);
const BOB: PublisherId = PublisherId::from_bytes([2; 32]);

fn package(publisher: PublisherId, name: &str) -> PackageId {
    PackageId { publisher, name: name.parse().unwrap() }
}

fn pick(name: &str, version: &str) -> Pick {
    Pick { package: package(ALICE, name), version: version.parse().unwrap() }
}

fn full_name(package: &PackageId) -> FullName {
    let handle = if package.publisher == ALICE { "alice" } else { "bob" };
    FullName {
        handle: Some(handle.parse().unwrap()),
        fingerprint: package.publisher.fingerprint(),
        name: package.name.clone(),
    }
}

/// A dependency as `name requirement`: of alice; `bob/name` of bob, `?name` of whoever, with `optional` behind it where it is.
fn dependency(text: &str) -> Dependency {
    let (text, optional) = text.strip_suffix(" optional").map_or((text, false), |text| (text, true));
    let (name, requirement) = text.split_once(' ').unwrap_or((text, "*"));
    let (publisher, name) = match (name.strip_prefix("bob/"), name.strip_prefix('?')) {
        (Some(name), _) => (Some(BOB), name),
        (None, Some(name)) => (None, name),
        (None, None) => (Some(ALICE), name),
    };
    Dependency { publisher, name: name.parse().unwrap(), requirement: requirement.into(), optional }
}

fn candidate(version: &str, dependencies: &[&str]) -> Candidate {
    Candidate {
        version: version.parse().unwrap(),
        release: release(version),
        record: Vec::new(),
        content: Content { cid: ContentId::of_raw(version.as_bytes()), size: 1 },
        dependencies: dependencies.iter().map(|text| dependency(text)).collect(),
        passed_over: None,
        deprecated: None,
    }
}

fn release(version: &str) -> RecordId {
    let mut bytes = [0; 32];
    bytes[..version.len()].copy_from_slice(version.as_bytes());
    RecordId::from_bytes(bytes)
}

/// Versions of packages, whatever their order.
#[derive(Default)]
struct Market {
    all: Known,
    /// How often something more had to be known.
    rounds: usize,
}

impl Market {
    fn with(mut self, name: &str, version: &str, dependencies: &[&str]) -> Self {
        self.add(name, candidate(version, dependencies));
        self
    }

    fn but(mut self, name: &str, version: &str, passed_over: PassedOver) -> Self {
        self.add(name, Candidate { passed_over: Some(passed_over), ..candidate(version, &[]) });
        self
    }

    fn add(&mut self, name: &str, candidate: Candidate) {
        let package = match name.strip_prefix("bob/") {
            Some(name) => package(BOB, name),
            None => package(ALICE, name),
        };
        let new = || Versions { full_name: full_name(&package), candidates: Vec::new(), is_whole: true };
        let versions = self.all.packages.entry(package.clone()).or_insert_with(|| Some(new())).as_mut().unwrap();
        versions.candidates.push(candidate);
        versions.candidates.sort_by(|one, other| other.version.cmp(&one.version));
    }

    /// Resolves knowing nothing at first: what is lacking is looked up.
    fn resolve(&mut self, request: &Request) -> Result<Solution, Error> {
        let mut known = Known::default();
        loop {
            match resolve(request, &known) {
                Err(Error::Lacks { packages, names }) => {
                    assert!(!packages.is_empty() || !names.is_empty());
                    self.rounds += 1;
                    for package in packages {
                        let versions = self.all.packages.get(&package).cloned().flatten();
                        assert!(known.packages.insert(package, versions).is_none(), "it is asked for once");
                    }
                    for name in names {
                        let meaning = self.all.names.get(&name).cloned().unwrap_or(Meaning::Nobody);
                        assert!(known.names.insert(name, meaning).is_none(), "it is asked for once");
                    }
                }
                resolved => return resolved,
            }
        }
    }

    /// The versions as `name version`, sorted.
    fn chosen(&mut self, request: &Request) -> Vec<String> {
        let chosen = self.resolve(request).unwrap_or_else(|error| panic!("{error}"));
        let shown = |pick: &Pick| format!("{} {}", pick.package.name, pick.version);
        let mut shown: Vec<_> = chosen.packages.keys().map(shown).collect();
        shown.sort();
        shown
    }

    fn refused(&mut self, request: &Request) -> String {
        self.resolve(request).expect_err("nothing fits").to_string()
    }
}

fn request(wanted: &[&str]) -> Request {
    let wanted = wanted.iter().map(|text| {
        let (name, which) = match text.split_once(' ') {
            Some((name, requirement)) => (name, Which::Matching(requirement.parse().unwrap())),
            None => (*text, Which::Any),
        };
        (package(ALICE, name), Wanted { which, with_optional: false })
    });
    Request { wanted: wanted.collect(), keep: BTreeMap::new() }
}

#[test]
fn the_highest_versions_that_go_together_are_chosen() {
    let mut market = Market::default()
        .with("app", "1.0.0", &["codec ^1.2", "net ^2"])
        .with("net", "2.0.0", &["codec ~1.2"])
        .with("net", "3.0.0", &[])
        .with("codec", "1.3.0", &[])
        .with("codec", "1.2.4", &[])
        .with("codec", "1.2.0", &[]);
    assert_eq!(market.chosen(&request(&["app"])), ["app 1.0.0", "codec 1.2.4", "net 2.0.0"]);
    assert_eq!(market.rounds, 2, "the packages of a layer are asked for together");
    let resolved = market.resolve(&request(&["app"])).unwrap();
    let needs = &resolved.packages[&pick("app", "1.0.0")].needs;
    assert_eq!(needs[&pick("codec", "1.2.4")], "^1.2");
    assert_eq!(needs.len(), 2);
}

#[test]
fn packages_that_need_each_other_are_chosen_once_each() {
    let mut market = Market::default().with("egg", "1.0.0", &["hen ^1"]).with("hen", "1.0.0", &["egg ^1"]).with(
        "hen",
        "1.1.0",
        &["egg ^1", "hen ^1"],
    );
    assert_eq!(market.chosen(&request(&["egg"])), ["egg 1.0.0", "hen 1.1.0"]);
    let resolved = market.resolve(&request(&["egg"])).unwrap();
    assert!(
        !resolved.packages[&pick("hen", "1.1.0")].needs.contains_key(&pick("hen", "1.1.0")),
        "it needs no other of itself"
    );
    let mut never = Market::default().with("snake", "1.0.0", &["snake >1.0"]).with("snake", "1.1.0", &[]);
    assert!(never.refused(&request(&["snake =1.0.0"])).contains("snake 1.0.0 needs >=1.1.0 of itself"));
    let mut nothing = Market::default().with("snake", "1.0.0", &["snake ^2"]);
    assert!(nothing.refused(&request(&["snake"])).contains("snake has no version >=2.0.0, <3.0.0"));
    // The old version passes on what the new one has.
    let mut both = nothing.with("snake", "2.0.0", &[]);
    assert_eq!(both.chosen(&request(&["snake ^1"])), ["snake 1.0.0", "snake 2.0.0"]);
}

#[test]
fn what_is_optional_is_left_out_unless_it_is_asked_for() {
    let mut market = Market::default()
        .with("app", "1.0.0", &["core ^1", "extra ^1 optional"])
        .with("core", "1.0.0", &["deep ^1 optional"])
        .with("extra", "1.0.0", &[])
        .with("deep", "1.0.0", &[]);
    assert_eq!(market.chosen(&request(&["app"])), ["app 1.0.0", "core 1.0.0"]);
    let mut with = request(&["app"]);
    with.wanted.values_mut().for_each(|wanted| wanted.with_optional = true);
    assert_eq!(market.chosen(&with), ["app 1.0.0", "core 1.0.0", "extra 1.0.0"], "of what was named, no further");
}

#[test]
fn a_pre_release_is_chosen_if_it_was_asked_for_or_nothing_else_is_there() {
    let mut market = Market::default()
        .with("app", "1.0.0", &["tool >=1"])
        .with("tool", "1.0.0", &[])
        .with("tool", "1.1.0-rc.1", &[])
        .with("young", "0.1.0-alpha", &[])
        .with("picky", "1.0.0", &["tool >=1.1.0-rc.0"]);
    assert_eq!(market.chosen(&request(&["app"])), ["app 1.0.0", "tool 1.0.0"]);
    assert_eq!(market.chosen(&request(&["tool"])), ["tool 1.0.0"]);
    assert_eq!(market.chosen(&request(&["young"])), ["young 0.1.0-alpha"]);
    assert_eq!(market.chosen(&request(&["picky"])), ["picky 1.0.0", "tool 1.1.0-rc.1"]);
    assert!(market.refused(&request(&["young *"])).contains("young has no version that can be chosen"));
}

#[test]
fn what_was_withdrawn_or_is_contested_or_unconfirmed_is_not_chosen_but_kept() {
    let mut market = Market::default()
        .with("tool", "1.0.0", &[])
        .but("tool", "1.1.0", PassedOver::Yanked)
        .but("tool", "1.2.0", PassedOver::Contested)
        .but("tool", "1.3.0", PassedOver::Unconfirmed { by: 1, needed: 2 })
        .but("tool", "1.4.0", PassedOver::Retracted);
    assert_eq!(market.chosen(&request(&["tool"])), ["tool 1.0.0"]);
    let why = market.refused(&request(&["tool >1.0.0"]));
    for reason in ["1.1.0 is yanked", "1.2.0 is contested", "1.3.0 is confirmed by 1 of 2 relays", "1.4.0 is retracted"]
    {
        assert!(why.contains(reason), "{why}");
    }
    for version in ["1.1.0", "1.2.0", "1.4.0"] {
        let keep = BTreeMap::from([(package(ALICE, "tool"), BTreeSet::from([release(version)]))]);
        let kept = Request { keep: keep.clone(), ..request(&["tool"]) };
        assert_eq!(market.chosen(&kept), [format!("tool {version}")], "a lock file has it");
        let other = Request { keep, ..request(&["tool =1.0.0"]) };
        assert_eq!(market.chosen(&other), ["tool 1.0.0"], "it is kept only if it fits");
    }
}

#[test]
fn a_release_is_chosen_by_its_id_whatever_is_said_of_it_unless_it_was_retracted() {
    let mut market = Market::default().with("tool", "1.0.0", &[]).but("tool", "1.2.0", PassedOver::Contested).but(
        "tool",
        "1.4.0",
        PassedOver::Retracted,
    );
    let by_id = |version: &str| {
        let mut request = request(&["tool"]);
        request.wanted.values_mut().for_each(|wanted| wanted.which = Which::Release(release(version)));
        request
    };
    assert_eq!(market.chosen(&by_id("1.2.0")), ["tool 1.2.0"]);
    assert_eq!(market.chosen(&by_id("1.0.0")), ["tool 1.0.0"]);
    assert!(market.refused(&by_id("1.4.0")).contains("1.4.0 is retracted"));
}

#[test]
fn a_conflict_is_explained_by_who_needs_what() {
    let mut market = Market::default()
        .with("menu", "1.0.0", &["dropdown ^2"])
        .with("dropdown", "2.0.0", &["icons ^1.1"])
        .with("icons", "1.1.0", &[])
        .with("icons", "1.0.0", &[]);
    let why = market.refused(&request(&["menu", "icons ~1.0"]));
    assert_eq!(
        why,
        "Because dropdown >=2.0.0, <3.0.0 needs icons >=1.1.0, <2.0.0 and menu 1.0.0 needs dropdown >=2.0.0, <3.0.0, \
         menu 1.0.0 needs icons >=1.1.0, <2.0.0.\n\
         And because you ask for icons >=1.0.0, <1.1.0 and you ask for menu, it can't be installed."
    );
}

#[test]
fn who_is_meant_is_never_guessed() {
    let mut market =
        Market::default().with("app", "1.0.0", &["?tool ^1"]).with("tool", "1.0.0", &[]).with("bob/tool", "1.0.0", &[]);
    let name: PackageName = "tool".parse().unwrap();
    assert!(market.refused(&request(&["app"])).contains("nobody publishes tool"));
    market.all.names.insert(name.clone(), Meaning::One(package(BOB, "tool")));
    let resolved = market.resolve(&request(&["app"])).unwrap();
    let tools = resolved.packages.keys().filter(|pick| pick.package.name == name);
    assert_eq!(tools.map(|pick| pick.package.publisher).collect::<Vec<_>>(), [BOB]);
    let both = [ALICE, BOB].map(|publisher| full_name(&package(publisher, "tool")));
    market.all.names.insert(name, Meaning::Several(both.to_vec()));
    let why = market.refused(&request(&["app"]));
    let [alice, bob] = both;
    assert_eq!(why, format!("app 1.0.0 needs `tool` and does not say whose. These have one: {alice}, {bob}"));
}

#[test]
fn packages_of_one_name_are_told_apart_in_words() {
    let mut market = Market::default()
        .with("app", "1.0.0", &["tool ^1", "bob/tool ^2"])
        .with("tool", "1.0.0", &[])
        .with("bob/tool", "1.0.0", &[]);
    let why = market.refused(&request(&["app"]));
    assert!(why.contains(&full_name(&package(BOB, "tool")).to_string()), "{why}");
    market.add("bob/tool", candidate("2.0.0", &[]));
    assert_eq!(market.chosen(&request(&["app"])), ["app 1.0.0", "tool 1.0.0", "tool 2.0.0"]);
}

#[test]
fn a_missing_package_is_named_with_who_needs_it() {
    let mut market = Market::default().with("app", "1.0.0", &["gone ^1"]);
    let why = market.refused(&request(&["app"]));
    assert!(why.contains("no relay knows gone of publisher") && why.contains("app 1.0.0 needs gone"), "{why}");
}

#[test]
fn an_older_version_is_chosen_where_the_newest_needs_what_is_not_there() {
    let mut market = Market::default().with("app", "2.0.0", &["gone ^1"]).with("app", "1.0.0", &[]);
    assert_eq!(market.chosen(&request(&["app"])), ["app 1.0.0"]);
}

#[test]
fn a_search_without_end_is_given_up() {
    // Each of these needs another one that nobody has looked at yet.
    let known = Known {
        packages: (0..=MAX_PACKAGES).map(|number| (package(ALICE, &format!("p{number}")), None)).collect(),
        ..Known::default()
    };
    assert_eq!(resolve(&request(&["p0"]), &known), Err(Error::TooMuch));
}

#[test]
fn who_needs_versions_that_are_not_compatible_gets_two() {
    let mut market = Market::default()
        .with("app", "1.0.0", &["codec ^1", "net ^2", "young ^0.1"])
        .with("net", "2.0.0", &["codec ^2", "young ^0.2"])
        .with("codec", "1.0.0", &[])
        .with("codec", "1.2.0", &["young =0.1.0"])
        .with("codec", "2.0.0", &[])
        .with("young", "0.1.0", &[])
        .with("young", "0.1.1", &[])
        .with("young", "0.2.0", &[]);
    let all = ["app 1.0.0", "codec 1.2.0", "codec 2.0.0", "net 2.0.0", "young 0.1.0", "young 0.2.0"];
    assert_eq!(market.chosen(&request(&["app"])), all);
    let resolved = market.resolve(&request(&["app"])).unwrap();
    assert_eq!(resolved.wanted[&package(ALICE, "app")], pick("app", "1.0.0"));
    assert_eq!(resolved.packages[&pick("app", "1.0.0")].needs[&pick("codec", "1.2.0")], "^1");
    assert_eq!(resolved.packages[&pick("net", "2.0.0")].needs[&pick("codec", "2.0.0")], "^2");
}

#[test]
fn one_version_is_chosen_where_one_is_enough_for_all() {
    let market =
        || Market::default().with("codec", "1.0.0", &[]).with("codec", "2.0.0", &[]).with("codec", "3.0.0", &[]);
    let mut open = market().with("app", "1.0.0", &["codec >=1", "net ^1"]).with("net", "1.0.0", &["codec ^2"]);
    assert_eq!(open.chosen(&request(&["app"])), ["app 1.0.0", "codec 2.0.0", "net 1.0.0"]);
    let resolved = open.resolve(&request(&["app"])).unwrap();
    assert_eq!(resolved.packages[&pick("app", "1.0.0")].needs[&pick("codec", "2.0.0")], ">=1");
    // Who asks for a package itself wants the newest.
    assert_eq!(open.chosen(&request(&["app", "codec"])), ["app 1.0.0", "codec 2.0.0", "codec 3.0.0", "net 1.0.0"]);
    let mut alone = market().with("app", "1.0.0", &["codec >=1, <3"]);
    assert_eq!(alone.chosen(&request(&["app"])), ["app 1.0.0", "codec 2.0.0"]);
    let keep = BTreeMap::from([(package(ALICE, "codec"), BTreeSet::from([release("1.0.0")]))]);
    let kept = Request { keep, ..request(&["app"]) };
    assert_eq!(alone.chosen(&kept), ["app 1.0.0", "codec 1.0.0"], "a lock file has it");
}

#[test]
fn another_series_is_tried_where_the_highest_does_not_go() {
    let mut market = Market::default()
        .with("app", "1.0.0", &["codec >=1, <3", "base ~1.0"])
        .with("codec", "2.0.0", &["base ^1.1"])
        .with("codec", "1.0.0", &["base ^1"])
        .with("base", "1.0.0", &[])
        .with("base", "1.1.0", &[]);
    assert_eq!(market.chosen(&request(&["app"])), ["app 1.0.0", "base 1.0.0", "codec 1.0.0"]);
    market.add("codec", candidate("1.0.1", &[]));
    let by_id = Request {
        wanted: [(package(ALICE, "codec"), Wanted { which: Which::Release(release("1.0.0")), with_optional: false })]
            .into_iter()
            .chain(request(&["app"]).wanted)
            .collect(),
        ..Request::default()
    };
    assert_eq!(
        market.chosen(&by_id),
        ["app 1.0.0", "base 1.0.0", "codec 1.0.0"],
        "there is no other of its series then"
    );
}

#[test]
fn a_conflict_about_any_of_several_series_is_explained_without_them() {
    let mut market = Market::default()
        .with("app", "1.0.0", &["codec >=1, <3", "base ~1.0"])
        .with("codec", "2.0.0", &["base ^1.2"])
        .with("codec", "1.0.0", &["base ^1.1"])
        .with("base", "1.0.0", &[])
        .with("base", "1.1.0", &[])
        .with("base", "1.2.0", &[]);
    let why = market.refused(&request(&["app"]));
    assert_eq!(
        why,
        "Because codec 1.x needs base >=1.1.0, <2.0.0 and codec 2.x needs base >=1.2.0, <2.0.0, codec >=1.0.0, <3.0.0 needs base \
         >=1.1.0, <2.0.0.\n\
         And because app 1.0.0 needs codec >=1.0.0, <3.0.0, app 1.0.0 needs base >=1.1.0, <2.0.0.\n\
         And because app 1.0.0 needs base >=1.0.0, <1.1.0 and you ask for app, it can't be installed."
    );
    // What was passed over is named.
    let mut yanked = Market::default()
        .with("app", "1.0.0", &["codec >=1, <3", "base ~1.0"])
        .but("codec", "2.0.0", PassedOver::Yanked)
        .with("codec", "1.0.0", &["base ^1.1"])
        .with("base", "1.0.0", &[])
        .with("base", "1.1.0", &[]);
    let why = yanked.refused(&request(&["app"]));
    assert!(why.contains("codec 1.x needs base >=1.1.0, <2.0.0"), "{why}");
}

#[path = "resolve_search_tests.rs"]
mod search;
