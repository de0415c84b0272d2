//! Which relays a light client knows, is connected to, and dials next.
//!
//! Time comes in as a duration since any fixed moment; jitter comes from a phase given once, so that clients that lost the
//! same relay do not all come back in the same instant.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::limits::MAX_ADDRESSES_PER_RELAY;

/// Relays that a client keeps in mind: what the DHT says is worth no more memory than this.
const MAX_KNOWN: usize = 64;
/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause. A person who waits for a network to come back waits no longer than this.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A dial that has not ended after this long counts as failed.
const DIAL_TIMEOUT: Duration = Duration::from_secs(20);
/// How long configured relays have to answer before those are turned to that are remembered.
const PATIENCE: Duration = Duration::from_secs(3);

/// How a relay came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The user, the page or the configuration named it; it is always kept, and always dialed again.
    Configured,
    /// The DHT named it: it adds availability, never agreement.
    Discovered,
    /// It served at another time: it is turned to where none that is configured can be reached, so that who got in once does not stay in for ever.
    Remembered,
}

/// What a relay is to us at the moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayState<A> {
    /// Known, not needed.
    Idle,
    /// Being dialed since then.
    Connecting(Duration),
    /// Connected at this address.
    Connected(A),
    /// To be dialed again then.
    Waiting(Duration),
}

/// A relay as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayView<P, A> {
    /// Who it is.
    pub peer: P,
    /// Where it is known to be.
    pub addresses: Vec<A>,
    /// How it came to be known.
    pub origin: Origin,
    /// What it is to us.
    pub state: RelayState<A>,
    /// What went wrong last.
    pub problem: Option<String>,
}

/// The effect of a step: dial this relay, at the first of these addresses that works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial<P, A> {
    /// Whom.
    pub peer: P,
    /// Where, best first.
    pub addresses: Vec<A>,
}

#[derive(Debug, Clone)]
struct Relay<A> {
    addresses: Vec<A>,
    origin: Origin,
    state: RelayState<A>,
    failures: u32,
    problem: Option<String>,
}

impl<A> Relay<A> {
    /// Whether it may be dialed now.
    fn is_due(&self, now: Duration) -> bool {
        let is_due = match self.state {
            RelayState::Idle => true,
            RelayState::Waiting(until) => until <= now,
            RelayState::Connecting(_) | RelayState::Connected(_) => false,
        };
        is_due && !self.addresses.is_empty()
    }
}

/// The relays of one client.
#[derive(Debug, Clone)]
pub struct Relays<P, A> {
    relays: BTreeMap<P, Relay<A>>,
    wanted: usize,
    phase: u32,
    /// Whether two addresses are at one place, such as in one network.
    is_near: fn(&A, &A) -> bool,
    /// When it was last looked at what is to be done.
    stepped: Duration,
}

impl<P: Ord + Clone, A: Clone + PartialEq> Relays<P, A> {
    /// No relay yet. `wanted`: how many connections to keep; every configured relay is dialed all the same. `is_near`: whether two addresses are at one
    /// place, which may fail as a whole, or be one party's.
    pub const fn new(wanted: usize, phase: u32, is_near: fn(&A, &A) -> bool) -> Self {
        Self { relays: BTreeMap::new(), wanted, phase, is_near, stepped: Duration::ZERO }
    }

    /// Learns of a relay or of more of its addresses. Past the bounds, what is discovered is forgotten.
    pub fn add(&mut self, peer: P, addresses: impl IntoIterator<Item = A>, origin: Origin) {
        if self.relays.len() >= MAX_KNOWN && !self.relays.contains_key(&peer) && !self.make_room(origin) {
            return;
        }
        let relay = self.relays.entry(peer).or_insert_with(|| Relay {
            addresses: Vec::new(),
            origin,
            state: RelayState::Idle,
            failures: 0,
            problem: None,
        });
        relay.origin = relay.origin.min(origin);
        for address in addresses {
            if relay.addresses.len() < MAX_ADDRESSES_PER_RELAY && !relay.addresses.contains(&address) {
                relay.addresses.push(address);
            }
        }
    }

    /// Forgets the discovered relay that failed most, so that names that nobody answers to can't keep others out for good.
    fn make_room(&mut self, origin: Origin) -> bool {
        let useless = |relay: &Relay<A>| {
            relay.origin != Origin::Configured && relay.failures > 0 && matches!(relay.state, RelayState::Waiting(_))
        };
        let worst = self.relays.iter().filter(|(_, relay)| useless(relay)).max_by_key(|(_, relay)| relay.failures);
        match worst.map(|(peer, _)| peer.clone()) {
            Some(worst) => self.relays.remove(&worst).is_some(),
            None => origin == Origin::Configured,
        }
    }

