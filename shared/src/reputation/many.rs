//! What is thought of many peers, bounded.

use std::time::Duration;

use super::{PeerReputation, UNKNOWN_SCORE};

/// Peers that are remembered: more than a client meets in weeks, and some tens of kilobytes when they are written down.
const MAX_PEERS: usize = 256;

/// The reputations of peers that `P` names. One that nothing is known of has none here.
#[derive(Debug, Clone)]
pub struct Reputations<P> {
    /// Few enough to be looked through, and no further kind of map in a browser's download.
    peers: Vec<(P, PeerReputation)>,
}

impl<P> Default for Reputations<P> {
    fn default() -> Self {
        Self { peers: Vec::new() }
    }
}

impl<P: PartialEq> Reputations<P> {
    /// What is thought of a peer.
    pub fn of(&self, peer: &P) -> PeerReputation {
        self.peers.iter().find(|(other, _)| other == peer).map(|(_, reputation)| *reputation).unwrap_or_default()
    }

    /// All that something is known of, in no order.
    pub fn all(&self) -> &[(P, PeerReputation)] {
        &self.peers
    }

    /// Notes something of a peer. When there are too many, the one that says least makes room.
    pub fn note(&mut self, peer: P, now: Duration, note: impl FnOnce(&mut PeerReputation, Duration)) {
        if let Some((_, reputation)) = self.peers.iter_mut().find(|(other, _)| *other == peer) {
            return note(reputation, now);
        }
        let mut reputation = PeerReputation::default();
        note(&mut reputation, now);
        self.make_room(now);
        self.peers.push((peer, reputation));
    }

    /// Takes what was thought of peers before. Of those that something is known of by now, that stays.
    pub fn remember(&mut self, before: impl IntoIterator<Item = (P, PeerReputation)>, now: Duration) {
        // No more than there is room for, however long a file is.
        for (peer, reputation) in before.into_iter().take(MAX_PEERS) {
            if self.peers.iter().all(|(other, _)| *other != peer) {
                self.make_room(now);
                self.peers.push((peer, reputation));
            }
        }
    }

    fn make_room(&mut self, now: Duration) {
        if self.peers.len() >= MAX_PEERS {
            let says = |(_, reputation): &(P, PeerReputation)| (reputation.score(now) - UNKNOWN_SCORE).abs();
            let least = (0..self.peers.len()).min_by(|a, b| says(&self.peers[*a]).total_cmp(&says(&self.peers[*b])));
            least.map(|least| self.peers.swap_remove(least));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_790_000_000);

    fn met(peers: usize) -> Reputations<usize> {
        let mut all = Reputations::default();
        (0..peers).for_each(|peer| all.note(peer, NOW, PeerReputation::record_failure));
        all
    }

    #[test]
    fn the_one_that_says_least_makes_room() {
        let mut all = met(MAX_PEERS - 1);
        all.note(1000, NOW, |reputation, now| reputation.record_success(now, Duration::from_millis(500)));
        all.note(1001, NOW, PeerReputation::record_fault);
        assert_eq!(all.all().len(), MAX_PEERS);
        assert!(all.of(&1001).faults() > 0.9);
        assert_eq!(all.of(&1000), PeerReputation::new(), "it was nearest to what is thought of strangers");
    }

    #[test]
    fn what_was_thought_before_is_remembered_and_what_is_known_by_now_stays() {
        let before = met(3);
        let mut now = Reputations::default();
        now.note(1, NOW, PeerReputation::record_fault);
        now.remember(before.all().iter().copied(), NOW);
        assert_eq!(now.of(&0), before.of(&0));
        assert!(now.of(&1).faults() > 0.9 && now.of(&1).failures() == 0.0);
        now.remember((0..).map(|peer| (peer, before.of(&0))).take(10 * MAX_PEERS), NOW);
        assert_eq!(now.all().len(), MAX_PEERS);
    }
}
