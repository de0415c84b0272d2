//! The rules by which records become entries of the map, as a value: kinds, validity, keyspaces, analyser and rank. What derives a map, and what
//! verifies a part of one, is told by which rules.
//!
//! A change of any of them is another number. A network goes over from the ones to the others in an epoch that a release names ([`Schedule`]).
//! Until some time after it, relays of that release derive both maps of the same records, sign a checkpoint of each, and answer by the rules that
//! they are asked by.

use crate::record::Release;
use crate::search::analyser::Tokens;

/// Rules that are known. What any two of them differ in is a field; what is the same by all is none.
#[derive(Clone, Copy)]
pub struct Rules {
    /// What checkpoints and questions name them by.
    pub number: u32,
    /// The words that a release is found by.
    pub tokens: fn(&Release) -> Tokens,
}

impl Rules {
    /// The first ones.
    pub const FIRST: Self = Self { number: 1, tokens: Tokens::of };

    /// The words that a release is found by.
    pub fn tokens(self, release: &Release) -> Tokens {
        (self.tokens)(release)
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::FIRST
    }
}

/// One number is one set of rules.
impl PartialEq for Rules {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Rules {}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rules({})", self.number)
    }
}

/// The rules that a release of this software knows, and when they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Schedule {
    /// The newest, which hold once no others do.
    pub rules: Rules,
    /// Those that the network comes from.
    pub before: Option<Before>,
}

/// Rules that a network gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    /// The rules.
    pub rules: Rules,
    /// The first epoch in which they hold no more.
    pub switch: u64,
    /// Epochs from then on in which relays still answer by them.
    pub overlap: u64,
}

impl Schedule {
    /// The rules that hold in an epoch: what a client asks by.
    pub fn at(&self, epoch: u64) -> Rules {
        self.before.filter(|before| epoch < before.switch).map_or(self.rules, |before| before.rules)
    }

    /// The rules that a relay answers by in an epoch beside the newest.
    pub fn beside(&self, epoch: u64) -> Option<Rules> {
        self.before.filter(|before| epoch < before.switch.saturating_add(before.overlap)).map(|before| before.rules)
    }

    /// The rules with this number, if they are known.
    pub fn numbered(&self, number: u32) -> Option<Rules> {
        let known = [Some(self.rules), self.before.map(|before| before.rules)];
        known.into_iter().flatten().find(|rules| rules.number == number)
    }
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
