//! What a peer that only a test has runs on: a swarm that listens on loopback.

use std::time::Duration;

use futures::StreamExt;
use libp2p::identity::Keypair;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Swarm, SwarmBuilder, noise, tcp, yamux};

use crate::within;

/// Starts a swarm on TCP: it, and where it can be dialed, its id at the end.
pub(crate) async fn listening<B: NetworkBehaviour>(keypair: Keypair, behaviour: B) -> (Swarm<B>, Multiaddr) {
    let local = keypair.public().to_peer_id();
    let mut swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
        .expect("an Ed25519 identity can sign the noise handshake")
        .with_behaviour(|_| behaviour)
        .expect("a behaviour")
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
        .build();
    swarm.listen_on("/ip4/127.0.0.1/tcp/0".parse().expect("a constant address")).expect("it can listen");
    let address = within("an address to listen on", async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                return address;
            }
        }
    });
    let address = address.await.with_p2p(local).expect("an address without a peer");
    (swarm, address)
}
