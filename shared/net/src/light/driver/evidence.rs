//! Evidence against relays that others found.

use std::sync::PoisonError;

use ggen_shared::checkpoint;
use ggen_shared::client::Origin;
use ggen_shared::client::evidence::{self, Evidence};
use ggen_shared::id::PublicKey;
use ggen_shared::limits::MAX_RECORD_BYTES;
use libp2p::PeerId;
use libp2p::gossipsub::{MessageAcceptance, MessageId};

use super::{Driver, Event};
use crate::address;
use crate::gossip::evidence_topic;
use crate::light::platform::Platform;

/// Pieces of evidence that are looked at each second.
const MAX_JUDGED_PER_SECOND: u32 = 8;

impl<P: Platform> Driver<P> {
    /// Tells everybody of evidence that was found here.
    pub(super) fn accuse(&mut self, evidence: Box<Evidence>) {
        // What is too large for gossip convinces whoever is shown it otherwise.
        if evidence.bytes().len() <= MAX_RECORD_BYTES {
            let gossip = &mut self.swarm.behaviour_mut().p2p.gossipsub;
            if let Err(error) = gossip.publish(evidence_topic(), evidence.bytes().to_vec()) {
                tracing::debug!(%error, "evidence is told to nobody");
            }
        }
        self.tell(Event::Accused { evidence, from: None });
    }

    /// Verifies evidence, keeps it if it is news about a relay that is known here, and passes it on then.
    pub(super) fn on_evidence(&mut self, from: PeerId, message: &MessageId, bytes: &[u8]) {
        let accused = Evidence::accused(bytes).and_then(|relay| address::peer_of(&relay));
        let acceptance = match accused {
            None => MessageAcceptance::Reject,
            // Of others nobody here has to be warned, and whoever makes them up could do so without end.
            Some(relay) if !self.relays.knows(&relay) => MessageAcceptance::Ignore,
            // Each piece takes milliseconds, in a page those of the page; whoever makes up relays has as many as it likes, all of them true.
            Some(_) if !self.may_judge() => MessageAcceptance::Ignore,
            Some(relay) => match Evidence::verify(bytes, &self.network, &self.rules) {
                Ok(evidence) if self.keep(evidence.clone()) => {
                    let (now, thought_of) = (self.platform.now(), &self.reputations);
                    let mut thought_of = thought_of.lock().unwrap_or_else(PoisonError::into_inner);
                    thought_of.note(relay, now, |reputation, now| reputation.record_evidence(now));
                    drop(thought_of);
                    self.tell(Event::Accused { evidence: Box::new(evidence), from: Some(from) });
                    MessageAcceptance::Accept
                }
                // Who knows later rules may have verified it.
                Ok(_) | Err(evidence::Error::Checkpoint(checkpoint::Error::OtherRules(_))) => MessageAcceptance::Ignore,
                Err(error) => {
                    tracing::debug!(%from, %error, "evidence that shows nothing");
                    MessageAcceptance::Reject
                }
            },
        };
        self.report(message, from, acceptance);
    }

    /// Whether there is time for one more piece of evidence.
    fn may_judge(&mut self) -> bool {
        let second = self.platform.now().as_secs();
        if self.judged.0 != second {
            self.judged = (second, 0);
        }
        self.judged.1 += 1;
        self.judged.1 <= MAX_JUDGED_PER_SECOND
    }

    fn keep(&self, evidence: Evidence) -> bool {
        let is_anchor = |relay: &PublicKey| {
            let relay = address::peer_of(relay);
            self.relays.view().any(|known| known.origin == Origin::Configured && Some(known.peer) == relay)
        };
        self.dossier.lock().unwrap_or_else(PoisonError::into_inner).keep(evidence, is_anchor)
    }
}
