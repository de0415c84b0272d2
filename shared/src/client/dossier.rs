//! Evidence that is kept, whoever found it.

use std::collections::VecDeque;

use super::{Evidence, Misdeed};
use crate::id::PublicKey;

/// Pieces that are kept. Each is some kilobytes.
const MAX_EVIDENCE: usize = 64;

/// Of so many it is remembered who broke which rule, whether or not the evidence is still kept: else whoever has more misdeeds than are kept could have the
/// same ones told as news without end.
const MAX_REMEMBERED: usize = 4096;

/// The last evidence: of each relay one piece for each rule that it breaks.
#[derive(Debug, Clone, Default)]
pub struct Dossier {
    kept: VecDeque<Evidence>,
    remembered: VecDeque<(PublicKey, Misdeed)>,
}

impl Dossier {
    /// Whether there was evidence that a relay breaks this rule.
    pub fn knows(&self, relay: &PublicKey, misdeed: Misdeed) -> bool {
        self.remembered.iter().any(|known| *known == (*relay, misdeed))
    }

    /// Keeps evidence, if it is news: whether it was. The oldest makes room, other relays' first than those that matter most: whoever runs many
    /// relays could else have what is known of those forgotten.
    pub fn keep(&mut self, evidence: Evidence, matters: impl Fn(&PublicKey) -> bool) -> bool {
        if self.knows(evidence.relay(), evidence.misdeed()) {
            return false;
        }
        if self.kept.len() >= MAX_EVIDENCE {
            let other = self.kept.iter().position(|kept| !matters(kept.relay()));
            if other.is_none() && !matters(evidence.relay()) {
                return false;
            }
            self.kept.remove(other.unwrap_or_default());
        }
        if self.remembered.len() >= MAX_REMEMBERED {
            self.remembered.pop_front();
        }
        self.remembered.push_back((*evidence.relay(), evidence.misdeed()));
        self.kept.push_back(evidence);
        true
    }

    /// All of it, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = &Evidence> {
        self.kept.iter()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::checkpoint::{Checkpoint, Signed};
    use crate::id::Network;
    use crate::merkle::Hash;
    use crate::rules::Rules;

    fn evidence(seed: u8, epoch: u64) -> Evidence {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let relay = PublicKey::from_bytes(key.verifying_key().to_bytes());
        let checkpoint = |content: &str| -> Signed<Checkpoint> {
            let (network, root) = (Network::named("test").unwrap(), Hash::leaf(b"", content.as_bytes()).into());
            let rules = Rules::FIRST.number;
            Checkpoint { network, relay, epoch, root, rules, exclusions: None, previous: None }.sign(&key).unwrap()
        };
        Evidence::of_two(&checkpoint("a"), &checkpoint("b")).unwrap()
    }

    #[test]
    fn of_each_relay_and_rule_one_piece_is_kept_and_those_that_matter_stay() {
        let mut dossier = Dossier::default();
        let anchor = evidence(200, 1);
        let matters = |relay: &PublicKey| relay == anchor.relay();
        assert!(dossier.keep(anchor.clone(), matters));
        assert!(!dossier.keep(evidence(200, 2), matters), "it is known to break this rule");
        for seed in 0..100 {
            assert!(dossier.keep(evidence(seed, 1), matters));
        }
        let kept: Vec<_> = dossier.all().cloned().collect();
        assert_eq!(kept.len(), MAX_EVIDENCE);
        assert_eq!((&kept[0], &kept[MAX_EVIDENCE - 1]), (&anchor, &evidence(99, 1)));
        assert!(dossier.knows(anchor.relay(), Misdeed::TwoRoots));
        assert!(!dossier.knows(anchor.relay(), Misdeed::Void));
        assert!(!dossier.all().any(|kept| kept.relay() == evidence(0, 1).relay()), "the oldest made room");
        assert!(!dossier.keep(evidence(0, 2), matters), "and is no news again");
        // Where all of them matter, one that does not takes no place of theirs.
        assert!(!dossier.keep(evidence(101, 1), |relay| relay != evidence(101, 1).relay()));
        assert!(dossier.keep(evidence(101, 1), |_| true));
        assert!(!dossier.all().any(|kept| kept == &anchor));
    }
}
