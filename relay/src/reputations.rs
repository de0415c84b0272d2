//! What is thought of relays and providers, from one run to the next: a file that is no loss.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ggen_shared::reputation::{PeerReputation, Reputations};
use libp2p::PeerId;

use crate::causes;
use crate::files::{Existing, create_directory, write_private_atomically};
use crate::market::install::home;

/// The longest file that is read: some hundred bytes for each of the peers that are remembered.
const MAX_FILE_BYTES: u64 = 256 * 1024;

/// A relay's file, in its data directory.
const FILE: &str = "reputations.json";

/// Why the file is not used, or was not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the system said.
    #[error("{}", .0.display())]
    Io(PathBuf, #[source] io::Error),
    /// It is not what was written.
    #[error("{} is not what was written there, and is left out: {}", .0.display(), .1)]
    Damaged(PathBuf, String),
    /// It could not be put in its place.
    #[error(transparent)]
    Write(#[from] crate::files::Error),
}

/// Where the user's is.
pub fn default_path() -> PathBuf {
    home::state().join("peers.json")
}

/// Reads what was thought of peers; nothing if there is no file.
///
/// # Errors
/// [`Error`].
pub fn read(path: &Path) -> Result<Vec<(PeerId, PeerReputation)>, Error> {
    let damaged = |reason: String| Error::Damaged(path.into(), reason);
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES).read_to_string(&mut text));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged(error.to_string())),
        Err(error) => return Err(Error::Io(path.into(), error)),
        Ok(_) => {}
    }
    let peers: BTreeMap<String, PeerReputation> =
        serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let named = peers.into_iter().map(|(peer, reputation)| Ok((peer.parse()?, reputation)));
    named.collect::<Result<_, libp2p::identity::ParseError>>().map_err(|error| damaged(error.to_string()))
}

/// Writes what is thought of peers. Of two runs at once the one that ends last is remembered.
///
/// # Errors
/// [`Error`]; the file is as it was then.
pub fn write(path: &Path, peers: &[(PeerId, PeerReputation)]) -> Result<(), Error> {
    let peers: BTreeMap<String, &PeerReputation> =
        peers.iter().map(|(peer, reputation)| (peer.to_base58(), reputation)).collect();
    let text = serde_json::to_vec_pretty(&peers).map_err(|error| Error::Io(path.into(), error.into()))?;
    if let Some(directory) = path.parent() {
        create_directory(directory).map_err(|error| Error::Io(directory.into(), error))?;
    }
    Ok(write_private_atomically(path, &text, Existing::Replace)?)
}

/// What a relay thinks of the peers that it has asked for something, and where that is written down.
#[derive(Debug)]
pub(crate) struct Kept {
    path: PathBuf,
    peers: Mutex<Reputations<PeerId>>,
    /// As it was read or written last.
    written: Mutex<Vec<(PeerId, PeerReputation)>>,
}

impl Kept {
    /// What a relay thought when it ended, by its data directory.
    pub(crate) fn read(directory: &Path, now: Duration) -> Self {
        let path = directory.join(FILE);
        let before = read(&path).unwrap_or_else(|error| {
            tracing::warn!("what was thought of peers is forgotten: {}", causes::of(&error));
            Vec::new()
        });
        let mut peers = Reputations::default();
        peers.remember(before, now);
        let written = Mutex::new(peers.all().to_vec());
        Self { path, peers: Mutex::new(peers), written }
    }

    /// For who notes more than one thing.
    pub(crate) const fn peers(&self) -> &Mutex<Reputations<PeerId>> {
        &self.peers
    }

    fn lock(&self) -> MutexGuard<'_, Reputations<PeerId>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something of a peer. `now`: the time since 1970.
    pub(crate) fn note(&self, peer: PeerId, now: Duration, note: impl FnOnce(&mut PeerReputation, Duration)) {
        self.lock().note(peer, now, note);
    }

    /// What is thought of a peer.
    pub(crate) fn of(&self, peer: &PeerId) -> PeerReputation {
        self.lock().of(peer)
    }

    /// All that something is known of, in no order.
    pub(crate) fn all(&self) -> Vec<(PeerId, PeerReputation)> {
        self.lock().all().to_vec()
    }

    /// Writes it down, if there is anything new.
    pub(crate) fn write(&self) {
        let all = self.all();
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if *written == all {
            return;
        }
        match write(&self.path, &all) {
            Ok(()) => *written = all,
            Err(error) => tracing::warn!("what is thought of peers is not written down: {}", causes::of(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_relay_thinks_what_it_thought_before() {
        let (directory, now) = (tempfile::tempdir().unwrap(), Duration::from_secs(1_790_000_000));
        let (kept, peer) = (Kept::read(directory.path(), now), PeerId::random());
        kept.write();
        assert!(!directory.path().join(FILE).exists(), "nothing is no news");
        kept.note(peer, now, PeerReputation::record_fault);
        kept.write();
        let again = Kept::read(directory.path(), now);
        assert_eq!(again.of(&peer), kept.of(&peer));
        assert_eq!(again.all().len(), 1);
        std::fs::write(directory.path().join(FILE), "{").unwrap();
        assert!(Kept::read(directory.path(), now).all().is_empty(), "a damaged file is no reason not to start");
    }

    #[test]
    fn what_was_written_is_read_and_what_is_damaged_says_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/peers.json");
        assert_eq!(read(&path).unwrap(), []);
        let mut failed = PeerReputation::new();
        failed.record_failure(Duration::from_secs(1_790_000_000));
        let mut peers = vec![(PeerId::random(), failed), (PeerId::random(), PeerReputation::new())];
        peers.sort_by_key(|(peer, _)| peer.to_base58());
        write(&path, &peers).unwrap();
        assert_eq!(read(&path).unwrap(), peers);
        let whole = std::fs::read_to_string(&path).unwrap();
        for bad in [
            &whole[..whole.len() - 2],
            "",
            "[]",
            "{\"me\": {}}",
            &whole.replace(": 1.0", ": -1.0"),
            &" ".repeat(300 * 1024),
        ] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(read(&path), Err(Error::Damaged(..))), "{bad}");
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert!(matches!(read(&path), Err(Error::Damaged(..))));
        assert!(matches!(read(directory.path()), Err(Error::Io(..))));
    }
}
