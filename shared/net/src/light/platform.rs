//! The seam to the world: tasks and time, what gets through routers, and what it does faster.

use std::fmt::Debug;
use std::future::{Future, ready};
use std::time::Duration;

use ggen_shared::content::{Hashed, Unhashed};
use ggen_shared::registry::MaybeSend;
use libp2p::PeerId;
use libp2p::swarm::NetworkBehaviour;

/// Where a light peer runs.
pub trait Platform: Clone + Send + Sync + 'static {
    /// Makes direct connections of those that lead through relays. A browser, which can't be dialed, has a dummy.
    type Holes: NetworkBehaviour<ToSwarm: Debug> + Send;

    /// Runs a task to its end.
    fn spawn(&self, task: impl Future<Output = ()> + MaybeSend + 'static);

    /// The time since 1970.
    fn now(&self) -> Duration;

    /// Ends after this long.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + MaybeSend + 'static;

    /// What makes direct connections for the peer `local`.
    fn holes(&self, local: PeerId) -> Self::Holes;

    /// Hashes a block. Browsers have a faster way than this.
    fn hash(&self, block: Unhashed) -> impl Future<Output = Hashed> + MaybeSend {
        ready(block.hash())
    }

    /// How the swarm runs its connections.
    fn swarm_config(&self) -> libp2p::swarm::Config;
}
