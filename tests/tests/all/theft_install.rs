//! The theft drill as those live through it who install: a stolen key gives nobody else's bytes to who has a lock file, or who asks two relays.

use std::collections::BTreeMap;
use std::fs;

use ggen_relay::market::keys::PublisherKey;
use ggen_shared::limits::MAX_CONFLICTING_RECORDS;
use ggen_shared::record::{Dependency, Release, State, Verified};
use ggen_tests::install::{LONG_EPOCH, files, two_relays};
use ggen_tests::terminal::Terminal;
use ggen_tests::{Package, Publisher, TestRelay, offer_to, until};

/// Two relays that tell each other nothing.
async fn two_deaf_relays() -> [TestRelay; 2] {
    let relay = || TestRelay::deaf(|config| config.epoch = LONG_EPOCH);
    [relay().await, relay().await]
}

/// Somebody who knows these relays, and nothing else yet.
fn visitor(relays: &[TestRelay]) -> Terminal {
    Terminal::without_key(&relays.iter().collect::<Vec<_>>())
}

/// An archive whose text says whose it is.
fn archive(name: &str, version: &str, text: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let manifest = format!("[package]\nname = \"{name}\"\nversion = \"{version}\"\ndescription = \"A thing.\"\n");
    fs::write(directory.path().join("package.toml"), manifest).unwrap();
    fs::write(directory.path().join("text"), text).unwrap();
    ggen_relay::package::read(directory.path()).unwrap().artifact
}

/// A release of a package that needs some others of the same publisher.
fn release(publisher: &mut Publisher, name: &str, version: &str, text: &str, needs: &[&str]) -> Package {
    let dependency = |name: &&str| Dependency {
        publisher: Some(publisher.key_log.publisher()),
        name: name.parse().unwrap(),
        requirement: "*".into(),
        optional: false,
    };
    let dependencies: Vec<_> = needs.iter().map(dependency).collect();
    publisher.release_with(name, version, &archive(name, version, text), |release| release.dependencies = dependencies)
}

async fn publish(relays: &[TestRelay], packages: &[Package]) {
    for relay in relays {
        for package in packages {
            package.publish_at(relay).await;
        }
    }
}

/// What names a package of a publisher and no other.
fn full_name(publisher: &Publisher, name: &str) -> String {
    format!("{}~{}/{name}", publisher.key_log.handle(), publisher.key_log.publisher().fingerprint())
}

/// Somebody who has a lock file, and nothing else yet.
fn with_lock_file(relays: &[TestRelay; 2], lock: &[u8]) -> Terminal {
    let terminal = visitor(relays);
    fs::create_dir(terminal.installed()).unwrap();
    fs::write(terminal.installed().join("ggen.lock"), lock).unwrap();
    terminal
}

/// An owner of a program and what it needs, each in some versions, and somebody who has installed them all at their newest.
async fn installed_before_the_theft(relays: &[TestRelay; 2], number: u8) -> (Publisher, Vec<Package>, Terminal) {
    let mut owner = Publisher::new(number);
    let mut all = Vec::new();
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        all.push(release(&mut owner, "app", version, "as its owner made it", &["codec", "text"]));
        all.push(release(&mut owner, "codec", version, "as its owner made it", &[]));
        all.push(release(&mut owner, "text", version, "as its owner made it", &["codec"]));
    }
    publish(relays, &all).await;
    let user = visitor(relays);
    for name in ["app", "codec", "text"] {
        user.confirmed(&format!("{}@1.2.0", full_name(&owner, name))).await;
    }
    let run = user.install(&[&full_name(&owner, "app")]).await;
    run.assert_good();
    assert_eq!(run.err, "3 packages, 3 of them new\n");
    (owner, all, user)
}

#[tokio::test]
async fn a_lock_file_installs_the_same_bytes_while_a_thief_contests_every_version_and_retracts_the_newest() {
    let relays = two_relays().await;
    let (owner, all, user) = installed_before_the_theft(&relays, 71).await;
    let there = files(&user.installed());
    assert_eq!(there.len(), 3 * 2 + 1);

    let mut thief = owner.stolen();
    let contest = |old: &Package| {
        let (name, version) = (old.release.name.to_string(), old.release.version.to_string());
        release(&mut thief, &name, &version, "as a thief made it", &[])
    };
    let conflicts: Vec<_> = all.iter().map(contest).collect();
    publish(&relays, &conflicts).await;
    for name in ["app", "codec", "text"] {
        let retraction = thief.status(name, "1.2.0", 1, State::Retracted);
        for relay in &relays {
            offer_to(relay, &retraction).await;
        }
    }

    // Who has no lock file gets nothing of it, and is told why.
    let app = full_name(&owner, "app");
    let newcomer = visitor(&relays);
    let refused = newcomer.install(&[&app]).await;
    assert_eq!((refused.code, &refused.out[..]), (1, ""), "{refused:?}");
    assert!(refused.err.contains("contested") && refused.err.contains("retracted"), "{refused:?}");
    assert_eq!(files(&newcomer.installed()), BTreeMap::new());

    let locked = with_lock_file(&relays, &there["ggen.lock"]);
    let run = locked.install(&["--locked"]).await;
    run.assert_good();
    for name in ["app", "codec", "text"] {
        let warning = format!("warning: {} 1.2.0 is retracted: broken\n", full_name(&owner, name));
        assert!(run.err.contains(&warning), "{run:?}");
    }
    assert!(run.err.ends_with("3 packages, 3 of them new\n"), "{run:?}");
    assert_eq!(files(&locked.installed()), there);
    let verified = locked.ask(&["verify", &locked.installed().display().to_string()]).await;
    verified.assert_good();
}

