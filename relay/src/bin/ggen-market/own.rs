//! What every command of a publisher needs: the key, the ledger beside it, and relays.

use std::path::PathBuf;

use ggen_net::light::LightPeer;
use ggen_relay::market::desk::Desk;
use ggen_relay::market::keys::{self, PublisherKey, StoredKey};
use ggen_relay::market::ledger::{self, Ledger, Locked};
use ggen_relay::market::outbox::{self, Outbox};
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::publish::{Publishers, Publishing};
use ggen_shared::id::PackageName;

use crate::passphrase::Given;
use crate::relays::Relays;

// No doc comment, as for [`Relays`].
#[derive(clap::Args)]
pub(crate) struct Own {
    #[command(flatten)]
    relays: Relays,
    #[command(flatten)]
    key: KeyFile,
}

// Nor here.
#[derive(clap::Args)]
pub(crate) struct KeyFile {
    /// The publisher's key [default: ~/.config/ggen/market.key].
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    passphrase: Given,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

/// A publisher who is connected to a relay at least.
pub(crate) struct Opened {
    /// Where the key is, and what opens it.
    pub(crate) files: KeyFile,
    pub(crate) key: PublisherKey,
    pub(crate) ledger: Ledger,
    pub(crate) peer: LightPeer<Tokio>,
}

impl Opened {
    /// What publishes, and the publisher as `handle~fingerprint`.
    pub(crate) fn publishing(self) -> anyhow::Result<(Publishing<Tokio>, String)> {
        let Self { files, key, ledger, peer } = self;
        let (desk, publisher) = files.desk(key, ledger, Publishers::new())?;
        Ok((Publishing::new(desk, peer), publisher))
    }
}

impl KeyFile {
    pub(crate) fn path(&self) -> PathBuf {
        self.key.clone().unwrap_or_else(keys::default_path)
    }

    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) const fn passphrase(&self) -> &Given {
        &self.passphrase
    }

    /// Where records are signed with the key, and the publisher as `handle~fingerprint`.
    fn desk(&self, key: PublisherKey, ledger: Ledger, publishers: Publishers) -> anyhow::Result<(Desk, String)> {
        let publisher = format!("{}~{}", key.key_log.handle(), key.key_log.publisher().fingerprint());
        let outbox = Outbox::open(&outbox::path_of(&self.path()))?;
        Ok((Desk::new(key, ledger, outbox, publishers)?, publisher))
    }

    /// The key, opened, and its ledger, which nobody else uses until it is dropped.
    pub(crate) fn open(&self) -> anyhow::Result<(PublisherKey, Ledger)> {
        let path = self.path();
        // Without a key there is nothing to wait for.
        StoredKey::read(&path)?;
        let locked = Locked::of(&ledger::path_of(&path))?;
        // Whoever had the ledger may have rotated the key.
        let stored = StoredKey::read(&path)?;
        let passphrase = if stored.is_encrypted() { Some(self.passphrase.to_open("the key")?) } else { None };
        let key = stored.open(&path, passphrase)?;
        let ledger = locked.read(&key.key_log, &key.network)?;
        // What an earlier run signed and could not write down is taken up first: a rotation must keep it, and a copy know its index.
        let (desk, _) = self.desk(key, ledger, Publishers::default())?;
        Ok(desk.into_key_and_ledger())
    }
}

impl Own {
    pub(crate) fn key_path(&self) -> PathBuf {
        self.key.path()
    }

    pub(crate) const fn relays(&self) -> &Relays {
        &self.relays
    }

    pub(crate) fn into_relays(self) -> Relays {
        self.relays
    }

    /// Whether JSON is wanted.
    pub(crate) const fn is_json(&self) -> bool {
        self.key.is_json()
    }

    /// Loads the key and connects as far as relays can be reached: the publisher as `handle~fingerprint`, and what publishes. Without a
    /// relay, what is signed waits for one. `coming`: packages that will be published.
    pub(crate) async fn publishing(
        self,
        publishers: Publishers,
        coming: Vec<PackageName>,
    ) -> anyhow::Result<(String, Publishing<Tokio>)> {
        self.relays.check()?;
        let (key, ledger) = self.key.open()?;
        let network = key.network.clone();
        let (mut desk, publisher) = self.key.desk(key, ledger, publishers)?;
        desk.expect(coming);
        let (peer, problems) = self.relays.try_to_connect(network).await?;
        for problem in &problems {
            eprintln!("warning: relay {problem}");
        }
        if peer.connected().is_empty() {
            eprintln!("No relay can be reached: what is signed now is kept here, and delivered by: ggen-market send");
        }
        Ok((publisher, Publishing::new(desk, peer)))
    }

    /// Loads the key, then connects to a relay at least.
    pub(crate) async fn open(self) -> anyhow::Result<Opened> {
        self.relays.check()?;
        let (key, ledger) = self.key.open()?;
        let peer = self.relays.connect(key.network.clone()).await?;
        Ok(Opened { files: self.key, key, ledger, peer })
    }
}
