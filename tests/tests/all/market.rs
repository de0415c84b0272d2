//! `ggen-market` as somebody at a terminal uses it: against real relays, by its words, exit codes and files.

use std::path::Path;
use std::time::Duration;

use ggen_tests::terminal::Terminal;
use ggen_tests::{EPOCH, TestRelay, network, program, until, within};
use serde_json::Value;
use tokio::process::Command;

#[tokio::test]
async fn what_is_published_is_found_and_shown_and_its_versions_are_listed() {
    let relays = [TestRelay::start(&[]).await, TestRelay::start(&[]).await];
    let terminal = Terminal::of(&[&relays[0], &relays[1]]).await;
    terminal.published("my-thing", "0.1.0").await;
    terminal.published("my-thing", "0.2.0").await;
    let name = format!("{}/my-thing", terminal.publisher().await);

    let info = terminal.ask(&["info", &name]).await;
    assert_eq!(info.code, 0, "{info:?}");
    assert!(info.out.starts_with(&format!("{name} 0.2.0\nA thing for tests of terminals.\n")), "{info:?}");
    assert!(info.out.contains("license         MIT\n") && info.out.contains("other versions  0.1.0\n"), "{info:?}");
    let older = terminal.ask(&["info", &format!("{name}@0.1.0"), "--json"]).await.json();
    assert_eq!(
        (&older["version"], &older["state"], &older["license"]),
        (&"0.1.0".into(), &"active".into(), &"MIT".into())
    );
    let versions = terminal.ask(&["versions", &name, "--json"]).await.json();
    let versions: Vec<_> = versions.as_array().unwrap().iter().map(|it| it["version"].as_str().unwrap()).collect();
    assert_eq!(versions, ["0.2.0", "0.1.0"]);

    terminal.published("other-thing", "0.1.0").await;
    let one = terminal.ask(&["search", "tests", "terminal", "--limit", "1", "--json"]).await.json();
    assert_eq!(one["hits"].as_array().unwrap().len(), 1, "no more, however new: {one}");

    // Complete once both have committed to it.
    let found = until("an answer that both relays agree on", async || {
        let found = terminal.ask(&["search", "my", "terminal", "--json"]).await.json();
        (found["complete"] == true && found["hits"][0]["in_checkpoint"] == true).then_some(found)
    })
    .await;
    assert_eq!((&found["total"], &found["hits"][0]["full_name"]), (&1.into(), &Value::from(name.clone())));
    let table = terminal.ask(&["search", "my", "terminal"]).await;
    assert_eq!(table.out, format!("{name}  0.2.0  A thing for tests of terminals.\n"));
    assert_eq!(table.err, "1 of 1 packages. Complete: another relay agrees\n");
}

#[tokio::test]
async fn what_is_not_there_is_told_apart_from_nobody_to_ask() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&relay]).await;
    terminal.published("my-thing", "0.1.0").await;
    let publisher = terminal.publisher().await;

    let missing = terminal.ask(&["info", &format!("{publisher}/another")]).await;
    assert_eq!((missing.code, &missing.err[..]), (1, &*format!("error: there is no package {publisher}/another\n")));
    let version = terminal.ask(&["info", &format!("{publisher}/my-thing@9.9.9")]).await;
    assert_eq!(version.code, 1);
    assert!(version.err.contains("has no version 9.9.9"), "{version:?}");
    let nothing = terminal.ask(&["search", "unheard"]).await;
    assert_eq!((nothing.code, &nothing.out[..]), (1, ""));
    assert!(nothing.err.starts_with("Nothing is found. "), "{nothing:?}");
    let nobody = terminal.run(&["search", "thing"]).await;
    assert_eq!(nobody.code, 2);
    assert!(nobody.err.contains("--relay is missing"), "{nobody:?}");
    let mut command = Command::new(program("ggen-market"));
    command.args(["search", "thing", "--network", network().as_str(), "--epoch-seconds", &EPOCH.as_secs().to_string()]);
    let named =
        within("the program's end", command.env("GGEN_RELAY", terminal.relays.join(",")).output()).await.unwrap();
    assert!(named.status.success(), "by the environment: {named:?}");
    let wrong = terminal.ask(&["info", "my-thing"]).await;
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("handle~fingerprint/name"), "{wrong:?}");
}

