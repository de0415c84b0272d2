//! What every command of a publisher needs: the key, the ledger beside it, and relays.

use std::path::PathBuf;

use ggen_net::light::LightPeer;
use ggen_relay::market::keys::{self, PublisherKey, StoredKey};
use ggen_relay::market::ledger::{self, Ledger, Locked};
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::publish::{Publishers, Publishing};

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
}

/// A publisher who is connected.
pub(crate) struct Opened {
    /// Where the key is, and what opens it.
    pub(crate) files: KeyFile,
    pub(crate) key: PublisherKey,
    pub(crate) ledger: Ledger,
    pub(crate) peer: LightPeer<Tokio>,
}

impl KeyFile {
    pub(crate) fn path(&self) -> PathBuf {
        self.key.clone().unwrap_or_else(keys::default_path)
    }

    pub(crate) const fn passphrase(&self) -> &Given {
        &self.passphrase
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
        Ok((key, ledger))
    }
}

impl Own {
    /// Loads the key and connects: the publisher as `handle~fingerprint`, and what publishes.
    pub(crate) async fn publishing(self, publishers: Publishers) -> anyhow::Result<(String, Publishing<Tokio>)> {
        let Opened { key, ledger, peer, .. } = self.open().await?;
        let publisher = format!("{}~{}", key.key_log.handle(), key.key_log.publisher().fingerprint());
        Ok((publisher, Publishing::new(key, ledger, peer, publishers)))
    }

    /// Loads the key, then connects.
    pub(crate) async fn open(self) -> anyhow::Result<Opened> {
        self.relays.check()?;
        let (key, ledger) = self.key.open()?;
        let peer = self.relays.connect(key.network.clone()).await?;
        Ok(Opened { files: self.key, key, ledger, peer })
    }
}
