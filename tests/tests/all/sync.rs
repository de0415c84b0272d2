//! Relays get from each other what they lack: what was there before they came, and what gossip never told them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::FutureExt;
use futures::future::BoxFuture;
use ggen_relay::Cost;
use ggen_relay::query::Answer;
use ggen_shared::limits::CHUNK_BYTES;
use ggen_shared::merkle::Hash;
use ggen_shared::protocol::query::{Ask, Request};
use ggen_shared::record::{ContentId, Record};
use ggen_tests::{Package, Publisher, TestRelay, http, until, within};

fn root(relay: &TestRelay) -> Hash {
    relay.relay().shelf().catalogue().root()
}

async fn converged(relays: &[&TestRelay]) {
    until("one root", async || relays.iter().all(|relay| root(relay) == root(relays[0])).then_some(())).await;
}

#[tokio::test]
async fn a_relay_that_comes_later_gets_everything_with_its_content() {
    let first = TestRelay::start(&[]).await;
    let mut publisher = Publisher::new(1);
    let packages: Vec<_> =
        (0..150).map(|n| publisher.release(&format!("package-{n}"), "1.0.0", "was here before", &[n])).collect();
    for package in &packages {
        package.publish_at(&first).await;
    }
    let late = TestRelay::start(&[&first]).await;
    converged(&[&first, &late]).await;
    let shelf = late.relay().shelf();
    assert_eq!(shelf.catalogue().record_count(), 151);
    until("the content", async || {
        for package in &packages {
            shelf.store().has_block(&package.release.artifact.cid).await.ok().filter(|has| *has)?;
        }
        Some(())
    })
    .await;
}

/// Puts the records of a package into a relay, and nothing of its content.
async fn admit_without_content(relay: &TestRelay, package: &Package) {
    let shelf = relay.relay().shelf();
    let records = shelf.verify(&package.offer).expect("valid records");
    shelf.admit(records, Vec::new()).await.expect("the relay takes them");
}

async fn has_content(relay: &TestRelay, package: &Package) {
    let store = relay.relay().shelf().store();
    until("the content", async || {
        for block in &package.artifact.blocks {
            store.has_block(&block.cid).await.ok().filter(|has| *has)?;
        }
        Some(())
    })
    .await;
}

#[tokio::test]
async fn content_that_nobody_had_when_its_release_came_is_fetched_once_somebody_has_it() {
    let first = TestRelay::start(&[]).await;
    let package = Publisher::new(3).release("late", "1.0.0", "its content comes later", b"late");
    admit_without_content(&first, &package).await;
    let second = TestRelay::start(&[&first]).await;
    converged(&[&first, &second]).await;
    package.publish_at(&first).await;
    has_content(&second, &package).await;
}

#[tokio::test]
async fn content_that_a_run_of_the_relay_did_not_get_is_fetched_by_the_next() {
    let bytes: Vec<u8> = (0..3 * CHUNK_BYTES).map(|at| u8::try_from(at / 1000 % 251).expect("a byte")).collect();
    let package = Publisher::new(4).release("large", "1.0.0", "of several blocks", &bytes);
    let first = TestRelay::start(&[]).await;
    package.publish_at(&first).await;
    // It had the record, and of the content the root alone.
    let mut second = TestRelay::start(&[]).await;
    admit_without_content(&second, &package).await;
    let root = package.artifact.blocks.iter().find(|block| block.cid == package.artifact.root).expect("a root");
    let blocks = vec![(root.cid, root.data.clone())];
    second.relay().shelf().admit(Vec::new(), blocks).await.expect("the relay takes it");
    second.stop().await;
    let bootstrap = first.address("/tcp/", false);
    let second = second.restarted(|config| config.bootstrap = vec![bootstrap]).await;
    has_content(&second, &package).await;
}

#[tokio::test]
async fn relays_that_were_apart_converge_whichever_has_more() {
    let (one, two) = (TestRelay::start(&[]).await, TestRelay::start(&[]).await);
    let (mut ours, mut theirs) = (Publisher::new(1), Publisher::new(2));
    let both = ours.release("both", "1.0.0", "here and there", b"a");
    both.publish_at(&one).await;
    both.publish_at(&two).await;
    ours.release("ours", "1.0.0", "only here", b"b").publish_at(&one).await;
    theirs.release("theirs", "1.0.0", "only there", b"c").publish_at(&two).await;
    assert_ne!(root(&one), root(&two));
    // Somebody joins both: what each lacks comes through the one in between.
    let between = TestRelay::start(&[&one, &two]).await;
    converged(&[&between, &one, &two]).await;
    assert_eq!(between.relay().shelf().catalogue().record_count(), 5);
}

#[tokio::test]
async fn two_releases_of_one_version_are_contested_at_every_relay() {
    let (one, two) = (TestRelay::start(&[]).await, TestRelay::start(&[]).await);
    let (mut here, mut there) = (Publisher::new(1), Publisher::new(1));
    let release = here.release("torn", "1.0.0", "one thing", b"one");
    release.publish_at(&one).await;
    there.release("another", "1.0.0", "takes the first index", b"x").publish_at(&two).await;
    there.release("torn", "1.0.0", "another thing", b"two").publish_at(&two).await;
    let between = TestRelay::start(&[&one, &two]).await;
    converged(&[&between, &one, &two]).await;
    let shelf = one.relay().shelf();
    let view = shelf.catalogue();
    let versions: Vec<_> = view.package(&release.release.package()).collect();
    assert_eq!(versions.len(), 1);
    assert!(versions[0].contesting.is_some(), "both are evidence");
}

