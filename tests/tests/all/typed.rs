//! What is likely typed next is asked for ahead: whoever then types it gets it without a question, and nothing that is wrong or old.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt};
use ggen_net::light::Event;
use ggen_net::{News, P2PRegistry};
use ggen_relay::admission::Shelf;
use ggen_relay::market::peer::Tokio;
use ggen_relay::query::Answer;
use ggen_shared::protocol::query::{Ask, Request};
use ggen_shared::record::ContentId;
use ggen_shared::registry::{Registry, SearchOptions, SearchResults};
use ggen_tests::{Publisher, TestPeer, TestRelay, within};

/// A relay that tells which texts it was asked for. To as many as are `left_to_fail` it says nothing that could be read.
struct Telling {
    shelf: Arc<Shelf>,
    asked: mpsc::Sender<String>,
    left_to_fail: Arc<AtomicUsize>,
}

impl Answer for Telling {
    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        self.shelf.block(cid)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        async move {
            let Request::Search(search) = &ask.request else { return self.shelf.answer(ask).await };
            // Told when the answer is there: whoever hears of it and asks the same gets that one.
            let fails = self.left_to_fail.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
            let answer = if fails.is_ok() { b"nonsense".to_vec() } else { self.shelf.answer(ask).await };
            self.asked.clone().send(search.text.clone()).await.expect("the test listens");
            answer
        }
        .boxed()
    }
}

struct World {
    relay: TestRelay,
    peer: TestPeer,
    client: P2PRegistry<Tokio>,
    asked: mpsc::Receiver<String>,
    left_to_fail: Arc<AtomicUsize>,
}

impl World {
    /// A relay with some packages, and a client that knows it.
    async fn of(packages: &[&str]) -> Self {
        let (sender, asked) = mpsc::channel(64);
        let left_to_fail = Arc::default();
        let failing = Arc::clone(&left_to_fail);
        let relay =
            TestRelay::answering(|shelf| Box::new(Telling { shelf, asked: sender, left_to_fail: failing })).await;
        let mut publisher = Publisher::new(1);
        for name in packages {
            publisher.release(name, "1.0.0", "of use", name.as_bytes()).publish_at(&relay).await;
        }
        let peer = TestPeer::start(&[&relay]).await;
        let client = P2PRegistry::new(peer.peer.clone());
        Self { relay, peer, client, asked, left_to_fail }
    }

    async fn type_text(&self, text: &str) -> SearchResults {
        within(text, self.client.search_typed(text, SearchOptions::default())).await.unwrap()
    }

    /// What the relay was asked next.
    async fn asked(&mut self) -> String {
        within("a question", self.asked.next()).await.unwrap()
    }
}

fn names(results: &SearchResults) -> Vec<String> {
    results.hits.iter().flatten().map(|hit| hit.release.name.to_string()).collect()
}

#[tokio::test]
async fn a_key_that_was_foreseen_costs_no_question_and_gives_the_same_answer() {
    let mut world = World::of(&["tokio", "tokio-util", "teapot"]).await;
    world.type_text("tok").await;
    assert_eq!([world.asked().await, world.asked().await], ["tok", "toki"], "one more is asked ahead");
    let results = world.type_text("toki").await;
    assert_eq!(names(&results), ["tokio", "tokio-util"]);
    assert_eq!(world.asked().await, "tokio", "the next one; what was typed is known");
    assert!(!results.offline);
    // A letter back, and the same in other words, are known too.
    for text in ["tok", "TOKI", "tokio "] {
        world.type_text(text).await;
    }

    let plain = world.client.search("toki", SearchOptions::default()).await.unwrap();
    assert_eq!(world.asked().await, "toki", "nothing else was asked; whoever does not type asks");
    assert_eq!(
        (names(&plain), plain.total, plain.total_is_exact),
        (names(&results), results.total, results.total_is_exact)
    );
    world.type_text("tok").await;
    assert_eq!([world.asked().await, world.asked().await], ["tok", "toki"], "what is older than that is forgotten");
}

#[tokio::test]
async fn an_answer_that_came_ahead_is_read_on_by_the_text_that_stands_there() {
    let mut world = World::of(&["tokio", "tokio-util"]).await;
    let one = SearchOptions { limit: 1, ..SearchOptions::default() };
    // What is recent yet comes all at once.
    within("a checkpoint that has both", async {
        while world.client.search("tok", one.clone()).await.unwrap().cursor.is_none() {
            assert_eq!(world.asked.next().await.as_deref(), Some("tok"));
        }
    })
    .await;
    assert_eq!(world.asked().await, "tok");
    let first = within("an answer", world.client.search_typed("tok", one.clone())).await.unwrap();
    assert_eq!([world.asked().await, world.asked().await], ["tok", "toki"]);
    let ahead = within("an answer", world.client.search_typed("Toki", one.clone())).await.unwrap();
    assert_eq!(names(&ahead), names(&first));
    let next = SearchOptions { cursor: ahead.cursor, ..one };
    let rest = within("the next page", world.client.search_typed("Toki", next)).await.unwrap();
    assert_eq!([names(&first), names(&rest)].concat().len(), 2, "{first:?} {rest:?}");
    assert_ne!(names(&first), names(&rest));
}

#[tokio::test]
async fn what_was_published_since_is_not_missing_from_what_was_asked_for_ahead() {
    let mut world = World::of(&["tokio"]).await;
    let (_, unheard) = mpsc::channel(1);
    let mut news = world.client.news(std::mem::replace(&mut world.peer.events, unheard));
    assert_eq!(names(&world.type_text("tok").await), ["tokio"]);
    assert_eq!([world.asked().await, world.asked().await], ["tok", "toki"]);
    Publisher::new(2).release("tokio-new", "1.0.0", "of use", b"new").publish_at(&world.relay).await;
    within("the announcement", async {
        let is_it = |news: &News| matches!(news, News::Heard(Event::Announced { release, .. }) if release.name.as_str() == "tokio-new");
        while !news.next().await.as_ref().is_some_and(is_it) {}
    })
    .await;
    let found = names(&world.type_text("toki").await);
    assert!(found.contains(&"tokio-new".into()), "{found:?}");
}

#[tokio::test]
async fn what_could_not_be_had_ahead_is_asked_for_when_it_is_typed() {
    let mut world = World::of(&["tokio"]).await;
    world.type_text("to").await;
    assert_eq!([world.asked().await, world.asked().await], ["to", "tok"]);
    world.left_to_fail.store(1, Ordering::SeqCst);
    assert_eq!(names(&world.type_text("tok").await), ["tokio"]);
    assert_eq!(world.asked().await, "toki", "which fails");
    assert_eq!(names(&world.type_text("toki").await), ["tokio"]);
    assert_eq!([world.asked().await, world.asked().await], ["toki", "tokio"]);
}
