//! Relays whose blocks are counted, and some that do not serve them well.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use ggen_net::bitswap::Blocks;
use ggen_relay::query::Answer;
use ggen_shared::content::Hashed;
use ggen_shared::protocol::query::Ask;
use ggen_shared::record::ContentId;

use crate::TestRelay;

/// How a relay serves blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// As it should.
    Well,
    /// After so long each.
    Slowly(Duration),
    /// From the block of this number on with a bit changed.
    Wrongly(usize),
    /// From the block of this number on not at all.
    NoMore(usize),
}

/// A relay on its own, neither told nor asked by others, whose blocks are counted.
pub struct Provider {
    /// The relay.
    pub relay: TestRelay,
    served: Arc<Mutex<Vec<ContentId>>>,
}

impl Provider {
    /// Starts a relay that serves blocks so.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(serving: Serving) -> Self {
        let served: Arc<Mutex<Vec<ContentId>>> = Arc::default();
        let counted = served.clone();
        let relay = TestRelay::start_as(
            |config| config.sync = false,
            |shelf| Box::new(Counter { honest: Box::new(shelf), serving, served: counted }),
        );
        Self { relay: relay.await, served }
    }

    /// The blocks that were read to be sent, in order.
    pub fn served(&self) -> Vec<ContentId> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Counter {
    honest: Box<dyn Answer>,
    serving: Serving,
    served: Arc<Mutex<Vec<ContentId>>>,
}

impl Answer for Counter {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        self.honest.answer(ask)
    }

    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        async move {
            let mut block = self.honest.block(cid).await?;
            let number = {
                let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
                served.push(*cid);
                served.len() - 1
            };
            match self.serving {
                Serving::Slowly(pause) => tokio::time::sleep(pause).await,
                Serving::NoMore(from) if number >= from => std::future::pending().await,
                Serving::Wrongly(from) if number >= from => *block.last_mut()? ^= 1,
                _ => {}
            }
            Some(block)
        }
        .boxed()
    }
}

/// Blocks that are kept in memory. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Kept(Arc<Mutex<HashMap<ContentId, Vec<u8>>>>);

impl Kept {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Changes a bit of one of them, as a disk may. Which one.
    pub fn damage(&self) -> Option<ContentId> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (cid, block) = kept.iter_mut().next()?;
        *block.last_mut()? ^= 1;
        Some(*cid)
    }
}

impl Blocks for Kept {
    async fn get(&self, cid: &ContentId) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(cid).cloned()
    }

    async fn put(&self, block: &Hashed) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(block.cid(), block.data().to_vec());
    }
}
