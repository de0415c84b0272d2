//! A real relay that holds the world of `tests/conformance.json`, for registries that are not of this process.
//!
//! `conformance-world DATA_DIR` publishes the world, waits until the relay has committed to it, and prints where it serves HTTP, the full name of
//! the package `kettle`, and a line of JSON: the publications that claims are about, by name. At the end of its input it stops.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use data_encoding::BASE64;
use ggen_relay::{Config, Relay};
use ggen_shared::id::Network;
use ggen_shared::registry::Publication;
use ggen_tests::conformance::{Conformance, EPOCH};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Some(directory) = std::env::args_os().nth(1) else { bail!("usage: conformance-world DATA_DIR") };
    let config = Config {
        epoch: EPOCH,
        http: Some(([127, 0, 0, 1], 0).into()),
        // What browsers take part in.
        network: Network::main(),
        ..ggen_tests::config(Path::new(&directory), Vec::new())
    };
    let relay = Relay::start(config).await?;
    let world = Conformance::read().world(Network::main());
    world.publish_at(relay.registry()).await;

    println!("{}", json!({ "epochSeconds": Duration::as_secs(&EPOCH), "kettle": world.name("kettle").to_string() }));
    let prepared = world.prepared.iter().map(|(name, publication)| (name.clone(), written(publication)));
    println!("{}", Value::Object(prepared.collect()));
    // Last: whoever waits for it has read the rest.
    println!("http at http://{}", relay.http().context("HTTP is configured")?);
    tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
    relay.stop().await;
    Ok(())
}

fn written(publication: &Publication) -> Value {
    let events = publication.key_log().events().map(|event| BASE64.encode(event));
    let records = events.chain(publication.signed().iter().map(|record| BASE64.encode(record.bytes())));
    let blocks =
        publication.blocks().iter().map(|(cid, data)| json!({ "cid": cid.to_string(), "data": BASE64.encode(data) }));
    json!({ "records": records.collect::<Vec<_>>(), "blocks": blocks.collect::<Vec<_>>() })
}
