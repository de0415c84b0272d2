//! A peer that serves content from where it is, behind a home router too: it holds reservations at relays, names them in the DHT as the way to
//! it, and sends blocks to whoever wants them. Connections that come through a relay become direct ones where the routers between let them.
//!
//! Only addresses that were confirmed are named: by a relay that granted a reservation, or by one that dialed back (AutoNAT).

mod files;
mod node;

use std::sync::Arc;

use ggen_net::bitswap::Exchange;
use ggen_net::streams::OpenError;
use ggen_shared::id::Network;
use ggen_shared::protocol::names;
use ggen_shared::record::ContentId;
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::timeout;

pub use self::files::Files;
use crate::blocks::{self, Wants};
use crate::holes::{Way, Ways};
use crate::market::peer::Tokio;
use crate::node::peers::Peers;
use crate::policy;

/// How a serving peer is set up.
pub struct Config {
    /// Who it is. The same at every start, so that what the DHT says of it stays true.
    pub keypair: Keypair,
    /// The network of its relays.
    pub network: Network,
    /// Relays, each address ending in `/p2p/<peer id>`.
    pub relays: Vec<Multiaddr>,
    /// Where it listens by itself, for those that can reach it; none: only relays lead to it.
    pub listen: Vec<Multiaddr>,
    /// Whether the router is asked to let others in there, where there is one that does so (UPnP).
    pub upnp: bool,
}

/// How it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// Relays that it is connected to.
    pub connected: Vec<PeerId>,
    /// Addresses that lead to it, and are confirmed.
    pub addresses: Vec<Multiaddr>,
    /// How many of its contents the DHT was told of, since the addresses are what they are.
    pub announced: usize,
    /// Blocks that it has sent.
    pub sent: u64,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
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
}

/// A peer that serves. It stops when it is dropped.
pub struct Provider {
    peer_id: PeerId,
    status: watch::Receiver<Status>,
    task: tokio::task::JoinHandle<()>,
}

impl Provider {
    /// Starts it. It serves for as long as it lives, whatever becomes of its relays: those that are lost are dialed again.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(config: Config, files: Files) -> Result<Self, StartError> {
        let peer_id = config.keypair.public().to_peer_id();
        let (open, to_open) = mpsc::channel(policy::COMMANDS);
        let (tell, status) = watch::channel(Status::default());
        let host = Arc::new(Host::new(files, open, tell));
        let node = node::Node::start(config, host).await?;
        Ok(Self { peer_id, status, task: tokio::spawn(node.run(to_open)) })
    }

    /// Who it is.
    pub const fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// How it stands, now and whenever that changes.
    pub const fn status(&self) -> &watch::Receiver<Status> {
        &self.status
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A stream that is to be opened.
struct Open {
    peer: PeerId,
    opened: futures::channel::oneshot::Sender<Result<Stream, OpenError>>,
}

/// What the tasks that send blocks share.
struct Host {
    files: Arc<Files>,
    open: mpsc::Sender<Open>,
    status: watch::Sender<Status>,
    peers: Peers,
    streams: Arc<Semaphore>,
    wants: Wants,
    exchange: Exchange<Tokio>,
    ways: Ways,
}

impl Host {
    fn new(files: Files, open: mpsc::Sender<Open>, status: watch::Sender<Status>) -> Self {
        Self {
            files: Arc::new(files),
            open,
            status,
            peers: Peers::default(),
            streams: Arc::new(Semaphore::new(policy::MAX_STREAMS)),
            wants: Wants::default(),
            exchange: Exchange::new(Tokio::default()),
            ways: Ways::default(),
        }
    }

    /// Serves a stream on which a peer says what it wants. Past the bounds it is dropped, which resets it.
    fn accept(self: &Arc<Self>, peer: PeerId, stream: Stream) {
        let own = self.peers.of(peer).bitswap.clone().try_acquire_owned();
        let (Ok(own), Ok(all)) = (own, self.streams.clone().try_acquire_owned()) else {
            tracing::debug!(%peer, "too many streams: one is dropped");
            return;
        };
        let host = self.clone();
        tokio::spawn(async move {
            let _permits: [OwnedSemaphorePermit; 2] = [own, all];
            if let Err(error) = blocks::serve(&host, peer, stream).await {
                tracing::debug!(%peer, %error, "a stream ended badly");
            }
        });
    }
}

impl blocks::Host for Host {
    fn wants(&self) -> &Wants {
        &self.wants
    }

    fn exchange(&self) -> &Exchange<Tokio> {
        &self.exchange
    }

    async fn has_block(&self, cid: &ContentId) -> bool {
        self.files.has(cid)
    }

    async fn block(&self, cid: &ContentId) -> Option<Vec<u8>> {
        let (files, wanted) = (self.files.clone(), *cid);
        let read = tokio::task::spawn_blocking(move || files.block(&wanted)).await.ok()?;
        let block = read.unwrap_or_else(|error| {
            tracing::warn!(%error, %cid, "a block can't be read");
            None
        });
        if block.is_some() {
            self.status.send_modify(|status| status.sent += 1);
        }
        block
    }

    fn is_direct(&self, peer: &PeerId) -> bool {
        self.ways.of(peer) == Some(Way::Direct)
    }

    async fn open_bitswap(&self, peer: PeerId) -> Option<Stream> {
        let (opened, stream) = futures::channel::oneshot::channel();
        self.open.send(Open { peer, opened }).await.ok()?;
        timeout(policy::QUESTION_TIMEOUT, stream).await.ok()?.ok()?.ok()
    }
}

const BITSWAP: StreamProtocol = StreamProtocol::new(names::BITSWAP);
