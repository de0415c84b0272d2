//! Blocks by Bitswap: whatever holds a block sends it to whoever wants it, and nobody takes one for what it is not.
//!
//! Bitswap knows no answers, only messages: each side opens streams of its own to send them. So blocks that are asked for on one
//! stream come on another, and [`Exchange`] brings the two together: it knows what was asked of whom, and hands what comes to
//! the downloads that want it. What to ask of whom is for [`ggen_shared::content::session`] to decide.

mod download;
mod exchange;
mod gateway;
mod outbox;
mod tally;
mod wire;

pub use download::{Blocks, Candidate, Event, NoBlocks, download};
pub use exchange::Exchange;
pub use gateway::{Archive, ArchiveError, Gateways, NoGateways};
pub use outbox::{LINGER, Opener};
pub use tally::Tally;
pub use wire::{Error, read_body, read_length, read_message, write, write_at_once};
