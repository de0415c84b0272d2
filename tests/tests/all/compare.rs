//! Checkpoints and comparison between real relays: what is committed to is proven, what one relay keeps back another one shows.

use ggen_net::{Comparison, P2PRegistry};
use ggen_relay::market::peer::Tokio;
use ggen_shared::registry::{Registry, SearchOptions, SearchResults};
use ggen_tests::{Publisher, TestPeer, TestRelay, until};

type Client = P2PRegistry<Tokio>;

fn ids(results: &SearchResults) -> Vec<String> {
    results.hits.iter().flatten().map(|hit| hit.release.name.to_string()).collect()
}

/// The answer once every result of it stands on the relay's checkpoint.
async fn proven(client: &Client, text: &str, count: usize) -> SearchResults {
    until("an answer that a checkpoint has", async || {
        let found = client.search(text, SearchOptions::default()).await.ok()?;
        let hits: Vec<_> = found.hits.iter().flatten().collect();
        (hits.len() == count && hits.iter().all(|hit| hit.in_checkpoint)).then_some(found)
    })
    .await
}

async fn compared(client: &Client, text: &str, results: &SearchResults) -> Comparison {
    client.compare(text, &SearchOptions::default(), results).await
}

#[tokio::test]
async fn what_was_just_published_is_shown_at_once_and_stands_on_a_checkpoint_soon() {
    let relay = TestRelay::start(&[]).await;
    let mut publisher = Publisher::new(1);
    publisher.release("seeker", "1.0.0", "finds needles", b"a").publish_at(&relay).await;
    let client = Client::new(TestPeer::start(&[&relay]).await.peer.clone());
    let found = client.search("needles", SearchOptions::default()).await.unwrap();
    assert_eq!(ids(&found), ["seeker"]);
    let found = proven(&client, "needles", 1).await;
    let proof = found.proven.unwrap();
    assert_eq!((proof.total, proof.walked), (1, 1));
    assert_eq!(proof.checkpoint.root, relay.relay().shelf().catalogue().root().into());
}

#[tokio::test]
async fn relays_that_hold_the_same_agree_and_one_alone_is_its_word() {
    let (one, two) = (TestRelay::start(&[]).await, TestRelay::start(&[]).await);
    let mut publisher = Publisher::new(1);
    for name in ["alpha", "beta"] {
        let package = publisher.release(name, "1.0.0", "the same word", name.as_bytes());
        package.publish_at(&one).await;
        package.publish_at(&two).await;
    }
    let alone = Client::new(TestPeer::start(&[&one]).await.peer.clone());
    let found = proven(&alone, "same word", 2).await;
    assert_eq!(compared(&alone, "same word", &found).await, Comparison::default());

    let client = Client::new(TestPeer::start(&[&one, &two]).await.peer.clone());
    let agreed = until("agreement", async || {
        let found = proven(&client, "same word", 2).await;
        let comparison = compared(&client, "same word", &found).await;
        comparison.is_complete().then_some(comparison)
    });
    assert_eq!(agreed.await.agree.len(), 1);
}

#[tokio::test]
async fn a_record_that_one_relay_lacks_is_shown_and_handed_to_it() {
    let (one, two) = (TestRelay::start(&[]).await, TestRelay::start(&[]).await);
    let mut publisher = Publisher::new(1);
    let both = publisher.release("both", "1.0.0", "a word", b"a");
    both.publish_at(&one).await;
    both.publish_at(&two).await;
    publisher.release("only", "1.0.0", "a word", b"b").publish_at(&two).await;
    let poor = Client::new(TestPeer::start(&[&one]).await.peer.clone());
    let mut found = proven(&poor, "word", 1).await;
    // The same answer, held against a relay that has more.
    let rich = Client::new(TestPeer::start(&[&two]).await.peer.clone());
    proven(&rich, "word", 2).await;
    let client = TestPeer::start(&[&one, &two]).await;
    let client = Client::new(client.peer.clone());
    found = match client.search("word", SearchOptions::default()).await.unwrap() {
        fresh if fresh.source == found.source => fresh,
        _ => found,
    };
    let comparison = compared(&client, "word", &found).await;
    assert!(!comparison.is_complete() && comparison.agree.is_empty(), "{comparison:?}");
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.source.0, two.peer_id().to_string());
    assert_eq!(difference.more.iter().map(|hit| hit.release.name.as_str()).collect::<Vec<_>>(), ["only"]);
    assert!(difference.hidden.is_empty(), "the relay lacks it: that is no lie");
    // It was handed over.
    let found = proven(&poor, "word", 2).await;
    assert_eq!(ids(&found).len(), 2);
    let settled = until("agreement", async || {
        let comparison = compared(&client, "word", &found).await;
        comparison.is_complete().then_some(())
    });
    settled.await;
}

#[tokio::test]
async fn what_was_published_is_found_at_every_moment_while_checkpoints_are_made() {
    let relay = TestRelay::start(&[]).await;
    let mut publisher = Publisher::new(1);
    publisher.release("always", "1.0.0", "never gone", b"a").publish_at(&relay).await;
    let client = Client::new(TestPeer::start(&[&relay]).await.peer.clone());
    let mut epochs = std::collections::BTreeSet::new();
    let mut number = 0;
    while epochs.len() < 4 {
        // Something changes in every epoch, so that each checkpoint takes in what was recent.
        number += 1;
        if number % 20 == 0 {
            publisher.release(&format!("other-{number}"), "1.0.0", "comes by", b"b").publish_at(&relay).await;
        }
        let found = client.search("never gone", SearchOptions::default()).await.unwrap();
        assert_eq!(ids(&found), ["always"], "search {number}");
        epochs.insert(found.proven.unwrap().checkpoint.epoch);
    }
}
