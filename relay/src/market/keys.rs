//! A publisher's key on disk: the signing key, the key events up to it, and apart from both the next key, which the next rotation reveals.
//! It signs that one rotation, which puts a fresh signing key in force.

mod file;
mod portable;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ggen_shared::id::{Handle, KeyCommitment, Network, PublicKey, RecordId};
use ggen_shared::limits::KEPT_PER_PAGE;
use ggen_shared::record::{self, Inception, KeepPage, KeyLog, Rotation, Verified, Work, sign};

pub use file::StoredKey;

use super::ledger;
use super::seal::{self, Passphrase};
use super::work::Proving;
use crate::files::{self, Existing};

/// Why a key can't be made or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] files::Error),
    /// The file could not be read.
    #[error("{path}: {source}")]
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
    /// The next key would lie beside the key.
    #[error(
        "{0} is in the directory of the key, and whoever takes the one takes the other. Name a place apart for the next key, \
         such as a medium that is kept in a drawer"
    )]
    NextBeside(PathBuf),
    /// Something is where the next key was to go, and it may be somebody's.
    #[error("{0} is there, the next key of some publisher perhaps, and is never overwritten: name another place")]
    NextExists(PathBuf),
    /// There is no such file.
    #[error("{0} does not exist. Make a key with: ggen-market key new --handle HANDLE --next-key FILE --key {0}")]
    Missing(PathBuf),
    /// It was made before everybody's network asked for work.
    #[error(
        "{0} is a key without the proof of work that its network asks for, such as an earlier ggen-market made: no relay takes what \
         it signs. Move it away, and make another one with: ggen-market key new --handle HANDLE --next-key FILE"
    )]
    Unproven(PathBuf),
    /// Something newer wrote it.
    #[error("{0} was written by a newer ggen-market: use that version, or a later one")]
    Newer(PathBuf),
    /// The passphrase does not open it.
    #[error("{path}: {source}")]
    Sealed {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: seal::Error,
    },
    /// It could not be encrypted.
    #[error("the key could not be encrypted: {0}")]
    Sealing(#[source] std::io::Error),
    /// The ledger that goes with it can't be used.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
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
         `key rotate`, wrote: name it with --with FILE"
    )]
    NotNext {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The inception is none, such as of a level of work that there is not.
    #[error("the key can't be made: {0}")]
    Inception(#[source] record::Error),
    /// The key log takes no more.
    #[error("the key can't be rotated: {0}")]
    Rotation(#[from] record::Error),
    /// The system gave no randomness.
    #[error("the system gave no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// A publisher's key, ready to sign.
#[derive(Clone)]
pub struct PublisherKey {
    /// Signs.
    pub signing: SigningKey,
    /// The key log so far.
    pub key_log: KeyLog,
    /// The network it signs for.
    pub network: Network,
    /// What its files are encrypted with, if they are.
    passphrase: Option<Passphrase>,
}

/// A next key that was read, to be revealed.
pub struct NextKey {
    path: PathBuf,
    signing: SigningKey,
}

/// Where the key lies unless the user says otherwise.
pub fn default_path() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(PathBuf::new, PathBuf::from);
    home.join(".config/ggen/market.key")
}

/// Demands of the place for a next key that it is apart from the key, and free.
fn check_place(path: &Path, next: &Path) -> Result<(), Error> {
    if next.symlink_metadata().is_ok() {
        return Err(Error::NextExists(next.into()));
    }
    let real = |path: &Path| directory_of(path).canonicalize();
    // A directory that is not there yet is not that of the other file.
    if directory_of(path) == directory_of(next) || real(path).ok().is_some_and(|there| real(next).ok() == Some(there)) {
        return Err(Error::NextBeside(next.into()));
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl PublisherKey {
    /// Makes a new publisher, who proves the work that the network asks for, and writes its key, and its next key at a place apart; both
    /// encrypted, if there is a passphrase. An existing file is never overwritten. Blocks.
    ///
    /// # Errors
    /// [`Error::Inception`], [`Error::Exists`], [`Error::NextExists`], [`Error::NextBeside`], [`Error::Sealing`], [`Error::Write`], [`Error::Randomness`].
    pub fn create(
        path: &Path,
        next_path: &Path,
        handle: Handle,
        network: Network,
        passphrase: Option<Passphrase>,
        proving: Proving<'_>,
    ) -> Result<Self, Error> {
        // Asked for first only to say it well: the files are never replaced anyhow.
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists(path.into()));
        }
        check_place(path, next_path)?;
        // Before the work, which is not to be in vain.
        let directory = directory_of(path);
        for directory in [directory, directory_of(next_path)] {
            let writable = files::create_directory(directory).and_then(|()| tempfile::tempfile_in(directory).map(drop));
            writable.map_err(|source| files::Error::Write { path: directory.into(), source })?;
        }
        let (signing, next) = (random_key()?, random_key()?);
        let inception =
            Inception { handle, key: public(&signing), next: KeyCommitment::to_key(&public(&next)), work: Work::NONE };
        let inception = proving.prove(inception, &network).and_then(|proven| sign(proven, &signing, &network));
        let inception = inception.map_err(Error::Inception)?;
        let created = Self { signing, key_log: KeyLog::new(inception), network, passphrase };
        created.write(path, next_path, &next, Existing::Refuse)?;
        Ok(created)
    }

    /// Reads a key file that is not encrypted.
    ///
    /// # Errors
    /// As of [`StoredKey::read`] and [`StoredKey::open`].
    pub fn load(path: &Path) -> Result<Self, Error> {
        StoredKey::read(path)?.open(path, None)
    }

    /// Writes the key's file, and that of the key after it.
    fn write(&self, path: &Path, next_path: &Path, next: &SigningKey, existing: Existing) -> Result<(), Error> {
        let (file, next_file) = (file::key_file(self)?, file::next_file(self, next)?);
        // The next key first: without it, this one could never be rotated.
        files::write_private_atomically(next_path, next_file.as_bytes(), Existing::Refuse)?;
        if let Err(error) = files::write_private_atomically(path, file.as_bytes(), existing) {
            // It belongs to no key, unless that is in place all the same.
            if !matches!(error, files::Error::Unsettled { .. }) {
                _ = std::fs::remove_file(next_path);
            }
            return Err(error.into());
        }
        Ok(())
    }

    /// Writes the key's file again, encrypted by another passphrase, or not at all any more.
    ///
    /// # Errors
    /// [`Error::Sealing`], [`Error::Write`]; the file is as it was then.
    pub fn reseal(&mut self, path: &Path, passphrase: Option<Passphrase>) -> Result<(), Error> {
        self.passphrase = passphrase;
        Ok(files::write_private_atomically(path, file::key_file(self)?.as_bytes(), Existing::Replace)?)
    }

    /// What its files are encrypted with, if they are.
    pub const fn passphrase(&self) -> Option<&Passphrase> {
        self.passphrase.as_ref()
    }

    /// Reveals the next key, which puts a fresh one in force: what the key before it signed is void from then on, but for what is kept.
    /// Writes the key file, and at a place apart the next key that comes after. Nobody knows of it before relays have it. The file of the next key
    /// is used up: it is not needed even to send the rotation again, and whoever gets hold of it can fork the key log.
    ///
    /// # Errors
    /// [`Error::NotNext`], [`Error::NextExists`], [`Error::NextBeside`], [`Error::Rotation`], [`Error::Sealing`], [`Error::Write`],
    /// [`Error::Randomness`]. The key is as it was then.
    pub fn rotate(
        &self,
        path: &Path,
        next: NextKey,
        path_after: &Path,
        keep: impl IntoIterator<Item = RecordId>,
    ) -> Result<Self, Error> {
        check_place(path, path_after)?;
        let mut key_log = self.key_log.clone();
        let (revealing, signing, after) = (next.signing, random_key()?, random_key()?);
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
            record::Error::NotCommitted(_) => Error::NotNext { path: next.path, reason: "it is another key".into() },
            error => error.into(),
        })?;
        for page in pages {
            key_log.add_page(page)?;
        }
        let rotated = Self { signing, key_log, network: self.network.clone(), passphrase: self.passphrase.clone() };
        rotated.write(path, path_after, &after, Existing::Replace)?;
        Ok(rotated)
    }

    /// Reads the key that comes next, from where its owner put it. Without a passphrase it is opened by that of this key, if it has one.
    ///
    /// # Errors
    /// [`Error::NotNext`], [`Error::Read`], [`Error::Sealed`], [`Error::Newer`].
    pub fn read_next(&self, path: &Path, passphrase: Option<&Passphrase>) -> Result<NextKey, Error> {
        let signing = file::read_next(path, &self.key_log, passphrase.or(self.passphrase.as_ref()))?;
        Ok(NextKey { path: path.into(), signing })
    }
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
mod tests;
