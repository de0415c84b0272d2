//! What relays committed to before: whoever remembers it sees a relay that says two things about one epoch, or goes back.

use std::collections::BTreeMap;

use super::Evidence;
use crate::checkpoint::{Checkpoint, Signed};
use crate::id::PublicKey;

/// Relays whose checkpoints are remembered, twice where they were made by two rules; those of the one that was heard of longest ago make room.
const MAX_RELAYS: usize = 64;
/// Checkpoints of one relay that are remembered: all that an answer may stand on.
const MAX_CHECKPOINTS: usize = 8;

/// What a checkpoint shows about its relay, beside those that were seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing is wrong.
    Fine,
    /// The relay signed another one for the same epoch, which proves its fraud.
    Contradiction(Evidence),
    /// The relay has shown a later one already: it goes back to what it held then.
    Rollback,
}

/// What is remembered of a relay, by one set of rules.
#[derive(Debug, Clone, Default)]
struct Chain {
    /// When it was heard of last.
    heard: u64,
    /// Its checkpoints by epoch.
    checkpoints: BTreeMap<u64, Signed<Checkpoint>>,
}

/// The memory of checkpoints.
#[derive(Debug, Clone, Default)]
pub struct Witness {
    /// By relay and rules.
    relays: BTreeMap<(PublicKey, u32), Chain>,
    heard: u64,
}

