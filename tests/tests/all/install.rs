//! Installing at a terminal, against real relays: what is chosen, what is refused, what is on the disk afterwards.

use std::fs;
use std::path::Path;
use std::time::Duration;

use ggen_shared::record::State;
use ggen_tests::install::{LONG_EPOCH, files, two_relays};
use ggen_tests::terminal::Terminal;
use ggen_tests::{Publisher, TestRelay, offer_to, until, within};

async fn publisher(handle: &str, relays: &[TestRelay; 2]) -> Terminal {
    Terminal::without_key(&[&relays[0], &relays[1]]).as_publisher(handle).await
}

/// The publisher's id.
async fn id(terminal: &Terminal) -> String {
    let shown = terminal.run(&["key", "show"]).await.out;
    shown.lines().find_map(|line| line.strip_prefix("publisher ")).unwrap().to_owned()
}

/// A dependency as a manifest has it.
fn needs(name: &str, requirement: &str, publisher: &str) -> String {
    format!("{name} = {{ version = \"{requirement}\", publisher = \"{publisher}\" }}")
}

/// Writes a package of two files, and gives its path.
fn package(terminal: &Terminal, name: &str, version: &str, dependencies: &[String]) -> String {
    let directory = terminal.home.path().join("packages").join(format!("{name}-{version}"));
    fs::create_dir_all(directory.join("templates")).unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"A thing to install.\"\n\n[dependencies]\n{}\n",
        dependencies.join("\n")
    );
    fs::write(directory.join("package.toml"), manifest).unwrap();
    fs::write(directory.join("templates/name.tmpl"), format!("{name} {version}\n")).unwrap();
    directory.display().to_string()
}

/// Publishes packages, and waits until the checkpoints of all relays have them.
async fn publish(terminal: &Terminal, packages: &[String]) {
    let arguments: Vec<&str> = ["publish"].into_iter().chain(packages.iter().map(String::as_str)).collect();
    terminal.with_relays(&arguments).await.assert_good();
    let publisher = terminal.publisher().await;
    for path in packages {
        let (name, version) = Path::new(path).file_name().unwrap().to_str().unwrap().split_once('-').unwrap();
        terminal.confirmed(&format!("{publisher}/{name}@{version}")).await;
    }
}

/// The packages that stand in a directory, as `NAME-VERSION`.
fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "ggen.lock");
    names.sort();
    names
}

/// A tree of packages `p0`, `p1`, …, each of which needs two others, the last ones the first in turn.
fn tree(terminal: &Terminal, publisher: &str, count: usize) -> Vec<String> {
    let package = |number: usize| {
        let below = [2 * number + 1, 2 * number + 2].into_iter().filter(|below| *below < count);
        let mut dependencies: Vec<_> = below.map(|below| needs(&format!("p{below}"), "^1", publisher)).collect();
        if dependencies.is_empty() {
            dependencies.push(needs("p0", ">=1", publisher));
        }
        package(terminal, &format!("p{number}"), "1.0.0", &dependencies)
    };
    (0..count).map(package).collect()
}

#[tokio::test]
async fn a_package_is_installed_with_all_that_it_needs_and_again_byte_for_byte_from_the_lock_file() {
    let relays = two_relays().await;
    let alice = publisher("alice", &relays).await;
    let packages = tree(&alice, &id(&alice).await, 23);
    publish(&alice, &packages).await;
    let name = alice.publisher().await;

    let first = alice.install(&[&format!("{name}/p0")]).await;
    first.assert_good();
    assert_eq!(first.err, "23 packages, 23 of them new\n");
    let lines: Vec<_> = first.out.lines().collect();
    assert_eq!(lines.len(), 23);
    assert_eq!(lines[0], format!("installed {name}/p0 1.0.0 {}", alice.installed().join("p0-1.0.0").display()));
    let there = files(&alice.installed());
    assert_eq!(there.len(), 23 * 2 + 1);
    assert_eq!(there["p22-1.0.0/templates/name.tmpl"], b"p22 1.0.0\n");

    let again = alice.install(&["--json"]).await.json();
    assert_eq!(again["packages"].as_array().unwrap().len(), 23);
    assert!(again["packages"].as_array().unwrap().iter().all(|package| package["new"] == false), "{again}");
    assert_eq!(files(&alice.installed()), there);

    // Somebody else, with nothing but the lock file, and one relay.
    let bob = Terminal::without_key(&[&relays[1]]);
    fs::create_dir(bob.installed()).unwrap();
    fs::write(bob.installed().join("ggen.lock"), &there["ggen.lock"]).unwrap();
    let locked = bob.install(&["--locked"]).await;
    locked.assert_good();
    assert_eq!(locked.err, "23 packages, 23 of them new\n");
    assert_eq!(files(&bob.installed()), there);
}

