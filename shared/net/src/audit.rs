//! The random audit of a relay: it says that it holds a record that nobody chose, and is asked for entries that follow from it.

use std::time::Duration;

use ggen_shared::catalogue::keys::{self, PackageKey, ShortId};
use ggen_shared::client::audit::{choose, from_start, sample, sample_of};
use ggen_shared::client::evidence::{self, Evidence};
use ggen_shared::protocol::query::RangeOf;
use ggen_shared::registry::{MaybeSend, PeerError};
use ggen_shared::search::rank::Popularity;
use libp2p::PeerId;

use crate::light::Platform;
use crate::registry::P2PRegistry;

/// How often one of the connected relays is audited.
const INTERVAL: Duration = Duration::from_secs(60);

/// How many audits there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Audits {
    /// Audits in which every entry was what the rules say.
    pub passed: u64,
    /// Audits that found a wrong derivation: see [`P2PRegistry::evidence`].
    pub failed: u64,
    /// Audits that came to no end: the relay did not answer, or holds no release.
    pub unfinished: u64,
}

impl<P: Platform> P2PRegistry<P> {
    /// Audits a relay once, at a point that the entropy decides. None: all is as the rules say.
    ///
    /// A release that its package is not listed by shows little: then only its version is looked for.
    ///
    /// # Errors
    /// The relay does not answer, or does not prove what it says.
    pub async fn audit(&self, relay: PeerId, entropy: [u8; 32]) -> Result<Option<Evidence>, PeerError> {
        let audited = self.now().audit_at(relay, &entropy).await;
        self.count_audit(|audits| match &audited {
            Ok(Some(None)) => audits.passed += 1,
            Ok(Some(Some(_))) => audits.failed += 1,
            Ok(None) | Err(_) => audits.unfinished += 1,
        });
        audited.map(Option::flatten)
    }

    /// None: nothing is held behind that point.
    async fn audit_at(&self, relay: PeerId, entropy: &[u8; 32]) -> Result<Option<Option<Evidence>>, PeerError> {
        let Some(record) = self.first(relay, sample(entropy)).await? else { return Ok(None) };
        let Some(question) = sample_of(&record, entropy) else { return Ok(None) };
        let release = self.first(relay, question).await?;
        let Some(id) = release.and_then(|release| keys::record_of(&release)) else { return Ok(None) };
        let (hits, missing) = self.named(relay, vec![ShortId::of(&id)]).await?;
        let Some(hit) = hits.into_iter().next() else { return missing.map_or(Ok(None), Err) };
        if let Some(evidence) = self.examine(relay, &hit, None, &evidence::record_entry(&hit.release)).await? {
            return Ok(Some(Some(evidence)));
        }
        let package = PackageKey::of(&hit.release.package());
        let dependents = self.range(relay, &keys::dependent_publishers(&package), 0).await?.total;
        let popularity = Popularity::of(usize::try_from(dependents).unwrap_or(usize::MAX));
        let mut entries = keys::listing(&hit.release.id(), &hit.release, &self.rules.tokens(&hit.release), popularity);
        entries.extend(keys::counted(&hit.release));
        for entry in choose(entries, entropy) {
            if let Some(evidence) = self.examine(relay, &hit, None, &entry).await? {
                return Ok(Some(Some(evidence)));
            }
        }
        Ok(Some(None))
    }

    /// The first entry behind a point, or of all.
    async fn first(&self, relay: PeerId, question: RangeOf) -> Result<Option<Vec<u8>>, PeerError> {
        let mut found = self.proven(relay, &question).await?.1;
        if found.keys.is_empty() {
            found = self.proven(relay, &from_start(&question)).await?.1;
        }
        Ok(found.keys.pop())
    }

    /// Audits one of the connected relays every minute, as long as somebody has this registry. The shell gives the randomness.
    pub fn keep_auditing(&self, entropy: impl Fn() -> [u8; 32] + MaybeSend + 'static) {
        let (shared, platform) = (self.downgrade(), self.peer().platform().clone());
        self.peer().platform().spawn(async move {
            loop {
                platform.sleep(INTERVAL).await;
                // Nobody else has it: it must not keep the light peer running.
                let Some(registry) = Self::upgrade(&shared) else { return };
                let entropy = entropy();
                let relays = registry.peer().connected();
                let Some(relay) = relays.get(usize::from(entropy[31]) % relays.len().max(1)) else { continue };
                if matches!(registry.audit(*relay, entropy).await, Err(PeerError::Closed)) {
                    return;
                }
            }
        });
    }
}
