//! Relays get from each other what they lack: what was there before they came, and what gossip never told them.

use ggen_shared::merkle::Hash;
use ggen_tests::{Publisher, TestRelay, until};

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