#[tokio::test]
async fn a_stolen_key_and_one_relay_cannot_make_anybody_install() {
    let relays = two_deaf_relays().await;
    let mut owner = Publisher::new(72);
    publish(&relays, &[release(&mut owner, "thing", "1.0.0", "as its owner made it", &[])]).await;
    let user = visitor(&relays);
    let name = full_name(&owner, "thing");
    user.confirmed(&format!("{name}@1.0.0")).await;

    // The thief has a relay too, whose checkpoints have what he signs.
    let mut thief = owner.stolen();
    let bad = release(&mut thief, "thing", "1.0.1", "as a thief made it", &[]);
    bad.publish_at(&relays[1]).await;
    let alone = visitor(&relays[1..]);
    alone.confirmed(&format!("{name}@1.0.1")).await;

    let run = user.install(&[&name]).await;
    run.assert_good();
    assert!(run.err.contains("note: thing 1.0.1 is not chosen: it is confirmed by 1 of 2 relays\n"), "{run:?}");
    assert_eq!(files(&user.installed())["thing-1.0.0/text"], b"as its owner made it");
    let before = files(&user.installed());
    for asked in [format!("{name}@=1.0.1"), format!("{name}@>1.0.0")] {
        let refused = user.install(&[&asked]).await;
        assert_eq!((refused.code, &refused.out[..]), (1, ""), "{refused:?}");
        assert!(refused.err.contains("1.0.1 is confirmed by 1 of 2 relays"), "{refused:?}");
    }
    let upgraded = user.install(&["--upgrade"]).await;
    upgraded.assert_good();
    assert_eq!(files(&user.installed()), before, "nothing of the thief's is on the disk");

    // Nor is it enough to know no other relay than the thief's.
    let refused = alone.install(&[&name]).await;
    assert_eq!((refused.code, &refused.out[..]), (1, ""), "{refused:?}");
    assert!(refused.err.contains("one relay's word is not enough to install by"), "{refused:?}");
    assert_eq!(files(&alone.installed()), BTreeMap::new());
}

#[tokio::test]
async fn two_publishers_of_one_handle_are_both_listed_by_search_and_neither_is_installed_by_its_bare_name() {
    let relays = two_relays().await;
    let user = visitor(&relays);
    let mut names = Vec::new();
    for _ in 0..2 {
        let publisher = visitor(&relays).as_publisher("alice").await;
        publisher.published("thing", "1.0.0").await;
        let name = format!("{}/thing", publisher.publisher().await);
        user.confirmed(&name).await;
        names.push(name);
    }
    let found = user.ask(&["search", "thing"]).await;
    found.assert_good();
    assert_eq!(found.out.lines().count(), 2, "{found:?}");
    let json = user.ask(&["search", "thing", "--json"]).await.json();
    for name in &names {
        assert!(found.out.contains(&format!("{name}  1.0.0  ")), "{found:?}");
        assert!(json["hits"].as_array().unwrap().iter().any(|hit| hit["full_name"] == **name), "{json}");
    }
    for bare in ["alice/thing", "thing"] {
        let refused = user.install(&[bare]).await;
        assert_eq!((refused.code, &refused.out[..]), (1, ""), "{refused:?}");
        assert!(names.iter().all(|name| refused.err.contains(name)), "{refused:?}");
        assert_eq!(files(&user.installed()), BTreeMap::new());
    }
}

/// Two releases by a thief that take the place of another one: at its index, and with smaller ids.
fn displacing(thief: &mut Publisher, old: &Verified<Release>) -> Vec<Package> {
    let (name, version) = (old.name.to_string(), old.version.to_string());
    let mut found = Vec::new();
    for attempt in 0.. {
        let content = archive(&name, &version, &format!("a thief's {}", found.len()));
        let tried = thief.release_with(&name, &version, &content, |release| {
            release.index = old.index;
            release.created += attempt;
        });
        if tried.release.id() < old.id() {
            found.push(tried);
        }
        if found.len() == MAX_CONFLICTING_RECORDS {
            break;
        }
    }
    found
}

