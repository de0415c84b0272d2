//! What relays committed to before: whoever remembers it sees a relay that says two things about one epoch, or goes back.

use std::collections::{BTreeMap, VecDeque};

use crate::checkpoint::{Checkpoint, Signed};
use crate::id::{Network, PublicKey};

/// Relays whose checkpoints are remembered, twice where they were made by two rules; those of the one that was heard of longest ago make room.
const MAX_RELAYS: usize = 64;
/// Checkpoints of one relay that are remembered: all that an answer may stand on.
const MAX_CHECKPOINTS: usize = 8;
/// Contradictions that are kept: one is enough to think nothing of a relay any more.
const MAX_CONTRADICTIONS: usize = 16;

/// Two checkpoints of one relay for one epoch by the same rules: proof of its fraud, for anyone who has its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    one: Signed<Checkpoint>,
    other: Signed<Checkpoint>,
}

impl Contradiction {
    /// Whose it is.
    pub fn relay(&self) -> &PublicKey {
        &self.one.relay
    }

    /// Both checkpoints as they were signed, to be shown to others.
    pub fn bytes(&self) -> [&[u8]; 2] {
        [self.one.bytes(), self.other.bytes()]
    }

    /// Verifies a contradiction that somebody else found. None: it is none.
    pub fn verify([one, other]: [&[u8]; 2], network: &Network) -> Option<Self> {
        let one = Checkpoint::verify(one, network).ok()?;
        let other = Checkpoint::verify(other, network).ok()?;
        one.contradicts(&other).then_some(Self { one, other })
    }
}

/// What a checkpoint shows about its relay, beside those that were seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Nothing is wrong.
    Fine,
    /// The relay signed another one for the same epoch.
    Contradiction,
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
    contradictions: VecDeque<Contradiction>,
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
            Some(other) if other.contradicts(checkpoint) => {
                if self.contradictions.len() < MAX_CONTRADICTIONS {
                    let (one, other) = (other.clone(), checkpoint.clone());
                    self.contradictions.push_back(Contradiction { one, other });
                }
                return Seen::Contradiction;
            }
            Some(_) => {}
            None => _ = known.insert(checkpoint.epoch, checkpoint.clone()),
        }
        let last = known.keys().next_back().copied().unwrap_or_default();
        if known.len() > MAX_CHECKPOINTS {
            known.pop_first();
        }
        // Two answers may overtake each other at the turn of an epoch.
        if checkpoint.epoch + 1 < last { Seen::Rollback } else { Seen::Fine }
    }

    /// Proofs of fraud that were found.
    pub fn contradictions(&self) -> impl Iterator<Item = &Contradiction> {
        self.contradictions.iter()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;

    use super::*;
    use crate::merkle::Hash;
    use crate::rules::Rules;

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
        assert_eq!(witness.see(&checkpoint(1, 7, "b")), Seen::Contradiction);
        let found = witness.contradictions().next().unwrap();
        // A second client, that was not there.
        let network = Network::named("test").unwrap();
        assert_eq!(Contradiction::verify(found.bytes(), &network).as_ref(), Some(found));
        assert_eq!(found.relay(), &checkpoint(1, 7, "a").relay);
        let [one, _] = found.bytes();
        assert_eq!(Contradiction::verify([one, one], &network), None);
        assert_eq!(Contradiction::verify([one, checkpoint(2, 7, "b").bytes()], &network), None, "two relays");
        assert_eq!(Contradiction::verify([one, checkpoint(1, 8, "b").bytes()], &network), None, "two epochs");
        assert_eq!(Contradiction::verify([one, b"none"], &network), None);
    }

    #[test]
    fn what_was_made_by_other_rules_stands_apart() {
        let mut witness = Witness::default();
        assert_eq!(witness.see(&checkpoint(1, 7, "a")), Seen::Fine);
        assert_eq!(witness.see(&checkpoint_by(2, 1, 7, "b")), Seen::Fine, "two maps of the same records");
        assert_eq!(witness.see(&checkpoint_by(2, 1, 9, "b")), Seen::Fine);
        assert_eq!(witness.see(&checkpoint(1, 7, "a")), Seen::Fine, "it goes back by neither");
        assert_eq!(witness.see(&checkpoint_by(2, 1, 7, "c")), Seen::Contradiction);
        // Nor does it matter whether the rules are known here.
        assert_eq!(witness.see(&checkpoint(1, 7, "c")), Seen::Contradiction);
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
        assert_eq!(witness.contradictions().count(), MAX_CONTRADICTIONS);
    }
}
