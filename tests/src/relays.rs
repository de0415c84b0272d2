//! Relays in this process that are set up otherwise than usual: with HTTP, or with a liar behind the counter.

use std::sync::Arc;

use futures::future::BoxFuture;
use ggen_net::exchange;
use ggen_relay::admission::Shelf;
use ggen_relay::query::Answer;
use ggen_relay::{Config, Relay};
use ggen_shared::protocol::query::Ask;
use ggen_shared::record::ContentId;
use libp2p::Stream;

use crate::{TestRelay, config, show_logs};

/// A relay that listens to no announcements: a peer that is connected to two relays carries them from one to the other.
pub struct Deaf<A>(pub A);

impl<A: Answer> Answer for Deaf<A> {
    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        self.0.block(cid)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        self.0.answer(ask)
    }

    fn write<'a>(
        &'a self,
        stream: &'a mut Stream,
        reply: &'a [u8],
        window: u32,
    ) -> BoxFuture<'a, Result<(), exchange::Error>> {
        self.0.write(stream, reply, window)
    }

    fn hears(&self, _: &[u8]) -> bool {
        false
    }
}

impl TestRelay {
    /// Starts a relay that knows only what it is handed, its configuration changed first.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn deaf(configure: impl FnOnce(&mut Config)) -> Self {
        Self::start_as(configure, |shelf| Box::new(Deaf(shelf))).await
    }

    /// Starts a relay whose configuration is changed first.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn configured(configure: impl FnOnce(&mut Config)) -> Self {
        Self::start_as(configure, |shelf| Box::new(shelf)).await
    }

    /// Starts a relay whose answers something else makes.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn answering(answer: impl FnOnce(Arc<Shelf>) -> Box<dyn Answer>) -> Self {
        Self::start_as(|_| {}, answer).await
    }

    /// Starts a relay whose configuration is changed first, and whose answers something else makes.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_as(
        configure: impl FnOnce(&mut Config),
        answer: impl FnOnce(Arc<Shelf>) -> Box<dyn Answer>,
    ) -> Self {
        show_logs();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut config = config(directory.path(), Vec::new());
        configure(&mut config);
        let epoch = config.epoch;
        let relay = Relay::start_with(config, answer).await.expect("the relay starts");
        Self { relay: Some(relay), epoch, directory }
    }

    /// Starts a stopped relay again on its data directory, its configuration changed first.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restarted(self, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(self.directory.path(), Vec::new());
        configure(&mut config);
        let epoch = config.epoch;
        let relay = Relay::start(config).await.expect("the relay starts again");
        Self { relay: Some(relay), epoch, directory: self.directory }
    }
}
