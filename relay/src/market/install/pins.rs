//! Pins: which publishers a user means by a handle. Claims of handles are free; whose package was installed once is known from then on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use ggen_shared::id::{Handle, Network, PublisherId};
use serde::{Deserialize, Serialize};

use crate::files::Fault;

/// Bytes of the file that are read: tens of thousands of publishers.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

const HEADER: &str =
    "# Whom a handle means, by network; written by ggen-market install. Delete a line to forget a publisher.\n\n";

/// Why pins are not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system said so.
    #[error(transparent)]
    Io(#[from] Fault),
    /// It does not read as pins.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
}

/// The publishers that a user knows, by the handles that they claim.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins {
    networks: BTreeMap<String, BTreeMap<Handle, BTreeSet<PublisherId>>>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Written(BTreeMap<String, BTreeMap<String, Vec<String>>>);

impl Pins {
    /// Where they are.
    pub fn path() -> PathBuf {
        super::home::data().join("pins.toml")
    }

    /// Reads them; none where there is no file.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let io = Fault::at(path);
        let content = |reason: String| Error::Content { path: path.into(), reason };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(io(error).into()),
        };
        let mut text = String::new();
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(io)?;
        if text.len() as u64 > MAX_BYTES {
            return Err(content(format!("is longer than {MAX_BYTES} bytes")));
        }
        let Written(written) = toml::from_str(&text).map_err(|error| content(error.to_string()))?;
        let mut pins = Self::default();
        for (network, handles) in written {
            let pinned = pins.networks.entry(network).or_default();
            for (handle, publishers) in handles {
                let publishers = publishers.iter().map(|publisher| publisher.parse()).collect::<Result<_, _>>();
                let handle = handle.parse().map_err(|error| content(format!("{error}")))?;
                pinned.insert(handle, publishers.map_err(|error| content(format!("{error}")))?);
            }
        }
        Ok(pins)
    }

    /// The publishers that are pinned for a handle.
    pub fn publishers(&self, network: &Network, handle: &Handle) -> impl Iterator<Item = &PublisherId> {
        self.networks.get(network.as_str()).and_then(|handles| handles.get(handle)).into_iter().flatten()
    }

    /// Whether a publisher is pinned, whatever the handle.
    pub fn has(&self, network: &Network, publisher: &PublisherId) -> bool {
        let handles = self.networks.get(network.as_str());
        handles.is_some_and(|handles| handles.values().any(|publishers| publishers.contains(publisher)))
    }

    /// Adds publishers to the file, and returns all that it has then. Another run may add some at the same time.
    ///
    /// # Errors
    /// [`Error`]. The file is as it was then.
    pub fn add(path: &Path, network: &Network, publishers: &[(Handle, PublisherId)]) -> Result<Self, Error> {
        let io = Fault::at(path);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(&io)?;
        }
        let locked = OpenOptions::new().write(true).create(true).truncate(false).open(path.with_extension("lock"));
        let locked = locked.map_err(&io)?;
        locked.lock().map_err(&io)?;
        let mut pins = Self::read(path)?;
        let before = pins.clone();
        let pinned = pins.networks.entry(network.as_str().into()).or_default();
        for (handle, publisher) in publishers {
            pinned.entry(handle.clone()).or_default().insert(*publisher);
        }
        if pins != before {
            let temporary = path.with_extension("new");
            let written = || {
                let mut file = File::create(&temporary)?;
                file.write_all(pins.to_text().as_bytes())?;
                file.sync_all()?;
                fs::rename(&temporary, path)
            };
            written().map_err(&io)?;
        }
        Ok(pins)
    }

    fn to_text(&self) -> String {
        let text = |publishers: &BTreeSet<PublisherId>| publishers.iter().map(ToString::to_string).collect();
        let handles = |handles: &BTreeMap<Handle, BTreeSet<PublisherId>>| {
            handles.iter().map(|(handle, publishers)| (handle.to_string(), text(publishers))).collect()
        };
        let written = Written(self.networks.iter().map(|(network, pins)| (network.clone(), handles(pins))).collect());
        let text = toml::to_string(&written).expect("tables of text are TOML");
        format!("{HEADER}{text}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_kept_by_network_and_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/pins.toml");
        let [one, other] = [1, 2].map(|number| PublisherId::from_bytes([number; 32]));
        let (network, elsewhere) = (Network::named("test net.").unwrap(), Network::main());
        let alice: Handle = "alice".parse().unwrap();
        assert_eq!(Pins::read(&path).unwrap(), Pins::default());
        Pins::add(&path, &network, &[(alice.clone(), one)]).unwrap();
        let pins = Pins::add(&path, &network, &[(alice.clone(), one), (alice.clone(), other)]).unwrap();
        assert_eq!(Pins::read(&path).unwrap(), pins);
        assert_eq!(pins.publishers(&network, &alice).collect::<Vec<_>>(), [&one, &other]);
        assert_eq!(pins.publishers(&elsewhere, &alice).count(), 0);
        assert!(pins.has(&network, &other) && !pins.has(&elsewhere, &other));
    }

    #[test]
    fn what_is_no_pin_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pins.toml");
        for text in ["[ggen]\nALICE = []\n", "[ggen]\nalice = [\"x\"]\n", "ggen = 1\n", "["] {
            fs::write(&path, text).unwrap();
            assert!(matches!(Pins::read(&path), Err(Error::Content { .. })), "{text}");
            assert!(Pins::add(&path, &Network::main(), &[]).is_err());
            assert_eq!(fs::read_to_string(&path).unwrap(), text, "it is not overwritten");
        }
    }
}
