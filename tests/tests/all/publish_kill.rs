//! A publisher that is killed at any moment loses nothing that it signed, and uses no index twice.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use ggen_relay::market::keys::PublisherKey;
use ggen_relay::market::ledger::{self, Ledger, Locked};
use ggen_shared::id::RecordId;
use ggen_shared::record::Record;
use ggen_tests::terminal::{Terminal, write_package};
use ggen_tests::{TestRelay, within};

/// Kills in a row, on one key.
const KILLS: u32 = 100;
/// Packages of a round, one of them with content of several blocks.
const PACKAGES: usize = 6;

/// A tree of new packages.
fn tree(terminal: &Terminal, round: u32) -> PathBuf {
    let root = terminal.home.path().join(format!("round-{round}"));
    for number in 0..PACKAGES {
        write_package(&root.join(number.to_string()), &format!("package-{round}-{number}"), "1.0.0");
    }
    fs::write(root.join("0/long.txt"), format!("{round} and a line that is deflated well\n").repeat(20_000)).unwrap();
    root
}

/// Starts to publish a tree and kills the program after this long, unless it ended by then. What it acknowledged, and whether it was
/// killed.
async fn publish_and_kill(terminal: &Terminal, round: u32, after: Duration) -> (Vec<RecordId>, bool) {
    let root = tree(terminal, round).display().to_string();
    let out = terminal.home.path().join("out");
    let arguments = terminal.to_relays(&["publish", "--all", &root]);
    let mut command = terminal.command(&arguments);
    let mut child = command.stdout(File::create(&out).unwrap()).stderr(Stdio::null()).spawn().unwrap();
    let ended = tokio::time::timeout(after, child.wait()).await;
    let killed = ended.is_err();
    if killed {
        within("the end after SIGKILL", child.kill()).await.unwrap();
    }
    let said = fs::read_to_string(out).unwrap();
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    let id = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        // What is sent first, is said as `sent published NAME VERSION ID`.
        let id = if words[0] == "sent" { words[4] } else { words[3] };
        id.parse().unwrap()
    };
    (whole.lines().map(id).collect(), killed)
}

fn ledger_of(terminal: &Terminal) -> Ledger {
    let path = terminal.config().join("market.key");
    let key = PublisherKey::load(&path).unwrap();
    Locked::of(&ledger::path_of(&path)).unwrap().read(&key.key_log, &key.network).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_lose_nothing_that_was_signed_and_use_no_index_twice() {
    let relay = TestRelay::start(&[]).await;
    let terminal = Terminal::of(&[&relay]).await;
    let (relays, nowhere) =
        (terminal.relays.clone(), vec![relay.address("/tcp/", false).to_string().replace("127.0.0.1", "127.0.0.2")]);
    let begun = Instant::now();
    let (mut acknowledged, killed) = publish_and_kill(&terminal, 0, Duration::from_secs(30)).await;
    let whole = begun.elapsed();
    assert!(!killed && acknowledged.len() == PACKAGES, "{whole:?}: {acknowledged:?}");

    let mut terminal = terminal;
    let (mut kills, mut signed_unsaid) = (0, 0);
    for round in 1..=KILLS {
        // Every third time nobody can be reached, so that what is signed is only here.
        terminal.relays = if round % 3 == 0 { nowhere.clone() } else { relays.clone() };
        // Moments all over the time that a run takes, in no order.
        let (said, killed) = publish_and_kill(&terminal, round, whole * (round * 37 % KILLS) / KILLS).await;
        kills += u32::from(killed);
        let signed: BTreeSet<RecordId> = ledger_of(&terminal).ids().collect();
        let unsaid = signed.len()
            - acknowledged.iter().chain(&said).filter(|id| signed.contains(id)).collect::<BTreeSet<_>>().len();
        signed_unsaid = signed_unsaid.max(unsaid);
        acknowledged.extend(said);
        assert!(
            acknowledged.iter().all(|id| signed.contains(id)),
            "round {round}: what was said to be published is in the ledger"
        );
    }
    terminal.relays = relays;
    let sent = terminal.with_relays(&["send"]).await;
    assert_eq!(sent.code, 0, "{sent:?}");
    assert_eq!(fs::read_dir(terminal.config().join("market.key.waiting")).unwrap().count(), 0, "nothing is left over");

    // Everything that was ever signed is at the relay, with its content, at an index of its own.
    let ledger = ledger_of(&terminal);
    let signed: BTreeSet<RecordId> = ledger.ids().collect();
    let shelf = relay.relay().shelf();
    let there: Vec<Record> = shelf.catalogue().records().filter(|record| record.indexed().is_some()).cloned().collect();
    assert_eq!(there.iter().map(Record::id).collect::<BTreeSet<_>>(), signed);
    let indices: BTreeSet<u32> = there.iter().filter_map(Record::indexed).map(|it| it.index()).collect();
    assert_eq!(
        indices,
        (0..u32::try_from(signed.len()).unwrap()).collect(),
        "no index is used twice, and none is left out"
    );
    assert_eq!(ledger.next_index() as usize, signed.len(), "the next one follows");
    let to = terminal.home.path().join("fetched").display().to_string();
    let big = there.iter().find_map(|record| match record {
        Record::Release(release)
            if release.name.as_str().ends_with("-0") && !release.name.as_str().starts_with("package-0-") =>
        {
            Some(release)
        }
        _ => None,
    });
    let name = format!("{}/{}", terminal.publisher().await, big.expect("a round after the first signed one").name);
    let fetched = terminal.ask(&["fetch", &name, "--to", &to]).await;
    assert_eq!(fetched.code, 0, "{fetched:?}");
    println!("{kills} kills, {} records signed, {} acknowledged by killed runs", signed.len(), acknowledged.len());
    // The kills came while something was under way, or this test would show less than it says.
    assert!(
        kills > KILLS / 2 && signed_unsaid > 0,
        "{kills} kills, at most {signed_unsaid} records signed and not said"
    );
    assert!(signed.len() < PACKAGES * (KILLS as usize + 1), "no publication was interrupted");
}
