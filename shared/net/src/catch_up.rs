//! What was announced and not heard, because a relay was lost that passed things on, or more came at once than there was room for. It is asked
//! for afterwards: relays prove which packages are the newest. What was published within the epoch is proven at its end, so they are asked twice.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::{Either, pending};
use futures::{FutureExt, SinkExt, StreamExt, select};
use ggen_shared::id::RecordId;
use ggen_shared::limits::MAX_RESULTS;
use ggen_shared::registry::{Registry, ReleaseView, SearchOptions};
use libp2p::PeerId;

use crate::light::{Connection, Event, Platform};
use crate::registry::P2PRegistry;

/// News that may wait for the owner.
const NEWS: usize = 256;
/// Releases that are remembered to have been told.
const MAX_TOLD: usize = 4096;
/// Pages that are asked for at once: so many packages are published in a minute by nobody whom a page has to follow.
const MAX_PAGES: usize = 32;
/// How long others have to pass on what the lost one would have, and relays to commit to an epoch.
const SETTLE: Duration = Duration::from_secs(1);
/// How long relays are not asked again, however much is missed: a peer that announces without end costs nobody more than that.
const PAUSE: Duration = Duration::from_secs(10);
/// How much earlier something may have been missed than it was noticed, or is dated by its publisher's clock.
const MARGIN: Duration = Duration::from_secs(60);

/// What its owner hears of a registry.
#[derive(Debug, Clone)]
pub enum News {
    /// What the light peer told.
    Heard(Event),
    /// A release that was announced and not heard then.
    Missed(Box<ReleaseView>),
    /// What was missed was asked for.
    CaughtUp {
        /// How many announcements had been missed.
        found: usize,
    },
}

