//! `ggen-market key`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use ggen_net::light::LightPeer;
use ggen_relay::causes;
use ggen_relay::market::keys::{Error, NextKey, PublisherKey, StoredKey};
use ggen_relay::market::ledger;
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::publish::{Publishing, Taken};
use ggen_relay::market::restore::{self, Restored};
use ggen_relay::market::seal;
use ggen_relay::market::status::Subject;
use ggen_relay::market::work::Proving;
use ggen_shared::id::{Handle, Network};
use ggen_shared::protocol::query::KeyLogOf;
use ggen_shared::record::{KeyLog, Work};
use ggen_shared::search::verified::verify_key_log;
use libp2p::PeerId;
use serde_json::{Value, json};

use crate::own::{KeyFile, Opened, Own};
use crate::report::{failures_json, warn_of};
use crate::{passphrase, progress};

#[derive(Subcommand)]
pub(crate) enum Key {
    /// Make a new publisher: a key, and the next key, which can put another one in its place.
    ///
    /// Both are encrypted with a passphrase: from the file of --passphrase-file, from GGEN_PASSPHRASE, or asked for twice at a terminal.
    New {
        /// What the publisher calls itself: lower-case letters, digits and '-'.
        #[arg(long)]
        handle: Handle,
        /// Where to put the next key: apart from the key, best on a medium that is kept elsewhere. It is what takes your name back from a
        /// thief of the key, so he must not get both.
        #[arg(long, value_name = "FILE")]
        next_key: PathBuf,
        /// Encrypt nothing: whoever can read the files can use the keys.
        #[arg(long)]
        no_passphrase: bool,
        #[command(flatten)]
        key: KeyFile,
        /// The network it signs for.
        #[arg(long, default_value = "ggen")]
        network: String,
        /// How many releases and status changes it can ever sign [default: 4096]. Everybody's network asks for a proof of work, some seconds of
        /// all cores for 4096, and in proportion for others; another network asks for none, and gives each key 16384.
        #[arg(long, value_name = "RECORDS", value_parser = level_of)]
        quota: Option<u8>,
    },
    /// Show who a key makes you. It takes no passphrase.
    Show {
        #[command(flatten)]
        key: KeyFile,
    },
    /// Encrypt a key file with another passphrase, or for the first time. The next key's file stays as it is.
    Passphrase {
        #[command(flatten)]
        key: KeyFile,
        /// A file whose first line is the new passphrase [default: asked for at a terminal].
        #[arg(long, value_name = "FILE", conflicts_with = "no_passphrase")]
        new_passphrase_file: Option<PathBuf>,
        /// Encrypt it no more.
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Write the key and its ledger into one encrypted file, to take them to another machine. The format is that of `age`.
    ///
    /// It is encrypted with the key's passphrase; if the key has none, with one that is given or asked for.
    Export {
        #[command(flatten)]
        key: KeyFile,
        /// The file to write, which must not be there yet.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Put an exported key and its ledger in their place on this machine, where no key is yet.
    Import {
        /// What `key export` wrote.
        #[arg(value_name = "FILE")]
        from: PathBuf,
        #[command(flatten)]
        key: KeyFile,
        /// Don't encrypt the key here.
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Put a fresh key in force by the next key, and make another next key. What you signed so far stays, as far as the ledger knows it;
    /// whatever else the key signed, by whoever may have it, is void.
    ///
    /// Exit code 0: a relay took it; 1: none did, so send it again with `key send`; 2: the key is as it was.
    Rotate {
        #[command(flatten)]
        own: Own,
        /// The next key, which is used up: the file that `key new` or the last `key rotate` wrote.
        #[arg(long = "with", alias = "next", value_name = "FILE")]
        with: PathBuf,
        /// Where to put the next key after it, as for `key new`.
        #[arg(long, value_name = "FILE")]
        next_key: PathBuf,
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

/// What a key proves unless more or less is asked for.
const DEFAULT_LEVEL: u8 = 10;

/// The level of work that gives so many records.
fn level_of(records: &str) -> Result<u8, String> {
    let levels = Work::MIN_LEVEL..=Work::MAX_LEVEL;
    let quota = |level| Work { level, nonce: 0 }.quota().to_string();
    let found = levels.clone().find(|level| quota(*level) == records);
    found.ok_or_else(|| format!("there are keys for {} records", levels.map(quota).collect::<Vec<_>>().join(", ")))
}

pub(crate) async fn run(command: Key) -> Result<ExitCode> {
    match command {
        Key::New { handle, next_key, no_passphrase, key, network, quota } => {
            let path = key.path();
            let network = Network::named(network)?;
            if quota.is_some() && !network.asks_for_work() {
                bail!(
                    "--quota is for everybody's network: in another one each key can sign the same number of records"
                );
            }
            let passphrase = if no_passphrase { None } else { Some(key.passphrase().to_seal("the new key")?) };
            let level = quota.unwrap_or(DEFAULT_LEVEL);
            let progress = progress::tries(level);
            let proving = Proving { level, tried: &|| progress.inc(1) };
            let create = || PublisherKey::create(&path, &next_key, handle, network, passphrase, proving);
            let made = tokio::task::block_in_place(create);
            progress.finish_and_clear();
            let made = made?;
            print_publisher(&made.key_log, key.is_json());
            eprintln!("key written to {}", path.display());
            say_where_next_is(&next_key);
        }
        Key::Show { key } => print_publisher(&StoredKey::read(&key.path())?.key_log, key.is_json()),
        Key::Passphrase { key: files, new_passphrase_file, no_passphrase } => {
            let (mut key, _ledger) = files.open()?;
            let passphrase = if no_passphrase { None } else { Some(passphrase::new(new_passphrase_file.as_deref())?) };
            key.reseal(&files.path(), passphrase)?;
            print_path(&files.path(), files.is_json());
            eprintln!("{} is {}encrypted now", files.path().display(), if no_passphrase { "not " } else { "" });
        }
        Key::Export { key: files, to } => {
            let (key, ledger) = files.open()?;
            let passphrase = match key.passphrase() {
                Some(passphrase) => passphrase.clone(),
                None => files.passphrase().to_seal("the export")?,
            };
            key.export(&ledger, &to, &passphrase)?;
            print_path(&to, files.is_json());
            eprintln!("key and ledger written to {}. Use them on one machine at a time", to.display());
        }
        Key::Import { from, key, no_passphrase } => {
            let path = key.path();
            let imported = PublisherKey::import(&from, &path, key.passphrase().to_open("the export")?, !no_passphrase)?;
            print_publisher(&imported.key_log, key.is_json());
            eprintln!("key written to {}", path.display());
        }
        Key::Rotate { own, with, next_key, drop, keep_nothing } => {
            return rotate(own, &with, &next_key, &drop, keep_nothing).await;
        }
        Key::Send { own } => {
            let is_json = own.is_json();
            let (publishing, _) = own.open().await?.publishing()?;
            return Ok(send(&publishing, is_json).await);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn rotate(own: Own, with: &Path, next_key: &Path, drop: &[Subject], keep_nothing: bool) -> Result<ExitCode> {
    let Opened { files, key, ledger, peer } = own.open().await?;
    let path = files.path();
    let next = read_next(&key, with)?;
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
    let (kept, rotated) = (keep.len(), key.rotate(&path, next, next_key, keep)?);
    print_publisher(&rotated.key_log, files.is_json());
    eprintln!(
        "rotated: {kept} records stay. {} is used up: remove it, whoever gets hold of it can freeze your key log",
        with.display()
    );
    say_where_next_is(next_key);
    let (publishing, _) = Opened { files, key: rotated, ledger, peer }.publishing()?;
    // What it says in JSON was said already.
    Ok(send(&publishing, false).await)
}

/// The next key has the key's passphrase as a rule; it may have kept an older one, or have one where the key has none.
fn read_next(key: &PublisherKey, with: &Path) -> Result<NextKey> {
    match key.read_next(with, None) {
        Err(Error::Sealed { source: seal::Error::WrongPassphrase, .. }) => {
            Ok(key.read_next(with, Some(&passphrase::of_next_key()?))?)
        }
        read => Ok(read?),
    }
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

async fn send(publishing: &Publishing<Tokio>, is_json: bool) -> ExitCode {
    match publishing.send_key_log().await {
        Ok(Taken { failed_at, .. }) => {
            let restored = publishing.restore().await;
            if is_json {
                let restored = restored.iter().map(restored_json).collect::<Vec<_>>();
                println!(
                    "{:#}",
                    json!({ "outcome": "sent", "failed_at": failures_json(&failed_at), "restored": restored })
                );
            }
            warn_of(&failed_at, "the key log");
            if !failed_at.is_empty() {
                eprintln!("Send it to them later, with the same --key: ggen-market key send");
            }
            restored.iter().for_each(say_restored);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("not sent: {}. Send it again, with the same --key: ggen-market key send", causes::of(&error));
            ExitCode::from(1)
        }
    }
}

/// What a relay had lost, and has again or not.
type AtRelay = (PeerId, Result<Restored, restore::Error>);

fn restored_json((relay, restored): &AtRelay) -> Value {
    match restored {
        Ok(Restored { records, lacking }) => {
            let lacking: Vec<_> = lacking.iter().map(|(id, _)| id.to_string()).collect();
            json!({ "relay": relay.to_string(), "records": records, "lacking": lacking })
        }
        Err(error) => json!({ "relay": relay.to_string(), "error": causes::of(error) }),
    }
}

fn say_restored((relay, restored): &AtRelay) {
    match restored {
        Ok(Restored { records, lacking }) => {
            if *records > 0 {
                eprintln!("relay {relay} had lost {records} of your records and has them again");
            }
            if let [(_, reason), ..] = &lacking[..] {
                let count = lacking.len();
                eprintln!(
                    "warning: relay {relay} has lost {count} of your records, the first because: {reason}. Publish these packages again"
                );
            }
        }
        Err(error) => eprintln!(
            "warning: relay {relay} does not say which of your records it has: {}. Ask it later with: ggen-market key send",
            causes::of(error)
        ),
    }
}

fn print_publisher(key_log: &KeyLog, is_json: bool) {
    if is_json {
        let full_name = format!("{}~{}", key_log.handle(), key_log.publisher().fingerprint());
        println!(
            "{:#}",
            json!({
                "publisher": key_log.publisher().to_string(),
                "handle": key_log.handle().to_string(),
                "full_name": full_name,
                "rotations": key_log.rotations().count(),
            })
        );
        return;
    }
    println!("publisher {}", key_log.publisher());
    println!("handle {}", key_log.handle());
    println!("full-name {}~{}", key_log.handle(), key_log.publisher().fingerprint());
}

/// What was written, for programs that want JSON; others need to be told nothing.
fn print_path(path: &Path, is_json: bool) {
    if is_json {
        println!("{:#}", json!({ "path": path.display().to_string() }));
    }
}

fn say_where_next_is(path: &Path) {
    eprintln!("next key written to {}", path.display());
    eprintln!("Keep the next key apart from this machine: it is what takes your name back from a thief.");
}
