//! Direct connections in place of those that lead through relays, between peers of which either may be behind a router.
//!
//! Whoever is dialed through a relay asks for it (DCUtR): both tell where relays see them, then both dial at the same moment, so that each
//! router takes what comes for an answer. For that a peer has to listen, and to dial from where it listens; [`Observe`] sees to it. Where one of
//! both can be dialed by anybody, the other's dial is enough: [`Reverse`]. Streams prefer a direct connection as soon as there is one.
#![allow(
    missing_docs,
    reason = "the derived event enum has no place for docs: its variants are the fields of the struct"
)]

pub(crate) mod address;
mod observe;
mod punch;
mod reverse;
mod ways;

use libp2p::PeerId;
use libp2p::connection_limits::{self, ConnectionLimits};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;

pub use self::observe::{Observe, When};
pub use self::punch::Punch;
pub use self::reverse::Reverse;
pub use self::ways::{Way, Ways};

/// What makes direct connections.
#[derive(NetworkBehaviour)]
pub struct Holes {
    // The first, so that the others never hear of a connection that is one too many.
    limits: connection_limits::Behaviour,
    // Before the next, which dials what this one lets be dialed.
    punch: Toggle<Punch>,
    reverse: Reverse,
    observe: Observe,
    ways: Ways,
}

impl Holes {
    /// For the peer `local`, which takes connections within `limits`, and tells in `ways` how others are connected.
    pub fn new(local: PeerId, when: When, limits: ConnectionLimits, ways: Ways) -> Self {
        Self {
            limits: connection_limits::Behaviour::new(limits),
            punch: (!matches!(when, When::Never)).then(|| Punch::new(local)).into(),
            reverse: Reverse::default(),
            observe: Observe::new(when),
            ways,
        }
    }
}
