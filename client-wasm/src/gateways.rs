//! Gateways of relays, asked by JavaScript, which has `fetch`.

use ggen_net::bitswap::{self, ArchiveError};
use ggen_shared::content::{Hashed, Unhashed};
use ggen_shared::limits::MAX_BLOCK_BYTES;
use ggen_shared::record::ContentId;
use js_sys::Uint8Array;
use libp2p::PeerId;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

#[wasm_bindgen]
extern "C" {
    /// `Gateways` of `js/src/types.ts`.
    pub type JsGateways;

    #[wasm_bindgen(method)]
    fn peers(this: &JsGateways) -> String;

    #[wasm_bindgen(method)]
    fn ask(this: &JsGateways, peer: &str, path: &str, limit: f64) -> JsArchive;

    /// `Archive` of `js/src/types.ts`.
    type JsArchive;

    #[wasm_bindgen(method, catch)]
    async fn next(this: &JsArchive) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method)]
    fn cancel(this: &JsArchive);

    /// `ArchivedBlock` of `js/src/types.ts`.
    type JsBlock;

    #[wasm_bindgen(method, getter)]
    fn cid(this: &JsBlock) -> Uint8Array;

    #[wasm_bindgen(method, getter)]
    fn data(this: &JsBlock) -> Uint8Array;

    #[wasm_bindgen(method, getter)]
    fn digest(this: &JsBlock) -> Option<Uint8Array>;

    /// `ArchiveFault` of `js/src/types.ts`.
    type JsFault;

    #[wasm_bindgen(method, getter)]
    fn broken(this: &JsFault) -> Option<String>;
}

/// The gateways that JavaScript knows.
pub(crate) struct Gateways {
    js: JsGateways,
    peers: Vec<PeerId>,
}

impl Gateways {
    pub(crate) fn new(js: JsGateways) -> Self {
        let peers = js.peers().split(' ').filter_map(|peer| peer.parse().ok()).collect();
        Self { js, peers }
    }
}

impl bitswap::Gateways for Gateways {
    type Archive = Archive;

    fn peers(&self) -> Vec<PeerId> {
        self.peers.clone()
    }

    fn ask(&self, peer: &PeerId, path: &str, limit: u64) -> Archive {
        Archive(self.js.ask(&peer.to_string(), path, limit as f64))
    }
}

/// An archive that JavaScript receives.
pub(crate) struct Archive(JsArchive);

impl bitswap::Archive for Archive {
    async fn next(&mut self) -> Result<Option<(ContentId, Hashed)>, ArchiveError> {
        match self.0.next().await {
            Ok(end) if end.is_undefined() => Ok(None),
            Ok(block) => read(&block.unchecked_into()).map(Some),
            Err(fault) => Err(error(&fault.unchecked_into())),
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn read(block: &JsBlock) -> Result<(ContentId, Hashed), ArchiveError> {
    let cid = block.cid().to_vec();
    let cid =
        ContentId::try_from(cid.as_slice()).map_err(|_| ArchiveError::Broken("a block of another kind".into()))?;
    let data = block.data();
    if data.length() as usize > MAX_BLOCK_BYTES {
        return Err(ArchiveError::Broken("a block that is larger than any may be".into()));
    }
    let data = data.to_vec();
    let digest = block.digest().and_then(|digest| digest.to_vec().try_into().ok());
    let block = match digest {
        Some(digest) => Hashed::by_platform(cid.is_raw(), digest, data),
        // Pages that were not loaded securely have no WebCrypto.
        None => Unhashed { is_raw: cid.is_raw(), data }.hash(),
    };
    Ok((cid, block))
}

fn error(fault: &JsFault) -> ArchiveError {
    fault.broken().map_or(ArchiveError::Unreachable, ArchiveError::Broken)
}