#[tokio::test]
async fn a_yank_hides_a_version_from_who_does_not_ask_for_it_and_can_be_taken_back() {
    let relays = [TestRelay::start(&[]).await, TestRelay::start(&[]).await];
    let terminal = Terminal::of(&[&relays[0], &relays[1]]).await;
    terminal.published("my-thing", "0.1.0").await;
    terminal.published("my-thing", "0.2.0").await;
    let name = format!("{}/my-thing", terminal.publisher().await);
    let newest = async || terminal.ask(&["info", &name, "--json"]).await.json()["version"].clone();

    let yanked = terminal.with_relays(&["yank", "my-thing@0.2.0", "--reason", "it leaks"]).await;
    assert_eq!((yanked.code, &yanked.err[..]), (0, "my-thing 0.2.0 is yanked\n"), "{yanked:?}");
    let id = yanked.out.trim_end().strip_prefix("yanked my-thing 0.2.0 ").unwrap().to_owned();
    assert_eq!(newest().await, "0.1.0");
    let exact = terminal.ask(&["info", &format!("{name}@0.2.0")]).await;
    assert!(exact.out.contains("state           yanked: it leaks\n"), "{exact:?}");

    let again = terminal.with_relays(&["yank", "my-thing@0.2.0", "--reason", "it leaks"]).await;
    assert_eq!((again.code, &again.out[..]), (0, &*format!("already my-thing 0.2.0 {id}\n")), "the same record");

    let back = terminal.with_relays(&["unyank", "my-thing@0.2.0"]).await;
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(newest().await, "0.2.0");
}

#[tokio::test]
async fn a_yank_is_seen_in_search_before_a_checkpoint_heeds_it() {
    let minute = |config: &mut ggen_relay::Config| config.epoch = Duration::from_secs(60);
    let mut relay = TestRelay::configured(minute).await;
    let terminal = Terminal::of(&[&relay]).await;
    terminal.published("my-thing", "0.1.0").await;
    terminal.published("my-thing", "0.2.0").await;
    // A relay that starts commits to all it holds, and to nothing more for most of a minute.
    relay.stop().await;
    let relay = relay.restarted(minute).await;
    let terminal = terminal.at(&[&relay]);
    let name = format!("{}/my-thing", terminal.publisher().await);
    let said = async || {
        let found = terminal.ask(&["search", "my", "terminal", "--json"]).await.json();
        let hit = &found["hits"][0];
        assert_eq!(
            (&found["total"], &hit["version"], &hit["in_checkpoint"]),
            (&1.into(), &"0.2.0".into(), &true.into())
        );
        (hit["state"].clone(), hit["reason"].clone())
    };
    assert_eq!(said().await, ("active".into(), Value::Null));
    terminal.with_relays(&["yank", "my-thing@0.2.0", "--reason", "it leaks"]).await.assert_good();
    assert_eq!(said().await, ("yanked".into(), "it leaks".into()));
    let table = terminal.ask(&["search", "my", "terminal"]).await;
    assert_eq!(table.out, format!("{name}  0.2.0  [yanked: it leaks] A thing for tests of terminals.\n"));
    terminal.with_relays(&["unyank", "my-thing@0.2.0"]).await.assert_good();
    assert_eq!(said().await, ("active".into(), Value::Null));
}

