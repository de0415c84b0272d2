//! Records of a publisher, handed to a relay: for what no command of `ggen-market` says yet.

use anyhow::Context;
use futures::StreamExt;
use ggen_net::P2PConfig;
use ggen_relay::market::keys::PublisherKey;
use ggen_relay::market::peer;
use ggen_shared::protocol::publish::Offer;
use ggen_shared::record::Record;
use serde_bytes::ByteBuf;

/// Offers some records to a relay, behind their publisher's key log, and says how many of them are new there.
///
/// # Errors
/// When the relay can't be reached, or refuses them.
pub async fn offer(key: &PublisherKey, relay: &str, records: impl IntoIterator<Item = Record>) -> anyhow::Result<()> {
    let records = key.key_log.clone().into_records().into_iter().chain(records);
    let records = records.map(|record| ByteBuf::from(record.bytes().to_vec())).collect();
    let config = P2PConfig {
        network: key.network.clone(),
        relays: vec![relay.parse()?],
        discover: false,
        ..P2PConfig::default()
    };
    let (peer, mut events) = peer::start(config)?;
    while peer.connected().is_empty() {
        events.next().await.context("the relay cannot be reached")?;
    }
    let receipt = peer.publish(peer.connected()[0], &Offer { records, blocks: Vec::new() }, |_| None).await?;
    println!("{} records are new to the relay", receipt.new.len());
    Ok(())
}
