//! What is signed while no relay can be reached is kept, and delivered once, in order, when one can be.

use std::fs;
use std::path::Path;

use ggen_shared::record::Record;
use ggen_tests::TestRelay;
use ggen_tests::pretender::Pretender;
use ggen_tests::terminal::{Run, Terminal};

/// A publisher whose only relay is gone.
async fn alone() -> Terminal {
    let mut gone = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&gone]).await;
    gone.stop().await;
    terminal
}

/// The verbs and subjects of the lines that a run wrote for programs.
fn said(run: &Run) -> Vec<String> {
    run.out.lines().map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
}

fn files(directory: &Path) -> Vec<String> {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

#[tokio::test]
async fn what_is_signed_offline_is_kept_and_delivered_once_in_its_order() {
    let terminal = alone().await;
    for (name, version) in [("my-thing", "0.1.0"), ("my-thing", "0.2.0"), ("other-thing", "0.1.0")] {
        let run = terminal.with_relays(&["publish", &terminal.package(name, version)]).await;
        assert_eq!(run.code, 3, "{run:?}");
        assert!(run.out.starts_with(&format!("waiting {name} {version} ")), "{run:?}");
        assert!(run.err.contains("No relay can be reached: what is signed now is kept here"), "{run:?}");
    }
    let yanked = terminal.with_relays(&["yank", "my-thing@0.2.0"]).await;
    assert_eq!(yanked.code, 3, "{yanked:?}");
    assert!(yanked.err.contains("is signed, and waits for a relay"), "{yanked:?}");
    let again = terminal.with_relays(&["publish", &terminal.package("my-thing", "0.1.0")]).await;
    assert_eq!(again.code, 3, "the same again is the same: {again:?}");
    let still = terminal.with_relays(&["send"]).await;
    assert_eq!((still.code, &still.out[..]), (3, ""), "{still:?}");
    assert!(still.err.ends_with("4 records wait on\n"), "{still:?}");
    // The sources are not needed any more.
    fs::remove_dir_all(terminal.package("other-thing", "0.1.0")).unwrap();

    let relay = TestRelay::start(&[]).await;
    let terminal = terminal.at(&[&relay]);
    let sent = terminal.with_relays(&["send"]).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    let order = [
        "published my-thing 0.1.0",
        "published my-thing 0.2.0",
        "published other-thing 0.1.0",
        "yanked my-thing 0.2.0",
    ];
    assert_eq!(said(&sent), order.map(|it| format!("sent {it}")), "{sent:?}");
    let once = terminal.with_relays(&["send"]).await;
    assert_eq!((once.code, &once.out[..], &once.err[..]), (0, "", "nothing waits\n"));
    assert_eq!(files(&terminal.config().join("market.key.waiting")), Vec::<String>::new());

    let name = format!("{}/my-thing", terminal.publisher().await);
    assert_eq!(terminal.ask(&["info", &name, "--json"]).await.json()["version"], "0.1.0", "the other one is yanked");
    let to = terminal.home.path().join("fetched").display().to_string();
    let other = format!("{}/other-thing", terminal.publisher().await);
    assert_eq!(terminal.ask(&["fetch", &other, "--to", &to]).await.code, 0, "its content came along");
    let same = terminal.with_relays(&["publish", &terminal.package("my-thing", "0.1.0")]).await;
    assert!(same.code == 0 && same.out.starts_with("already my-thing 0.1.0 "), "{same:?}");
}

#[tokio::test]
async fn the_next_publication_delivers_what_waits_first() {
    let terminal = alone().await;
    assert_eq!(terminal.with_relays(&["publish", &terminal.package("first", "1.0.0")]).await.code, 3);
    let relay = TestRelay::start(&[]).await;
    let terminal = terminal.at(&[&relay]);
    let run = terminal.with_relays(&["publish", &terminal.package("second", "1.0.0")]).await;
    assert_eq!(run.code, 0, "{run:?}");
    let lines: Vec<&str> = run.out.lines().collect();
    assert!(
        lines[0].starts_with("sent published first 1.0.0 ") && lines[1].starts_with("published second 1.0.0 "),
        "{run:?}"
    );
    let shelf = relay.relay().shelf();
    let indices = shelf.catalogue().records().filter_map(Record::indexed).map(|it| it.index()).collect::<Vec<_>>();
    assert_eq!(indices.len(), 2, "each once");
}

#[tokio::test]
async fn what_a_run_signed_right_before_it_was_killed_is_written_down_by_the_next() {
    let terminal = alone().await;
    assert_eq!(terminal.with_relays(&["publish", &terminal.package("first", "1.0.0")]).await.code, 3);
    let ledger = terminal.config().join("market.key.ledger");
    let before = fs::read(&ledger).unwrap();
    assert_eq!(terminal.with_relays(&["publish", &terminal.package("second", "1.0.0")]).await.code, 3);
    // As if it had been killed after the record was kept, in the middle of its line; and in the middle of a file.
    let whole = fs::read(&ledger).unwrap();
    fs::write(&ledger, &whole[..before.len() + 20]).unwrap();
    fs::write(terminal.config().join("market.key.waiting/.tmpabc"), "half").unwrap();

    let relay = TestRelay::start(&[]).await;
    let terminal = terminal.at(&[&relay]);
    let run = terminal.with_relays(&["publish", &terminal.package("third", "1.0.0")]).await;
    assert_eq!(run.code, 0, "{run:?}");
    let sent = said(&run);
    assert_eq!(sent[..2], ["sent published first 1.0.0", "sent published second 1.0.0"], "{run:?}");
    let written = fs::read(&ledger).unwrap();
    assert!(written.starts_with(&whole), "the same record at the same index");
    let shelf = relay.relay().shelf();
    let mut indices: Vec<_> = shelf.catalogue().records().filter_map(Record::indexed).map(|it| it.index()).collect();
    indices.sort_unstable();
    assert_eq!(indices, [0, 1, 2], "no index is used twice");
    assert_eq!(files(&terminal.config().join("market.key.waiting")), Vec::<String>::new());
}

#[tokio::test]
async fn a_rotation_keeps_what_a_run_signed_right_before_it_was_killed() {
    let terminal = alone().await;
    assert_eq!(terminal.with_relays(&["publish", &terminal.package("first", "1.0.0")]).await.code, 3);
    let ledger = terminal.config().join("market.key.ledger");
    let before = fs::read(&ledger).unwrap();
    assert_eq!(terminal.with_relays(&["publish", &terminal.package("second", "1.0.0")]).await.code, 3);
    fs::write(&ledger, &before).unwrap();

    let relay = TestRelay::start(&[]).await;
    let terminal = terminal.at(&[&relay]);
    let rotated = terminal.rotate(1, &[]).await;
    assert_eq!(rotated.code, 0, "{rotated:?}");
    assert!(rotated.err.contains("rotated: 2 records stay"), "{rotated:?}");
    assert_eq!(terminal.with_relays(&["send"]).await.code, 0);
    let releases = relay.relay().shelf().catalogue().records().filter_map(Record::release).count();
    assert_eq!(releases, 2, "both are there, under the new key log");
}

#[tokio::test]
async fn a_damaged_file_of_what_waits_stops_nothing_else_and_is_not_lost() {
    let terminal = alone().await;
    for name in ["first", "second"] {
        assert_eq!(terminal.with_relays(&["publish", &terminal.package(name, "1.0.0")]).await.code, 3);
    }
    let waiting = terminal.config().join("market.key.waiting");
    let mut names = files(&waiting);
    names.sort();
    let damaged = waiting.join(&names[0]);
    let whole = fs::read(&damaged).unwrap();
    fs::write(&damaged, &whole[..whole.len() / 2]).unwrap();

    let relay = TestRelay::start(&[]).await;
    let terminal = terminal.at(&[&relay]);
    let run = terminal.with_relays(&["send"]).await;
    assert_eq!(run.code, 1, "{run:?}");
    assert_eq!(said(&run), ["sent published second 1.0.0"], "{run:?}");
    assert!(run.err.contains(&names[0]) && run.err.ends_with("1 records wait on\n"), "{run:?}");
    assert_eq!(files(&waiting), names[..1], "it may be repaired");
    // The ledger has the record, and the sources its content.
    let again = terminal.with_relays(&["publish", &terminal.package("first", "1.0.0")]).await;
    assert!(again.code == 0 && again.out.starts_with("published first 1.0.0 "), "{again:?}");
    assert_eq!(files(&waiting), Vec::<String>::new());
}

#[tokio::test]
async fn what_every_relay_refuses_is_a_failure_and_waits_on() {
    let relay = TestRelay::start(&[]).await;
    let owner = Terminal::of(&[&relay]).await;
    owner.published("my-thing", "0.1.0").await;
    // A copy of the key from before a rotation: what it signs is void.
    let copy = Terminal::without_key(&[&relay]);
    fs::create_dir_all(copy.config()).unwrap();
    for name in ["market.key", "market.key.ledger"] {
        fs::copy(owner.config().join(name), copy.config().join(name)).unwrap();
    }
    assert_eq!(owner.rotate(1, &[]).await.code, 0);
    let refused = copy.with_relays(&["publish", &copy.package("late", "0.1.0"), "--json"]).await;
    assert_eq!(refused.code, 1, "{refused:?}");
    let report: serde_json::Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!((&report["failed"], &report["waiting"]), (&1.into(), &0.into()), "{report}");
    let sent = copy.with_relays(&["send", "--json"]).await;
    assert_eq!(sent.code, 1, "{sent:?}");
    let report: serde_json::Value = serde_json::from_str(&sent.out).unwrap();
    assert_eq!((&report["sent"][0]["outcome"], &report["waiting"]), (&"refused".into(), &1.into()), "{report}");
    // Whoever knows that waiting is of no use says so.
    let id = report["sent"][0]["record"].as_str().unwrap();
    let dropped = copy.with_relays(&["send", "--drop", id]).await;
    assert!(dropped.code == 0 && dropped.err.ends_with("nothing waits\n"), "{dropped:?}");
    let unknown = copy.with_relays(&["send", "--drop", id]).await;
    assert!(unknown.code == 2 && unknown.err.contains("does not wait here"), "{unknown:?}");
}

#[tokio::test]
async fn one_relay_that_says_that_it_keeps_what_it_does_not_loses_nothing() {
    let (liar, mut gone) = (Pretender::start().await, TestRelay::start(&[]).await);
    let mut terminal = Terminal::of(&[&gone]).await;
    gone.stop().await;
    terminal.relays.push(liar.address.to_string());

    let published = terminal.with_relays(&["publish", &terminal.package("my-thing", "0.1.0")]).await;
    assert!(published.code == 0 && published.out.starts_with("published my-thing 0.1.0 "), "{published:?}");
    assert!(published.err.contains("only one relay says that it keeps my-thing 0.1.0"), "{published:?}");
    let still = terminal.with_relays(&["send", "--json"]).await;
    assert_eq!(still.code, 3, "{still:?}");
    let report: serde_json::Value = serde_json::from_str(&still.out).unwrap();
    assert_eq!((&report["sent"][0]["outcome"], &report["waiting"]), (&"waiting".into(), &1.into()), "{report}");

    // An honest one comes, and is told what the other one has.
    let honest = TestRelay::start(&[]).await;
    terminal.relays = vec![liar.address.to_string(), honest.address("/tcp/", false).to_string()];
    let status = terminal.with_relays(&["status", "--json"]).await;
    assert_eq!(status.code, 3, "{status:?}");
    let status: serde_json::Value = serde_json::from_str(&status.out).unwrap();
    let waiting = &status["waiting"];
    assert_eq!(waiting.as_array().unwrap().len(), 1, "{status}");
    let relays = status["relays"].as_array().unwrap();
    let of_honest = relays.iter().find(|relay| relay["peer"] == honest.peer_id().to_string()).unwrap_or(&relays[1]);
    assert_eq!(&of_honest["lacks"], waiting, "{status}");
    let sent = terminal.with_relays(&["send"]).await;
    assert!(sent.code == 0 && sent.out.starts_with("sent published my-thing 0.1.0 "), "{sent:?}");
    let terminal = terminal.at(&[&honest]);
    let name = format!("{}/my-thing", terminal.publisher().await);
    assert_eq!(terminal.ask(&["info", &name, "--json"]).await.json()["version"], "0.1.0");
    assert_eq!(terminal.with_relays(&["status"]).await.code, 0);
}

#[tokio::test]
async fn relays_that_keep_it_are_remembered_from_one_run_to_the_next() {
    let (first, second, mut gone) =
        (TestRelay::start(&[]).await, TestRelay::start(&[]).await, TestRelay::start(&[]).await);
    let mut terminal = Terminal::of(&[&gone]).await;
    let address = |relay: &TestRelay| relay.address("/tcp/", false).to_string();
    let lost = address(&gone);
    gone.stop().await;
    terminal.relays = vec![lost.clone(), address(&first)];
    let published = terminal.with_relays(&["publish", &terminal.package("my-thing", "0.1.0")]).await;
    assert!(published.err.contains("only one relay says that it keeps my-thing 0.1.0"), "{published:?}");
    // The same one says it again, which makes it no second one.
    assert_eq!(terminal.with_relays(&["send"]).await.code, 3);
    let waiting = terminal.config().join("market.key.waiting");
    assert!(files(&waiting).iter().any(|name| name.ends_with(&first.peer_id().to_string())));
    // Another one does.
    terminal.relays = vec![lost, address(&second)];
    let sent = terminal.with_relays(&["send"]).await;
    assert!(sent.code == 0 && sent.out.starts_with("sent published my-thing 0.1.0 "), "{sent:?}");
    assert_eq!(files(&waiting), Vec::<String>::new());
}

#[tokio::test]
async fn where_only_one_relay_is_named_its_word_is_enough() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&relay]).await;
    let published = terminal.with_relays(&["publish", &terminal.package("my-thing", "0.1.0"), "--json"]).await;
    assert_eq!(published.json()["packages"][0]["waits"], false, "{published:?}");
    assert_eq!(terminal.with_relays(&["status"]).await.code, 0);
}
