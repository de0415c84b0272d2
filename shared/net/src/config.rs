//! What a peer can choose. Everything else is agreed, and lives where it is used.

use std::time::Duration;

use ggen_shared::checkpoint::EPOCH_SECONDS;
use ggen_shared::id::Network;
use ggen_shared::rules::Schedule;
use libp2p::Multiaddr;

/// How a peer takes part in the network.
#[derive(Debug, Clone)]
pub struct P2PConfig {
    /// The network whose records count. Default: everyone's.
    pub network: Network,
    /// How long an epoch of the network is, in which a relay commits to what it holds once. Default: 60 s.
    pub epoch: Duration,
    /// The rules by which relays are asked, and in which epoch by which. Default: the first, for ever.
    pub rules: Schedule,
    /// Relays to begin with, each address ending in `/p2p/<peer id>`. Default: none.
    pub relays: Vec<Multiaddr>,
    /// Relays that served at another time, each address ending in `/p2p/<peer id>`: turned to where none of `relays` can be reached. They add
    /// availability, never agreement. Default: none.
    pub remembered: Vec<Multiaddr>,
    /// Whether further relays are looked for in the DHT. Default: yes.
    pub discover: bool,
    /// Whether content is also had from peers that are connected only because the DHT says that they have it. Default: yes.
    pub find_providers: bool,
    /// Relays that a light peer stays connected to. Default: 4.
    pub connections: usize,
    /// How long one question to one relay may take. Default: 10 s.
    pub request_timeout: Duration,
    /// How often a connection is pinged; a peer that stopped answering is noticed within about twice this. Default: 10 s.
    pub ping_interval: Duration,
    /// The software that identify tells. Default: this crate's name and version.
    pub agent: String,
}

impl Default for P2PConfig {
    fn default() -> Self {
        Self {
            network: Network::main(),
            epoch: Duration::from_secs(EPOCH_SECONDS),
            rules: Schedule::default(),
            relays: Vec::new(),
            remembered: Vec::new(),
            discover: true,
            find_providers: true,
            connections: 4,
            request_timeout: Duration::from_secs(10),
            ping_interval: Duration::from_secs(10),
            agent: concat!("ggen/", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}
