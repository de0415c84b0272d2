//! Answers questions from what the relay holds.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use ggen_net::exchange;
use ggen_shared::catalogue::answer;
use ggen_shared::codec;
use ggen_shared::protocol::query::{Ask, Refusal, Reply, Request};
use ggen_shared::record::ContentId;
use ggen_shared::sync;
use libp2p::Stream;
use serde::Serialize;

use crate::admission::Shelf;
use crate::suggest;

/// Who answers questions. A relay answers from its [`Shelf`]; tests put a liar between.
pub trait Answer: Send + Sync + 'static {
    /// The encoded reply to a question.
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>>;

    /// The bytes of a block that a peer wants, if they are here.
    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>>;

    /// Sends a reply, never more than `window` bytes ahead of what the asker took.
    fn write<'a>(
        &'a self,
        stream: &'a mut Stream,
        reply: &'a [u8],
        window: u32,
    ) -> BoxFuture<'a, Result<(), exchange::Error>> {
        exchange::write_answer(stream, reply, window).boxed()
    }

    /// Whether an announcement is listened to: a relay listens to all, tests lose some on the way.
    fn hears(&self, announcement: &[u8]) -> bool {
        let _ = announcement;
        true
    }
}

impl Answer for Arc<Shelf> {
    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        async move {
            Shelf::block(self, cid).await.unwrap_or_else(|error| {
                tracing::error!(%error, %cid, "a block can't be read");
                None
            })
        }
        .boxed()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        async move {
            match &ask.request {
                Request::Search(search) => {
                    let mut reply =
                        self.by(ask.rules).and_then(|by| answer::search(&by.catalogue(), &by.snapshots(), search));
                    if let Ok(answer) = &mut reply
                        && answer.records.count() < suggest::FEW_RESULTS
                        && search.cursor.is_none()
                    {
                        answer.suggestions = self.suggester().suggest(self, search).await;
                    }
                    if let Ok(answer) = &mut reply {
                        self.spare().spend(|| answer.records.join());
                    }
                    encode(&reply)
                }
                Request::Package(package) => encode(
                    &self.by(ask.rules).and_then(|by| answer::package(&by.catalogue(), &by.snapshots(), package)),
                ),
                Request::Range(range) => {
                    encode(&self.by(ask.rules).and_then(|by| answer::range(&by.snapshots(), range)))
                }
                Request::Compare(compare) => {
                    // What changed since it was last asked for is hashed first: not on a thread that serves others, nor under the lock.
                    let (map, compare) = (self.catalogue().map().clone(), compare.clone());
                    let answered = tokio::task::spawn_blocking(move || encode(&sync::compare(&map, &compare)));
                    answered.await.unwrap_or_else(|_| encode(&stopping()))
                }
                Request::RecordsOf(records) => encode(&sync::records_of(&self.catalogue(), records)),
                Request::Records(records) => encode(&answer::records(&self.catalogue(), records)),
                Request::KeyLogOf(key_log) => encode(&answer::key_log_of(&self.catalogue(), key_log)),
                Request::Named(named) => encode(&answer::named(&self.catalogue(), named)),
            }
        }
        .boxed()
    }
}

fn stopping() -> Reply<()> {
    Err(Refusal::new("relay/stopping", "the relay is being stopped"))
}

fn encode<A: Serialize>(reply: &Reply<A>) -> Vec<u8> {
    codec::encode(reply)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ggen_shared::limits::{DEFAULT_WINDOW_BYTES, MAX_ANSWER_BYTES};
    use ggen_shared::protocol::query::{PackedSearchAnswer, Question, Search, SearchAnswer};
    use ggen_shared::rules::{Rules, Schedule};
    use libp2p::identity::Keypair;

    use super::*;
    use crate::checkpoints::Checkpoints;
    use crate::store::Store;
    use crate::suggest::tests::{network, records};

    #[tokio::test]
    async fn a_relay_that_has_time_deflates_the_records_of_an_answer_together() {
        let directory = tempfile::tempdir().unwrap();
        let (shelf, _) = Shelf::open(Store::open(directory.path()).unwrap(), network(), Rules::FIRST).unwrap();
        let shelf = Arc::new(shelf);
        let titles: Vec<_> =
            (0..8).map(|number| (format!("tool-{number}"), "One of many tools that are alike")).collect();
        let packages: Vec<_> = titles.iter().map(|(name, title)| (name.as_str(), *title)).collect();
        shelf.admit(records(&packages), Vec::new()).await.unwrap();
        let (epoch, keypair) = (Duration::from_secs(60), Keypair::ed25519_from_bytes([7; 32]).unwrap());
        Checkpoints::open(&shelf, &keypair, epoch, Schedule::default()).unwrap().make(&shelf, epoch * 9).await.unwrap();

        let search = Search { text: "tools alike".into(), limit: 20, ..Search::default() };
        let ask = Ask { window: DEFAULT_WINDOW_BYTES, rules: Rules::FIRST.number, request: search.into_request() };
        let reply: Reply<PackedSearchAnswer> = codec::read(&shelf.answer(&ask).await, MAX_ANSWER_BYTES).unwrap();
        let answer = reply.unwrap();
        let alone = PackedSearchAnswer::from(SearchAnswer::try_from(answer.clone()).unwrap());
        assert_eq!(alone.records.count(), packages.len());
        let mut together = alone.clone();
        together.records.join();
        assert!(answer == together && answer != alone, "nobody has asked it anything before, so it has time");
    }
}
