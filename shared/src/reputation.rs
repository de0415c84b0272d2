//! How well a peer has served so far. Pure: the time comes in, nothing is read from a clock.
//!
//! Reputation orders whom to ask first. It never decides what is true: every answer is verified, whoever gave it.

mod many;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use many::Reputations;

/// The score of a peer that nothing is known of: in the middle, so that it is tried before a bad one and after a good one.
pub const UNKNOWN_SCORE: f64 = 0.5;
/// After this time successes, failures and latency count half, and after twice the time a quarter.
pub const HALF_LIFE: Duration = Duration::from_secs(6 * 60 * 60);
/// A verified fault is proof of bad faith or of bad software, not of bad luck: it is forgiven much more slowly.
pub const FAULT_HALF_LIFE: Duration = Duration::from_secs(14 * 24 * 60 * 60);
/// An answer that takes this long is worth half of one that takes no time, as far as latency counts.
pub const SLOW: Duration = Duration::from_millis(500);

/// Counts saturate here: beyond it, one event more or less changes no score, and a long history is not a licence.
const MAX_COUNT: f64 = 1000.0;
/// A latency above this is a failure by other means, and is counted as this.
const MAX_LATENCY: Duration = Duration::from_secs(60);
/// How much of the latency's average the newest answer makes.
const LATENCY_WEIGHT: f64 = 0.2;
/// The part of the score that latency decides.
const LATENCY_SHARE: f64 = 0.2;
/// Successes and failures, of each one, that a peer is taken to have before its first: what the middle score is made of.
const PRIOR: f64 = 1.0;
/// What one verified fault leaves of a score.
const AFTER_FAULT: f64 = 0.1;
/// How many faults it counts as that a peer signed what convicts it: anybody can be shown that, and no bad luck signs two answers to one question.
const EVIDENCE_FAULTS: f64 = 2.0;

/// What is remembered of a peer. All counts are decayed to `as_of` and bounded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, try_from = "Stored", into = "Stored")]
pub struct PeerReputation(Stored);

/// The numbers as they are stored; read back, they are bounded again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    successes: f64,
    failures: f64,
    faults: f64,
    latency_seconds: Option<f64>,
    as_of: u64,
    last_seen: Option<u64>,
}

/// Numbers that no history gives: not finite, or negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a reputation holds numbers that no history gives")]
pub struct BadNumbers;

impl PeerReputation {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// The peer answered well after `latency`. `now` is the time since 1970.
    pub fn record_success(&mut self, now: Duration, latency: Duration) {
        self.advance(now);
        self.0.successes = (self.0.successes + 1.0).min(MAX_COUNT);
        let latency = latency.min(MAX_LATENCY).as_secs_f64();
        let average = self.0.latency_seconds.map_or(latency, |old| old + LATENCY_WEIGHT * (latency - old));
        self.0.latency_seconds = Some(average);
        self.0.last_seen = Some(self.0.as_of);
    }

    /// The peer could not be reached, answered too late, or refused: bad luck is possible.
    pub fn record_failure(&mut self, now: Duration) {
        self.advance(now);
        self.0.failures = (self.0.failures + 1.0).min(MAX_COUNT);
    }

    /// The peer sent what no honest and correct peer sends, such as a record that does not verify.
    pub fn record_fault(&mut self, now: Duration) {
        self.record_faults(1.0, now);
    }

    /// There is evidence against the peer: something that it signed, and that shows to everybody that it breaks the rules.
    pub fn record_evidence(&mut self, now: Duration) {
        self.record_faults(EVIDENCE_FAULTS, now);
    }

    fn record_faults(&mut self, count: f64, now: Duration) {
        self.advance(now);
        self.0.faults = (self.0.faults + count).min(MAX_COUNT);
        self.0.last_seen = Some(self.0.as_of);
    }

    /// Successes, decayed to the last event.
    pub const fn successes(&self) -> f64 {
        self.0.successes
    }

    /// Failures, decayed to the last event.
    pub const fn failures(&self) -> f64 {
        self.0.failures
    }

    /// Verified faults, decayed to the last event.
    pub const fn faults(&self) -> f64 {
        self.0.faults
    }

    /// The moving average of how long good answers took; None before the first.
    pub fn latency(&self) -> Option<Duration> {
        self.0.latency_seconds.map(Duration::from_secs_f64)
    }