#[tokio::test]
async fn a_file_that_was_changed_or_removed_or_added_is_named() {
    let relays = two_relays().await;
    let alice = publisher("alice", &relays).await;
    publish(&alice, &[package(&alice, "thing", "1.0.0", &[])]).await;
    let name = format!("{}/thing", alice.publisher().await);
    alice.install(&[&name]).await.assert_good();
    let directory = alice.installed().display().to_string();
    let verify = async || alice.ask(&["verify", &directory]).await;
    let good = verify().await;
    assert_eq!((good.code, &good.err[..]), (0, "1 packages, every file as it was published\n"), "{good:?}");

    let thing = alice.installed().join("thing-1.0.0");
    fs::write(thing.join("templates/name.tmpl"), "thing 1.0.1\n").unwrap();
    fs::write(thing.join("more"), "").unwrap();
    fs::remove_file(thing.join("package.toml")).unwrap();
    let lines = ["surplus", "missing", "changed"].into_iter().zip(["more", "package.toml", "templates/name.tmpl"]);
    let lines = lines.map(|(how, path)| format!("{how} {}\n", thing.join(path).display())).collect::<String>();
    let found = verify().await;
    assert_eq!((found.code, &found.out), (1, &lines), "{found:?}");
    // A lock file and a cache that were changed as well help nobody: archives are checked by their CIDs.
    let cache = alice.home.path().join(".cache/ggen/content");
    for archive in fs::read_dir(&cache).unwrap() {
        fs::write(archive.unwrap().path(), "changed too").unwrap();
    }
    let found = verify().await;
    assert_eq!((found.code, &found.out), (1, &lines), "{found:?}");
    let json = alice.ask(&["verify", &directory, "--json"]).await;
    assert!(json.code == 1 && json.out.contains("\"how\": \"changed\""), "{json:?}");

    // What somebody changed is neither overwritten nor taken for what was published.
    let again = alice.install(&[]).await;
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("is not as it was installed"), "{again:?}");
    fs::remove_dir_all(&thing).unwrap();
    alice.install(&["--locked"]).await.assert_good();
    assert_eq!(verify().await.code, 0);
}

#[tokio::test]
async fn an_install_that_is_killed_leaves_no_half_package_and_goes_on_when_run_again() {
    let relays = two_relays().await;
    let alice = publisher("alice", &relays).await;
    let id = id(&alice).await;
    let mut packages = Vec::new();
    for number in 0..6 {
        let needed: Vec<_> = (number + 1..6).map(|below| needs(&format!("big{below}"), "^1", &id)).collect();
        let path = package(&alice, &format!("big{number}"), "1.0.0", &needed);
        for file in 0..40 {
            fs::write(Path::new(&path).join(format!("{file}.txt")), noise(number * 100 + file, 20_000)).unwrap();
        }
        packages.push(path);
    }
    publish(&alice, &packages).await;
    let name = format!("{}/big0", alice.publisher().await);
    let directory = alice.installed().display().to_string();
    let arguments = ["install", &name, "--to", &directory, "--network", "test"];

    let mut killed = 0;
    for seen in 0..3 {
        let mut running = alice.command(&alice.to_relays(&arguments)).spawn().unwrap();
        // Something of it is on the disk; the more so, the later.
        until("the first files", || {
            let is_there = names(&alice.installed()).len() > seen || running.try_wait().unwrap().is_some();
            async move { is_there.then_some(()) }
        })
        .await;
        _ = running.start_kill();
        killed += usize::from(!running.wait().await.unwrap().success());
        for package in names(&alice.installed()).iter().filter(|name| name.starts_with("big")) {
            assert_eq!(fs::read_dir(alice.installed().join(package)).unwrap().count(), 42, "{package} is whole");
        }
    }
    assert!(killed > 0, "no run was killed before its end");
    alice.install(&[&name]).await.assert_good();
    assert_eq!(names(&alice.installed()), (0..6).map(|number| format!("big{number}-1.0.0")).collect::<Vec<_>>());
    assert_eq!(alice.ask(&["verify", &directory]).await.code, 0);
}

