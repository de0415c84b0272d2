//! The seam to the world: tasks, time, and what gets through routers.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

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

    /// How the swarm runs its connections.
    fn swarm_config(&self) -> libp2p::swarm::Config;
}
