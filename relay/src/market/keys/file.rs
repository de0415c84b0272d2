//! The files of a key as they are written: TOML, readable by their owner only. What is secret in them is encrypted unless the owner
//! wants it otherwise; the key log is public, so that a key is shown without its passphrase.

use std::path::Path;

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use ggen_shared::id::Network;
use ggen_shared::record::{self, Inception, KeyLog, Kind, Record, Unverified, UnverifiedRecord, Verified};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Error, PublisherKey, public};
use crate::files;
use crate::market::seal::{self, Passphrase};

/// The version of a file whose secret is encrypted. One whose secret is not says none, and is as it ever was.
const SEALED: u32 = 2;

/// A publisher's key.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    network: String,
    /// The Ed25519 seed, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    /// The same, encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encrypted: Option<String>,
    /// The inception as signed, base64.
    inception: String,
    /// The rotations that followed it, then their keep pages, as signed, base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<String>,
}

/// The key that the next rotation reveals, and that is used up by it. It is of use only if a thief of the present key does not have it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NextKeyFile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    publisher: String,
    /// The Ed25519 seed, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_secret: Option<String>,
    /// The same, encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    encrypted: Option<String>,
}

/// A key as it is kept: whose it is can be seen, and to sign with it takes the passphrase if it has one.
pub struct StoredKey {
    /// The key log so far.
    pub key_log: KeyLog,
    /// The network it signs for.
    pub network: Network,
    secret: Secret,
}

/// A signing key as it is kept.
enum Secret {
    Open(SigningKey),
    Sealed(String),
}

impl StoredKey {
    /// Reads a key file, and verifies its key log.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Read`], [`Error::Damaged`], [`Error::Newer`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let private = files::read_private(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let private = private.ok_or_else(|| Error::Missing(path.into()))?;
        if private.exposed {
            tracing::warn!("{} can be read by others: run chmod 600 {0}", path.display());
        }
        Self::parse(path, private.bytes)
    }

    /// As [`Self::read`], of bytes; `path` is where errors say they are.
    pub(super) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, Error> {
        let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
        let file: KeyFile = parse(path, bytes)?;
        let network = Network::named(file.network).map_err(|error| damaged(error.to_string()))?;
        let secret = Secret::of(file.secret, file.encrypted)
            .ok_or_else(|| damaged("it needs either `secret`, which is a key, or `encrypted`".into()))?;
        let inception = decode(&file.inception).ok_or_else(|| damaged("`inception` is not base64".into()))?;
        let inception = verify_inception(&inception, &network).map_err(|error| match error {
            record::Error::WrongWork => Error::Unproven(path.into()),
            error => damaged(error.to_string()),
        })?;
        let mut key_log = KeyLog::new(inception);
        for event in &file.events {
            let event = decode(event).ok_or_else(|| damaged("`events` are not base64".into()))?;
            follow(&mut key_log, &event, &network).map_err(|error| damaged(error.to_string()))?;
        }
        Ok(Self { key_log, network, secret })
    }

    /// Whether it takes a passphrase to sign with it.
    pub const fn is_encrypted(&self) -> bool {
        matches!(self.secret, Secret::Sealed(_))
    }

    /// The key itself, which is verified to be the one that its key log names. What is written of it later is encrypted by the same
    /// passphrase, and not if it was not. `path` is for errors.
    ///
    /// # Errors
    /// [`Error::Sealed`], also where a passphrase is needed and there is none; [`Error::Damaged`].
    pub fn open(self, path: &Path, passphrase: Option<Passphrase>) -> Result<PublisherKey, Error> {
        let passphrase = passphrase.filter(|_| self.is_encrypted());
        let signing = self.secret.open(path, passphrase.as_ref())?;
        if self.key_log.key_at(&self.key_log.head()) != Some(&public(&signing)) {
            let reason = "its secret is not the key of its last event".into();
            return Err(Error::Damaged { path: path.into(), reason });
        }
        Ok(PublisherKey { signing, key_log: self.key_log, network: self.network, passphrase })
    }
}

impl Secret {
    fn of(open: Option<String>, encrypted: Option<String>) -> Option<Self> {
        match (open, encrypted) {
            (Some(seed), None) => signing_key(&decode(&seed)?).map(Self::Open),
            (None, Some(sealed)) => Some(Self::Sealed(sealed)),
            _ => None,
        }
    }

