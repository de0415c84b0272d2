//! What is thought of relays and providers, from one run to the next: a file that is no loss.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ggen_shared::reputation::PeerReputation;
use libp2p::PeerId;

use super::install::home;
use crate::files::{Existing, create_directory, write_private_atomically};

/// The longest file that is read: some hundred bytes for each of the peers that are remembered.
const MAX_FILE_BYTES: u64 = 256 * 1024;

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

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
