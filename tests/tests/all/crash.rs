//! A relay that is killed keeps what it acknowledged, and stays who it is.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{StreamExt, TryStreamExt, stream};
use ggen_net::address;
use ggen_relay::policy;
use ggen_shared::catalogue::keys;
use ggen_shared::protocol::query;
use ggen_shared::record::Record;
use ggen_shared::rules::Rules;
use ggen_shared::search::verified::{Asked, verify_range, verify_records};
use ggen_tests::process::{RelayProcess, command};
use ggen_tests::{Package, Publisher, TestPeer, network, within};

/// Kills in a row, on one data directory.
const KILLS: usize = 50;
/// Packages that are being published at once when the kill comes.
const AT_ONCE: usize = 6;
/// Blocks of content that are fetched at once: below what a relay lets one peer ask for.
const FETCHES: usize = 8;
/// The time that a relay takes to end when it is asked to, with some to spare on a busy machine.
const END: Duration = Duration::from_secs(8);

/// A package, and whether it must be there.
struct Offered {
    package: Package,
    /// Acknowledged, or once shown: what was shown is not taken back either.
    must_be_there: bool,
}

/// New packages of a round; every third has content of several blocks.
fn packages(publisher: &mut Publisher, round: usize) -> Vec<Offered> {
    let package = |number: usize| {
        let name = format!("package-{round}-{number}");
        let length = if number.is_multiple_of(3) { 300 * 1024 } else { 600 };
        let content: Vec<u8> = name.bytes().chain(b" ".iter().copied()).cycle().take(length).collect();
        let package = publisher.release(&name, "1.0.0", "survives a kill", &content);
        Offered { package, must_be_there: false }
    };
    (0..AT_ONCE).map(package).collect()
}

/// Publishes packages all at once, and calls `then` as soon as `count` of them are acknowledged, while the others are under way.
async fn publish<T>(
    relay: RelayProcess,
    packages: &mut [Offered],
    count: usize,
    then: impl AsyncFnOnce(RelayProcess) -> T,
) -> T {
    let peer = TestPeer::at(&[relay.tcp()]).await;
    let id = relay.peer_id();
    let mut receipts: FuturesUnordered<_> = packages
        .iter_mut()
        .map(async |offered| {
            let receipt = offered.package.publish(&peer, id).await;
            if let Ok(receipt) = &receipt {
                assert!(receipt.kept.contains(&offered.package.release.id()));
                offered.must_be_there = true;
            }
            receipt
        })
        .collect();
    for _ in 0..count {
        within("a receipt", receipts.next()).await.unwrap().unwrap();
    }
    let done = then(relay).await;
    // Those that are under way end with a receipt that was on its way, or with the connection.
    within("the end of the sessions", receipts.for_each(async |_| {})).await;
    done
}

