//! The protocol of the ggen marketplace: publishers sign, relays carry, browsers verify.
//!
//! Pure: no clock, no randomness, no socket, no JavaScript. Time and entropy come in as arguments, so the same code runs
//! in a relay, in a browser, in a simulation and under a fuzzer. Bytes from a peer take one way: decode to
//! [`record::Unverified`], `verify` to [`record::Verified`], and only then into any state.

#![forbid(unsafe_code)]

pub mod catalogue;
pub mod checkpoint;
pub mod client;
pub mod codec;
pub mod content;
pub mod id;
pub mod limits;
pub mod merkle;
mod parallel;
pub mod protocol;
pub mod record;
pub mod registry;
pub mod reputation;
pub mod rules;
pub mod search;
pub mod sync;
pub mod varint;