    /// A connection stands.
    pub fn on_connected(&mut self, peer: &P, address: A) {
        if let Some(relay) = self.relays.get_mut(peer) {
            relay.state = RelayState::Connected(address);
            relay.failures = 0;
            relay.problem = None;
        }
    }

    /// The last connection to a relay ended.
    pub fn on_disconnected(&mut self, peer: &P, problem: Option<String>, now: Duration) {
        self.pause(peer, problem, now);
    }

    /// A dial failed.
    pub fn on_dial_failed(&mut self, peer: &P, problem: String, now: Duration) {
        if self.relays.get(peer).is_some_and(|relay| matches!(relay.state, RelayState::Connecting(_))) {
            self.pause(peer, Some(problem), now);
        }
    }

    fn pause(&mut self, peer: &P, problem: Option<String>, now: Duration) {
        let phase = self.phase;
        if let Some(relay) = self.relays.get_mut(peer) {
            relay.state = RelayState::Waiting(now + pause_after(relay.failures, phase));
            relay.failures = relay.failures.saturating_add(1);
            relay.problem = problem;
        }
    }

    /// What is to be done now. Of relays that nobody configured those are dialed first that failed least, of these those where fewest are that are in use,
    /// and of these those with the highest `score`.
    pub fn step(&mut self, now: Duration, score: impl Fn(&P) -> f64) -> Vec<Dial<P, A>> {
        self.stepped = now;
        self.expire_dials(now);
        let mut engaged = self
            .relays
            .values()
            .filter(|relay| matches!(relay.state, RelayState::Connected(_) | RelayState::Connecting(_)))
            .count();
        let mut dials = Vec::new();
        for origin in [Origin::Configured, Origin::Discovered, Origin::Remembered] {
            if origin == Origin::Remembered && self.patience_ends().is_some_and(|end| end > now) {
                break;
            }
            while origin == Origin::Configured || engaged < self.wanted {
                let due = self.relays.iter().filter(|(_, relay)| relay.origin == origin && relay.is_due(now)).rev();
                let best = due.max_by(|(a, one), (b, other)| {
                    let fewer = other.failures.cmp(&one.failures);
                    let elsewhere = || self.neighbours(other).cmp(&self.neighbours(one));
                    fewer.then_with(elsewhere).then_with(|| score(a).total_cmp(&score(b)))
                });
                let Some(peer) = best.map(|(peer, _)| peer.clone()) else { break };
                let Some(relay) = self.relays.get_mut(&peer) else { break };
                relay.state = RelayState::Connecting(now);
                engaged += 1;
                dials.push(Dial { peer, addresses: relay.addresses.clone() });
            }
        }
        dials
    }

    /// How many of the relays in use are where this one is.
    fn neighbours(&self, relay: &Relay<A>) -> usize {
        let in_use = self.relays.values().filter_map(|other| match &other.state {
            RelayState::Connected(address) => Some(address),
            RelayState::Connecting(_) => other.addresses.first(),
            RelayState::Idle | RelayState::Waiting(_) => None,
        });
        in_use.filter(|there| relay.addresses.iter().any(|address| (self.is_near)(address, there))).count()
    }

    /// When those are turned to that are remembered, if nothing happens before: never while a configured relay is connected, at once (None) when all have
    /// failed.
    fn patience_ends(&self) -> Option<Duration> {
        let configured = self.relays.values().filter(|relay| relay.origin == Origin::Configured);
        let waited_for = configured.filter_map(|relay| match relay.state {
            RelayState::Connected(_) => Some(Duration::MAX),
            RelayState::Connecting(since) if relay.failures == 0 => Some(since + PATIENCE),
            RelayState::Connecting(_) | RelayState::Waiting(_) | RelayState::Idle => None,
        });
        waited_for.max()
    }

    fn expire_dials(&mut self, now: Duration) {
        let expired: Vec<P> = self
            .relays
            .iter()
            .filter(|(_, relay)| matches!(relay.state, RelayState::Connecting(since) if since + DIAL_TIMEOUT <= now))
            .map(|(peer, _)| peer.clone())
            .collect();
        for peer in expired {
            self.pause(&peer, Some("no answer".into()), now);
        }
    }

    /// When [`Self::step`] should be called next, if nothing happens before. What it has looked at is not told again: a relay whose pause is over may be
    /// one too many.
    pub fn next_step(&self) -> Option<Duration> {
        let next = self.relays.values().filter_map(|relay| match relay.state {
            RelayState::Waiting(until) => Some(until),
            RelayState::Connecting(since) => Some(since + DIAL_TIMEOUT),
            RelayState::Idle | RelayState::Connected(_) => None,
        });
        let has_remembered = self.relays.values().any(|relay| relay.origin == Origin::Remembered);
        let patience = self.patience_ends().filter(|end| has_remembered && *end < Duration::MAX);
        next.chain(patience).filter(|at| *at > self.stepped).min()
    }

