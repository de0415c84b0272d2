//! The content of downloads, which JavaScript puts together, and keeps where it outlives the page.

use ggen_net::bitswap::Blocks;
use ggen_shared::content::{Hashed, Repeat};
use ggen_shared::limits::MAX_BLOCK_BYTES;
use ggen_shared::record::ContentId;
use js_sys::Uint8Array;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

#[wasm_bindgen]
extern "C" {
    /// `KeptBlocks` of `js/src/types.ts`. What it is lent of the module's memory, it copies at once.
    pub type KeptBlocks;

    #[wasm_bindgen(method, catch)]
    async fn get(this: &KeptBlocks, cid: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method)]
    fn found(this: &KeptBlocks, at: f64, leaf: &[u8]);

    #[wasm_bindgen(method)]
    fn put(this: &KeptBlocks, cid: &str, at: Option<f64>, block: &[u8]);

    #[wasm_bindgen(method)]
    fn repeat(this: &KeptBlocks, from: f64, to: f64, length: f64);
}

/// What the page holds of a download. A fault of it is that of a disk: the block is fetched, or not kept.
pub(crate) struct Kept(pub(crate) KeptBlocks);

impl Blocks for Kept {
    async fn get(&self, cid: &ContentId) -> Option<Vec<u8>> {
        let block = self.0.get(&cid.to_string()).await.ok()?.dyn_into::<Uint8Array>().ok()?;
        // What else writes into the page's storage is not known here.
        (block.length() as usize <= MAX_BLOCK_BYTES).then(|| block.to_vec())
    }

    fn found(&self, block: &Hashed, at: Option<u64>) {
        if let Some(at) = at {
            self.0.found(at as f64, block.data());
        }
    }

    async fn put(&self, block: &Hashed, at: Option<u64>) {
        self.0.put(&block.cid().to_string(), at.map(|at| at as f64), block.data());
    }

    fn repeat(&self, Repeat { from, to, length }: Repeat) {
        self.0.repeat(from as f64, to as f64, length as f64);
    }
}