impl<P: Platform> P2PRegistry<P> {
    /// What `events` of the light peer tell, each announcement once, and what they miss. The receiver may be dropped.
    pub fn news(&self, mut events: mpsc::Receiver<Event>) -> mpsc::Receiver<News> {
        let (mut outbox, news) = mpsc::channel(NEWS);
        let (shared, platform) = (self.downgrade(), self.peer().platform().clone());
        let mut gaps = Gaps::new(platform.now());
        self.peer().platform().spawn(async move {
            let mut told = Told::default();
            let mut alarm = Either::Right(pending());
            let (mut is_asking, mut asking) = (false, Either::Right(pending()));
            loop {
                if let Some(at) = gaps.take_step(is_asking) {
                    alarm = Either::Left(Box::pin(platform.sleep(at.saturating_sub(platform.now()))));
                }
                select! {
                    event = events.next() => {
                        let Some(event) = event else { return };
                        match &event {
                            Event::Connections(connections) => gaps.on_connections(connections, platform.now()),
                            Event::Missed => gaps.open(platform.now()),
                            Event::Announced { release, .. } if !told.note(release.id()) => continue,
                            _ => {}
                        }
                        if !matches!(event, Event::Connections(_) | Event::Refused { .. })
                            && let Some(registry) = Self::upgrade(&shared)
                        {
                            // What was found before does not have it.
                            registry.ahead().note_change(platform.now());
                        }
                        if !matches!(event, Event::Missed) && outbox.send(News::Heard(event)).await.is_err() {
                            return;
                        }
                    }
                    () = (&mut alarm).fuse() => {
                        alarm = Either::Right(pending());
                        // Nobody else has it: it must not keep the light peer running.
                        let Some(registry) = Self::upgrade(&shared) else { return };
                        let turn = registry.peer().epoch_end();
                        if let Some(since) = gaps.step(platform.now(), turn) {
                            is_asking = true;
                            asking = Either::Left(Box::pin(async move { registry.released_since(since).await }));
                        }
                    }
                    found = (&mut asking).fuse() => {
                        (is_asking, asking) = (false, Either::Right(pending()));
                        let mut count = 0;
                        for release in found {
                            if told.note(release.release.id()) {
                                count += 1;
                                if outbox.send(News::Missed(Box::new(release))).await.is_err() {
                                    return;
                                }
                            }
                        }
                        if outbox.send(News::CaughtUp { found: count }).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
        news
    }

    /// The newest packages, as far back as this moment.
    async fn released_since(&self, since: Duration) -> Vec<ReleaseView> {
        let mut found = Vec::new();
        let limit = u16::try_from(MAX_RESULTS).unwrap_or(u16::MAX);
        let mut options = SearchOptions { limit, ..SearchOptions::default() };
        for _ in 0..MAX_PAGES {
            // What can't be had now is had when relays are back: that is noticed, too.
            let Ok(results) = self.search("", options.clone()).await else { break };
            let page = found.len();
            let is_new = |release: &ReleaseView| release.release.created >= since.as_secs();
            found.extend(results.hits.into_iter().flatten().filter(is_new));
            if results.cursor.is_none() || results.offline || found.len() == page {
                break;
            }
            options.cursor = results.cursor;
        }
        // The one that was published first is told first.
        found.reverse();
        found
    }
}

/// Releases that were told, the oldest first.
#[derive(Default)]
struct Told(VecDeque<RecordId>);

impl Told {
    /// Whether it was not told before.
    fn note(&mut self, id: RecordId) -> bool {
        if self.0.contains(&id) {
            return false;
        }
        if self.0.len() >= MAX_TOLD {
            self.0.pop_front();
        }
        self.0.push_back(id);
        true
    }
}

/// When to ask for what was missed. Time is that since 1970.
struct Gaps {
    begun: Duration,
    connected: BTreeSet<PeerId>,
    /// Since when something may have been missed.
    since: Option<Duration>,
    /// When relays are to be asked next.
    due: Option<Duration>,
    /// Whether that is the second time, for what was not proven the first time.
    is_second: bool,
    /// When they were asked last.
    asked: Option<Duration>,
    /// For when the alarm is set.
    alarm: Option<Duration>,
}

impl Gaps {
    const fn new(begun: Duration) -> Self {
        Self { begun, connected: BTreeSet::new(), since: None, due: None, is_second: false, asked: None, alarm: None }
    }

    fn on_connections(&mut self, connections: &[Connection], now: Duration) {
        let connected = connections.iter().filter(|connection| connection.is_connected());
        let connected: BTreeSet<PeerId> = connected.map(|connection| connection.peer).collect();
        let is_lost = !self.connected.is_subset(&connected);
        let is_back = self.connected.is_empty() && !connected.is_empty();
        self.connected = connected;
        if is_lost {
            self.open(now);
        } else if is_back && self.since.is_some() {
            // There was nobody to ask.
            self.plan(now);
        }
    }

    /// Something may have been missed just now.
    fn open(&mut self, now: Duration) {
        let since = now.saturating_sub(MARGIN).max(self.begun);
        self.since = Some(self.since.map_or(since, |known| known.min(since)));
        if self.due.is_none() || self.is_second {
            self.plan(now);
        }
    }

    fn plan(&mut self, now: Duration) {
        let due = now + SETTLE;
        self.due = Some(self.asked.map_or(due, |asked| due.max(asked + PAUSE)));
        self.is_second = false;
    }

    /// For when to set the alarm, if it has to be set. While relays are being asked, it waits.
    fn take_step(&mut self, is_asking: bool) -> Option<Duration> {
        if is_asking || self.alarm == self.due {
            return None;
        }
        self.alarm = self.due;
        self.due
    }

    /// The alarm has come: since when to ask now, if so. `turn` is when the epoch ends.
    fn step(&mut self, now: Duration, turn: Duration) -> Option<Duration> {
        self.alarm = None;
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        if self.connected.is_empty() {
            self.due = None;
            return None;
        }
        self.asked = Some(now);
        let since = self.since;
        if self.is_second {
            (self.since, self.due) = (None, None);
        } else {
            self.due = Some(turn + SETTLE);
        }
        self.is_second = !self.is_second;
        since
    }
}

#[cfg(test)]
mod tests {
    use libp2p::Multiaddr;

    use super::*;
    use crate::address::Transport;
    use crate::light::Phase;

    const BEGUN: Duration = Duration::from_secs(1000);

    fn at(seconds: u64) -> Duration {
        BEGUN + Duration::from_secs(seconds)
    }

    fn connections(peers: &[(PeerId, Phase)]) -> Vec<Connection> {
        let connection = |(peer, phase): &(PeerId, Phase)| Connection {
            peer: *peer,
            address: Multiaddr::empty(),
            transport: Transport::WebSocket,
            anchor: true,
            phase: *phase,
            rtt: None,
            problem: None,
        };
        peers.iter().map(connection).collect()
    }

    #[test]
    fn while_all_relays_stay_nothing_is_asked_for() {
        let (mut gaps, peer) = (Gaps::new(BEGUN), PeerId::random());
        for seconds in 0..3 {
            gaps.on_connections(&connections(&[(peer, Phase::Connected)]), at(seconds));
            assert_eq!(gaps.take_step(false), None);
        }
    }

    #[test]
    fn when_a_relay_is_lost_others_are_asked_soon_and_again_after_the_epoch() {
        let (mut gaps, [lost, other]) = (Gaps::new(BEGUN), [PeerId::random(), PeerId::random()]);
        gaps.on_connections(&connections(&[(lost, Phase::Connected), (other, Phase::Connected)]), at(0));
        gaps.on_connections(&connections(&[(lost, Phase::Waiting), (other, Phase::Connected)]), at(100));
        assert_eq!(gaps.take_step(false), Some(at(101)));
        assert_eq!(gaps.take_step(false), None, "the alarm is set");
        assert_eq!(gaps.step(at(101), at(120)), Some(at(40)), "a minute before");
        assert_eq!(gaps.take_step(true), None, "they are being asked");
        assert_eq!(gaps.take_step(false), Some(at(121)));
        assert_eq!(gaps.step(at(121), at(180)), Some(at(40)));
        assert_eq!(gaps.take_step(false), None, "that was all");
    }

    #[test]
    fn where_nobody_is_left_to_ask_it_waits_until_somebody_is_back() {
        let (mut gaps, peer) = (Gaps::new(BEGUN), PeerId::random());
        gaps.on_connections(&connections(&[(peer, Phase::Connected)]), at(0));
        gaps.on_connections(&connections(&[(peer, Phase::Waiting)]), at(10));
        assert_eq!(gaps.take_step(false), Some(at(11)));
        assert_eq!(gaps.step(at(11), at(60)), None);
        gaps.on_connections(&connections(&[(peer, Phase::Connected)]), at(500));
        assert_eq!(gaps.take_step(false), Some(at(501)));
        assert_eq!(gaps.step(at(501), at(540)), Some(BEGUN), "nothing from before it began is news");
    }

    #[test]
    fn who_announces_more_than_there_is_room_for_has_relays_asked_now_and_then() {
        let (mut gaps, peer) = (Gaps::new(BEGUN), PeerId::random());
        gaps.on_connections(&connections(&[(peer, Phase::Connected)]), at(0));
        let mut asked = Vec::new();
        for seconds in 100..140 {
            gaps.open(at(seconds));
            _ = gaps.take_step(false);
            asked.extend(gaps.step(at(seconds), at(1000)).map(|_| seconds));
        }
        assert_eq!(asked, [101, 111, 121, 131]);
    }

    #[test]
    fn a_release_is_told_once_among_some_thousands() {
        let mut told = Told::default();
        let id = |number: usize| RecordId::from_bytes(std::array::from_fn(|at| (number >> (8 * (at % 4))) as u8));
        assert!(told.note(id(0)) && !told.note(id(0)));
        assert!((1..=MAX_TOLD).all(|number| told.note(id(number))));
        assert_eq!(told.0.len(), MAX_TOLD);
    }
}