#[tokio::test]
async fn a_lock_file_installs_what_a_thief_has_pushed_out_of_every_relay() {
    let relays = two_relays().await;
    let (mut owner, all, user) = installed_before_the_theft(&relays, 73).await;
    let there = files(&user.installed());
    let app = full_name(&owner, "app");

    let mut thief = owner.stolen();
    for old in all.iter().filter(|package| package.release.version.to_string() == "1.2.0") {
        publish(&relays, &displacing(&mut thief, &old.release)).await;
        for relay in &relays {
            let shelf = relay.relay().shelf();
            let holds =
                |package: &Package| shelf.catalogue().records().any(|record| record.id() == package.release.id());
            assert!(!holds(old), "no relay keeps it");
        }
    }
    let locked = with_lock_file(&relays, &there["ggen.lock"]);
    let run = locked.install(&["--locked"]).await;
    run.assert_good();
    let warning = format!("warning: {app} 1.2.0 is contested");
    assert!(run.err.contains(&warning), "{run:?}");
    assert_eq!(files(&locked.installed()), there);

    // A lock file that nobody's key has signed what it says of is none.
    let lock = String::from_utf8(there["ggen.lock"].clone()).unwrap();
    let bytes = |package: &Package| data_encoding::BASE64.encode(package.release.bytes());
    let (new, old) = (&all[6], &all[3]);
    let mut damaged = new.release.bytes().to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let evil = thief.release("app", "1.2.0", "", b"evil");
    let forgeries = [
        ("its record is none", lock.replace(&bytes(new), &data_encoding::BASE64.encode(&damaged))),
        ("its record is another's", lock.replace(&bytes(new), &bytes(old))),
        (
            "its content is another's",
            lock.replace(&new.release.artifact.cid.to_string(), &evil.artifact.root.to_string()),
        ),
    ];
    for (how, forged) in forgeries {
        assert_ne!(forged, lock, "{how}");
        let forger = with_lock_file(&relays, forged.as_bytes());
        let refused = forger.install(&["--locked"]).await;
        assert!(refused.code == 1 && refused.err.contains("the lock file is wrong"), "{how}: {refused:?}");
        assert_eq!(files(&forger.installed()).len(), 1, "{how}");
    }

    // What the owner does not keep is void, in lock files too.
    offer_to(&relays[0], &owner.rotate(&[])).await;
    until("the rotation", async || {
        let refused = with_lock_file(&relays, lock.as_bytes()).install(&["--locked"]).await;
        (refused.code == 1 && refused.err.contains("is void")).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_rotation_brings_back_what_a_thief_has_pushed_out_of_every_relay() {
    let relays = two_deaf_relays().await;
    let owner = visitor(&relays).as_publisher("alice").await;
    let names = ["lamp", "kettle", "stove"];
    for name in names {
        owner.published(name, "1.0.0").await;
    }
    let said = ["deprecate", "lamp@1.0.0", "--message", "it is dim"];
    owner.with_relays(&said).await.assert_good();
    let held = |relay: &TestRelay| {
        let shelf = relay.relay().shelf();
        let releases: Vec<_> = shelf.catalogue().records().filter_map(|record| record.release().cloned()).collect();
        releases
    };
    let originals = held(&relays[0]);
    assert_eq!(originals.len(), names.len());
    let keeps = |relay: &TestRelay, old: &Verified<Release>| held(relay).iter().any(|it| it.id() == old.id());

    let key = PublisherKey::load(&owner.config().join("market.key")).unwrap();
    let mut thief = Publisher::with_key(key, 100);
    for old in &originals {
        publish(&relays, &displacing(&mut thief, old)).await;
    }
    for old in &originals {
        assert!(relays.iter().all(|relay| !keeps(relay, old)), "no relay keeps {}", old.name);
    }

    let rotated = owner.rotate(1, &[]).await;
    rotated.assert_good();
    for relay in &relays {
        let said = format!("relay {} had lost 3 of your records and has them again", relay.peer_id());
        assert!(rotated.err.contains(&said), "{rotated:?}");
        let mut there: Vec<_> = held(relay).iter().map(Verified::id).collect();
        let mut all: Vec<_> = originals.iter().map(Verified::id).collect();
        there.sort();
        all.sort();
        assert_eq!(there, all, "what the owner released is there, and nothing of the thief's");
    }
    // There is nothing more to do, and it is said that there is not.
    let sent = owner.with_relays(&["key", "send"]).await;
    assert_eq!((sent.code, &sent.err[..]), (0, ""), "{sent:?}");
    let user = visitor(&relays);
    let name = format!("{}/kettle", owner.publisher().await);
    user.confirmed(&format!("{name}@1.0.0")).await;
    user.install(&[&name]).await.assert_good();
}
