//! A real relay that lies when it is told to, in one of the ways of `ggen_tests::liar`.
//!
//! `lying-relay DATA_DIR WWW [EPOCH_SECONDS]` prints where it serves HTTP, then obeys the lines on its standard input: `honest`, or the name of a lie.
//! Each is repeated on its standard output once it holds. At the end of its input it stops.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use ed25519_dalek::SigningKey;
use ggen_relay::identity::Identity;
use ggen_relay::{Config, Relay};
use ggen_shared::id::Network;
use ggen_tests::liar::{Liar, Orders};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), Some(www)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: lying-relay DATA_DIR WWW [EPOCH_SECONDS]");
    };
    let epoch = match arguments.next() {
        Some(seconds) => seconds.to_str().context("seconds")?.parse()?,
        None => ggen_shared::checkpoint::EPOCH_SECONDS,
    };
    let epoch = Duration::from_secs(epoch);
    let config = Config {
        // The page is one of everyone's network.
        epoch,
        http: Some(([127, 0, 0, 1], 0).into()),
        www: Some(www.into()),
        network: Network::main(),
        ..ggen_tests::config(Path::new(&directory), Vec::new())
    };
    let orders = Orders::default();
    let knob = orders.clone();
    let relay = Relay::start_with(config, |shelf| Box::new(Liar::new(shelf, orders, epoch))).await?;
    let identity = Identity::load_or_create(Path::new(&directory))?.keypair.try_into_ed25519()?;
    knob.sign_with(SigningKey::from_bytes(identity.secret().as_ref().try_into()?));
    println!("http at http://{}", relay.http().context("HTTP is configured")?);

    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = lines.next_line().await? {
        knob.lie(if order == "honest" { None } else { Some(order.parse()?) });
        println!("{order}");
    }
    relay.stop().await;
    Ok(())
}
