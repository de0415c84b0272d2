//! Our half of `cargo xtask interop`: the name of some bytes, and a light peer that fetches content from one address.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ggen_net::P2PConfig;
use ggen_relay::market::peer;
use ggen_shared::content;
use ggen_shared::record::Content;
use ggen_tests::{network, until};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["cid"] => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes)?;
            println!("{}", content::build(&bytes).root);
        }
        ["fetch", address, cid, size] => {
            let content = Content { cid: cid.parse()?, size: size.parse()? };
            let fetched = tokio::time::timeout(PATIENCE, fetch(address, content)).await.context("it took too long")?;
            std::io::stdout().write_all(&fetched?)?;
        }
        _ => bail!("interop-peer cid < BYTES, or interop-peer fetch ADDRESS CID SIZE"),
    }
    Ok(())
}

async fn fetch(address: &str, content: Content) -> Result<Vec<u8>> {
    let relays = vec![address.parse()?];
    let config = P2PConfig { network: network(), relays, discover: false, ..P2PConfig::default() };
    let (peer, _events) = peer::start(config)?;
    until("the connection", || async { (!peer.connected().is_empty()).then_some(()) }).await;
    Ok(peer.fetch(content).await?)
}
