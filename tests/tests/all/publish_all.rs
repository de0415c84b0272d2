//! `ggen-market publish --all`: a whole tree, with whatever is wrong in it, ends with a report that is right about each package.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ggen_tests::TestRelay;
use ggen_tests::terminal::Terminal;
use serde_json::Value;

/// Packages that are generated, besides the samples of this repository and some crates.
const GENERATED: usize = 140;

/// Writes a file and the directories above it.
fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn manifest(name: &str, version: &str, more: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"Generated for a test.\"\n{more}")
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap().path();
            copy(&entry, &to.join(entry.file_name().unwrap()));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}

/// Some `.crate` files that this workspace was built with.
fn crates() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| Path::new(&std::env::var_os("HOME").unwrap()).join(".cargo"));
    let registries = fs::read_dir(home.join("registry/cache")).unwrap().map(|entry| entry.unwrap().path());
    let files = registries.flat_map(|registry| fs::read_dir(registry).unwrap().map(|entry| entry.unwrap().path()));
    let wanted = ["anyhow-", "bytes-", "semver-", "thiserror-"];
    let mut found = BTreeMap::new();
    for file in files {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let is_version = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
        if let Some(wanted) = wanted.iter().find(|wanted| name.strip_prefix(**wanted).is_some_and(is_version)) {
            found.insert(*wanted, file);
        }
    }
    assert_eq!(found.len(), wanted.len(), "this workspace was built from a registry: {found:?}");
    found.into_values().collect()
}

/// A tree of packages as people have them. Returns what must become of each path: an outcome, and a part of its reason.
fn grow(root: &Path) -> BTreeMap<String, (&'static str, &'static str)> {
    let mut expected = BTreeMap::new();
    let mut expect =
        |path: &str, outcome, reason| assert!(expected.insert(path.to_owned(), (outcome, reason)).is_none());
    for number in 0..GENERATED {
        let path = format!("packages/{}/package-{number}", number % 7);
        // Each but the first needs the one before, which may well be published later.
        let needs =
            if number == 0 { String::new() } else { format!("[dependencies]\npackage-{} = \"1\"\n", number - 1) };
        write(&root.join(&path).join("package.toml"), &manifest(&format!("package-{number}"), "1.0.0", &needs));
        write(&root.join(&path).join("README.md"), &format!("# Package {number}\n{}", "A line.\n".repeat(number)));
        expect(&path, "published", "");
    }
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("packages");
    for sample in ["event-sourcing-pack", "invoice-ontology", "rest-api-axum"] {
        copy(&samples.join(sample), &root.join("samples").join(sample));
        expect(&format!("samples/{sample}"), "published", "");
    }
    for file in crates() {
        let name = format!("crates/{}", file.file_name().unwrap().to_string_lossy());
        fs::create_dir_all(root.join("crates")).unwrap();
        fs::copy(&file, root.join(&name)).unwrap();
        expect(&name, "published", "");
    }

    let broken = [
        ("toml", "[package\nname = 1\n".into(), "line 1, column"),
        ("nameless", "[package]\nversion = \"1.0.0\"\n".into(), "field `name`: is missing"),
        ("versionless", "[package]\nname = \"a\"\n".into(), "field `version`: is missing"),
        ("bad-name", manifest("Not A Name", "1.0.0", ""), "a package name has"),
        ("bad-version", manifest("bad-version", "1.0", ""), "field `version`"),
        ("build-metadata", manifest("metadata", "1.0.0+5", ""), "build metadata"),
        (
            "tags",
            manifest("tags", "1.0.0", &format!("tags = [{}]\n", "\"t\", ".repeat(40).replace("\"t\"", "TAG"))),
            "",
        ),
        ("empty", String::new(), "[package]"),
    ];
    for (name, text, reason) in broken {
        let mut number = 0;
        let distinct = text.split("TAG").fold(String::new(), |text, part| {
            number += 1;
            if text.is_empty() { part.to_owned() } else { format!("{text}\"tag-{number}\"{part}") }
        });
        write(&root.join("broken").join(name).join("package.toml"), &distinct);
        expect(&format!("broken/{name}"), "failed", reason);
    }
    write(&root.join("broken/link/package.toml"), &manifest("link", "1.0.0", ""));
    std::os::unix::fs::symlink("/etc/hostname", root.join("broken/link/hostname")).unwrap();
    expect("broken/link", "failed", "link");
    write(&root.join("broken/no-archive-1.0.0.crate"), "no archive");
    expect("broken/no-archive-1.0.0.crate", "failed", "not a sound .tar.gz");
    let whole = fs::read(crates().remove(0)).unwrap();
    fs::write(root.join("broken/cut-1.0.0.crate"), &whole[..whole.len() / 2]).unwrap();

    write(&root.join("copy/package.toml"), &manifest("package-3", "1.0.0", ""));
    write(&root.join("packages/0/package-0/templates/package.toml"), &manifest("inner", "1.0.0", ""));
    expect("packages/0/package-0/templates", "skipped", "it is in the directory of the package");
    std::os::unix::fs::symlink(root.join("samples/invoice-ontology"), root.join("samples/linked")).unwrap();
    expect("samples/linked", "skipped", "it is a link");
    expected
}

