//! A real relay that holds one package of so many bytes, and serves its blocks in a way of `ggen_tests::provider`.
//!
//! `content-provider DATA_DIR BYTES SERVING` publishes the package and prints a line of JSON: CID, size and SHA-256 of its artifact, and of how
//! many blocks that is; then where it serves HTTP. To each line of its input it prints how many blocks it has read to be sent. At the end of
//! its input it stops.

use std::path::Path;

use anyhow::{Context, bail};
use data_encoding::HEXLOWER;
use ggen_relay::{Config, Relay};
use ggen_shared::id::Network;
use ggen_shared::record::ContentId;
use ggen_shared::registry::{Publication, Registry};
use ggen_tests::Publisher;
use ggen_tests::provider::{Served, Serving, bytes, serve};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, length, serving] = arguments.as_slice() else {
        bail!("usage: content-provider DATA_DIR BYTES SERVING");
    };
    let serving: Serving = serving.parse()?;
    let config = Config {
        http: Some(([127, 0, 0, 1], 0).into()),
        // What browsers take part in.
        network: Network::main(),
        // What one serves in its way, no other one serves in another.
        sync: false,
        ..ggen_tests::config(Path::new(directory), Vec::new())
    };
    let served = Served::default();
    let (_serving, now) = watch::channel(serving);
    let relay = Relay::start_with(config, |shelf| serve(shelf, now, served.clone())).await?;

    let content = bytes(length.parse()?);
    let mut publisher = Publisher::of_network(1, Network::main());
    let package = publisher.release("content", "1.0.0", "many blocks", &content);
    let blocks = package.artifact.blocks.iter().map(|block| (block.cid, block.data.clone())).collect();
    let publication = Publication::read(&package.offer.records, blocks, &Network::main())?;
    relay.registry().hand_over(&publication).await?;
    println!(
        "{}",
        json!({
            "cid": package.artifact.root.to_string(),
            "size": package.artifact.size,
            "sha256": HEXLOWER.encode(ContentId::of_raw(&content).cid().hash().digest()),
            "blocks": package.artifact.blocks.len(),
        })
    );
    // Last: whoever waits for it has read the rest.
    println!("http at http://{}", relay.http().context("HTTP is configured")?);

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {
        println!("served {}", served.all().len());
    }
    relay.stop().await;
    Ok(())
}