/// Bytes that hardly get smaller, and are the same each time.
fn noise(seed: usize, length: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[tokio::test]
async fn of_two_publishers_with_one_handle_none_is_chosen_until_one_was_named_in_full() {
    let relays = two_relays().await;
    let (one, other) = (publisher("alice", &relays).await, publisher("alice", &relays).await);
    publish(&one, &[package(&one, "thing", "1.0.0", &[])]).await;
    let first = format!("{}/thing", one.publisher().await);
    // As long as there is one.
    let visitor = Terminal::without_key(&[&relays[0], &relays[1]]);
    for name in ["alice/thing", "thing"] {
        visitor.install(&[name]).await.assert_good();
        fs::remove_dir_all(visitor.installed()).unwrap();
        fs::remove_dir_all(visitor.home.path().join(".local")).unwrap();
    }
    publish(&other, &[package(&other, "thing", "2.0.0", &[])]).await;
    let second = format!("{}/thing", other.publisher().await);
    // To look at one is not to choose it.
    visitor.ask(&["info", &first]).await.assert_good();
    for name in ["alice/thing", "thing"] {
        let refused = visitor.install(&[name]).await;
        assert_eq!((refused.code, &refused.out[..]), (1, ""), "{refused:?}");
        assert!(refused.err.contains(&first) && refused.err.contains(&second), "{refused:?}");
        assert_eq!(names(&visitor.installed()), [""; 0]);
    }
    visitor.install(&[&first]).await.assert_good();
    fs::remove_dir_all(visitor.installed()).unwrap();
    for name in ["alice/thing", "thing"] {
        assert!(visitor.install(&[name]).await.out.contains(&format!("{first} 1.0.0")), "it is pinned");
    }
    // Who knows both has to say which.
    fs::remove_dir_all(visitor.installed()).unwrap();
    visitor.install(&[&second]).await.assert_good();
    let refused = visitor.install(&["alice/thing"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    let unknown = visitor.install(&["nobody/thing"]).await;
    assert!(unknown.code == 1 && unknown.err.contains("there is no package `nobody/thing`"), "{unknown:?}");
}

#[tokio::test]
async fn one_relay_is_not_enough_unless_it_is_said_to_be() {
    let alone = TestRelay::configured(|config| config.epoch = LONG_EPOCH).await;
    let other = TestRelay::deaf(|config| config.epoch = LONG_EPOCH).await;
    let alice = Terminal::without_key(&[&alone]).as_publisher("alice").await;
    publish(&alice, &[package(&alice, "thing", "1.0.0", &[])]).await;
    let name = format!("{}/thing", alice.publisher().await);
    let refused = alice.install(&[&name]).await;
    assert_eq!((refused.code, &refused.out[..]), (1, ""), "{refused:?}");
    assert!(refused.err.contains("--trust-one-relay") && refused.err.contains("--relay"), "{refused:?}");

    // Two relays, of which one has it: they know nothing of each other.
    let both = Terminal::without_key(&[&alone, &other]);
    let refused = both.install(&[&name]).await;
    assert_eq!((refused.code, &refused.out[..]), (1, ""), "{refused:?}");
    assert!(refused.err.contains("1.0.0 is confirmed by 1 of 2 relays"), "{refused:?}");
    let bare = both.install(&["alice/thing"]).await;
    assert!(bare.err.contains("1.0.0 is confirmed by 1 of 2 relays"), "{bare:?}");
    assert_eq!(names(&both.installed()), [""; 0]);
    let info = both.ask(&["info", &name]).await;
    assert!(info.out.contains("confirmed by    1 of 2 relays\n"), "{info:?}");

    alice.install(&[&name, "--trust-one-relay"]).await.assert_good();
    assert_eq!(names(&alice.installed()), ["thing-1.0.0"]);
}

#[tokio::test]
async fn what_was_yanked_is_not_chosen_and_a_lock_file_installs_it_still() {
    let relays = two_relays().await;
    let alice = publisher("alice", &relays).await;
    let all = [package(&alice, "thing", "1.0.0", &[]), package(&alice, "thing", "1.1.0", &[])];
    publish(&alice, &all).await;
    let name = format!("{}/thing", alice.publisher().await);
    alice.install(&[&name]).await.assert_good();
    assert_eq!(names(&alice.installed()), ["thing-1.1.0"]);
    let there = files(&alice.installed());
    alice.with_relays(&["yank", "thing@1.1.0", "--reason", "it leaks"]).await.assert_good();

    let bob = Terminal::without_key(&[&relays[0], &relays[1]]);
    let exact = bob.install(&[&format!("{name}@=1.1.0")]).await;
    assert_eq!(exact.code, 1, "{exact:?}");
    assert!(exact.err.contains("1.1.0 is yanked"), "{exact:?}");
    bob.install(&[&name]).await.assert_good();
    assert_eq!(names(&bob.installed()), ["thing-1.0.0"]);
    fs::write(bob.installed().join("ggen.lock"), &there["ggen.lock"]).unwrap();
    let locked = bob.install(&["--locked"]).await;
    locked.assert_good();
    assert!(locked.err.contains(&format!("warning: {name} 1.1.0 is yanked: it leaks\n")), "{locked:?}");
    assert_eq!(fs::read(bob.installed().join("ggen.lock")).unwrap(), there["ggen.lock"]);
    assert_eq!(fs::read(bob.installed().join("thing-1.1.0/package.toml")).unwrap(), there["thing-1.1.0/package.toml"]);

    // With nobody to ask, what is on this machine is enough.
    let offline = Terminal::without_key(&[]);
    let directory = bob.installed().display().to_string();
    let cache = bob.home.path().join(".cache");
    fs::remove_dir_all(bob.installed().join("thing-1.1.0")).unwrap();
    let offline = offline.with("XDG_CACHE_HOME", &cache.display().to_string());
    let locked = offline.ask(&["install", "--locked", "--to", &directory]).await;
    locked.assert_good();
    assert!(locked.err.contains("no relay was asked"), "{locked:?}");
    assert!(bob.installed().join("thing-1.1.0").is_dir());
}

/// An archive whose text says which one it is.
fn archive(version: &str, text: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let manifest = format!("[package]\nname = \"thing\"\nversion = \"{version}\"\ndescription = \"A thing.\"\n");
    fs::write(directory.path().join("package.toml"), manifest).unwrap();
    fs::write(directory.path().join("text"), text).unwrap();
    ggen_relay::package::read(directory.path()).unwrap().artifact
}

#[tokio::test]
async fn a_contested_version_is_had_only_by_its_release_or_a_lock_file_even_when_a_thief_retracts_it() {
    let relays = two_relays().await;
    let mut owner = Publisher::new(41);
    let old = owner.release("thing", "0.9.0", "", &archive("0.9.0", "old"));
    let good = owner.release("thing", "1.0.0", "", &archive("1.0.0", "good"));
    let evil = owner.release("thing", "1.0.0", "", &archive("1.0.0", "evil"));
    let name = format!("publisher-41~{}/thing", owner.key_log.publisher().fingerprint());
    let visitor = Terminal::without_key(&[&relays[0], &relays[1]]);
    for relay in &relays {
        old.publish_at(relay).await;
        good.publish_at(relay).await;
    }
    for version in ["0.9.0", "1.0.0"] {
        visitor.confirmed(&format!("{name}@{version}")).await;
    }
    visitor.install(&[&name]).await.assert_good();
    let there = files(&visitor.installed());
    assert_eq!(there["thing-1.0.0/text"], b"good");

    // The thief has the key, and one relay.
    evil.publish_at(&relays[1]).await;
    let fresh = Terminal::without_key(&[&relays[0], &relays[1]]);
    let chosen = fresh.install(&[&name]).await;
    chosen.assert_good();
    assert_eq!(names(&fresh.installed()), ["thing-0.9.0"], "{chosen:?}");
    assert!(chosen.err.contains("note: thing 1.0.0 is not chosen: it is contested\n"), "{chosen:?}");
    let exact = fresh.install(&[&format!("{name}@=1.0.0")]).await;
    assert!(exact.code == 1 && exact.err.contains("1.0.0 is contested"), "{exact:?}");
    let info = fresh.ask(&["info", &format!("{name}@1.0.0")]).await;
    assert!(info.code == 1 && info.err.contains("contradict each other"), "{info:?}");

    let by_id = fresh.install(&[&format!("{name}@{}", good.release.id())]).await;
    by_id.assert_good();
    assert!(by_id.err.contains("warning: thing 1.0.0 is contested\n"), "{by_id:?}");
    assert_eq!(files(&fresh.installed())["thing-1.0.0/text"], b"good");

    let retraction = owner.status("thing", "1.0.0", 1, State::Retracted);
    for relay in &relays {
        offer_to(relay, &retraction).await;
    }
    let locked = Terminal::without_key(&[&relays[0], &relays[1]]);
    fs::create_dir(locked.installed()).unwrap();
    fs::write(locked.installed().join("ggen.lock"), &there["ggen.lock"]).unwrap();
    let run = locked.install(&["--locked"]).await;
    run.assert_good();
    assert!(run.err.contains("1.0.0 is retracted: broken\n"), "{run:?}");
    assert_eq!(files(&locked.installed()), there);

    // A lock file that says something else than its release is no lock file.
    let lock = String::from_utf8(there["ggen.lock"].clone()).unwrap();
    let forged = lock.replace(&good.release.artifact.cid.to_string(), &evil.release.artifact.cid.to_string());
    let forger = Terminal::without_key(&[&relays[0], &relays[1]]);
    fs::create_dir(forger.installed()).unwrap();
    fs::write(forger.installed().join("ggen.lock"), forged).unwrap();
    let refused = forger.install(&["--locked"]).await;
    assert!(refused.code == 1 && refused.err.contains("the lock file is wrong"), "{refused:?}");
    assert_eq!(names(&forger.installed()), [""; 0]);
}

#[tokio::test]
async fn what_is_installed_is_kept_until_it_is_upgraded_and_a_conflict_is_explained() {
    let relays = two_relays().await;
    let alice = publisher("alice", &relays).await;
    let id = id(&alice).await;
    let app = package(&alice, "app", "1.0.0", &[needs("codec", "^1", &id)]);
    publish(&alice, &[package(&alice, "codec", "1.0.0", &[]), app]).await;
    let publisher = alice.publisher().await;
    alice.install(&[&format!("{publisher}/app")]).await.assert_good();
    let directory = alice.installed().display().to_string();
    let newest = alice.ask(&["outdated", &directory]).await;
    assert_eq!((newest.code, &newest.out[..]), (0, ""), "{newest:?}");
    let tree = alice.run(&["tree", &directory]).await;
    assert_eq!(tree.out, format!("{publisher}/app 1.0.0\n└── {publisher}/codec 1.0.0 (^1)\n"), "{tree:?}");
    // Whoever reads no further has seen enough, as `head` has.
    for arguments in [&["tree", &directory][..], &["completions", "bash"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = within("its end", alice.command(arguments).stdout(writer).output()).await.unwrap();
        assert_eq!((closed.status.code(), &*String::from_utf8_lossy(&closed.stderr)), (Some(0), ""), "{arguments:?}");
    }

    publish(&alice, &[package(&alice, "codec", "1.1.0", &[]), package(&alice, "codec", "2.0.0", &[])]).await;
    let outdated = alice.ask(&["outdated", &directory]).await;
    assert_eq!(outdated.code, 1, "{outdated:?}");
    assert_eq!(outdated.out, format!("{publisher}/codec  1.0.0  allowed 1.1.0  newest 2.0.0\n"));
    alice.install(&[]).await.assert_good();
    assert_eq!(names(&alice.installed()), ["app-1.0.0", "codec-1.0.0"], "what is locked stays");
    let upgraded = alice.install(&["--upgrade"]).await;
    assert!(upgraded.out.contains("removed codec-1.0.0\n"), "{upgraded:?}");
    assert_eq!(names(&alice.installed()), ["app-1.0.0", "codec-1.1.0"]);

    let conflict = alice.install(&[&format!("{publisher}/codec@>=1.2, <2")]).await;
    assert!(conflict.code == 1 && conflict.err.contains("codec has no version >=1.2.0, <2.0.0"), "{conflict:?}");
    publish(&alice, &[package(&alice, "old", "1.0.0", &[needs("codec", "=1.0.0", &id)])]).await;
    publish(&alice, &[package(&alice, "new", "1.0.0", &[needs("codec", "^1.1", &id)])]).await;
    let conflict = alice.install(&[&format!("{publisher}/old"), &format!("{publisher}/new")]).await;
    assert_eq!(conflict.code, 1, "{conflict:?}");
    let why = "every version of new needs codec >=1.1.0, <2.0.0";
    assert!(conflict.err.contains(why) && conflict.err.contains("old 1.0.0 needs codec 1.0.0"), "{conflict:?}");
    assert_eq!(names(&alice.installed()), ["app-1.0.0", "codec-1.1.0"], "nothing has changed");
}

#[tokio::test]
async fn two_versions_of_a_package_stand_side_by_side_where_one_does_not_fit_all() {
    let relays = two_relays().await;
    let alice = publisher("alice", &relays).await;
    let id = id(&alice).await;
    let net = package(&alice, "net", "1.0.0", &[needs("codec", "^2", &id)]);
    let app = package(&alice, "app", "1.0.0", &[needs("codec", "^1", &id), needs("net", "*", &id)]);
    let codecs = ["1.0.0", "2.0.0"].map(|version| package(&alice, "codec", version, &[]));
    publish(&alice, &codecs).await;
    publish(&alice, &[net, app]).await;
    let publisher = alice.publisher().await;
    alice.install(&[&format!("{publisher}/app")]).await.assert_good();
    assert_eq!(names(&alice.installed()), ["app-1.0.0", "codec-1.0.0", "codec-2.0.0", "net-1.0.0"]);
    let there = files(&alice.installed());
    assert_eq!(there["codec-2.0.0/templates/name.tmpl"], b"codec 2.0.0\n");
    let directory = alice.installed().display().to_string();
    let tree = alice.run(&["tree", &directory]).await;
    let expected = ["app 1.0.0", "├── P/codec 1.0.0 (^1)", "└── P/net 1.0.0 (*)", "    └── P/codec 2.0.0 (^2)"];
    assert_eq!(tree.out, format!("P/{}\n", expected.join("\n")).replace("P/", &format!("{publisher}/")), "{tree:?}");
    let json = alice.run(&["tree", &directory, "--json"]).await.json();
    assert_eq!(json["packages"].as_array().unwrap().len(), 4);
    assert_eq!(json["packages"][0]["needs"][0]["version"], "1.0.0");
    let outdated = alice.ask(&["outdated", &directory]).await;
    assert_eq!(outdated.out, format!("{publisher}/codec  1.0.0  allowed 1.0.0  newest 2.0.0\n"), "{outdated:?}");

    let bob = Terminal::without_key(&[&relays[1]]);
    fs::create_dir(bob.installed()).unwrap();
    fs::write(bob.installed().join("ggen.lock"), &there["ggen.lock"]).unwrap();
    bob.install(&["--locked"]).await.assert_good();
    assert_eq!(files(&bob.installed()), there);
    fs::write(bob.installed().join("codec-1.0.0/templates/name.tmpl"), "codec 2.0.0\n").unwrap();
    let found = bob.ask(&["verify", &bob.installed().display().to_string()]).await;
    let changed = bob.installed().join("codec-1.0.0/templates/name.tmpl");
    assert_eq!((found.code, found.out), (1, format!("changed {}\n", changed.display())));

    // Each goes when nobody needs it any more.
    publish(&alice, &[package(&alice, "app", "1.1.0", &[needs("codec", "^2", &id)])]).await;
    let upgraded = alice.install(&["--upgrade"]).await;
    assert!(upgraded.out.contains("removed codec-1.0.0\n"), "{upgraded:?}");
    assert_eq!(names(&alice.installed()), ["app-1.1.0", "codec-2.0.0"]);
}

#[tokio::test]
async fn what_no_checkpoint_has_yet_is_not_installed() {
    let epoch = Duration::from_secs(3600);
    let relays =
        [TestRelay::configured(|it| it.epoch = epoch).await, TestRelay::configured(|it| it.epoch = epoch).await];
    let mut alice = Terminal::without_key(&[&relays[0], &relays[1]]);
    alice.epoch = epoch.as_secs().to_string();
    let alice = alice.as_publisher("alice").await;
    alice.with_relays(&["publish", &package(&alice, "thing", "1.0.0", &[])]).await.assert_good();
    let name = format!("{}/thing", alice.publisher().await);
    let info = alice.ask(&["info", &name]).await;
    assert!(info.out.contains("confirmed by    0 of 2 relays\n"), "{info:?}");
    let refused = alice.install(&[&name]).await;
    assert_eq!((refused.code, &refused.out[..]), (1, ""), "{refused:?}");
    assert!(refused.err.contains("1.0.0 is confirmed by 0 of 2 relays"), "{refused:?}");
    assert!(refused.err.contains("what was published just now can be installed after that"), "{refused:?}");
    assert_eq!(names(&alice.installed()), [""; 0]);
}