/// Demands that everything is there that must be, and that whatever is there is whole.
async fn check(relay: &RelayProcess, key_log: &ggen_shared::record::KeyLog, offered: &mut [Offered]) {
    let peer = TestPeer::at(&[relay.tcp()]).await;
    let mut there = Vec::new();
    for chunk in offered.chunks_mut(ggen_shared::limits::MAX_RECORDS_PER_REQUEST) {
        let question = query::Records { ids: chunk.iter().map(|offered| offered.package.release.id()).collect() };
        let answer = peer.peer.ask(relay.peer_id(), question.clone()).await.unwrap();
        let verified = verify_records(&question, answer, &network(), |_| Some(key_log.clone())).unwrap();
        assert!(verified.unanswered.is_empty());
        for (offered, record) in chunk.iter_mut().zip(verified.records) {
            let name = &offered.package.release.name;
            match record {
                Some(record) => {
                    let Record::Release(release) = record.unwrap() else { panic!("{name} is no release") };
                    assert_eq!(release.id(), offered.package.release.id());
                    offered.must_be_there = true;
                    there.push(release);
                }
                None => assert!(!offered.must_be_there, "{name} was acknowledged and is lost"),
            }
        }
    }
    let newest = query::RangeOf::first(&keys::newest(), 0);
    let listed = peer.peer.ask(relay.peer_id(), newest.clone()).await.unwrap();
    let relay_key = address::key_of(&relay.peer_id()).unwrap();
    let asked = Asked { network: &network(), relay: &relay_key, epoch: peer.peer.epoch(), rules: Rules::FIRST };
    let listed = verify_range(&newest, &listed, &asked).unwrap();
    assert_eq!(listed.total, there.len() as u64, "what is listed is what was offered");

    // A fetch checks every block against its hash, and the whole against its promised size.
    let fetches = there.iter().map(|release| async {
        peer.peer.fetch(release.artifact).await.map_err(|error| format!("the content of {}: {error}", release.name))
    });
    let fetched = stream::iter(fetches).buffer_unordered(FETCHES).try_for_each(async |_| Ok(()));
    within("all content", fetched).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_kills_right_after_acknowledgements_lose_nothing_and_leave_nothing_half_there() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::new(1);
    let key_log = publisher.key_log.clone();
    let mut offered: Vec<Offered> = Vec::new();
    let mut identity = None;
    for round in 0..KILLS {
        let relay = RelayProcess::start(directory.path()).await;
        let now = (relay.peer_id(), relay.certhash());
        assert_eq!(*identity.get_or_insert(now.clone()), now, "the relay is who it was before the kill");
        check(&relay, &key_log, &mut offered).await;
        let mut packages = packages(&mut publisher, round);
        publish(relay, &mut packages, 1 + round % AT_ONCE, RelayProcess::kill).await;
        offered.append(&mut packages);
    }
    let relay = RelayProcess::start(directory.path()).await;
    assert_eq!(identity, Some((relay.peer_id(), relay.certhash())));
    check(&relay, &key_log, &mut offered).await;
    let kept = offered.iter().filter(|offered| offered.must_be_there).count();
    println!("{} packages offered, {kept} kept, {KILLS} kills", offered.len());
    // The kill came while others were under way, or this test would show less than it says.
    assert!(kept < offered.len(), "no publication was interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_and_ctrl_c_end_with_success_within_seconds_and_lose_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut publisher = Publisher::new(2);
    let key_log = publisher.key_log.clone();
    let mut offered: Vec<Offered> = Vec::new();
    for (round, signal) in ["TERM", "INT", "TERM"].into_iter().enumerate() {
        let relay = RelayProcess::start(directory.path()).await;
        check(&relay, &key_log, &mut offered).await;
        let mut packages = packages(&mut publisher, round);
        let asked = Instant::now();
        let end = async |relay: RelayProcess| (relay.end_by(signal).await, asked.elapsed());
        let (status, took) = publish(relay, &mut packages, 1 + 2 * round, end).await;
        assert_eq!(status.code(), Some(0), "{signal}: {status}");
        assert!(took < END, "{signal}: {took:?}");
        offered.append(&mut packages);
    }
    check(&RelayProcess::start(directory.path()).await, &key_log, &mut offered).await;
}

#[tokio::test]
async fn a_second_relay_on_the_same_data_directory_refuses_to_start_and_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let first = RelayProcess::start(directory.path()).await;
    let second = within("the second relay's end", refused_start(directory.path())).await;
    assert!(second.contains("another relay is using"), "{second}");
    check(&first, &Publisher::new(3).key_log, &mut []).await;
}

/// What a relay says that does not start.
async fn refused_start(directory: &Path) -> String {
    let output = command(directory).stderr(Stdio::piped()).kill_on_drop(true).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_relay_asks_the_system_for_as_many_open_files_as_it_has_connections() {
    let directory = tempfile::tempdir().unwrap();
    let relay = RelayProcess::with_open_files(directory.path(), 256).await;
    let [now, at_most] = relay.open_files();
    assert_eq!(now, policy::MAX_OPEN_FILES.min(at_most));
}
