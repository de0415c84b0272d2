//! A key and its ledger in one encrypted file, to take to another machine. The ledger goes along because it knows which indices
//! are used up, and what a rotation has to keep.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, PublisherKey, StoredKey, file};
use crate::files::{self, Existing};
use crate::market::ledger;
use crate::market::seal::{self, Passphrase};

/// A ledger whose every index is used by records of the largest size fits.
const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// What is encrypted.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Portable {
    version: u32,
    /// A key file, not encrypted.
    key: String,
    /// The ledger's lines.
    ledger: String,
}

impl PublisherKey {
    /// Writes this key and its ledger into a new file, encrypted. Nothing that is there is overwritten. The ledger should be locked.
    ///
    /// # Errors
    /// [`Error::Ledger`], [`Error::Sealing`], [`Error::Write`].
    pub fn export(&self, ledger: &ledger::Ledger, to: &Path, passphrase: &Passphrase) -> Result<(), Error> {
        let open = Self { passphrase: None, ..self.clone() };
        let portable = Portable { version: 1, key: file::key_file(&open)?, ledger: ledger.text()? };
        let sealed = seal::seal(file::toml_of(&portable).as_bytes(), passphrase).map_err(Error::Sealing)?;
        Ok(files::write_private_atomically(to, &sealed, Existing::Refuse)?)
    }

    /// Puts what [`Self::export`] wrote in its place on this machine, where no key is yet. All of it is verified before anything is
    /// written. The key file is encrypted with the same passphrase, if `keep_sealed`.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::Read`], [`Error::Missing`], [`Error::Sealed`], [`Error::Damaged`], [`Error::Newer`], [`Error::Ledger`],
    /// [`Error::Write`]. No key is there then.
    pub fn import(from: &Path, path: &Path, passphrase: Passphrase, keep_sealed: bool) -> Result<Self, Error> {
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists(path.into()));
        }
        let sealed = read_bounded(from)?;
        let opened = seal::open(&sealed, &passphrase);
        let opened = opened.map_err(|source| Error::Sealed { path: from.into(), source })?;
        let portable: Portable = file::parse(from, opened)?;
        let mut key = StoredKey::parse(from, portable.key.into_bytes())?.open(from, None)?;
        key.passphrase = keep_sealed.then_some(passphrase);
        ledger::check(from, &portable.ledger, &key.key_log, &key.network)?;
        files::create_directory(super::directory_of(path))
            .map_err(|source| files::Error::Write { path: path.into(), source })?;
        // The ledger first: a key without it would use indices again. The same one may be there from an import that ended between the two.
        let ledger_path = ledger::path_of(path);
        let same = std::fs::read(&ledger_path).is_ok_and(|there| there == portable.ledger.as_bytes());
        if !same {
            files::write_private_atomically(&ledger_path, portable.ledger.as_bytes(), Existing::Refuse)?;
        }
        files::write_private_atomically(path, file::key_file(&key)?.as_bytes(), Existing::Refuse)?;
        Ok(key)
    }
}

fn read_bounded(path: &Path) -> Result<Vec<u8>, Error> {
    let error = |source| Error::Read { path: path.into(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(error)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(error)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::Damaged { path: path.into(), reason: "it is too long".into() });
    }
    Ok(bytes)
}
