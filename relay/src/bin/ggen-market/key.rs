//! `ggen-market key`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use ggen_net::light::LightPeer;
use ggen_relay::causes;
use ggen_relay::market::keys::{self, PublisherKey};
use ggen_relay::market::ledger;
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::publish::{Publishers, Publishing, Taken};
use ggen_relay::market::status::Subject;
use ggen_shared::id::{Handle, Network};
use ggen_shared::protocol::query::KeyLogOf;
use ggen_shared::record::KeyLog;
use ggen_shared::search::verified::verify_key_log;

use crate::own::{KeyFile, Opened, Own};
use crate::publish::warn_of;

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Make a new publisher: a key, and the next key, which can put another one in its place.
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
    /// Put a fresh key in force by the next key, and make another next key. What you signed so far stays, as far as the ledger knows it;
    /// whatever else the key signed, by whoever may have it, is void.
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
        /// Rotate although the ledger knows of nothing to keep: whatever the key signed is void then.
        #[arg(long)]
        keep_nothing: bool,
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
        Key::Rotate { own, next, drop, keep_nothing } => return rotate(own, next, &drop, keep_nothing).await,
        Key::Send { own } => {
            let (_, publishing) = own.publishing(Publishers::new()).await?;
            return Ok(send(&publishing).await);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn rotate(own: Own, next: Option<PathBuf>, drop: &[Subject], keep_nothing: bool) -> Result<ExitCode> {
    let Opened { path, key, ledger, peer } = own.open().await?;
    let next = next.unwrap_or_else(|| keys::next_path_after(&path, &key.key_log));
    let head = key.key_log.head();
    if !keep_nothing && ledger.signed_under(head, &[]).next().is_none() {
        bail!(
            "the ledger beside the key knows of nothing that this key signed, so that nothing would stay. Put {} there, or say \
             --keep-nothing",
            ledger::path_of(&path).display()
        );
    }
    for subject in drop {
        match ledger.release(&subject.name, &subject.version) {
            Some(release) if release.signed_under != head => {
                bail!("{subject} was kept by a rotation before, and stays. Withdraw it with: ggen-market retract")
            }
            Some(_) => {}
            None => eprintln!("warning: {subject} is not in the ledger, so nothing of it would have stayed"),
        }
    }
    refuse_behind(&key, &peer).await?;
    let dropped: Vec<_> = drop.iter().map(|it| (it.name.clone(), it.version.clone())).collect();
    let keep: Vec<_> = ledger.signed_under(head, &dropped).collect();
    let (kept, rotated) = (keep.len(), key.rotate(&path, &next, keep)?);
    print_publisher(&rotated.key_log);
    eprintln!(
        "rotated: {kept} records stay. {} is used up: remove it, whoever gets hold of it can freeze your key log",
        next.display()
    );
    say_where_next_is(&keys::next_path_after(&path, &rotated.key_log));
    Ok(send(&Publishing::new(rotated, ledger, peer, Publishers::new())).await)
}

/// Two rotations that follow one event freeze a key log for good: so whoever does not know of one must not make another.
async fn refuse_behind(key: &PublisherKey, peer: &LightPeer<Tokio>) -> Result<()> {
    let question = KeyLogOf { publisher: key.key_log.publisher() };
    for relay in peer.connected() {
        let Ok(answer) = peer.ask(relay, question.clone()).await else { continue };
        let Ok(Some(theirs)) = verify_key_log(&question, &answer, &key.network) else { continue };
        if theirs.is_frozen() {
            bail!("two rotations contradict each other, and the key log is frozen at them: make a new key");
        }
        if theirs.rotations().count() > key.key_log.rotations().count() {
            bail!(
                "relay {relay} knows a rotation of this key that the key file has not: use the file that it was made with"
            );
        }
    }
    Ok(())
}

async fn send(publishing: &Publishing<Tokio>) -> ExitCode {
    match publishing.send_key_log().await {
        Ok(Taken { failed_at, .. }) => {
            warn_of(&failed_at, "the key log");
            if !failed_at.is_empty() {
                eprintln!("Send it to them later, with the same --key: ggen-market key send");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("not sent: {}. Send it again, with the same --key: ggen-market key send", causes::of(&error));
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