#[tokio::test]
async fn a_deprecation_names_another_package_and_a_retraction_is_for_good() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&relay]).await;
    terminal.published("my-thing", "0.1.0").await;
    terminal.published("better-thing", "0.1.0").await;
    let publisher = terminal.publisher().await;
    let name = format!("{publisher}/my-thing");

    let better = format!("{publisher}/better-thing");
    let say = ["deprecate", "my-thing@0.1.0", "--message", "use the better one", "--use", &better];
    let deprecated = terminal.with_relays(&say).await;
    assert_eq!(deprecated.code, 0, "{deprecated:?}");
    let info = terminal.ask(&["info", &name]).await;
    assert!(info.out.contains("state           deprecated: use the better one\n"), "{info:?}");
    assert!(info.out.contains("use instead     better-thing of publisher "), "{info:?}");

    let retracted = terminal.with_relays(&["retract", "my-thing@0.1.0"]).await;
    assert_eq!(retracted.code, 0, "{retracted:?}");
    let gone = terminal.ask(&["info", &name]).await;
    assert_eq!(gone.code, 1, "{gone:?}");
    let again = terminal.with_relays(&["retract", "my-thing@0.1.0"]).await;
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.out.starts_with("already my-thing 0.1.0 "), "{again:?}");
    let back = terminal.with_relays(&["unyank", "my-thing@0.1.0"]).await;
    assert_eq!(back.code, 1, "{back:?}");
    assert!(back.err.contains("was retracted, which is for good"), "{back:?}");
}

#[tokio::test]
async fn nothing_is_said_of_a_version_that_nobody_knows_and_all_of_one_from_another_machine() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&relay]).await;
    terminal.published("my-thing", "0.1.0").await;
    let unknown = terminal.with_relays(&["yank", "my-thing@3.0.0"]).await;
    assert_eq!(unknown.code, 1, "{unknown:?}");
    assert!(unknown.err.contains("my-thing 3.0.0 cannot be found under this key"), "{unknown:?}");
    assert_eq!(terminal.with_relays(&["yank", "my-thing@0.1.0"]).await.code, 0);

    // The key alone, without what this machine wrote down.
    let config = terminal.home.path().join(".config/ggen");
    std::fs::remove_file(config.join("market.key.ledger")).unwrap();
    let back = terminal.with_relays(&["unyank", "my-thing@0.1.0"]).await;
    assert_eq!(back.code, 0, "{back:?}");
    let name = format!("{}/my-thing", terminal.publisher().await);
    assert_eq!(terminal.ask(&["info", &name, "--json"]).await.json()["state"], "active", "it outweighs the yank");
}

/// The files of a key, as a thief copies them: all but the next key.
fn steal(from: &Terminal, to: &Terminal) {
    for name in ["market.key", "market.key.ledger"] {
        std::fs::copy(from.config().join(name), to.config().join(name)).unwrap();
    }
}

#[tokio::test]
async fn a_build_server_that_keeps_no_ledger_publishes_the_same_once_and_nothing_else_in_its_place() {
    let relays = [TestRelay::start(&[]).await, TestRelay::start(&[]).await];
    let terminal = Terminal::of(&[&relays[0], &relays[1]]).await;
    let package = terminal.package("my-thing", "1.0.0");
    let publish = async || {
        for forgotten in ["market.key.ledger", "market.key.waiting"] {
            let path = terminal.config().join(forgotten);
            _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        }
        terminal.with_relays(&["publish", &package]).await
    };
    let first = publish().await;
    assert_eq!((first.code, first.out.starts_with("published my-thing 1.0.0 ")), (0, true), "{first:?}");
    // As often as it likes: each time it is the very same record.
    for _ in 0..3 {
        let again = publish().await;
        assert_eq!((again.code, &again.out[..]), (0, &first.out.replace("published", "already")[..]), "{again:?}");
    }
    let name = format!("{}/my-thing", terminal.publisher().await);
    let versions = terminal.ask(&["versions", &name, "--json"]).await.json();
    assert_eq!(versions.as_array().unwrap().len(), 1, "{versions}");

    std::fs::write(std::path::Path::new(&package).join("more.txt"), "other content").unwrap();
    let other = publish().await;
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.err.contains("a version is written once"), "{other:?}");
    assert_eq!(terminal.ask(&["versions", &name, "--json"]).await.json(), versions);
}

