//! The random audit of a relay: it says that it holds a record that nobody chose, and is asked for entries that follow from it.

use std::time::Duration;

use ggen_shared::catalogue::keys::{self, PackageKey, ShortId};
use ggen_shared::client::audit::{Step, Walk, choose};
use ggen_shared::client::evidence::{self, Evidence};
use ggen_shared::id::RecordId;
use ggen_shared::registry::{MaybeSend, PeerError};
use ggen_shared::search::rank::Popularity;
use ggen_shared::search::verified::verify_pieces;
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

    /// None: no release was found.
    async fn audit_at(&self, relay: PeerId, entropy: &[u8; 32]) -> Result<Option<Option<Evidence>>, PeerError> {
        let Some(id) = self.random_release(relay, *entropy).await? else { return Ok(None) };
        let (hits, missing) = self.named(relay, vec![ShortId::of(&id)]).await?;
        let Some(hit) = hits.into_iter().next() else {
            // It may have been displaced just now; that another one is at the next audit as well is no chance.
            if self.note_withheld(relay, true) {
                self.peer().note_fault(relay);
            }
            return missing.map_or(Ok(None), Err);
        };
        self.note_withheld(relay, false);
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

    /// A release that a relay says it holds, each as likely as any other.
    async fn random_release(&self, relay: PeerId, entropy: [u8; 32]) -> Result<Option<RecordId>, PeerError> {
        let mut walk = Walk::new(entropy);
        while let Some(question) = walk.next_question() {
            let answer = self.part(relay, &question).await?;
            let (checkpoint, pieces) = self.verified(relay, |asked| verify_pieces(&question, &answer, asked))?;
            match walk.on_answer(checkpoint.epoch, checkpoint.root.into(), &pieces) {
                Step::Further => {}
                Step::Release(entry) => return Ok(keys::record_of(&entry)),
                Step::Nothing => return Ok(None),
                Step::Back => return Err(self.went_back(relay)),
            }
        }
        Ok(None)
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
