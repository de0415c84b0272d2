//! Versions, heads and names.

use crate::catalogue::testing::{Publisher, Relay, catalogue, depends_on, other_artifact};
use crate::id::FullName;
use crate::record::{Release, Verified};

fn head(releases: impl IntoIterator<Item = Verified<Release>>) -> Option<String> {
    let one = Publisher::new(1);
    let catalogue = catalogue(&[&one], releases);
    catalogue.head(&one.package("a")).map(|release| release.version.to_string())
}

fn release(index: u32, version: &str) -> Verified<Release> {
    Publisher::new(1).release(index, "a", version, |_| {})
}

fn rival(index: u32, version: &str) -> Verified<Release> {
    Publisher::new(1).release(index, "a", version, |release| release.artifact = other_artifact("another"))
}

#[test]
fn the_head_is_the_highest_version_by_precedence() {
    assert_eq!(head([release(0, "1.10.0"), release(1, "1.9.0"), release(2, "1.2.0")]).as_deref(), Some("1.10.0"));
}

#[test]
fn a_pre_release_is_the_head_only_if_there_is_nothing_else() {
    assert_eq!(head([release(0, "1.0.0"), release(1, "2.0.0-rc.1")]).as_deref(), Some("1.0.0"));
    assert_eq!(head([release(0, "2.0.0-rc.1"), release(1, "2.0.0-rc.2")]).as_deref(), Some("2.0.0-rc.2"));
}

#[test]
fn a_contested_version_is_never_the_head() {
    assert_eq!(head([release(0, "1.0.0"), release(1, "2.0.0"), rival(2, "2.0.0")]).as_deref(), Some("1.0.0"));
    assert_eq!(head([release(0, "1.0.0"), rival(1, "1.0.0")]), None);
    assert_eq!(head([release(0, "1.0.0"), rival(1, "1.0.0"), release(2, "0.1.0-rc.1")]).as_deref(), Some("0.1.0-rc.1"));
}

#[test]
fn a_package_without_a_head_is_shown_but_not_listed() {
    let one = Publisher::new(1);
    let relay = Relay::new(&[&one], [release(0, "1.0.0"), rival(1, "1.0.0")]);
    assert_eq!(relay.catalogue.package(&one.package("a")).count(), 1);
    for text in ["", "a"] {
        let found = relay.find(text);
        assert_eq!((found.hits.len(), found.total, found.total_is_exact), (0, 0, true));
    }
    let count = |range: &str| relay.latest().map.count(range.as_bytes());
    assert_eq!((count("p/"), count("n/") + count("t/") + count("x/")), (2, 0));
}

#[test]
fn a_version_is_contested_when_artifact_or_dependencies_differ() {
    let one = Publisher::new(1);
    let with_dependency =
        one.release(1, "a", "1.0.0", |release| release.dependencies = vec![depends_on(&one.package("b"))]);
    for other in [rival(1, "1.0.0"), with_dependency] {
        let catalogue = catalogue(&[&one], [release(0, "1.0.0"), other.clone()]);
        let view = catalogue.version(&one.package("a"), &other.version).unwrap();
        assert!(view.standing.id() < view.contesting.unwrap().id());
        assert_eq!(view.releases().count(), 2);
        assert_eq!(catalogue.release_count(&one.package("a")), 2);
    }
}

#[test]
fn a_version_signed_twice_alike_is_not_contested() {
    let one = Publisher::new(1);
    let dependencies = || vec![depends_on(&one.package("b")), depends_on(&one.package("c"))];
    let first = one.release(0, "a", "1.0.0", |release| release.dependencies = dependencies());
    let again = one.release(1, "a", "1.0.0", |release| {
        release.dependencies = dependencies().into_iter().rev().collect();
        release.description = "Other words".into();
    });
    let smallest = first.id().min(again.id());
    let catalogue = catalogue(&[&one], [first, again]);
    let view = catalogue.package(&one.package("a")).next().unwrap();
    assert_eq!((view.standing.id(), view.contesting), (smallest, None));
    assert_eq!(catalogue.head(&one.package("a")).unwrap().id(), smallest);
}

#[test]
fn copies_of_a_release_do_not_hide_what_contests_it() {
    let one = Publisher::new(1);
    let copies = (0..20).map(|index| release(index, "1.0.0"));
    let rival = rival(20, "1.0.0");
    let catalogue = catalogue(&[&one], copies.chain([rival.clone()]));
    let view = catalogue.version(&one.package("a"), &rival.version).unwrap();
    assert_eq!([view.standing.id(), view.contesting.unwrap().id()].iter().filter(|id| **id == rival.id()).count(), 1);
}

#[test]
fn versions_are_listed_highest_first() {
    let one = Publisher::new(1);
    let catalogue =
        catalogue(&[&one], [release(0, "1.0.0"), release(1, "1.0.0-rc.1"), release(2, "10.0.0"), release(3, "2.0.0")]);
    let versions: Vec<_> = catalogue.package(&one.package("a")).map(|view| view.standing.version.to_string()).collect();
    assert_eq!(versions, ["10.0.0", "2.0.0", "1.0.0", "1.0.0-rc.1"]);
}

#[test]
fn a_full_name_means_the_publisher_with_that_fingerprint() {
    let (one, two) = (Publisher::with_handle(1, "same"), Publisher::with_handle(2, "same"));
    let catalogue =
        catalogue(&[&one, &two], [one.release(0, "a", "1.0.0", |_| {}), two.release(0, "a", "1.0.0", |_| {})]);
    let meant = |name: &FullName| catalogue.resolve(name).collect::<Vec<_>>();
    assert_eq!(meant(&one.full_name("a")), [one.package("a")]);
    assert_eq!(meant(&two.full_name("a")), [two.package("a")]);
    assert_eq!(meant(&FullName { handle: None, ..one.full_name("a") }), [one.package("a")]);
    assert_eq!(meant(&FullName { handle: Some("other".parse().unwrap()), ..one.full_name("a") }), []);
    assert_eq!(meant(&one.full_name("b")), []);
}

#[test]
fn packages_that_depend_on_a_package_are_listed() {
    let (one, two) = (Publisher::new(1), Publisher::new(2));
    let on = |publisher: &Publisher, index, name: &str, version| {
        let base = depends_on(&one.package("base"));
        publisher.release(index, name, version, |release| release.dependencies = vec![base])
    };
    let releases = [on(&one, 0, "own", "1.0.0"), on(&two, 1, "other", "1.0.0"), on(&two, 2, "former", "1.0.0")];
    let former = two.release(3, "former", "2.0.0", |_| {});
    let catalogue =
        catalogue(&[&one, &two], releases.into_iter().chain([former, one.release(9, "base", "1.0.0", |_| {})]));
    let dependents: Vec<_> = catalogue.dependents(&one.package("base")).cloned().collect();
    assert_eq!(dependents, [two.package("other"), one.package("own")]);
}