#[tokio::test]
async fn a_rotation_takes_a_name_back_from_a_thief() {
    let relays = [TestRelay::start(&[]).await, TestRelay::start(&[]).await];
    let [owner, thief] = [Terminal::of(&[&relays[0], &relays[1]]).await, Terminal::of(&[&relays[0], &relays[1]]).await];
    owner.published("my-thing", "0.1.0").await;
    owner.published("my-thing", "0.2.0").await;
    steal(&owner, &thief);

    thief.published("my-thing", "0.3.0").await;
    assert_eq!(thief.with_relays(&["retract", "my-thing@0.2.0"]).await.code, 0);
    let name = format!("{}/my-thing", owner.publisher().await);
    assert_eq!(owner.ask(&["info", &name, "--json"]).await.json()["version"], "0.3.0");
    let before = std::fs::read(thief.config().join("market.key")).unwrap();
    let without = thief.rotate(7, &[]).await;
    assert_eq!(without.code, 2, "{without:?}");
    assert!(without.err.contains("next-7 is not the key that the last event"), "{without:?}");
    // Nor does a next key of his own help him.
    let with_another = thief.rotate(1, &[]).await;
    assert_eq!(with_another.code, 2, "{with_another:?}");
    assert!(with_another.err.contains("it is another publisher's"), "{with_another:?}");
    let id = thief.run(&["key", "show"]).await.out.lines().next().unwrap().replace("publisher ", "");
    let forged = format!("publisher = \"{id}\"\nnext_secret = \"{}=\"\n", "A".repeat(43));
    std::fs::write(thief.next_key(5), forged).unwrap();
    let with_forged = thief.rotate(5, &[]).await;
    assert_eq!(with_forged.code, 2, "{with_forged:?}");
    assert!(with_forged.err.contains("it is another key"), "{with_forged:?}");
    assert_eq!(std::fs::read(thief.config().join("market.key")).unwrap(), before, "the key is as it was");

    let rotated = owner.rotate(1, &[]).await;
    assert_eq!(rotated.code, 0, "{rotated:?}");
    assert!(rotated.err.contains("rotated: 2 records stay."), "{rotated:?}");
    assert!(rotated.out.contains(&format!("full-name {}\n", owner.publisher().await)), "the name stays: {rotated:?}");
    for relay in &owner.relays {
        let versions = owner
            .run(&[
                "versions",
                &name,
                "--json",
                "--network",
                network().as_str(),
                "--epoch-seconds",
                "1",
                "--relay",
                relay,
            ])
            .await;
        let versions: Vec<_> = versions.json().as_array().unwrap().iter().map(|it| it["version"].to_string()).collect();
        assert_eq!(versions, ["\"0.2.0\"", "\"0.1.0\""], "what the thief said is void at {relay}");
    }
    let late = thief.with_relays(&["publish", &thief.package("my-thing", "0.4.0")]).await;
    assert_eq!(late.code, 1, "{late:?}");

    // The owner goes on, and rotates again by the next key that was made. That the thief's release of this version is void shows in the
    // next checkpoint.
    let shows = async |version: &str| {
        until("the version", async || {
            (owner.ask(&["info", &name, "--json"]).await.json()["version"] == version).then_some(())
        })
        .await;
    };
    owner.published("my-thing", "0.3.0").await;
    shows("0.3.0").await;
    let again = owner.rotate(2, &["--drop", "my-thing@0.3.0"]).await;
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.err.contains("rotated: 0 records stay.") && again.err.contains("safe/next-3"), "{again:?}");
    shows("0.2.0").await;
    let same = owner.with_relays(&["publish", &owner.package("my-thing", "0.1.0")]).await;
    assert!(same.code == 0 && same.out.starts_with("already my-thing 0.1.0 "), "{same:?}");
}

#[tokio::test]
async fn a_rotation_is_sent_to_a_relay_that_did_not_hear_of_it() {
    let (first, second) = (TestRelay::start(&[]).await, TestRelay::start(&[]).await);
    let terminal = Terminal::of(&[&first]).await;
    terminal.published("my-thing", "0.1.0").await;
    assert_eq!(terminal.rotate(1, &[]).await.code, 0);
    let elsewhere = terminal.at(&[&second]);
    let sent = elsewhere.with_relays(&["key", "send"]).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    let publisher = elsewhere.run(&["key", "show"]).await.out;
    let publisher = publisher.lines().find_map(|line| line.strip_prefix("publisher ")).unwrap().parse().unwrap();
    let rotations = second.relay().shelf().catalogue().key_log(&publisher).unwrap().rotations().count();
    assert_eq!(rotations, 1);
}

