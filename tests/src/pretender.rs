//! A relay that says of everything that it keeps it, and keeps nothing.

use futures::StreamExt;
use ggen_net::{P2PBehaviour, P2PBehaviourEvent, P2PConfig, Role, exchange, streams};
use ggen_shared::protocol::names;
use ggen_shared::protocol::publish::{Receipt, ReceiptReply, Wanted, WantedReply};
use ggen_shared::record::UnverifiedRecord;
use libp2p::identity::Keypair;
use libp2p::kad::store::MemoryStore;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, Stream};

use crate::listening::listening;
use crate::network;

/// Such a relay; it stops when this is dropped.
pub struct Pretender {
    /// Where it can be dialed, its id at the end.
    pub address: Multiaddr,
    task: tokio::task::JoinHandle<()>,
}

impl Pretender {
    /// Starts it.
    ///
    /// # Panics
    /// When it can't listen.
    pub async fn start() -> Self {
        let keypair = Keypair::generate_ed25519();
        let config = P2PConfig { network: network(), ..P2PConfig::default() };
        let behaviour =
            P2PBehaviour::new(&keypair, MemoryStore::new(keypair.public().to_peer_id()), &config, Role::Relay);
        let (mut swarm, address) = listening(keypair, behaviour).await;
        let task = tokio::spawn(async move {
            loop {
                if let SwarmEvent::Behaviour(P2PBehaviourEvent::Streams(streams::Inbound { protocol, stream, .. })) =
                    swarm.select_next_some().await
                    && protocol.as_ref() == names::PUBLISH
                {
                    tokio::spawn(take(stream));
                }
            }
        });
        Self { address, task }
    }
}

impl Drop for Pretender {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Says of an offer that all of it is kept. Whoever offers and leaves needs no answer.
async fn take(mut stream: Stream) -> Result<(), exchange::Error> {
    let offer = exchange::read_offer(&mut stream).await?;
    let ids = offer.records.iter().filter_map(|record| Some(UnverifiedRecord::decode(record).ok()?.id()));
    let ids: Vec<_> = ids.collect();
    let wanted: WantedReply = Ok(Wanted { blocks: Vec::new() });
    exchange::write_message(&mut stream, &wanted).await?;
    let receipt: ReceiptReply = Ok(Receipt { kept: ids.clone(), new: ids });
    exchange::write_message(&mut stream, &receipt).await?;
    Ok(futures::AsyncWriteExt::close(&mut stream).await?)
}
