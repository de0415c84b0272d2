//! A publisher's key on disk: the signing key, the key events up to it, and apart from both the next key, which the next rotation reveals.
//! It signs that one rotation, which puts a fresh signing key in force.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use ggen_shared::id::{Handle, KeyCommitment, Network, PublicKey, RecordId};
use ggen_shared::limits::{KEPT_PER_PAGE, MAX_OFFER_BYTES, MAX_RECORD_BYTES, MAX_RECORDS_PER_OFFER};
use ggen_shared::record::{
    self, Inception, KeepPage, KeyLog, Kind, Record, Rotation, Unverified, UnverifiedRecord, Verified, Work, sign,
};
use serde::{Deserialize, Serialize};

use crate::files::{self, Existing};

/// What an offer has besides its records, with room: the ids of blocks among others.
const OFFER_OVERHEAD_BYTES: usize = 8 * 1024;

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
    /// The next key is not the one that comes next.
    #[error(
        "{path} is not the key that the last event of this key log committed to: {reason}. It is the file that `key new`, or the last \
         `key rotate`, wrote: name it with --next FILE"
    )]
    NotNext {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The key log takes no more.
    #[error("the key can't be rotated: {0}")]
    Rotation(#[from] record::Error),
    /// What would stay is more than relays take at once.
    #[error(
        "{0} records would stay, which is more than a relay takes with a key log: leave versions out with --drop. Nothing was changed"
    )]
    TooMuchKept(usize),
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
    /// The rotations that followed it, then their keep pages, as signed, base64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    events: Vec<String>,
}

/// The key that the next rotation reveals, and that is used up by it. It is of use only if a thief of the present key does not have it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
            events: Vec::new(),
        };
        let next_file = next_file(&key_log, &next);
        // The next key first: a publisher without it could never rotate.
        files::write_private_atomically(&next_path(path), toml_of(&next_file).as_bytes(), Existing::Refuse)?;
        if let Err(error) = files::write_private_atomically(path, toml_of(&file).as_bytes(), Existing::Refuse) {
            // It belongs to no publisher, unless the key is in place; what could not be removed is refused as existing next time.
            if !matches!(error, files::Error::Unsettled { .. }) {
                _ = std::fs::remove_file(next_path(path));
            }
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
        let mut key_log = KeyLog::new(inception);
        for event in &file.events {
            let event = decode(event).ok_or_else(|| damaged("`events` are not base64".into()))?;
            follow(&mut key_log, &event, &network).map_err(|error| damaged(error.to_string()))?;
        }
        if key_log.key_at(&key_log.head()) != Some(&public(&signing)) {
            return Err(damaged("`secret` is not the key of its last event".into()));
        }
        Ok(Self { signing, key_log, network })
    }

    /// Reveals the next key, which puts a fresh one in force: what the key before it signed is void from then on, but for what is kept.
    /// Writes the key file, and beside it the next key that comes after. Nobody knows of it before relays have it. The file of the next key
    /// is used up: it is not needed even to send the rotation again, and whoever gets hold of it can fork the key log.
    ///
    /// # Errors
    /// [`Error::NotNext`], [`Error::NextExists`], [`Error::Rotation`], [`Error::Write`], [`Error::Read`], [`Error::Missing`],
    /// [`Error::Damaged`], [`Error::Randomness`]. The key is as it was then.
    pub fn rotate(&self, path: &Path, next: &Path, keep: impl IntoIterator<Item = RecordId>) -> Result<Self, Error> {
        let mut key_log = self.key_log.clone();
        let (revealing, signing, after) = (self.load_next(next)?, random_key()?, random_key()?);
        let (publisher, prev, revealed) = (key_log.publisher(), key_log.head(), public(&revealing));
        let keep: BTreeSet<RecordId> = keep.into_iter().collect();
        let keep: Vec<RecordId> = keep.into_iter().collect();
        let page = |keep: &[RecordId]| {
            sign(KeepPage { publisher, prev, revealed, keep: keep.to_vec() }, &revealing, &self.network)
        };
        let pages = keep.chunks(KEPT_PER_PAGE).map(page).collect::<Result<Vec<_>, _>>()?;
        let mut ids: Vec<RecordId> = pages.iter().map(Verified::id).collect();
        ids.sort();
        let (key, next_commitment) = (public(&signing), KeyCommitment::to_key(&public(&after)));
        let rotation = Rotation { publisher, prev, revealed, key, next: next_commitment, pages: ids };
        let rotation = sign(rotation, &revealing, &self.network)?;
        key_log.follow(rotation).map_err(|error| match error {
            record::Error::NotCommitted(_) => Error::NotNext { path: next.into(), reason: "it is another key".into() },
            error => error.into(),
        })?;
        for page in pages {
            key_log.add_page(page)?;
        }
        // Whatever is signed from now on travels behind all of it.
        let (count, bytes) = key_log.events().fold((0, 0), |(count, bytes), event| (count + 1, bytes + event.len()));
        if count >= MAX_RECORDS_PER_OFFER || bytes + MAX_RECORD_BYTES + OFFER_OVERHEAD_BYTES > MAX_OFFER_BYTES {
            return Err(Error::TooMuchKept(keep.len()));
        }
        let mut events = key_log.events().map(|event| BASE64.encode(event));
        let file = KeyFile {
            network: self.network.as_str().into(),
            secret: BASE64.encode(&signing.to_bytes()),
            inception: events.next().unwrap_or_default(),
            events: events.collect(),
        };
        let path_after = next_path_after(path, &key_log);
        if path_after.symlink_metadata().is_ok() {
            return Err(Error::NextExists(path_after));
        }
        // As for a new key: without the key after it, this would be the last rotation.
        files::write_private_atomically(
            &path_after,
            toml_of(&next_file(&key_log, &after)).as_bytes(),
            Existing::Refuse,
        )?;
        if let Err(error) = files::write_private_atomically(path, toml_of(&file).as_bytes(), Existing::Replace) {
            // Otherwise it is in place, and needs it.
            if !matches!(error, files::Error::Unsettled { .. }) {
                _ = std::fs::remove_file(path_after);
            }
            return Err(error.into());
        }
        Ok(Self { signing, key_log, network: self.network.clone() })
    }

    /// Reads the key that comes next, from where its owner put it.
    fn load_next(&self, path: &Path) -> Result<SigningKey, Error> {
        let wrong = |reason: &str| Error::NotNext { path: path.into(), reason: reason.into() };
        let private = files::read_private(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let private = private.ok_or_else(|| wrong("there is no such file"))?;
        let text = String::from_utf8(private.bytes).map_err(|_| wrong("it is not text"))?;
        let file: NextKeyFile = toml::from_str(&text).map_err(|_| wrong("it is no file of a next key"))?;
        if file.publisher != self.key_log.publisher().to_string() {
            return Err(wrong("it is another publisher's"));
        }
        let secret = decode(&file.next_secret).and_then(|bytes| bytes.try_into().ok());
        Ok(SigningKey::from_bytes(&secret.ok_or_else(|| wrong("`next_secret` is not a key"))?))
    }
}

