//! The seam to the world: tasks and time.

use std::future::Future;
use std::time::Duration;

use ggen_shared::registry::MaybeSend;

/// Where a light peer runs.
pub trait Platform: Clone + Send + Sync + 'static {
    /// Runs a task to its end.
    fn spawn(&self, task: impl Future<Output = ()> + MaybeSend + 'static);

    /// The time since 1970.
    fn now(&self) -> Duration;

    /// Ends after this long.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + MaybeSend + 'static;

    /// How the swarm runs its connections.
    fn swarm_config(&self) -> libp2p::swarm::Config;
}
