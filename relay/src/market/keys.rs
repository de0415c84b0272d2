//! A publisher's key on disk: the signing key, the inception it began with, and apart from both the key that comes next.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use ggen_shared::id::{Handle, KeyCommitment, Network, PublicKey};
use ggen_shared::record::{self, Inception, KeyLog, Unverified, Work, sign};
use serde::{Deserialize, Serialize};

use crate::files::{self, Existing};

/// Why a key can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] files::Error),
    /// The file could not be read.
    #[error("{path}: {source}. Make a key with: ggen-market key new --handle HANDLE")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// There is a key already.
    #[error(
        "{0} is a key already, and a key is never overwritten. See whose it is with: ggen-market key show --key {0}. \
         Or make another one elsewhere, with --key FILE"
    )]
    Exists(PathBuf),
    /// There is a next key, and it may be somebody's.
    #[error(
        "{0} is there, the next key of some publisher, and is never overwritten. Move it to a safe place, or make the new \
         key elsewhere, with --key FILE"
    )]
    NextExists(PathBuf),
    /// There is no such file.
    #[error("{0} does not exist. Make a key with: ggen-market key new --handle HANDLE --key {0}")]
    Missing(PathBuf),
    /// The file is there and is not a key.
    #[error("{path} is not a key file of ggen-market: {reason}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The system gave no randomness.
    #[error("the system gave no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// The file as it is written: TOML, readable by its owner only.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    network: String,
    /// The Ed25519 seed, base64.
    secret: String,
    /// The inception as signed, base64.
    inception: String,
}

/// The key that the first rotation reveals. It is of use only if a thief of the present key does not have it.
#[derive(Serialize)]
struct NextKeyFile {
    publisher: String,
    next_secret: String,
}

/// A publisher's key, ready to sign.
pub struct PublisherKey {
    /// Signs.
    pub signing: SigningKey,
    /// The key log so far.
    pub key_log: KeyLog,
    /// The network it signs for.
    pub network: Network,
}

/// Where the key lies unless the user says otherwise.
pub fn default_path() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
    home.join(".config/ggen/market.key")
}

/// Where the next key is put: beside the key, until its owner takes it elsewhere.
pub fn next_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

impl PublisherKey {
    /// Makes a new publisher, and writes its key and its next key. An existing file is never overwritten.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NextExists`], [`Error::Write`], [`Error::Randomness`].
    pub fn create(path: &Path, handle: Handle, network: Network) -> Result<Self, Error> {
        // Asked for first only to say it well: the files are never replaced anyhow.
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists(path.into()));
        }
        if next_path(path).symlink_metadata().is_ok() {
            return Err(Error::NextExists(next_path(path)));
        }
        let (signing, next) = (random_key()?, random_key()?);
        let inception =
            Inception { handle, key: public(&signing), next: KeyCommitment::to_key(&public(&next)), work: Work::NONE };
        let inception = sign(inception, &signing, &network).expect("an inception of checked fields is valid");
        let key_log = KeyLog::new(inception.clone());
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .map_err(|source| files::Error::Write { path: directory.into(), source })?;
        }
        let file = KeyFile {
            network: network.as_str().into(),
            secret: BASE64.encode(&signing.to_bytes()),
            inception: BASE64.encode(inception.bytes()),
        };
        let next_file =
            NextKeyFile { publisher: key_log.publisher().to_string(), next_secret: BASE64.encode(&next.to_bytes()) };
        // The next key first: a publisher without it could never rotate.
        files::write_private_atomically(&next_path(path), toml_of(&next_file).as_bytes(), Existing::Refuse)?;
        if let Err(error) = files::write_private_atomically(path, toml_of(&file).as_bytes(), Existing::Refuse) {
            // It belongs to no publisher; what could not be removed is refused as existing next time.
            _ = std::fs::remove_file(next_path(path));
            return Err(error.into());
        }
        Ok(Self { signing, key_log, network })
    }

    /// Reads a key file, and verifies that the key is the one its inception introduces.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Read`], [`Error::Damaged`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
        let private = files::read_private(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let private = private.ok_or_else(|| Error::Missing(path.into()))?;
        if private.exposed {
            tracing::warn!("{} can be read by others: run chmod 600 {0}", path.display());
        }
        let text = String::from_utf8(private.bytes).map_err(|_| damaged("it is not text".into()))?;
        let file: KeyFile = toml::from_str(&text).map_err(|error| damaged(error.message().into()))?;
        let network = Network::named(file.network).map_err(|error| damaged(error.to_string()))?;
        let secret = decode(&file.secret).and_then(|bytes| bytes.try_into().ok());
        let signing = SigningKey::from_bytes(&secret.ok_or_else(|| damaged("`secret` is not a key".into()))?);
        let inception = decode(&file.inception).ok_or_else(|| damaged("`inception` is not base64".into()))?;
        let inception = verify_inception(&inception, &network).map_err(|error| damaged(error.to_string()))?;
        let key_log = KeyLog::new(inception);
        if key_log.key_at(&key_log.head()) != Some(&public(&signing)) {
            return Err(damaged("`secret` is not the key of its inception".into()));
        }
        Ok(Self { signing, key_log, network })
    }
}

fn verify_inception(bytes: &[u8], network: &Network) -> Result<record::Verified<Inception>, record::Error> {
    Unverified::<Inception>::decode(bytes)?.verify(network)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}

fn toml_of<T: Serialize>(value: &T) -> String {
    toml::to_string(value).expect("a struct of texts is TOML")
}

fn random_key() -> Result<SigningKey, Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(SigningKey::from_bytes(&seed))
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_there_is_kept_and_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("market.key");
        let create = || PublisherKey::create(&path, Handle::new("alice").unwrap(), Network::main());
        let publisher = create().unwrap().key_log.publisher();
        // The next key was moved away, as one should.
        std::fs::remove_file(next_path(&path)).unwrap();
        let message = create().err().unwrap().to_string();
        let shown = path.display().to_string();
        assert!(message.starts_with(&format!("{shown} is a key already")), "{message}");
        assert!(message.contains(&format!("key show --key {shown}")) && message.contains("--key FILE"), "{message}");
        assert_eq!(PublisherKey::load(&path).unwrap().key_log.publisher(), publisher);
        assert!(!next_path(&path).exists());

        std::fs::rename(&path, next_path(&path)).unwrap();
        assert!(matches!(create(), Err(Error::NextExists(at)) if at == next_path(&path)));
    }
}