/// Demands of a report that it says of each path what must have become of it.
fn check(report: &Value, root: &Path, expected: &BTreeMap<String, (&str, &str)>) {
    let rows = report["packages"].as_array().unwrap();
    let mut said = BTreeMap::new();
    for row in rows {
        let path = Path::new(row["path"].as_str().unwrap()).strip_prefix(root).unwrap().display().to_string();
        assert!(said.insert(path, row).is_none(), "{row}");
    }
    assert_eq!(said.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    for (path, (outcome, reason)) in expected {
        let row = said[path];
        assert_eq!(row["outcome"], *outcome, "{path}: {row}");
        assert!(reason.is_empty() || row["reason"].as_str().unwrap().contains(reason), "{path}: {row}");
    }
    for outcome in ["published", "already", "waiting", "skipped", "failed"] {
        let count = expected.values().filter(|(expected, _)| *expected == outcome).count();
        assert_eq!(report[outcome], count, "{outcome}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_of_150_packages_some_of_them_broken_ends_with_a_correct_report() {
    let relays = [TestRelay::start(&[]).await, TestRelay::start(&[]).await, TestRelay::start(&[]).await];
    let terminal = Terminal::of(&[&relays[0], &relays[1], &relays[2]]).await;
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    let mut expected = grow(root);
    // The same name and version as another one; the first that can be published is.
    expected.insert("packages/3/package-3".into(), ("skipped", "copy has the same name and version"));
    expected.insert("copy".into(), ("published", ""));
    // It comes first, and does not keep the whole one from being published.
    expected.insert("broken/cut-1.0.0.crate".into(), ("failed", "not a sound .tar.gz"));

    let all = ["publish", "--json", "--all", &root.display().to_string()].map(str::to_owned);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let run = terminal.with_relays(&all).await;
    assert_eq!(run.code, 1, "{}", run.err);
    let report: Value = serde_json::from_str(&run.out).unwrap();
    check(&report, root, &expected);

    // Each relay holds all of it, and the dependencies mean the packages of the tree.
    let published = report["published"].as_u64().unwrap();
    for relay in &relays {
        let shelf = relay.relay().shelf();
        let catalogue = shelf.catalogue();
        assert_eq!(catalogue.newest(1000).count() as u64, published);
    }
    let name = format!("{}/package-9", terminal.publisher().await);
    let info = terminal.ask(&["info", &name, "--json"]).await.json();
    let id = terminal.run(&["key", "show"]).await.out.lines().next().unwrap().replace("publisher ", "");
    assert_eq!(info["dependencies"][0]["publisher"], id, "{info}");

    // The same again changes nothing, and says so; in words, too, without a bar where there is no terminal.
    for (outcome, _) in expected.values_mut().filter(|(outcome, _)| *outcome == "published") {
        *outcome = "already";
    }
    let again = terminal.with_relays(&all).await;
    assert_eq!(again.code, 1, "{}", again.err);
    check(&serde_json::from_str(&again.out).unwrap(), root, &expected);
    fs::remove_dir_all(root.join("broken")).unwrap();
    let words = terminal.with_relays(&["publish", "--all", &root.display().to_string()]).await;
    assert_eq!(words.code, 0, "what is skipped is no failure: {}", words.err);
    assert!(words.err.ends_with("0 published, 147 already there, 0 waiting, 3 skipped, 0 failed\n"), "{}", words.err);
    assert!(!words.err.contains('\u{1b}') && !words.err.contains('\r'), "{}", words.err);
    assert_eq!(words.out.lines().filter(|line| line.starts_with("already ")).count(), 147);
}

#[tokio::test]
async fn a_tree_without_a_package_is_no_success() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&relay]).await;
    let empty = tempfile::tempdir().unwrap();
    let nothing = terminal.with_relays(&["publish", "--all", &empty.path().display().to_string()]).await;
    assert_eq!(nothing.code, 2, "{nothing:?}");
    assert!(nothing.err.contains("there is no package below the directory"), "{nothing:?}");
    let missing = terminal.with_relays(&["publish", "--all", "no/such/directory"]).await;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.err.contains("no/such/directory"), "{missing:?}");
}
