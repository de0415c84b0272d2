//! A peer on a relay's transports that moves bytes, which relays do not do: libp2p's
//! [perf protocol](https://github.com/libp2p/specs/blob/master/perf/perf.md), and ping.
#![allow(missing_docs, reason = "the derived event enum has no place for docs")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use ggen_net::streams;
use ggen_relay::identity::Identity;
use ggen_relay::transport;
use libp2p::swarm::{NetworkBehaviour, SwarmEvent};
use libp2p::{Multiaddr, Stream, StreamProtocol, identify};

const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");
const PING: StreamProtocol = StreamProtocol::new("/ipfs/ping/1.0.0");
const PING_BYTES: usize = 32;

/// Bytes that are read or written at once.
const BLOCK_BYTES: usize = 64 * 1024;

/// How long it keeps a connection on which nothing is said.
const IDLE: Duration = Duration::from_secs(60);

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    streams: streams::Behaviour,
}

/// Serves on loopback from here on, with an identity in this directory. Returns its addresses, which end in its peer id.
///
/// # Errors
/// It can't listen.
pub async fn serve(directory: &Path, listen: &[&str]) -> Result<Vec<Multiaddr>> {
    transport::install_crypto();
    let identity = Identity::load_or_create(directory)?;
    let public = identity.keypair.public();
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify::Config::new("/perf".into(), public.clone())),
        streams: streams::Behaviour::new(vec![PERF, PING]),
    };
    let mut swarm = transport::swarm(&identity, behaviour, IDLE, &Arc::default()).map_err(anyhow::Error::from_boxed)?;
    for address in listen {
        swarm.listen_on(address.parse()?)?;
    }
    let mut addresses = Vec::new();
    while addresses.len() < listen.len() {
        if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
            addresses.push(address.with_p2p(public.to_peer_id()).ok().context("an address names another peer")?);
        }
    }
    tokio::spawn(async move {
        loop {
            if let SwarmEvent::Behaviour(BehaviourEvent::Streams(inbound)) = swarm.select_next_some().await {
                // A page that is closed ends it.
                tokio::spawn(async move { _ = answer(inbound).await });
            }
        }
    });
    Ok(addresses)
}

async fn answer(streams::Inbound { protocol, stream, .. }: streams::Inbound) -> io::Result<()> {
    if protocol == PERF { perf(stream).await } else { ping(stream).await }
}

/// Takes all that comes, then sends as much as the first eight bytes ask for.
async fn perf(mut stream: Stream) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    let mut block = vec![0; BLOCK_BYTES];
    while stream.read(&mut block).await? > 0 {}
    let mut left = u64::from_be_bytes(wanted);
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        stream.write_all(&block[..length]).await?;
        left -= length as u64;
    }
    stream.close().await
}

async fn ping(mut stream: Stream) -> io::Result<()> {
    let mut payload = [0; PING_BYTES];
    loop {
        stream.read_exact(&mut payload).await?;
        stream.write_all(&payload).await?;
        stream.flush().await?;
    }
}
