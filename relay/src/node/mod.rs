//! The running relay: starts everything, and is the handle to it.

mod behaviour;
mod claims;
mod dial_backs;
mod incoming;
mod neighbours;
mod on_heap;
pub(crate) mod peers;
mod progress;
mod repair;
mod slots;
mod swarm;
mod sync;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ggen_net::P2PConfig;
use ggen_net::streams::OpenError;
use libp2p::{Multiaddr, PeerId, Stream};
use tokio::sync::{mpsc, oneshot, watch};

pub use self::progress::{Cost, Progress};
pub(crate) use self::work::Work;
use crate::admission::Shelf;
use crate::checkpoints::{self, Checkpoints};
use crate::evidence::Kept;
use crate::exclusions::{self, Heeded};
use crate::identity::{self, Identity};
use crate::meter::Meter;
use crate::query::Answer;
use crate::registry::Local;
use crate::store::{CommitError, LoadError, OpenError as StoreError, Store};
use crate::{Config, http, policy, reputations, serve, transport};

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The identity could not be loaded or made.
    #[error(transparent)]
    Identity(#[from] identity::Error),
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The records could not be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What the operator excludes can't be read: to start without it would list it.
    #[error(transparent)]
    Exclusions(#[from] exclusions::Error),
    /// What was committed to before can't be gone on from.
    #[error(transparent)]
    Checkpoint(#[from] checkpoints::Error),
    /// The first checkpoint could not be stored.
    #[error("the relay could not store its checkpoint: {0}")]
    Commit(#[from] CommitError),
    /// A transport could not be set up.
    #[error("the network could not be set up: {0}")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An address can't be listened on.
    #[error("{address} can't be listened on: {reason}")]
    Listen {
        /// Which address.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
    /// The address for HTTP can't be bound.
    #[error("http address {address} can't be bound: {source}")]
    Http {
        /// Which address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// What the node wants done or known, from other tasks.
pub(crate) enum Command {
    /// Spread a record that was just admitted.
    Announce { record: Vec<u8> },
    /// Open a stream to a connected peer.
    Open { peer: PeerId, protocol: &'static str, opened: futures::channel::oneshot::Sender<Result<Stream, OpenError>> },
    /// Tell gossip what became of a message.
    Report { message: libp2p::gossipsub::MessageId, from: PeerId, acceptance: libp2p::gossipsub::MessageAcceptance },
    /// Name the relays that are connected.
    Relays { relays: oneshot::Sender<Vec<PeerId>> },
    /// Dump the routing table.
    Routing { table: oneshot::Sender<Vec<PeerId>> },
}

/// What is known of the relay's place in the network.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Addresses that can be dialed, each ending in `/p2p/<peer id>`.
    pub addresses: Vec<Multiaddr>,
    /// Where the relays can be dialed that it joined the network through, as they say themselves.
    pub anchors: Vec<Multiaddr>,
    /// Peers that are connected.
    pub connected: usize,
    /// Whether a relay that it is to join neither answered nor failed to yet.
    pub joining: bool,
}

/// A running relay. It stops when [`Relay::stop`] is awaited.
pub struct Relay {
    peer_id: PeerId,
    shelf: Arc<Shelf>,
    registry: Local,
    status: watch::Receiver<Status>,
    commands: mpsc::Sender<Command>,
    progress: watch::Receiver<Progress>,
    meter: Arc<Meter>,
    http: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    tasks: tokio::task::JoinSet<()>,
}

impl Relay {
    /// Starts a relay: returns once it listens on every address and has loaded everything that it held.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, |shelf| Box::new(shelf)).await
    }

    /// Starts a relay whose answers are made by something else than its shelf: the seam that tests of lying relays use.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_with(
        config: Config,
        answer: impl FnOnce(Arc<Shelf>) -> Box<dyn Answer>,
    ) -> Result<Self, StartError> {
        transport::install_crypto();
        let identity = Identity::load_or_create(&config.data_dir)?;
        let store = Store::open(&config.data_dir)?;
        let (network, rules) = (config.network.clone(), config.rules.rules);
        let (heeded, exclusions) = Heeded::open(&config.data_dir)?;
        let opened =
            tokio::task::spawn_blocking(move || Shelf::open_excluding(store, network, rules, exclusions)).await;
        let (shelf, left_out) = opened.expect("opening the shelf does not panic")?;
        if left_out > 0 {
            tracing::warn!(left_out, "records that do not verify were left out");
        }
        let shelf = Arc::new(shelf);
        let mut checkpoints = Checkpoints::open(&shelf, &identity.keypair, config.epoch, config.rules)?;
        checkpoints.make(&shelf, now()).await?;
        let peer_id = identity.keypair.public().to_peer_id();
        tracing::info!(%peer_id, records = shelf.catalogue().record_count(), "records loaded and verified");

        let (network, relays) = (config.network.clone(), config.bootstrap.clone());
        let net = P2PConfig { network, relays, agent: agent(), ..P2PConfig::default() };
        let behaviour = behaviour::RelayBehaviour::new(&identity.keypair, &shelf, &net, config.circuits, config.upnp);
        let meter = Arc::new(Meter::default());
        let swarm = transport::swarm(&identity, on_heap::OnHeap(behaviour), policy::IDLE_TIMEOUT, &meter)
            .map_err(StartError::Transport)?;
        let (commands, inbox) = mpsc::channel(policy::COMMANDS);
        let (tell, status) = watch::channel(Status::default());
        let (stop, stopped) = watch::channel(false);
        let evidence = Kept::read(&config.data_dir, config.network.clone(), config.rules, &config.bootstrap);
        let reputations = reputations::Kept::read(&config.data_dir, now());
        let answer = answer(shelf.clone());
        let work = Arc::new(work::Work::new(shelf.clone(), evidence, reputations, answer, commands.clone()));
        let registry = Local::new(peer_id, work.clone());
        let (meet, met) = mpsc::channel(policy::SYNCS_WAITING);
        let mut node = swarm::Node::new(swarm, work.clone(), tell, meet, &config);
        node.listen(&config).await?;

        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(node.run(inbox, stopped.clone()));
        let (progress, mut ended) = (work.progress().listen(), stopped.clone());
        if !config.sync {
            work.progress().skip();
        } else {
            let work = work.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = sync::run(work.clone(), met) => {}
                    () = repair::run(work) => {}
                    _ = ended.changed() => {}
                }
            });
        }
        tasks.spawn(remember_peers(work.clone(), stopped.clone()));
        tasks.spawn(make_checkpoints(checkpoints, heeded, work, stopped.clone()));
        tasks.spawn(pack_records(shelf.clone(), stopped.clone()));
        let mut relay = Self { peer_id, shelf, registry, status, commands, progress, meter, http: None, stop, tasks };
        if let Some(address) = config.http {
            relay.serve_http(address, config.www.as_deref(), stopped).await?;
        }
        Ok(relay)
    }

    async fn serve_http(
        &mut self,
        address: SocketAddr,
        www: Option<&std::path::Path>,
        mut stopped: watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let bind = |source| StartError::Http { address, source };
        let listener = tokio::net::TcpListener::bind(address).await.map_err(bind)?;
        self.http = Some(listener.local_addr().map_err(bind)?);
        let state = http::State::new(
            self.peer_id,
            self.shelf.clone(),
            self.registry.clone(),
            self.status.clone(),
            self.progress.clone(),
            self.meter.clone(),
            self.commands.clone(),
        );
        let router = http::router(state, www);
        self.tasks.spawn(async move {
            let stop = async move { _ = stopped.wait_for(|stop| *stop).await };
            serve::serve(listener, router, serve::Limits::default(), stop).await;
        });
        Ok(())
    }

    /// Who the relay is.
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Where HTTP is served, the port filled in.
    pub const fn http(&self) -> Option<SocketAddr> {
        self.http
    }

    /// How far it has come in getting what other relays have.
    pub const fn progress(&self) -> &watch::Receiver<Progress> {
        &self.progress
    }

    /// Where it can be dialed, each address ending in `/p2p/<peer id>`.
    pub fn addresses(&self) -> Vec<Multiaddr> {
        self.status.borrow().addresses.clone()
    }

    /// What it holds.
    pub const fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// What it holds, as a registry.
    pub const fn registry(&self) -> &Local {
        &self.registry
    }

    /// Waits until its status is as wanted.
    pub async fn wait_for(&self, wanted: impl FnMut(&Status) -> bool) {
        // The sender lives as long as the node; a stopped node has no status to wait for.
        _ = self.status.clone().wait_for(wanted).await;
    }

    /// The peers in its routing table.
    pub async fn routing_table(&self) -> Vec<PeerId> {
        let (table, answer) = oneshot::channel();
        if self.commands.send(Command::Routing { table }).await.is_err() {
            return Vec::new();
        }
        answer.await.unwrap_or_default()
    }

    /// Stops: no new work, what runs may end within [`policy::SHUTDOWN_GRACE`].
    pub async fn stop(mut self) {
        // All receivers are gone when everything has stopped by itself.
        _ = self.stop.send(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(policy::SHUTDOWN_GRACE, all).await.is_err() {
            tracing::warn!("some work did not end in time and was cut off");
        }
        self.shelf.store().close().await;
    }
}

/// Commits to what the shelf holds, epoch after epoch, but for what the operator excludes by then.
async fn make_checkpoints(
    mut checkpoints: Checkpoints,
    mut heeded: Heeded,
    work: Arc<Work>,
    mut stopped: watch::Receiver<bool>,
) {
    let stopped = async { _ = stopped.wait_for(|stop| *stop).await };
    let checkpoints = async {
        loop {
            tokio::time::sleep(checkpoints.until_next(now())).await;
            heeded = heed(heeded, &work).await;
            if let Err(error) = checkpoints.make(work.shelf(), now()).await {
                tracing::error!(%error, "no checkpoint could be made");
            }
        }
    };
    tokio::select! {
        () = checkpoints => {}
        () = stopped => {}
    }
}

/// Excludes what the operator's list says now.
async fn heed(mut heeded: Heeded, work: &Arc<Work>) -> Heeded {
    let shelf = work.shelf().clone();
    let heeding = tokio::task::spawn_blocking(move || {
        let before = shelf.catalogue().exclusions().clone();
        // Also of the same list: what it is about may have come since.
        let list = heeded.read().unwrap_or_else(|| before.clone());
        let is_changed = list != before;
        let served = shelf.exclude(&list);
        if is_changed {
            let releases = shelf.catalogue().excluded().count();
            tracing::info!(lines = list.len(), releases, "the list of what is excluded was changed");
        }
        (heeded, served)
    });
    let (heeded, served) = heeding.await.expect("heeding a list does not panic");
    // It may not have come while it was excluded.
    served.into_iter().for_each(|content| work.lacking().note(content));
    heeded
}

/// Writes down what is thought of peers, now and then and at the end.
async fn remember_peers(work: Arc<Work>, mut stopped: watch::Receiver<bool>) {
    let mut is_stopped = false;
    while !is_stopped {
        let stop = stopped.wait_for(|stop| *stop);
        is_stopped = tokio::time::timeout(policy::REPUTATIONS_INTERVAL, stop).await.is_ok();
        let work = work.clone();
        // A panic there is told by the runtime.
        _ = tokio::task::spawn_blocking(move || work.reputations().write()).await;
    }
}

/// Packs for answers what the relay holds, in the background: else the first answers after a start would have to.
async fn pack_records(shelf: Arc<Shelf>, stopped: watch::Receiver<bool>) {
    let mut last = None;
    while !*stopped.borrow() {
        let shelf = shelf.clone();
        let some = tokio::task::spawn_blocking(move || shelf.pack_after(last.as_ref())).await;
        match some {
            Ok(Some(id)) => last = Some(id),
            Ok(None) | Err(_) => return,
        }
    }
}

/// The time since 1970.
#[expect(clippy::disallowed_methods, reason = "this is the seam that time comes in by")]
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The software, as identify tells it.
fn agent() -> String {
    concat!("ggen-relay/", env!("CARGO_PKG_VERSION")).into()
}

/// How long the node waits for the first address of each listener.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(10);
