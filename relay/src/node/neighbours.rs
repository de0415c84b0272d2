//! Whom the relay knew when it last ran: a start finds the network again, whether or not the relays that the operator named are there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ggen_net::{address, dialable};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use crate::files::{self, Existing};
use crate::policy::{FORMER_NEIGHBOURS_INTERVAL, FORMER_NEIGHBOURS_TIMEOUT, MAX_NEIGHBOURS};

/// The file in the data directory: an address in each line, which ends in the peer's id.
const FILE: &str = "neighbours";

/// Where neighbours can be dialed.
pub(super) type Known = BTreeMap<PeerId, Vec<Multiaddr>>;

/// The file, what stands in it, and whom of the last run it still waits for.
pub(super) struct Neighbours {
    path: PathBuf,
    written: String,
    former: Known,
    dial_at: Instant,
    until: Instant,
}

impl Neighbours {
    /// Those of the last run. What can't be read, or is no address, is left out: nothing but a faster start depends on it.
    pub(super) fn read(data_dir: &Path) -> Self {
        let path = data_dir.join(FILE);
        let bytes = files::read_private(&path).ok().flatten().map(|file| file.bytes).unwrap_or_default();
        let written = String::from_utf8(bytes).unwrap_or_default();
        let mut former = Known::new();
        for (peer, address) in written.lines().filter_map(|line| address::split_peer(&line.parse().ok()?)) {
            if former.contains_key(&peer) || former.len() < MAX_NEIGHBOURS {
                former.entry(peer).or_default().push(address);
            }
        }
        for addresses in former.values_mut() {
            *addresses = dialable(addresses).collect();
        }
        let now = Instant::now();
        Self { path, written, former, dial_at: now, until: now + FORMER_NEIGHBOURS_TIMEOUT }
    }

    /// Those of the last run that are to be dialed now: who was not met is dialed again now and then, for some hours.
    pub(super) fn due(&mut self) -> Known {
        let now = Instant::now();
        if now >= self.until {
            self.former.clear();
        }
        if now < self.dial_at {
            return Known::new();
        }
        self.dial_at = now + FORMER_NEIGHBOURS_INTERVAL;
        self.former.clone()
    }

    /// Remembers these, and those of the last run that are still waited for. None at all are no news: the relay may have lost its network.
    pub(super) fn remember(&mut self, known: &Known) {
        self.former.retain(|peer, _| !known.contains_key(peer));
        let lines = known.iter().chain(&self.former).take(MAX_NEIGHBOURS).flat_map(|(peer, addresses)| {
            dialable(addresses).filter_map(|address| Some(format!("{}\n", address.with_p2p(*peer).ok()?)))
        });
        let text: String = lines.collect();
        if text.is_empty() || text == self.written {
            return;
        }
        self.written.clone_from(&text);
        let path = self.path.clone();
        // It is not waited for: the next change writes it again.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = files::write_private_atomically(&path, text.as_bytes(), Existing::Replace) {
                tracing::warn!(%error, "the relay's neighbours are not remembered");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_of_anything_gives_at_most_so_many_neighbours_and_no_panic() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        assert!(Neighbours::read(directory.path()).former.is_empty());
        let line = |number: u32| format!("/ip4/10.0.0.1/tcp/{}/p2p/{}\n", number % 60_000 + 1, PeerId::random());
        let many: String = (0..2 * MAX_NEIGHBOURS as u32).map(line).collect();
        std::fs::write(&path, format!("no address\n/ip4/10.0.0.1/tcp/1\n{many}")).unwrap();
        assert_eq!(Neighbours::read(directory.path()).former.len(), MAX_NEIGHBOURS);
        std::fs::write(&path, [0xff; 1000]).unwrap();
        assert!(Neighbours::read(directory.path()).former.is_empty());
    }
}
