//! Relays in this process that are set up otherwise than usual: with HTTP, or with a liar behind the counter.

use std::sync::Arc;

use ggen_relay::admission::Shelf;
use ggen_relay::query::Answer;
use ggen_relay::{Config, Relay};

use crate::{TestRelay, config, show_logs};

impl TestRelay {
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
        let relay = Relay::start_with(config, answer).await.expect("the relay starts");
        Self { relay: Some(relay), directory }
    }

    /// Starts a stopped relay again on its data directory, its configuration changed first.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restarted(self, configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(self.directory.path(), Vec::new());
        configure(&mut config);
        let relay = Relay::start(config).await.expect("the relay starts again");
        Self { relay: Some(relay), directory: self.directory }
    }
}
