//! `ggen-market key`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use ggen_relay::causes;
use ggen_relay::market::keys::{self, PublisherKey};
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::publish::{Publishers, Publishing, Taken};
use ggen_relay::market::status::Subject;
use ggen_shared::id::{Handle, Network};
use ggen_shared::record::KeyLog;

use crate::own::{KeyFile, Opened, Own};
use crate::publish::warn_of;

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
    /// Put the next key in force, and make another next key. What you signed so far stays, as far as the ledger knows it; whatever else the key
    /// signed, by whoever may have it, is void.
    ///
    /// Exit code 0: a relay took it; 1: none did, so send it again with `key send`; 2: the key is as it was.
    Rotate {
        #[command(flatten)]
        own: Own,
        /// The next key [default: beside the key].
        #[arg(long, value_name = "FILE")]
        next: Option<PathBuf>,
        /// A version that is not to stay; repeatable.
        #[arg(long, value_name = "NAME@VERSION")]
        drop: Vec<Subject>,
    },
    /// Hand the key and its rotations to relays, as `rotate` and `publish` do.
    Send {
        #[command(flatten)]
        own: Own,
    },
}

pub(crate) async fn run(command: Key) -> Result<ExitCode> {
    match command {
        Key::New { handle, key, network } => {
            let path = key.path();
            let key = PublisherKey::create(&path, handle, Network::named(network)?)?;
            print_publisher(&key.key_log);
            eprintln!("key written to {}", path.display());
            say_where_next_is(&keys::next_path(&path));
        }
        Key::Show { key } => print_publisher(&PublisherKey::load(&key.path())?.key_log),
        Key::Rotate { own, next, drop } => return rotate(own, next, &drop).await,
        Key::Send { own } => {
            let (_, publishing) = own.publishing(Publishers::new()).await?;
            return Ok(send(&publishing).await);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn rotate(own: Own, next: Option<PathBuf>, drop: &[Subject]) -> Result<ExitCode> {
    let Opened { path, key, ledger, peer } = own.open().await?;
    let next = next.unwrap_or_else(|| keys::next_path_after(&path, &key.key_log));
    for subject in drop.iter().filter(|it| ledger.release(&it.name, &it.version).is_none()) {
        eprintln!("warning: {subject} is not in the ledger, so nothing of it would have stayed");
    }
    let dropped: Vec<_> = drop.iter().map(|it| (it.name.clone(), it.version.clone())).collect();
    let keep: Vec<_> = ledger.signed_under(key.key_log.head(), &dropped).collect();
    let (kept, rotated) = (keep.len(), key.rotate(&path, &next, keep)?);
    print_publisher(&rotated.key_log);
    eprintln!("rotated: {kept} records stay. {} is used up: remove it", next.display());
    say_where_next_is(&keys::next_path_after(&path, &rotated.key_log));
    Ok(send(&Publishing::new(rotated, ledger, peer, Publishers::new())).await)
}

async fn send(publishing: &Publishing<Tokio>) -> ExitCode {
    match publishing.send_key_log().await {
        Ok(Taken { failed_at, .. }) => {
            warn_of(&failed_at, "the key log");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("not sent: {}. Send it again with: ggen-market key send", causes::of(&error));
            ExitCode::from(1)
        }
    }
}

fn print_publisher(key_log: &KeyLog) {
    println!("publisher {}", key_log.publisher());
    println!("handle {}", key_log.handle());
    println!("full-name {}~{}", key_log.handle(), key_log.publisher().fingerprint());
}

fn say_where_next_is(path: &Path) {
    eprintln!("next key written to {}", path.display());
    eprintln!("Move the next key to a place apart from this machine: it is what takes your name back from a thief.");
}
