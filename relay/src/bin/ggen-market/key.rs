//! `ggen-market key`.

use anyhow::Result;
use clap::Subcommand;
use ggen_relay::market::keys::{self, PublisherKey};
use ggen_shared::id::{Handle, Network};
use ggen_shared::record::KeyLog;

use crate::own::KeyFile;

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Make a new publisher: a key, and the next key that can take its place.
    New {
        /// What the publisher calls itself: lower-case letters, digits and '-'.
        #[arg(long)]
        handle: Handle,
        #[command(flatten)]
        key: KeyFile,
        /// The network it signs for.
        #[arg(long, default_value = "ggen")]
        network: String,
    },
    /// Show who a key makes you.
    Show {
        #[command(flatten)]
        key: KeyFile,
    },
}

pub(crate) fn run(command: Key) -> Result<()> {
    match command {
        Key::New { handle, key, network } => {
            let path = key.path();
            let key = PublisherKey::create(&path, handle, Network::named(network)?)?;
            print_publisher(&key.key_log);
            eprintln!("key written to {}", path.display());
            eprintln!("next key written to {}", keys::next_path(&path).display());
            eprintln!(
                "Move the next key to a place apart from this machine: it is what takes your name back from a thief."
            );
        }
        Key::Show { key } => print_publisher(&PublisherKey::load(&key.path())?.key_log),
    }
    Ok(())
}

fn print_publisher(key_log: &KeyLog) {
    println!("publisher {}", key_log.publisher());
    println!("handle {}", key_log.handle());
    println!("full-name {}~{}", key_log.handle(), key_log.publisher().fingerprint());
}
