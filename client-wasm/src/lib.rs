//! The ggen marketplace's light client for browsers: asks any relay, believes none.
//!
//! This is the browser's shell around `ggen-net`: web transports, the browser's clock and tasks, and a class for
//! JavaScript. What decides anything is in `ggen-shared` and `ggen-net`, and is the same on every platform.
//!
//! What does not touch JavaScript is also built natively, for its tests.
#![cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "natively only the tests use it"))]

#[cfg(any(target_arch = "wasm32", test))]
mod error;
#[cfg(any(target_arch = "wasm32", test))]
mod inbound;
#[cfg(any(target_arch = "wasm32", test))]
mod names;
#[cfg(any(target_arch = "wasm32", test))]
mod options;
#[cfg(any(target_arch = "wasm32", test))]
mod view;
#[cfg(any(target_arch = "wasm32", test))]
mod webrtc;
#[cfg(any(target_arch = "wasm32", test))]
mod websocket;

#[cfg(target_arch = "wasm32")]
mod client;
#[cfg(target_arch = "wasm32")]
mod gateways;
#[cfg(target_arch = "wasm32")]
mod js;
#[cfg(target_arch = "wasm32")]
mod kept;
#[cfg(all(target_arch = "wasm32", feature = "perf"))]
mod perf;
#[cfg(target_arch = "wasm32")]
mod platform;
#[cfg(target_arch = "wasm32")]
mod transport;

#[cfg(target_arch = "wasm32")]
pub use client::{Client, on_load};
#[cfg(any(target_arch = "wasm32", test))]
pub use error::Error;
