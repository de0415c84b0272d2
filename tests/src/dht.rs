//! A server of the DHT that names providers of content, whether they lead anywhere or not.

use futures::StreamExt;
use ggen_shared::protocol::names;
use ggen_shared::record::ContentId;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig, RecordStore};
use libp2p::kad::{self, ProviderRecord, RecordKey};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, PeerId, StreamProtocol, identify};
use tokio::net::TcpListener;

use crate::listening::listening;

/// A server that is asked like any relay; it stops when this is dropped.
pub struct NamesProviders {
    /// Where it can be dialed, its id at the end.
    pub address: Multiaddr,
    task: tokio::task::JoinHandle<()>,
}

/// Providers of some content, each with its addresses.
pub type Named = Vec<(PeerId, Vec<Multiaddr>)>;

#[derive(NetworkBehaviour)]
struct Behaviour {
    kad: kad::Behaviour<MemoryStore>,
    identify: identify::Behaviour,
}

impl NamesProviders {
    /// Starts a server that names these providers of these contents, and nobody else.
    ///
    /// # Panics
    /// When it can't listen.
    pub async fn start(named: impl IntoIterator<Item = (ContentId, Named)>) -> Self {
        let keypair = Keypair::generate_ed25519();
        let local = keypair.public().to_peer_id();
        let config = MemoryStoreConfig { max_providers_per_key: 1000, ..MemoryStoreConfig::default() };
        let mut store = MemoryStore::with_config(local, config);
        for (cid, providers) in named {
            let key = RecordKey::new(&cid.multihash_bytes());
            for (provider, addresses) in providers {
                store.add_provider(ProviderRecord::new(key.clone(), provider, addresses)).expect("room for them");
            }
        }
        let mut config = kad::Config::new(StreamProtocol::new(names::KADEMLIA));
        config.set_max_packet_size(64 * 1024);
        let mut kad = kad::Behaviour::with_config(local, store, config);
        kad.set_mode(Some(kad::Mode::Server));
        let identify = identify::Behaviour::new(identify::Config::new(names::IDENTIFY.into(), keypair.public()));
        let (mut swarm, address) = listening(keypair, Behaviour { kad, identify }).await;
        let task = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Self { address, task }
    }
}

impl Drop for NamesProviders {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Addresses that take connections and never say a word.
pub struct BlackHoles {
    listeners: Vec<TcpListener>,
}

impl BlackHoles {
    /// So many addresses.
    ///
    /// # Panics
    /// When there are no ports.
    pub async fn open(count: usize) -> Self {
        let mut listeners = Vec::new();
        for _ in 0..count {
            listeners.push(TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        }
        Self { listeners }
    }

    /// Providers that nobody has ever met, each at all of the addresses.
    ///
    /// # Panics
    /// Never: the listeners have addresses.
    pub fn providers(&self, count: usize) -> Named {
        let port = |listener: &TcpListener| listener.local_addr().expect("a bound listener").port();
        let addresses: Vec<Multiaddr> = self
            .listeners
            .iter()
            .map(|listener| format!("/ip4/127.0.0.1/tcp/{}", port(listener)).parse().expect("an address"))
            .collect();
        (0..count).map(|_| (PeerId::random(), addresses.clone())).collect()
    }
}