    /// When something was last heard of the peer, since 1970.
    pub fn last_seen(&self) -> Option<Duration> {
        self.0.last_seen.map(Duration::from_secs)
    }

    /// How much to prefer the peer: 0.0 (never) to 1.0 (first). With everything decayed to `now`, it is
    ///
    /// ```text
    /// reliability = (successes + 1) / (successes + failures + 2)
    /// promptness  = 1 / (1 + latency / SLOW)        reliability's own value before the first answer
    /// score       = (0.8 × reliability + 0.2 × trust-weighted promptness) × 0.1 ^ faults
    /// ```
    ///
    /// where promptness counts as far as there are successes left, `successes / (successes + 1)`, and reliability stands in for
    /// the rest. So an unknown or long forgotten peer has [`UNKNOWN_SCORE`], and one fault outweighs any number of successes.
    /// A `now` before the last event counts as the last event.
    pub fn score(&self, now: Duration) -> f64 {
        let mut then = *self;
        then.advance(now);
        let Stored { successes, failures, faults, latency_seconds, .. } = then.0;
        let reliability = (successes + PRIOR) / (successes + failures + 2.0 * PRIOR);
        let promptness = latency_seconds.map_or(reliability, |latency| {
            let known = successes / (successes + 1.0);
            let prompt = 1.0 / (1.0 + latency / SLOW.as_secs_f64());
            known * prompt + (1.0 - known) * reliability
        });
        let score = (1.0 - LATENCY_SHARE) * reliability + LATENCY_SHARE * promptness;
        (score * AFTER_FAULT.powf(faults)).clamp(0.0, 1.0)
    }

    /// Decays the counts to `now`. A clock that goes back does not undo decay.
    fn advance(&mut self, now: Duration) {
        let elapsed = now.as_secs().saturating_sub(self.0.as_of);
        if elapsed == 0 {
            return;
        }
        let remaining = remaining(elapsed, HALF_LIFE);
        self.0.successes *= remaining;
        self.0.failures *= remaining;
        self.0.faults *= self::remaining(elapsed, FAULT_HALF_LIFE);
        self.0.as_of = now.as_secs();
    }
}

/// What is left of a count after some seconds.
fn remaining(elapsed: u64, half_life: Duration) -> f64 {
    // Precision is lost above 2⁵³ seconds, when nothing is left anyway.
    #[allow(clippy::cast_precision_loss, reason = "see above")]
    let half_lives = elapsed as f64 / half_life.as_secs_f64();
    0.5_f64.powf(half_lives)
}

impl TryFrom<Stored> for PeerReputation {
    type Error = BadNumbers;

    fn try_from(stored: Stored) -> Result<Self, BadNumbers> {
        let numbers = [stored.successes, stored.failures, stored.faults, stored.latency_seconds.unwrap_or(0.0)];
        if !numbers.iter().all(|number| number.is_finite() && *number >= 0.0) {
            return Err(BadNumbers);
        }
        let latency = stored.latency_seconds.map(|latency| latency.min(MAX_LATENCY.as_secs_f64()));
        Ok(Self(Stored {
            successes: stored.successes.min(MAX_COUNT),
            failures: stored.failures.min(MAX_COUNT),
            faults: stored.faults.min(MAX_COUNT),
            latency_seconds: latency,
            ..stored
        }))
    }
}