/// Where the key after the last event of a key log is put.
pub fn next_path_after(path: &Path, key_log: &KeyLog) -> PathBuf {
    let mut name = next_path(path).into_os_string();
    let rotations = key_log.rotations().count();
    if rotations > 0 {
        name.push(format!("-{}", rotations + 1));
    }
    name.into()
}

fn next_file(key_log: &KeyLog, next: &SigningKey) -> NextKeyFile {
    NextKeyFile { publisher: key_log.publisher().to_string(), next_secret: BASE64.encode(&next.to_bytes()) }
}

/// Continues a key log by an event as it is written down: rotations in their order, then pages.
fn follow(key_log: &mut KeyLog, event: &[u8], network: &Network) -> Result<(), record::Error> {
    match UnverifiedRecord::decode_known(event)?.verify(Some(key_log), network)? {
        Record::Rotation(rotation) => key_log.follow(*rotation).map(drop),
        Record::KeepPage(page) => key_log.add_page(*page).map(drop),
        _ => Err(record::Error::UnknownKind(Kind::Inception.number().into())),
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

    #[test]
    fn a_rotation_uses_the_next_key_up_and_signs_with_a_fresh_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("market.key");
        let first = PublisherKey::create(&path, Handle::new("alice").unwrap(), Network::main()).unwrap();
        let next = first.load_next(&next_path(&path)).unwrap();
        let second = first.rotate(&path, &next_path(&path), [first.key_log.head()]).unwrap();
        let rotation = second.key_log.rotations().next().unwrap();
        assert_eq!((rotation.revealed, rotation.key), (public(&next), public(&second.signing)));
        assert!(![first.signing.to_bytes(), next.to_bytes()].contains(&second.signing.to_bytes()));
        let loaded = PublisherKey::load(&path).unwrap();
        assert_eq!((loaded.signing.to_bytes(), &loaded.key_log), (second.signing.to_bytes(), &second.key_log));
        // Neither the key that is used up nor the one in force is the next one.
        assert!(matches!(loaded.rotate(&path, &next_path(&path), []), Err(Error::NotNext { .. })));
        let forged = directory.path().join("forged");
        std::fs::write(&forged, toml_of(&next_file(&loaded.key_log, &loaded.signing))).unwrap();
        assert!(matches!(loaded.rotate(&path, &forged, []), Err(Error::NotNext { .. })));
        let third = loaded.rotate(&path, &next_path_after(&path, &loaded.key_log), []).unwrap();
        assert_eq!(PublisherKey::load(&path).unwrap().key_log, third.key_log);
    }
}
