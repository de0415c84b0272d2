//! The relays that a command is run with.

use std::collections::BTreeSet;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::StreamExt;
use ggen_net::P2PConfig;
use ggen_net::light::{Connection, LightPeer, Phase};
use ggen_relay::market::{address, peer};
use ggen_relay::{causes, reputations};
use ggen_shared::checkpoint::EPOCH_SECONDS;
use ggen_shared::id::Network;
use libp2p::Multiaddr;

/// How long the relays may take to be reached.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The peer of this run, whose experiences the next one has too.
static PEER: OnceLock<LightPeer<peer::Tokio>> = OnceLock::new();

/// Writes down what this run learned of peers, if it met any.
pub(crate) fn keep_reputations() {
    let Some(peer) = PEER.get() else { return };
    if let Err(error) = reputations::write(&reputations::default_path(), &peer.reputations()) {
        tracing::warn!("what was learned of peers is forgotten: {}", causes::of(&error));
    }
}

// No doc comment: it would take the place of the help of each command that has these.
#[derive(clap::Args)]
pub(crate) struct Relays {
    /// A relay to ask or to publish to, such as `/ip4/127.0.0.1/tcp/4801/p2p/12D3KooW…`: one of the addresses in its
    /// `/.well-known/ggen/relay.json`; repeatable. The environment has several with commas between.
    #[arg(
        long = "relay", value_name = "MULTIADDR", env = "GGEN_RELAY", value_delimiter = ',', value_parser = address::parse
    )]
    addresses: Vec<Multiaddr>,
    /// How long an epoch of the network is: that of its relays.
    #[arg(
        long, value_name = "SECONDS", env = "GGEN_EPOCH_SECONDS", default_value_t = EPOCH_SECONDS,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    epoch_seconds: u64,
}

impl Relays {
    pub(crate) const fn are_named(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Where they are, for another use beside the first.
    pub(crate) fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    /// Where they are.
    pub(crate) fn into_addresses(self) -> Vec<Multiaddr> {
        self.addresses
    }

    /// That there is one.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if self.addresses.is_empty() {
            bail!("--relay is missing, and GGEN_RELAY is not set: {}", address::EXPECTED);
        }
        Ok(())
    }

    /// Connects to the relays: at least one, and the others as far as they answer while the first does.
    pub(crate) async fn connect(self, network: Network) -> anyhow::Result<LightPeer<peer::Tokio>> {
        let (peer, problems) = self.try_to_connect(network).await?;
        if peer.connected().is_empty() {
            bail!("no relay could be reached. Is it running, and is this its address?\n  {}", problems.join("\n  "));
        }
        for problem in problems {
            eprintln!("warning: relay {problem}");
        }
        Ok(peer)
    }

    /// Connects to the relays as far as they answer; and says of the others why they don't.
    pub(crate) async fn try_to_connect(
        self,
        network: Network,
    ) -> anyhow::Result<(LightPeer<peer::Tokio>, Vec<String>)> {
        self.check()?;
        let Self { addresses: relays, epoch_seconds } = self;
        // A relay may be named by several addresses.
        let named: BTreeSet<_> = relays.iter().filter_map(|it| Some(ggen_net::address::split_peer(it)?.0)).collect();
        let wanted = named.len();
        let config = P2PConfig {
            network,
            relays,
            discover: false,
            connections: wanted,
            epoch: Duration::from_secs(epoch_seconds),
            ..P2PConfig::default()
        };
        let (peer, mut events) = peer::start(config).context("the network could not be set up")?;
        match reputations::read(&reputations::default_path()) {
            Ok(before) => peer.remember(before),
            Err(error) => tracing::warn!("{}", causes::of(&error)),
        }
        // A run has one peer.
        _ = PEER.set(peer.clone());
        let settled = async {
            loop {
                let connections = peer.connections();
                // A relay that failed once is not waited for.
                let trying = connections.iter().filter(|c| c.phase == Phase::Connecting).count();
                if connections.len() == wanted && trying == 0 || events.next().await.is_none() {
                    return;
                }
            }
        };
        // What is connected by then is used.
        _ = tokio::time::timeout(CONNECT_TIMEOUT, settled).await;
        let connections = peer.connections();
        let failed = connections.iter().filter(|connection| connection.phase != Phase::Connected);
        let problems = failed.map(problem).collect();
        // Nobody reads events from here on; the peer does not mind.
        Ok((peer, problems))
    }
}

/// Which relay is not connected, and why.
fn problem(Connection { peer, address, problem, .. }: &Connection) -> String {
    let address = match ggen_net::address::split_peer(address) {
        Some(_) => address.to_string(),
        None => format!("{address}/p2p/{peer}"),
    };
    let reason = problem.as_deref().unwrap_or("no answer");
    // The reason of a failed dial begins with the address that was dialed.
    let reason = causes::one_line(reason.strip_prefix(address.as_str()).unwrap_or(reason));
    let reason = reason.trim_start_matches([':', ' ']);
    format!("{address}: {}", if reason.is_empty() { "no connection" } else { reason })
}
