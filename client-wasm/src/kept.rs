//! Blocks of downloads under way, which JavaScript keeps where they outlive the page.

use ggen_net::bitswap::Blocks;
use ggen_shared::content::Hashed;
use ggen_shared::limits::MAX_BLOCK_BYTES;
use ggen_shared::record::ContentId;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

#[wasm_bindgen]
extern "C" {
    /// `KeptBlocks` of `js/src/types.ts`.
    pub type KeptBlocks;

    #[wasm_bindgen(method, catch)]
    async fn get(this: &KeptBlocks, cid: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method)]
    fn put(this: &KeptBlocks, cid: &str, block: Uint8Array);
}

/// What the page keeps, if it keeps anything. A fault of it is that of a disk: the block is fetched, or not kept.
pub(crate) struct Kept(pub(crate) Option<KeptBlocks>);

impl Blocks for Kept {
    async fn get(&self, cid: &ContentId) -> Option<Vec<u8>> {
        let block = self.0.as_ref()?.get(&cid.to_string()).await.ok()?.dyn_into::<Uint8Array>().ok()?;
        // What else writes into the page's storage is not known here.
        (block.length() as usize <= MAX_BLOCK_BYTES).then(|| block.to_vec())
    }

    async fn put(&self, block: &Hashed) {
        if let Some(kept) = &self.0 {
            // A copy: the module's memory moves while JavaScript is at it.
            kept.put(&block.cid().to_string(), Uint8Array::from(block.data()));
        }
    }
}
