//! Relays whose blocks are counted, and some that do not serve them well.

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use futures::FutureExt;
use futures::future::BoxFuture;
use ggen_net::bitswap::Blocks;
use ggen_relay::query::Answer;
use ggen_shared::content::Hashed;
use ggen_shared::protocol::query::Ask;
use ggen_shared::record::ContentId;
use tokio::sync::watch;

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
    /// From the block of this number on not at all, until it serves otherwise.
    NoMore(usize),
}

impl FromStr for Serving {
    type Err = anyhow::Error;

    /// `well`, or `slowly`, `wrongly` or `no-more` with a colon and its number: milliseconds, or the first such block.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (way, number) = text.split_once(':').unwrap_or((text, "0"));
        match way {
            "well" => Ok(Self::Well),
            "slowly" => Ok(Self::Slowly(Duration::from_millis(number.parse()?))),
            "wrongly" => Ok(Self::Wrongly(number.parse()?)),
            "no-more" => Ok(Self::NoMore(number.parse()?)),
            _ => bail!("{text} is no way to serve blocks"),
        }
    }
}

/// Bytes that no two blocks have in common.
pub fn bytes(length: usize) -> Vec<u8> {
    (0..length.div_ceil(8) as u64)
        .flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes())
        .take(length)
        .collect()
}

/// A relay on its own, neither told nor asked by others, whose blocks are counted.
pub struct Provider {
    /// The relay.
    pub relay: TestRelay,
    served: Served,
    serving: watch::Sender<Serving>,
}

impl Provider {
    /// Starts a relay that serves blocks so.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(serving: Serving) -> Self {
        let served = Served::default();
        let counted = served.clone();
        let (serving, now) = watch::channel(serving);
        let relay = TestRelay::start_as(|config| config.sync = false, |shelf| serve(shelf, now, counted));
        Self { relay: relay.await, served, serving }
    }

    /// Serves blocks so from now on.
    pub fn serve(&self, serving: Serving) {
        self.serving.send_replace(serving);
    }

    /// The blocks that were read to be sent, in order.
    pub fn served(&self) -> Vec<ContentId> {
        self.served.all()
    }
}

/// The blocks that were read to be sent. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Served(Arc<Mutex<Vec<ContentId>>>);

impl Served {
    /// All of them, in order.
    pub fn all(&self) -> Vec<ContentId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes one more, and says how many came before it.
    fn note(&self, cid: ContentId) -> usize {
        let mut served = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        served.push(cid);
        served.len() - 1
    }
}

/// What answers like `honest`, but serves blocks as it is said to at the time, and counts them.
pub fn serve(honest: impl Answer + 'static, serving: watch::Receiver<Serving>, served: Served) -> Box<dyn Answer> {
    Box::new(Counter { honest: Box::new(honest), serving, served })
}

struct Counter {
    honest: Box<dyn Answer>,
    serving: watch::Receiver<Serving>,
    served: Served,
}

impl Answer for Counter {
    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        self.honest.answer(ask)
    }

    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        async move {
            let mut block = self.honest.block(cid).await?;
            let number = self.served.note(*cid);
            let mut serving = self.serving.clone();
            let now = *serving.borrow_and_update();
            match now {
                Serving::Slowly(pause) => tokio::time::sleep(pause).await,
                // Nobody says otherwise any more once whoever may is gone.
                Serving::NoMore(from) if number >= from && serving.changed().await.is_err() => return None,
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

    async fn put(&self, block: &Hashed, _: Option<u64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(block.cid(), block.data().to_vec());
    }
}