    fn open(self, path: &Path, passphrase: Option<&Passphrase>) -> Result<SigningKey, Error> {
        let error = |source| Error::Sealed { path: path.into(), source };
        match self {
            Self::Open(signing) => Ok(signing),
            Self::Sealed(sealed) => {
                let passphrase = passphrase.ok_or(error(seal::Error::WrongPassphrase))?;
                let seed = seal::open(sealed.as_bytes(), passphrase).map_err(error)?;
                signing_key(&seed).ok_or_else(|| error(seal::Error::Damaged("it is no key".into())))
            }
        }
    }
}

/// The text of a key file.
pub(super) fn key_file(key: &PublisherKey) -> Result<String, Error> {
    let (version, secret, encrypted) = sealed(&key.signing, key.passphrase.as_ref())?;
    let mut events = key.key_log.events().map(|event| BASE64.encode(event));
    let inception = events.next().unwrap_or_default();
    let network = key.network.as_str().into();
    Ok(toml_of(&KeyFile { version, network, secret, encrypted, inception, events: events.collect() }))
}

/// The text of the file of the key that comes after this one.
pub(super) fn next_file(key: &PublisherKey, next: &SigningKey) -> Result<String, Error> {
    let (version, next_secret, encrypted) = sealed(next, key.passphrase.as_ref())?;
    let publisher = key.key_log.publisher().to_string();
    Ok(toml_of(&NextKeyFile { version, publisher, next_secret, encrypted }))
}

/// Reads the file of the key that comes after this one.
pub(super) fn read_next(path: &Path, key_log: &KeyLog, passphrase: Option<&Passphrase>) -> Result<SigningKey, Error> {
    let wrong = |reason: &str| Error::NotNext { path: path.into(), reason: reason.into() };
    let private = files::read_private(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let private = private.ok_or_else(|| wrong("there is no such file"))?;
    let file: NextKeyFile = parse(path, private.bytes).map_err(|error| match error {
        Error::Newer(path) => Error::Newer(path),
        _ => wrong("it is no file of a next key"),
    })?;
    if file.publisher != key_log.publisher().to_string() {
        return Err(wrong("it is another publisher's"));
    }
    let secret = Secret::of(file.next_secret, file.encrypted);
    secret.ok_or_else(|| wrong("it needs either `next_secret`, which is a key, or `encrypted`"))?.open(path, passphrase)
}

/// Version, seed and encrypted seed, as a file has them.
type Fields = (Option<u32>, Option<String>, Option<String>);

fn sealed(signing: &SigningKey, passphrase: Option<&Passphrase>) -> Result<Fields, Error> {
    let seed = signing.to_bytes();
    Ok(match passphrase {
        Some(passphrase) => {
            let sealed = seal::seal_as_text(&seed, passphrase).map_err(Error::Sealing)?;
            (Some(SEALED), None, Some(sealed))
        }
        None => (None, Some(BASE64.encode(&seed)), None),
    })
}

/// A file of this shape; one of a later version is told apart from a damaged one.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, bytes: Vec<u8>) -> Result<T, Error> {
    let damaged = |reason: String| Error::Damaged { path: path.into(), reason };
    let text = String::from_utf8(bytes).map_err(|_| damaged("it is not text".into()))?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| damaged(error.message().into()))?;
    let version = table.get("version").and_then(toml::Value::as_integer);
    if version.is_some_and(|version| version > SEALED.into()) {
        return Err(Error::Newer(path.into()));
    }
    table.try_into().map_err(|error: toml::de::Error| damaged(error.message().into()))
}

pub(super) fn toml_of<T: Serialize>(value: &T) -> String {
    toml::to_string(value).expect("a struct of texts is TOML")
}

/// Continues a key log by an event as it is written down: rotations in their order, then pages.
fn follow(key_log: &mut KeyLog, event: &[u8], network: &Network) -> Result<(), record::Error> {
    match UnverifiedRecord::decode_known(event)?.verify(Some(key_log), network)? {
        Record::Rotation(rotation) => key_log.follow(*rotation).map(drop),
        Record::KeepPage(page) => key_log.add_page(*page).map(drop),
        _ => Err(record::Error::UnknownKind(Kind::Inception.number().into())),
    }
}

fn verify_inception(bytes: &[u8], network: &Network) -> Result<Verified<Inception>, record::Error> {
    Unverified::<Inception>::decode(bytes)?.verify(network)
}

fn signing_key(seed: &[u8]) -> Option<SigningKey> {
    Some(SigningKey::from_bytes(&seed.try_into().ok()?))
}

fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.as_bytes()).ok()
}
