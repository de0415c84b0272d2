//! What a light peer makes of announcements whose publisher it does not know, and of whoever says who that is.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use ggen_net::light::Event;
use ggen_relay::admission::Shelf;
use ggen_relay::query::Answer;
use ggen_shared::id::PublisherId;
use ggen_shared::protocol::query::{Ask, KeyLogOf, Request};
use ggen_shared::record::ContentId;
use ggen_tests::{Publisher, TestPeer, TestRelay, within};

/// Whatever key log it is asked for, it gives one of somebody else.
struct Misleading {
    shelf: Arc<Shelf>,
    always: PublisherId,
}

impl Answer for Misleading {
    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        self.shelf.block(cid)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        async move {
            if !matches!(ask.request, Request::KeyLogOf(_)) {
                return self.shelf.answer(ask).await;
            }
            let request = Request::KeyLogOf(KeyLogOf { publisher: self.always });
            self.shelf.answer(&Ask { request, ..ask.clone() }).await
        }
        .boxed()
    }
}

#[tokio::test]
async fn relays_that_lie_about_publishers_take_no_other_relay_down_with_them() {
    let package = |number: u8| Publisher::new(number).release("news", "1.0.0", "a release", b"content");
    let always = package(100);
    let publisher = always.release.publisher;
    let misleading = |shelf| -> Box<dyn Answer> { Box::new(Misleading { shelf, always: publisher }) };
    let liars = [TestRelay::answering(misleading).await, TestRelay::answering(misleading).await];
    for liar in &liars {
        always.publish_at(liar).await;
    }
    let honest = TestRelay::start(&[]).await;
    let mut peer = TestPeer::start(&[&liars[0], &liars[1], &honest]).await;
    // Each lies less often than whoever passes on what does not verify may, until nothing is heard of it any more. Together it is more.
    for number in 1..=14 {
        let (package, liar) = (package(number), &liars[usize::from(number % 2)]);
        package.publish_at(liar).await;
        let refused = async {
            loop {
                match peer.events.next().await {
                    Some(Event::Refused { from, .. }) => return from,
                    Some(_) => {}
                    None => panic!("the peer ended"),
                }
            }
        };
        assert_eq!(within("a refusal", refused).await, liar.peer_id());
        // The same announcement, of one who would have told the truth.
        package.publish_at(&honest).await;
    }
    let last = package(50);
    last.publish_at(&honest).await;
    let heard = async { while peer.announced().await.id() != last.release.id() {} };
    within("news of the honest relay", heard).await;
}
