//! What `ggen-market` says of relays, of its user and of itself; and that it says it in JSON to programs.

use ggen_tests::terminal::Terminal;
use ggen_tests::{TestRelay, network, until};
use serde_json::Value;

#[tokio::test]
async fn peers_are_shown_with_how_they_answer() {
    let relay = TestRelay::start(&[]).await;
    let mut gone = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&relay, &gone]).await;
    let peer_ids = [relay.peer_id(), gone.peer_id()].map(|peer| peer.to_string());
    gone.stop().await;
    terminal.published("my-thing", "0.1.0").await;
    let network = network();
    let peers = ["peers", "--json", "--network", network.as_str()];
    // What is published is in the relay's next checkpoint.
    let shown = until("a checkpoint with the package", async || {
        let shown = terminal.with_relays(&peers).await.json();
        shown.as_array().unwrap().iter().any(|row| row["packages"] == 1).then_some(shown)
    })
    .await;
    let row = |peer: &str| shown.as_array().unwrap().iter().find(|row| row["peer"] == peer).unwrap().clone();
    let (there, not) = (row(&peer_ids[0]), row(&peer_ids[1]));
    assert_eq!((&there["connected"], &there["problem"]), (&true.into(), &Value::Null), "{there}");
    assert!(there["latency_ms"].is_u64() && there["reputation"].as_f64().unwrap() > 0.5, "{there}");
    assert_eq!((&not["connected"], &not["packages"]), (&false.into(), &Value::Null), "{not}");
    assert!(not["problem"].as_str().unwrap().contains("refused"), "{not}");
    let table = terminal.with_relays(&peers[..1].iter().chain(&peers[2..]).copied().collect::<Vec<_>>()).await;
    assert!(table.out.contains("connected") && table.out.contains("not reached"), "{table:?}");

    let alone = terminal
        .at(&[])
        .with("GGEN_RELAY", not["address"].as_str().unwrap())
        .run(&[&peers[..], &["--epoch-seconds", "1"]].concat())
        .await;
    assert_eq!(alone.code, 1, "{alone:?}");
}

#[tokio::test]
async fn the_status_of_a_publisher_says_what_waits_and_what_relays_know() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&relay]).await;
    let none = Terminal::without_key(&[]).run(&["status"]).await;
    assert_eq!(none.code, 2, "{none:?}");
    let new = terminal.with_relays(&["status", "--json"]).await.json();
    assert_eq!((&new["relays"][0]["standing"], &new["quota"]), (&"unknown".into(), &16384.into()), "{new}");

    terminal.published("my-thing", "0.1.0").await;
    let offline = terminal.run(&["publish", &terminal.package("my-thing", "0.2.0"), "--relay", NOWHERE]).await;
    assert_eq!(offline.code, 3, "{offline:?}");
    let local = terminal.run(&["status"]).await;
    assert_eq!(local.code, 3, "it takes no relay: {local:?}");
    assert!(local.out.contains("signed     2 releases, 0 statuses; 2 of 16384 indices are used\n"), "{local:?}");
    assert!(local.out.contains("waiting    1 records"), "{local:?}");
    assert_eq!(terminal.with_relays(&["send"]).await.code, 0);
    let sent = terminal.with_relays(&["status", "--json"]).await.json();
    assert_eq!(
        (&sent["relays"][0]["standing"], &sent["waiting"]),
        (&"current".into(), &Value::Array(Vec::new())),
        "{sent}"
    );

    // A copy of the key from before a rotation.
    let key = terminal.config().join("market.key");
    let old = std::fs::read(&key).unwrap();
    assert_eq!(terminal.rotate(1, &[]).await.code, 0);
    assert_eq!(terminal.with_relays(&["status"]).await.code, 0);
    std::fs::write(&key, old).unwrap();
    let behind = terminal.with_relays(&["status"]).await;
    assert_eq!(behind.code, 1, "{behind:?}");
    assert!(behind.out.contains("knows of a rotation that is not here"), "{behind:?}");
}

/// Where nobody listens.
const NOWHERE: &str = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWMwmxjfDM8e2mBXa73qBF8vqhnAimVQ6ZhC7LuPuaAEjg";

#[tokio::test]
async fn every_command_of_a_publisher_writes_json_when_asked_to() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::without_key(&[&relay]).with("GGEN_PASSPHRASE", "letmein").with("NO_COLOR", "1");
    let next = terminal.next_key(1);
    let made =
        terminal.run(&["key", "new", "--handle", "alice", "--network", "test", "--next-key", &next, "--json"]).await;
    let shown = terminal.run(&["key", "show", "--json"]).await;
    assert_eq!(made.json(), shown.json());
    let package = terminal.package("my-thing", "0.1.0");
    let published = terminal.with_relays(&["publish", &package, "--json"]).await.json();
    assert_eq!((&published["published"], &published["packages"][0]["name"]), (&1.into(), &"my-thing".into()));
    let yanked = terminal.with_relays(&["yank", "my-thing@0.1.0", "--json"]).await.json();
    assert_eq!((&yanked["outcome"], &yanked["state"]), (&"said".into(), &"yanked".into()));
    let again = terminal.with_relays(&["yank", "my-thing@0.1.0", "--json"]).await.json();
    assert_eq!((&again["outcome"], &again["record"]), (&"already".into(), &yanked["record"]));
    assert_eq!(terminal.with_relays(&["send", "--json"]).await.json()["waiting"], 0);
    assert_eq!(terminal.with_relays(&["key", "send", "--json"]).await.json()["outcome"], "sent");
    let export = terminal.home.path().join("alice.age").display().to_string();
    assert_eq!(terminal.run(&["key", "export", "--to", &export, "--json"]).await.json()["path"], export);
    assert_eq!(terminal.rotate(1, &["--json"]).await.json()["rotations"], 1);
}

#[tokio::test]
async fn completions_and_manual_pages_name_every_command_and_the_exit_codes() {
    let terminal = Terminal::without_key(&[]);
    let help = terminal.run(&["help"]).await.out;
    let begins = |line: &&str| line.starts_with("  ") && line.as_bytes().get(2).is_some_and(u8::is_ascii_lowercase);
    let commands: Vec<&str> = help
        .lines()
        .filter(begins)
        .filter_map(|line| line.split_whitespace().next())
        .filter(|it| *it != "help")
        .collect();
    assert!(commands.contains(&"publish") && commands.contains(&"status"), "{help}");
    for shell in ["bash", "zsh", "fish"] {
        let script = terminal.run(&["completions", shell]).await;
        assert_eq!(script.code, 0, "{script:?}");
        for command in &commands {
            assert!(script.out.contains(command), "{shell} does not complete {command}");
        }
    }
    let version = terminal.run(&["--version"]).await.out;
    assert!(version.starts_with("ggen-market "), "{version}");
    let to = terminal.home.path().join("man");
    assert_eq!(terminal.run(&["man", "--to", &to.display().to_string()]).await.code, 0);
    for command in &commands {
        assert!(to.join(format!("ggen-market-{command}.1")).exists(), "no page of {command}");
    }
    let page = std::fs::read_to_string(to.join("ggen-market.1")).unwrap();
    assert!(
        page.contains("Exit code 0: done; 1: not found, or not taken; 2: nothing could be tried; 3: signed"),
        "{page}"
    );
    assert!(std::fs::read_to_string(to.join("ggen-market-key-rotate.1")).unwrap().contains("next"));
}