/// Records of some publishers, as a relay admits them: enough for many answers of a sync.
fn records(publishers: u8) -> Vec<Record> {
    let mut records = Vec::new();
    for number in 1..=publishers {
        let mut publisher = Publisher::new(number);
        records.extend(publisher.key_log.clone().into_records());
        let long = ["a description that makes the record as long as a real one"; 8].join(" ");
        let release = |n: u32| publisher.release(&format!("package-{n}"), "1.0.0", &long, &n.to_be_bytes()).release;
        records.extend((0..60).map(release).map(|release| Record::Release(Box::new(release))));
    }
    records
}

async fn fill(relay: &TestRelay, records: &[Record]) {
    relay.relay().shelf().admit(records.to_vec(), Vec::new()).await.expect("the relay keeps them");
}

/// What syncs of a relay have cost, once none runs.
async fn cost(relay: &TestRelay) -> Cost {
    let mut progress = relay.relay().progress().clone();
    let idle = within("the end of all syncs", progress.wait_for(|progress| progress.running == 0)).await;
    idle.expect("the relay runs").cost
}

/// A relay that falls silent when it was asked for records so many times.
struct Silent {
    honest: Box<dyn Answer>,
    left: Arc<AtomicUsize>,
}

impl Answer for Silent {
    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        self.honest.block(cid)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        let spend = |left: usize| left.checked_sub(1);
        let is_silent = matches!(ask.request, Request::RecordsOf(_))
            && self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, spend).is_err();
        if is_silent { std::future::pending().boxed() } else { self.honest.answer(ask) }
    }
}

async fn silent_after(answers: usize) -> TestRelay {
    let left = Arc::new(AtomicUsize::new(answers));
    TestRelay::answering(|shelf| Box::new(Silent { honest: Box::new(shelf), left })).await
}

#[tokio::test]
async fn a_new_relay_gets_each_record_once_though_it_asks_several_relays() {
    let records = records(6);
    let relays = [TestRelay::start(&[]).await, TestRelay::start(&[]).await, TestRelay::start(&[]).await];
    for relay in &relays {
        fill(relay, &records).await;
    }
    let new = TestRelay::start(&[&relays[0], &relays[1], &relays[2]]).await;
    converged(&[&new, &relays[0]]).await;
    let cost = cost(&new).await;
    let bytes: usize = records.iter().map(|record| record.bytes().len()).sum();
    assert_eq!(cost.records, records.len() as u64);
    assert!((cost.sent + cost.received) * 100 < bytes as u64 * 115, "{cost:?} for {bytes} bytes of records");
}

#[tokio::test]
async fn a_relay_that_falls_silent_is_dropped_and_another_one_goes_on() {
    let records = records(6);
    let (silent, honest) = (silent_after(1).await, TestRelay::start(&[]).await);
    fill(&silent, &records).await;
    fill(&honest, &records).await;
    let new = TestRelay::start(&[&silent, &honest]).await;
    converged(&[&new, &honest]).await;
    assert_eq!(cost(&new).await.records, records.len() as u64, "each came once");
}

#[tokio::test]
async fn a_sync_that_was_cut_goes_on_where_it_was_after_a_restart() {
    let records = records(6);
    let (first, second) = (silent_after(1).await, TestRelay::start(&[]).await);
    fill(&first, &records).await;
    fill(&second, &records).await;
    let mut new = TestRelay::start(&[&first]).await;
    let held = |relay: &TestRelay| relay.relay().shelf().catalogue().record_count();
    until("a part of the records", async || (held(&new) > 0).then_some(())).await;
    assert!(held(&new) < records.len());
    new.stop().await;
    let bootstrap = second.address("/tcp/", false);
    let new = new.restarted(|config| config.bootstrap = vec![bootstrap]).await;
    let before = held(&new);
    assert!(before > 0, "what came is durable");
    converged(&[&new, &second]).await;
    assert_eq!(cost(&new).await.records as usize, records.len() - before, "nothing came again");
}

#[tokio::test]
async fn a_relay_is_not_ready_before_it_has_what_others_have_and_says_how_far_it_is() {
    let records = records(6);
    let first = silent_after(1).await;
    fill(&first, &records).await;
    let bootstrap = first.address("/tcp/", false);
    let new = TestRelay::configured(|config| {
        config.bootstrap = vec![bootstrap];
        config.http = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let http = new.relay().http().unwrap();
    let of = format!(" of {} records\n", records.len());
    until("how far it is", async || {
        let ready = http::get(http, "/readyz").await;
        assert_eq!(ready.status, 503, "{}", ready.text());
        (ready.text().starts_with("syncing: ") && ready.text().ends_with(&of) && !ready.text().contains(" 0 of"))
            .then_some(())
    })
    .await;
    // Another one brings the rest.
    let second = TestRelay::configured(|config| config.bootstrap = vec![new.address("/tcp/", false)]).await;
    fill(&second, &records).await;
    until("ready", async || (http::get(http, "/readyz").await.status == 200).then_some(())).await;
    converged(&[&new, &second]).await;
}

#[tokio::test]
async fn a_relay_whose_others_can_not_be_reached_is_ready() {
    let mut gone = TestRelay::start(&[]).await;
    let address = gone.address("/tcp/", false);
    gone.stop().await;
    let alone = TestRelay::configured(|config| {
        config.bootstrap = vec![address];
        config.http = Some(([127, 0, 0, 1], 0).into());
    })
    .await;
    let http = alone.relay().http().unwrap();
    until("ready", async || (http::get(http, "/readyz").await.status == 200).then_some(())).await;
}