impl Witness {
    /// Takes note of a checkpoint whose signature holds.
    pub fn see(&mut self, checkpoint: &Signed<Checkpoint>) -> Seen {
        self.heard += 1;
        let by = (checkpoint.relay, checkpoint.rules);
        if self.relays.len() >= MAX_RELAYS && !self.relays.contains_key(&by) {
            let oldest = self.relays.iter().min_by_key(|(_, chain)| chain.heard).map(|(relay, _)| *relay);
            oldest.and_then(|relay| self.relays.remove(&relay));
        }
        let Chain { heard, checkpoints: known } = self.relays.entry(by).or_default();
        *heard = self.heard;
        match known.get(&checkpoint.epoch) {
            Some(other) => {
                if let Some(evidence) = Evidence::of_two(other, checkpoint) {
                    return Seen::Contradiction(evidence);
                }
            }
            None => _ = known.insert(checkpoint.epoch, checkpoint.clone()),
        }
        let last = known.keys().next_back().copied().unwrap_or_default();
        if known.len() > MAX_CHECKPOINTS {
            known.pop_first();
        }
        // Two answers may overtake each other at the turn of an epoch.
        if checkpoint.epoch + 1 < last { Seen::Rollback } else { Seen::Fine }
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use serde_bytes::Bytes;

    use super::*;
    use crate::client::{Misdeed, evidence};
    use crate::id::Network;
    use crate::merkle::Hash;
    use crate::rules::{Rules, Schedule};
    use crate::{checkpoint, codec};

    fn checkpoint(seed: u8, epoch: u64, content: &str) -> Signed<Checkpoint> {
        checkpoint_by(Rules::FIRST.number, seed, epoch, content)
    }

    fn checkpoint_by(rules: u32, seed: u8, epoch: u64, content: &str) -> Signed<Checkpoint> {
        let key = SigningKey::from_bytes(&[seed; 32]);
        let relay = PublicKey::from_bytes(key.verifying_key().to_bytes());
        let root = Hash::leaf(b"", content.as_bytes()).into();
        let network = Network::named("test").unwrap();
        Checkpoint { network, relay, epoch, root, rules, exclusions: None, previous: None }.sign(&key).unwrap()
    }

    #[test]
    fn two_roots_for_an_epoch_are_seen_and_shown_to_others() {
        let mut witness = Witness::default();
        assert_eq!(witness.see(&checkpoint(1, 7, "a")), Seen::Fine);
        assert_eq!(witness.see(&checkpoint(1, 7, "a")), Seen::Fine, "the same again is nothing new");
        assert_eq!(witness.see(&checkpoint(2, 7, "b")), Seen::Fine, "another relay");
        assert_eq!(witness.see(&checkpoint(1, 8, "b")), Seen::Fine, "another epoch");
        let Seen::Contradiction(found) = witness.see(&checkpoint(1, 7, "b")) else { panic!("it is seen") };
        assert_eq!((found.relay(), found.misdeed()), (&checkpoint(1, 7, "a").relay, Misdeed::TwoRoots));
        // A second client, that was not there.
        let (network, rules) = (Network::named("test").unwrap(), Schedule::default());
        assert_eq!(Evidence::verify(found.bytes(), &network, &rules).as_ref(), Ok(&found));
        let shows = |one: &[u8], other: &[u8]| {
            let bytes = codec::encode(&[Bytes::new(one), Bytes::new(other)]);
            Evidence::verify(&bytes, &network, &rules).map(|evidence| evidence.misdeed())
        };
        let one = checkpoint(1, 7, "a");
        assert_eq!(shows(one.bytes(), checkpoint(1, 7, "b").bytes()), Ok(Misdeed::TwoRoots));
        for other in [one.clone(), checkpoint(2, 7, "b"), checkpoint(1, 8, "b"), checkpoint_by(2, 1, 7, "b")] {
            assert_eq!(shows(one.bytes(), other.bytes()), Err(evidence::Error::ShowsNothing), "{other:?}");
        }
        let mut forged = checkpoint(1, 7, "b").bytes().to_vec();
        *forged.last_mut().unwrap() ^= 1;
        let refused = shows(one.bytes(), &forged);
        assert_eq!(refused, Err(evidence::Error::Checkpoint(checkpoint::Error::BadSignature)));
        assert!(matches!(shows(one.bytes(), b"none"), Err(evidence::Error::Checkpoint(_))));
        assert!(matches!(Evidence::verify(&[0x82], &network, &rules), Err(evidence::Error::Encoding(_))));
        let elsewhere = Evidence::verify(found.bytes(), &Network::named("other").unwrap(), &rules);
        assert!(matches!(elsewhere, Err(evidence::Error::Checkpoint(checkpoint::Error::WrongNetwork(_)))));
    }

    #[test]
    fn what_was_made_by_other_rules_stands_apart() {
        let mut witness = Witness::default();
        assert_eq!(witness.see(&checkpoint(1, 7, "a")), Seen::Fine);
        assert_eq!(witness.see(&checkpoint_by(2, 1, 7, "b")), Seen::Fine, "two maps of the same records");
        assert_eq!(witness.see(&checkpoint_by(2, 1, 9, "b")), Seen::Fine);
        assert_eq!(witness.see(&checkpoint(1, 7, "a")), Seen::Fine, "it goes back by neither");
        assert!(matches!(witness.see(&checkpoint_by(2, 1, 7, "c")), Seen::Contradiction(_)));
        // Nor does it matter whether the rules are known here.
        assert!(matches!(witness.see(&checkpoint(1, 7, "c")), Seen::Contradiction(_)));
    }

    #[test]
    fn going_back_is_seen() {
        let mut witness = Witness::default();
        assert_eq!(witness.see(&checkpoint(1, 7, "a")), Seen::Fine);
        assert_eq!(witness.see(&checkpoint(1, 9, "b")), Seen::Fine);
        assert_eq!(witness.see(&checkpoint(1, 8, "b")), Seen::Fine, "answers overtake each other");
        assert_eq!(witness.see(&checkpoint(1, 7, "a")), Seen::Rollback);
    }

    #[test]
    fn memory_is_bounded() {
        let mut witness = Witness::default();
        for epoch in 0..100 {
            witness.see(&checkpoint(1, epoch, "a"));
        }
        let of_one = |witness: &Witness| witness.relays.values().map(|chain| chain.checkpoints.len()).max();
        assert_eq!(of_one(&witness), Some(MAX_CHECKPOINTS));
        for seed in 2..=100 {
            witness.see(&checkpoint(seed, 1, "a"));
        }
        assert_eq!(witness.relays.len(), MAX_RELAYS);
        let knows = |witness: &Witness, seed| witness.relays.contains_key(&(checkpoint(seed, 1, "a").relay, 1));
        assert!(knows(&witness, 100) && !knows(&witness, 1), "whoever was heard of longest ago made room");
        witness.see(&checkpoint(37, 2, "a"));
        witness.see(&checkpoint(101, 1, "a"));
        assert!(knows(&witness, 37) && !knows(&witness, 38), "who is heard of again stays");
        for content in 0..100_u32 {
            witness.see(&checkpoint(100, 1, &content.to_string()));
        }
        assert!(witness.relays.values().all(|chain| chain.checkpoints.len() <= MAX_CHECKPOINTS));
    }
}
