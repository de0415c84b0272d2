//! What a download says of those that were asked for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ggen_shared::reputation::{PeerReputation, Reputations, SLOW};
use libp2p::PeerId;

use super::Event;

/// Takes down what becomes of the providers of one download. Whoever is dropped is noted at once, the others when it has ended, however it did: when this is
/// dropped.
pub struct Tally<'a, N: Fn() -> Duration> {
    reputations: &'a Mutex<Reputations<PeerId>>,
    now: N,
    delivered: Vec<PeerId>,
    late: Vec<PeerId>,
}

impl<'a, N: Fn() -> Duration> Tally<'a, N> {
    /// Nothing has happened yet. `now`: the time since 1970.
    pub const fn new(reputations: &'a Mutex<Reputations<PeerId>>, now: N) -> Self {
        Self { reputations, now, delivered: Vec::new(), late: Vec::new() }
    }

    /// Something happened.
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Delivered(peer) if !self.delivered.contains(peer) => self.delivered.push(*peer),
            Event::Late(peer) => self.late.push(*peer),
            Event::Dropped(dropped) if dropped.reason.is_fault() => {
                self.note(dropped.peer, PeerReputation::record_fault);
            }
            Event::Dropped(dropped) => self.note(dropped.peer, PeerReputation::record_failure),
            _ => {}
        }
    }

    fn note(&self, peer: PeerId, note: impl FnOnce(&mut PeerReputation, Duration)) {
        let mut reputations = self.reputations.lock().unwrap_or_else(PoisonError::into_inner);
        reputations.note(peer, (self.now)(), note);
    }
}

impl<N: Fn() -> Duration> Drop for Tally<'_, N> {
    fn drop(&mut self) {
        // Who delivered some of it at least is slow, which another one's speed says.
        for peer in self.late.iter().filter(|late| !self.delivered.contains(late)) {
            self.note(*peer, PeerReputation::record_failure);
        }
        for peer in &self.delivered {
            // How long it took says little: a block waits for those before it.
            self.note(*peer, |reputation, now| {
                reputation.record_success(now, reputation.latency().unwrap_or(SLOW));
            });
        }
    }
}
