//! Which providers of content are dialed, and when: the DHT may name many that lead nowhere.
//!
//! `(input, now) → dials`. Each answer of the DHT has its turn, so that one that names only such keeps nobody from being dialed whom others name.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use futures::channel::mpsc;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use crate::behaviour::dialable;

/// Providers that are dialed at once: each is some sockets.
const MAX_DIALING: usize = 16;
/// Of these such that one answer named: others have their place at once.
const MAX_DIALING_OF_ANSWER: usize = MAX_DIALING / 2;
/// Providers of one answer: as many as Kademlia has peers in one.
const MAX_PROVIDERS_OF_ANSWER: usize = 20;
/// Providers that wait to be dialed, of one lookup: some hundred kilobytes if each has as many addresses as it may.
const MAX_WAITING_OF_LOOKUP: usize = 8 * MAX_PROVIDERS_OF_ANSWER;
/// How long a provider may take to be connected, by whichever of its addresses.
const DIAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Who looks for a provider. It has enough when nothing can be sent any more.
type Found = mpsc::Sender<PeerId>;

/// The providers of all lookups; `Q` names a lookup.
pub(super) struct Providers<Q> {
    /// In the order in which they came.
    waiting: Vec<Waiting<Q>>,
    /// At most [`MAX_DIALING`].
    dialing: HashMap<PeerId, Dialing<Q>>,
    answers: u64,
}

struct Waiting<Q> {
    lookup: Q,
    answer: u64,
    peer: PeerId,
    addresses: Vec<Multiaddr>,
    found: Found,
}

struct Dialing<Q> {
    lookup: Q,
    answer: u64,
    until: Duration,
    /// None: somebody else began to dial it.
    connection: Option<ConnectionId>,
    found: Found,
}

impl<Q: Copy + Eq + Hash> Providers<Q> {
    pub(super) fn new() -> Self {
        Self { waiting: Vec::new(), dialing: HashMap::new(), answers: 0 }
    }

    /// Takes what one answer names, none of them connected. What is too much of it is left.
    pub(super) fn offer(
        &mut self,
        lookup: Q,
        found: &Found,
        named: impl IntoIterator<Item = (PeerId, Vec<Multiaddr>)>,
    ) {
        self.answers += 1;
        let of_lookup = self.waiting.iter().filter(|waiting| waiting.lookup == lookup).count();
        let room = MAX_WAITING_OF_LOOKUP.saturating_sub(of_lookup).min(MAX_PROVIDERS_OF_ANSWER);
        for (peer, addresses) in named.into_iter().take(room) {
            let addresses = dialable(&addresses).collect();
            self.waiting.push(Waiting { lookup, answer: self.answers, peer, addresses, found: found.clone() });
        }
    }

    /// The next one to be dialed, if one may be: it counts as dialed from now on, until [`Self::connected`], [`Self::failed`] or its time is over.
    pub(super) fn next(&mut self, now: Duration) -> Option<(PeerId, Vec<Multiaddr>)> {
        self.waiting.retain(|waiting| !waiting.found.is_closed());
        if self.dialing.len() >= MAX_DIALING {
            return None;
        }
        let busy = |of: &dyn Fn(&Dialing<Q>) -> bool| self.dialing.values().filter(|dialing| of(dialing)).count();
        let turns = self.waiting.iter().enumerate().filter(|(_, waiting)| !self.dialing.contains_key(&waiting.peer));
        let turns = turns.filter_map(|(at, waiting)| {
            let of_answer = busy(&|dialing| dialing.answer == waiting.answer);
            let of_lookup = busy(&|dialing| dialing.lookup == waiting.lookup);
            (of_answer < MAX_DIALING_OF_ANSWER).then_some((of_lookup, of_answer, at))
        });
        let (_, _, at) = turns.min()?;
        let Waiting { lookup, answer, peer, addresses, found } = self.waiting.remove(at);
        self.dialing.insert(peer, Dialing { lookup, answer, until: now + DIAL_TIMEOUT, connection: None, found });
        Some((peer, addresses))
    }

    /// This is the connection that is being made to a provider.
    pub(super) fn dials(&mut self, peer: &PeerId, connection: ConnectionId) {
        if let Some(dialing) = self.dialing.get_mut(peer) {
            dialing.connection = Some(connection);
        }
    }

    /// A peer was connected, by whomever: all who look for it are told.
    pub(super) fn connected(&mut self, peer: PeerId) {
        let dialed = self.dialing.remove(&peer).map(|dialing| dialing.found);
        let waiting = self.waiting.extract_if(.., |waiting| waiting.peer == peer).map(|waiting| waiting.found);
        for mut found in dialed.into_iter().chain(waiting) {
            // Whoever looked for it has enough when this fails.
            _ = found.try_send(peer);
        }
    }

    /// A connection could not be made. It may be named again, with other addresses.
    pub(super) fn failed(&mut self, peer: &PeerId, connection: Option<ConnectionId>) {
        // Somebody else's attempt says nothing of ours.
        if self
            .dialing
            .get(peer)
            .is_some_and(|dialing| dialing.connection.is_none() || dialing.connection == connection)
        {
            self.dialing.remove(peer);
        }
    }

    /// Those whose time is over, whose dials are to be given up if they are ours.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<PeerId> {
        let expired = self.dialing.extract_if(|_, dialing| dialing.until <= now);
        expired.filter_map(|(peer, dialing)| dialing.connection.map(|_| peer)).collect()
    }

    /// When [`Self::expire`] has something to do.
    pub(super) fn next_step(&self) -> Option<Duration> {
        self.dialing.values().map(|dialing| dialing.until).min()
    }
}

#[cfg(test)]
#[path = "providers_tests.rs"]
mod tests;
