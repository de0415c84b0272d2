//! The seam to the browser for tasks and time.

use std::future::Future;
use std::num::NonZeroU8;
use std::time::Duration;

use futures_timer::Delay;
use ggen_net::light::Platform;
use ggen_shared::content::{Hashed, Unhashed};
use ggen_shared::registry::MaybeSend;
use js_sys::{Promise, Uint8Array};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_time::{SystemTime, UNIX_EPOCH};

/// A browser counts a timer's milliseconds in a signed 32-bit number and fires at once when it does not fit: it is due
/// earlier instead.
const LONGEST_SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// What is shorter is hashed here sooner than the browser is asked to.
const MIN_DIGEST_BYTES: usize = 16 * 1024;

#[wasm_bindgen]
extern "C" {
    /// Copies the bytes before it returns.
    #[wasm_bindgen(js_namespace = ["crypto", "subtle"], catch)]
    fn digest(algorithm: &str, data: &[u8]) -> Result<Promise, JsValue>;
}

/// A page or a worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Browser;

impl Platform for Browser {
    type Holes = libp2p::swarm::dummy::Behaviour;

    fn spawn(&self, task: impl Future<Output = ()> + MaybeSend + 'static) {
        spawn_local(task);
    }

    #[expect(clippy::disallowed_methods, reason = "the browser's clock seam")]
    fn now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + MaybeSend + 'static {
        Delay::new(duration.min(LONGEST_SLEEP))
    }

    fn holes(&self, _: libp2p::PeerId) -> Self::Holes {
        libp2p::swarm::dummy::Behaviour
    }

    /// By WebCrypto, which hashes on another thread, and several times as fast.
    async fn hash(&self, block: Unhashed) -> Hashed {
        if block.data.len() < MIN_DIGEST_BYTES {
            return block.hash();
        }
        // Pages that were not loaded securely have none.
        let Ok(promise) = digest("SHA-256", &block.data) else { return block.hash() };
        let digest =
            JsFuture::from(promise).await.ok().and_then(|digest| Uint8Array::new(&digest).to_vec().try_into().ok());
        match digest {
            Some(digest) => Hashed::by_platform(block.is_raw, digest, block.data),
            None => block.hash(),
        }
    }

    fn swarm_config(&self) -> libp2p::swarm::Config {
        // Each address that is tried beside another one is a WebSocket or a WebRTC handshake more.
        libp2p::swarm::Config::with_executor(spawn_local).with_dial_concurrency_factor(NonZeroU8::MIN)
    }
}