#[tokio::test]
async fn what_is_fetched_is_what_was_published() {
    let relays = [TestRelay::start(&[]).await, TestRelay::start(&[]).await];
    let terminal = Terminal::of(&[&relays[0], &relays[1]]).await;
    let directory = terminal.package("my-thing", "0.1.0");
    // More than one block.
    let text = "a line of a template\n".repeat(40_000);
    std::fs::create_dir_all(Path::new(&directory).join("templates")).unwrap();
    std::fs::write(Path::new(&directory).join("templates/long.tmpl"), &text).unwrap();
    assert_eq!(terminal.with_relays(&["publish", &directory]).await.code, 0);
    let name = format!("{}/my-thing", terminal.publisher().await);

    let to = terminal.home.path().join("fetched");
    let shown = to.display().to_string();
    let fetched = terminal.ask(&["fetch", &name, "--to", &shown]).await;
    assert_eq!((fetched.code, &fetched.out[..]), (0, &*format!("{shown}\n")), "{fetched:?}");
    assert_eq!(std::fs::read_to_string(to.join("templates/long.tmpl")).unwrap(), text);
    let manifest = |directory: &Path| std::fs::read(directory.join("package.toml")).unwrap();
    assert_eq!(manifest(&to), manifest(Path::new(&directory)));

    let again = terminal.ask(&["fetch", &name, "--to", &shown]).await;
    assert_eq!(again.code, 1);
    assert!(again.err.contains("is there already"), "{again:?}");
    assert_eq!(terminal.with_relays(&["yank", "my-thing@0.1.0", "--reason", "it leaks"]).await.code, 0);
    let elsewhere = terminal.home.path().join("yanked").display().to_string();
    let newest = terminal.ask(&["fetch", &name, "--to", &elsewhere]).await;
    assert_eq!(newest.code, 1, "there is no other: {newest:?}");
    let exact = terminal.ask(&["fetch", &format!("{name}@0.1.0"), "--to", &elsewhere, "--json"]).await;
    assert!(exact.err.contains("warning: my-thing 0.1.0 is yanked: it leaks\n"), "{exact:?}");
    assert_eq!(exact.json()["path"], elsewhere.as_str());
}

#[tokio::test]
async fn a_rotation_that_would_lose_something_is_not_made() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&relay]).await;
    terminal.published("my-thing", "0.1.0").await;
    let (key, ledger) = (terminal.config().join("market.key"), terminal.config().join("market.key.ledger"));
    let before = std::fs::read(&key).unwrap();
    let old = terminal.config().join("old.key");
    std::fs::copy(&key, &old).unwrap();
    std::fs::copy(&ledger, terminal.config().join("old.key.ledger")).unwrap();

    let moved = terminal.config().join("moved");
    std::fs::rename(&ledger, &moved).unwrap();
    let without = terminal.rotate(1, &[]).await;
    assert_eq!(without.code, 2, "{without:?}");
    assert!(
        without.err.contains("so that nothing would stay") && without.err.contains("--keep-nothing"),
        "{without:?}"
    );
    assert_eq!(std::fs::read(&key).unwrap(), before);
    std::fs::rename(&moved, &ledger).unwrap();
    assert_eq!(terminal.rotate(1, &[]).await.code, 0);

    // What an old rotation keeps, no new one leaves out.
    terminal.published("my-thing", "0.2.0").await;
    let kept = terminal.rotate(2, &["--drop", "my-thing@0.1.0"]).await;
    assert_eq!(kept.code, 2, "{kept:?}");
    assert!(kept.err.contains("was kept by a rotation before"), "{kept:?}");

    // A copy of the key from before would fork the key log.
    std::fs::rename(terminal.next_key(2), terminal.next_key(3)).unwrap();
    let again = terminal.rotate(1, &["--key", &old.display().to_string()]).await;
    assert_eq!(again.code, 2, "{again:?}");
    assert!(again.err.contains("knows a rotation of this key that the key file has not"), "{again:?}");
    assert_eq!(std::fs::read(&old).unwrap(), before, "the key is as it was");
}