    /// All relays, in the order of their ids.
    pub fn view(&self) -> impl Iterator<Item = RelayView<P, A>> + '_ {
        self.relays.iter().map(|(peer, relay)| RelayView {
            peer: peer.clone(),
            addresses: relay.addresses.clone(),
            origin: relay.origin,
            state: relay.state.clone(),
            problem: relay.problem.clone(),
        })
    }

    /// How many are connected.
    pub fn connected(&self) -> usize {
        self.relays.values().filter(|relay| matches!(relay.state, RelayState::Connected(_))).count()
    }

    /// Whether a relay is known.
    pub fn knows(&self, peer: &P) -> bool {
        self.relays.contains_key(peer)
    }
}

/// Doubles with each failure, up to a bound; the phase moves it by up to a quarter.
fn pause_after(failures: u32, phase: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(16)).min(LONGEST_PAUSE);
    pause.mul_f64(0.75 + f64::from(phase % 1000) / 2000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn str_eq(one: &&'static str, other: &&'static str) -> bool {
        one == other
    }

    fn one_relay() -> Relays<u8, &'static str> {
        let mut relays = Relays::new(2, 500, str_eq);
        relays.add(1, ["a"], Origin::Configured);
        relays
    }

    #[test]
    fn dials_a_configured_relay_at_once_and_only_once() {
        let mut relays = one_relay();
        assert_eq!(relays.step(seconds(0), |_| 0.5), [Dial { peer: 1, addresses: vec!["a"] }]);
        assert!(relays.step(seconds(1), |_| 0.5).is_empty());
    }

    #[test]
    fn pauses_grow_with_each_failure_and_stay_bounded() {
        let mut relays = one_relay();
        let (mut now, mut last) = (seconds(0), Duration::ZERO);
        for _ in 0..40 {
            assert_eq!(relays.step(now, |_| 0.5).len(), 1);
            relays.on_dial_failed(&1, "refused".into(), now);
            let next = relays.next_step().expect("it will be dialed again");
            assert!(next - now >= last && next - now <= LONGEST_PAUSE * 2);
            assert!(relays.step(next - Duration::from_millis(1), |_| 0.5).is_empty());
            (last, now) = (next - now, next);
        }
    }

    #[test]
    fn a_connection_forgets_earlier_failures() {
        let mut relays = one_relay();
        relays.step(seconds(0), |_| 0.5);
        relays.on_dial_failed(&1, "refused".into(), seconds(0));
        relays.step(seconds(60), |_| 0.5);
        relays.on_connected(&1, "a");
        assert_eq!(relays.connected(), 1);
        relays.on_disconnected(&1, None, seconds(100));
        assert!(relays.next_step().is_some_and(|next| next <= seconds(101)));
    }

    #[test]
    fn discovered_relays_fill_up_to_the_wanted_number_and_no_more() {
        let mut relays = one_relay();
        for peer in 2..10 {
            relays.add(peer, ["b"], Origin::Discovered);
        }
        assert_eq!(relays.step(seconds(0), |_| 0.5).len(), 2);
    }

    #[test]
    fn of_discovered_relays_the_best_are_dialed_first() {
        let mut relays = one_relay();
        for peer in 2..10 {
            relays.add(peer, ["b"], Origin::Discovered);
        }
        let dialed = relays.step(seconds(0), |peer| f64::from(u8::from(*peer == 7)));
        assert_eq!(dialed.iter().map(|dial| dial.peer).collect::<Vec<_>>(), [1, 7]);
    }

    #[test]
    fn of_discovered_relays_those_elsewhere_are_dialed_before_better_ones_at_one_place() {
        let mut relays: Relays<u8, &str> = Relays::new(3, 500, |a, b| a[..1] == b[..1]);
        relays.add(1, ["a1"], Origin::Configured);
        for (peer, address) in [(2, "c1"), (3, "b1"), (4, "b2"), (5, "a2")] {
            relays.add(peer, [address], Origin::Discovered);
        }
        let dialed = relays.step(seconds(0), |peer| f64::from(*peer));
        assert_eq!(dialed.iter().map(|dial| dial.peer).collect::<Vec<_>>(), [1, 4, 2]);
        relays.on_disconnected(&2, None, seconds(0));
        assert_eq!(
            relays.step(seconds(0), |peer| f64::from(*peer))[0].peer,
            5,
            "where there is no other place, the best"
        );
    }

    #[test]
    fn remembered_relays_are_turned_to_where_no_configured_one_can_be_reached() {
        let mut relays = one_relay();
        for peer in 2..10 {
            relays.add(peer, ["b"], Origin::Remembered);
        }
        let dialed = |relays: &mut Relays<u8, &'static str>, now: Duration| {
            relays.step(now, |peer| f64::from(*peer)).iter().map(|dial| dial.peer).collect::<Vec<_>>()
        };
        assert_eq!(dialed(&mut relays, seconds(0)), [1], "it has time to answer");
        assert_eq!(relays.next_step(), Some(PATIENCE));
        let mut other = relays.clone();
        relays.on_connected(&1, "a");
        assert_eq!(dialed(&mut relays, seconds(9)), [0; 0], "it did");
        relays.on_disconnected(&1, None, seconds(10));
        assert_eq!(dialed(&mut relays, seconds(10)), [9, 8], "the best first, as many as are wanted");

        let now = PATIENCE;
        assert_eq!(dialed(&mut other, now), [9], "one that is being dialed still counts");
        other.on_dial_failed(&9, "refused".into(), now);
        assert_eq!(dialed(&mut other, now), [8]);
        other.add(2, ["c"], Origin::Discovered);
        other.on_dial_failed(&8, "refused".into(), now);
        assert_eq!(dialed(&mut other, now), [2], "what is known to be there comes before what was");
    }

    #[test]
    fn what_was_looked_at_is_no_reason_to_look_again() {
        let mut relays = one_relay();
        for peer in 2..10 {
            relays.add(peer, ["b"], Origin::Remembered);
        }
        relays.step(seconds(0), |_| 0.5);
        relays.step(PATIENCE, |_| 0.5);
        assert_eq!(relays.next_step(), Some(DIAL_TIMEOUT), "some are remembered that are not wanted");

        let mut relays = one_relay();
        relays.add(2, ["b"], Origin::Discovered);
        relays.add(3, ["b"], Origin::Discovered);
        relays.step(seconds(0), |_| 0.5);
        relays.on_connected(&1, "a");
        relays.on_dial_failed(&2, "refused".into(), seconds(0));
        relays.step(seconds(0), |_| 0.5);
        relays.on_connected(&3, "b");
        let pause = relays.next_step().expect("one waits");
        assert!(relays.step(pause, |_| 0.5).is_empty(), "enough are connected");
        assert_eq!(relays.next_step(), None);
        relays.on_disconnected(&3, None, pause + seconds(9));
        assert_eq!(relays.step(pause + seconds(9), |_| 0.5)[0].peer, 2);
    }

    #[test]
    fn of_discovered_relays_those_that_failed_come_last_whatever_was_thought_of_them() {
        let mut relays = one_relay();
        for peer in 2..4 {
            relays.add(peer, ["b"], Origin::Discovered);
        }
        relays.on_connected(&1, "a");
        let mut dialed = |now: Duration| {
            let peer = relays.step(now, |peer| f64::from(*peer))[0].peer;
            relays.on_dial_failed(&peer, "refused".into(), now);
            peer
        };
        assert_eq!([0, 0, 60, 120].map(|now| dialed(seconds(now))), [3, 2, 3, 2]);
    }

    #[test]
    fn a_dial_that_never_ends_counts_as_failed() {
        let mut relays = one_relay();
        relays.step(seconds(0), |_| 0.5);
        assert!(relays.step(DIAL_TIMEOUT, |_| 0.5).is_empty());
        assert_eq!(relays.step(DIAL_TIMEOUT + seconds(2), |_| 0.5).len(), 1);
    }

    #[test]
    fn what_is_discovered_is_bounded() {
        let mut relays: Relays<u32, &'static str> = Relays::new(2, 0, str_eq);
        for peer in 0..10_000 {
            relays.add(peer, ["a"], Origin::Discovered);
        }
        assert_eq!(relays.view().count(), MAX_KNOWN);
        relays.add(20_000, ["a"], Origin::Configured);
        assert!(relays.knows(&20_000));
    }

    #[test]
    fn a_discovered_relay_that_failed_makes_room_for_another() {
        let mut relays: Relays<u32, &'static str> = Relays::new(2, 0, str_eq);
        for peer in 0..MAX_KNOWN as u32 {
            relays.add(peer, ["a"], Origin::Discovered);
        }
        relays.add(1000, ["a"], Origin::Discovered);
        assert!(!relays.knows(&1000), "nobody has failed yet");
        let failed = relays.step(seconds(0), |_| 0.5)[0].peer;
        relays.on_dial_failed(&failed, "no answer".into(), seconds(1));
        relays.add(1000, ["a"], Origin::Discovered);
        assert!(relays.knows(&1000) && !relays.knows(&failed));
    }
}
