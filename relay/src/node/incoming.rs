//! Content that is being fetched: what the store has, and what comes in.

use std::sync::{Mutex, PoisonError};

use ggen_net::bitswap::Blocks;
use ggen_shared::content::Hashed;
use ggen_shared::record::ContentId;

use crate::policy;
use crate::store::{Batch, CommitError, Store};

/// Blocks on their way into the store. Some are made durable together; a fetch that breaks off goes on behind those.
pub(super) struct Incoming<'a> {
    store: &'a Store,
    blocks: Mutex<Vec<(ContentId, Vec<u8>)>>,
}

impl<'a> Incoming<'a> {
    pub(super) const fn new(store: &'a Store) -> Self {
        Self { store, blocks: Mutex::new(Vec::new()) }
    }

    /// Makes all that came durable.
    pub(super) async fn commit(&self) -> Result<(), CommitError> {
        let blocks = std::mem::take(&mut *self.blocks.lock().unwrap_or_else(PoisonError::into_inner));
        if blocks.is_empty() {
            return Ok(());
        }
        self.store.commit(Batch { blocks, ..Batch::default() }).await
    }
}

impl Blocks for Incoming<'_> {
    async fn get(&self, cid: &ContentId) -> Option<Vec<u8>> {
        // One that can't be read is fetched again.
        self.store.block(cid).await.ok().flatten()
    }

    async fn put(&self, block: &Hashed, _: Option<u64>) {
        let bytes: usize = {
            let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
            blocks.push((block.cid(), block.data().to_vec()));
            blocks.iter().map(|(_, data)| data.len()).sum()
        };
        if bytes >= policy::MAX_UNCOMMITTED_BYTES
            && let Err(error) = self.commit().await
        {
            tracing::warn!(%error, "fetched blocks could not be stored");
        }
    }
}
