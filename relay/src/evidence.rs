//! Evidence against other relays: verified, kept from run to run, and shown to whoever asks for it.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ggen_net::address;
use ggen_shared::client::{Dossier, Evidence, evidence};
use ggen_shared::codec;
use ggen_shared::id::{Network, PublicKey};
use ggen_shared::limits::MAX_RECORD_BYTES;
use ggen_shared::rules::Schedule;
use libp2p::Multiaddr;
use serde_bytes::ByteBuf;

use crate::files::{self, Existing};

/// The file in the data directory: a list of byte strings in CBOR.
const FILE: &str = "evidence";

/// A longer file is none of ours: all that is kept, each as large as gossip carries it.
const MAX_FILE_BYTES: usize = 65 * (MAX_RECORD_BYTES + 8);

/// What this relay knows of others that break the rules.
#[derive(Clone)]
pub(crate) struct Kept(Arc<Shared>);

struct Shared {
    path: PathBuf,
    network: Network,
    rules: Schedule,
    /// The relays that the operator named.
    anchors: HashSet<PublicKey>,
    dossier: Mutex<Dossier>,
    /// Held while the file is written, so that what is newest is written last.
    writing: Mutex<()>,
    /// Whether it is to be written already: whoever makes up relays that lie makes it be written as often as the disk does it, and no queue.
    is_waiting: AtomicBool,
}

impl Kept {
    /// What was kept in a data directory, by a relay that joins the network through these. What does not verify is left out: it may be of a release with
    /// other rules.
    pub(crate) fn read(directory: &Path, network: Network, rules: Schedule, bootstrap: &[Multiaddr]) -> Self {
        let anchors =
            bootstrap.iter().filter_map(|address| address::key_of(&address::split_peer(address)?.0)).collect();
        let path = directory.join(FILE);
        let (dossier, writing, is_waiting) = Default::default();
        let kept = Self(Arc::new(Shared { path, network, rules, anchors, dossier, writing, is_waiting }));
        for bytes in read(&kept.0.path) {
            match kept.verify(&bytes) {
                Ok(evidence) => _ = kept.insert(evidence),
                Err(error) => tracing::warn!(%error, "evidence that was kept does not hold"),
            }
        }
        kept
    }

    /// Verifies evidence.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn verify(&self, bytes: &[u8]) -> Result<Evidence, evidence::Error> {
        Evidence::verify(bytes, &self.0.network, &self.0.rules)
    }

    /// Keeps evidence, if it is news: whether it was.
    pub(crate) fn keep(&self, evidence: Evidence) -> bool {
        let relay = address::peer_of(evidence.relay()).map_or_else(String::new, |relay| relay.to_string());
        let code = evidence.misdeed().code();
        if !self.insert(evidence) {
            return false;
        }
        tracing::warn!(%relay, code, "a relay is proven to break the rules: see /api/v1/evidence");
        let shared = self.0.clone();
        if shared.is_waiting.swap(true, AcqRel) {
            return true;
        }
        // It is not waited for: the next piece writes it again.
        tokio::task::spawn_blocking(move || {
            let _writing = lock(&shared.writing);
            shared.is_waiting.swap(false, AcqRel);
            let all: Vec<ByteBuf> =
                lock(&shared.dossier).all().map(|one| ByteBuf::from(one.bytes().to_vec())).collect();
            let written = files::write_private_atomically(&shared.path, &codec::encode(&all), Existing::Replace);
            if let Err(error) = written {
                tracing::warn!(%error, "evidence is not kept for the next start");
            }
        });
        true
    }

    fn insert(&self, evidence: Evidence) -> bool {
        lock(&self.0.dossier).keep(evidence, |relay| self.0.anchors.contains(relay))
    }

    /// How much is kept.
    pub(crate) fn count(&self) -> usize {
        lock(&self.0.dossier).all().count()
    }

    /// All that is kept, the oldest first.
    pub(crate) fn all(&self) -> Vec<Evidence> {
        lock(&self.0.dossier).all().cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(path: &Path) -> Vec<ByteBuf> {
    let mut bytes = Vec::new();
    let Ok(file) = File::open(path) else { return Vec::new() };
    if let Err(error) = file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes) {
        tracing::warn!(%error, "the evidence that was kept can't be read");
    }
    codec::read(&bytes, MAX_FILE_BYTES).unwrap_or_else(|error| {
        tracing::warn!(%error, "the evidence that was kept can't be read");
        Vec::new()
    })
}