impl From<PeerReputation> for Stored {
    fn from(reputation: PeerReputation) -> Self {
        reputation.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Duration = Duration::from_secs(1_790_000_000);
    const FAST: Duration = Duration::from_millis(20);

    fn after(events: impl FnOnce(&mut PeerReputation)) -> PeerReputation {
        let mut reputation = PeerReputation::new();
        events(&mut reputation);
        reputation
    }

    #[test]
    fn an_unknown_peer_has_the_middle_score() {
        assert!((PeerReputation::new().score(NOW) - UNKNOWN_SCORE).abs() < 1e-9);
    }

    #[test]
    fn successes_raise_and_failures_lower_the_score() {
        assert!(after(|peer| peer.record_success(NOW, FAST)).score(NOW) > UNKNOWN_SCORE);
        assert!(after(|peer| peer.record_failure(NOW)).score(NOW) < UNKNOWN_SCORE);
    }

    #[test]
    fn a_faster_peer_scores_higher() {
        let fast = after(|peer| peer.record_success(NOW, FAST));
        let slow = after(|peer| peer.record_success(NOW, SLOW * 4));
        assert!(fast.score(NOW) > slow.score(NOW));
        assert_eq!(fast.latency(), Some(FAST));
    }

    #[test]
    fn latency_is_a_moving_average() {
        let mut peer = after(|peer| peer.record_success(NOW, Duration::from_secs(1)));
        peer.record_success(NOW, Duration::from_secs(2));
        let latency = peer.latency().unwrap().as_secs_f64();
        assert!((latency - 1.2).abs() < 1e-9, "{latency}");
    }

    #[test]
    fn one_fault_outweighs_any_number_of_successes() {
        let mut peer = after(|peer| (0..10_000).for_each(|_| peer.record_success(NOW, FAST)));
        peer.record_fault(NOW);
        let failing = after(|peer| (0..5).for_each(|_| peer.record_failure(NOW)));
        assert!(peer.score(NOW) < UNKNOWN_SCORE);
        assert!(peer.score(NOW) < failing.score(NOW));
    }

    #[test]
    fn evidence_weighs_most() {
        let convicted = after(|peer| peer.record_evidence(NOW));
        let faulted = after(|peer| peer.record_fault(NOW));
        assert!(convicted.score(NOW) < 0.2 * faulted.score(NOW));
    }

    #[test]
    fn time_forgives_failures_sooner_than_faults() {
        let failed = after(|peer| (0..4).for_each(|_| peer.record_failure(NOW)));
        let faulted = after(|peer| peer.record_fault(NOW));
        let later = NOW + HALF_LIFE * 8;
        assert!((failed.score(later) - UNKNOWN_SCORE).abs() < 0.01);
        assert!(faulted.score(later) < 0.1);
        assert!((faulted.score(NOW + FAULT_HALF_LIFE * 12) - UNKNOWN_SCORE).abs() < 0.01);
    }

    #[test]
    fn a_forgotten_peer_is_unknown_again() {
        let peer = after(|peer| (0..100).for_each(|_| peer.record_success(NOW, SLOW * 10)));
        assert!((peer.score(NOW + HALF_LIFE * 40) - UNKNOWN_SCORE).abs() < 1e-6);
    }

    #[test]
    fn a_failure_is_not_a_sight_of_the_peer() {
        let mut peer = after(|peer| peer.record_success(NOW, FAST));
        peer.record_failure(NOW + HALF_LIFE);
        assert_eq!(peer.last_seen(), Some(NOW));
    }

    #[test]
    fn survives_storage_and_refuses_numbers_that_no_history_gives() {
        let peer = after(|peer| {
            peer.record_success(NOW, FAST);
            peer.record_fault(NOW);
        });
        let stored = serde_json::to_string(&peer).unwrap();
        assert_eq!(serde_json::from_str::<PeerReputation>(&stored).unwrap(), peer);
        let bad = stored.replace("\"failures\":0.0", "\"failures\":-1.0");
        assert_ne!(bad, stored);
        assert!(serde_json::from_str::<PeerReputation>(&bad).is_err());
        let huge = stored.replace("\"failures\":0.0", "\"failures\":1e300");
        assert!(serde_json::from_str::<PeerReputation>(&huge).unwrap().failures() <= MAX_COUNT);
    }

    proptest! {
        #[test]
        fn the_score_is_a_number_from_0_to_1(
            events in prop::collection::vec((0_u8..4, any::<u64>(), any::<u64>()), 0..200),
            now in any::<u64>(),
        ) {
            let mut peer = PeerReputation::new();
            for (event, at, latency) in events {
                let at = Duration::from_secs(at);
                match event {
                    0 => peer.record_success(at, Duration::from_secs(latency)),
                    1 => peer.record_failure(at),
                    2 => peer.record_fault(at),
                    _ => peer.record_evidence(at),
                }
                prop_assert!((0.0..=1.0).contains(&peer.score(Duration::from_secs(now))));
            }
        }

        #[test]
        fn a_success_never_lowers_the_reliability_of_a_peer_that_answers_at_once(
            failures in 0_u32..50, successes in 0_u32..50,
        ) {
            let mut peer = PeerReputation::new();
            (0..failures).for_each(|_| peer.record_failure(NOW));
            (0..successes).for_each(|_| peer.record_success(NOW, Duration::ZERO));
            let before = peer.score(NOW);
            peer.record_success(NOW, Duration::ZERO);
            prop_assert!(peer.score(NOW) >= before);
        }
    }
}
