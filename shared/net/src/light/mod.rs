//! The light peer: a DHT client that asks relays, verifies what they say, and hears announcements.
//!
//! [`start`] spawns one driver that owns the swarm; a [`LightPeer`] is a handle to it. The driver is generic over
//! [`Platform`], so that browsers, the command line and tests run the same code.

mod driver;
mod event;
mod key_logs;
mod peer;
mod platform;
mod providers;
mod swarm;

pub use driver::start;
pub use event::Event;
pub use peer::{AskError, Connection, FetchError, FoundHead, HeadError, LightPeer, Phase};
pub use platform::Platform;
pub use swarm::{AsyncReadWrite, RawStream, Transports};
