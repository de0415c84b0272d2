//! What each peer uses of the relay: bounded for each, so that no one peer takes what is there for all; and for all peers of a group of IP addresses
//! together, because identities cost nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ggen_net::address::IpGroup;
use ggen_shared::id::PublisherId;
use libp2p::PeerId;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::policy::{self, Pace};

/// The shares of peers that use something, or did a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<All>);

#[derive(Debug, Default)]
struct All {
    shares: HashMap<PeerId, Arc<Share>>,
    groups: HashMap<IpGroup, Arc<GroupShare>>,
    publishers: HashMap<PublisherId, Arc<Allowance>>,
    /// Where connected peers are that can be told apart by that.
    places: HashMap<PeerId, IpGroup>,
}

/// What one peer may use.
#[derive(Debug)]
pub(crate) struct Share {
    /// Streams that are being answered.
    pub(crate) streams: Arc<Semaphore>,
    /// Streams on which it says which blocks it wants.
    pub(crate) bitswap: Arc<Semaphore>,
    /// Units of content that is being uploaded.
    pub(crate) uploads: Arc<Semaphore>,
    /// Announcements that are in memory.
    pub(crate) announcements: Arc<Semaphore>,
    /// Those of them that are being verified.
    pub(crate) verifying: Semaphore,
    /// Package heads of it that are being verified.
    pub(crate) verifying_heads: Arc<Semaphore>,
    /// Releases that it announced and whose content is to be fetched.
    pub(crate) fetches: Arc<Semaphore>,
    /// Those of them that are being fetched.
    pub(crate) fetching: Semaphore,
    /// New records that it publishes and announces.
    records: Allowance,
    /// New records that it sends in syncs.
    synced: Allowance,
    /// Package heads that it puts.
    heads: Allowance,
    /// What it uses together with others.
    group: Mutex<Option<Arc<GroupShare>>>,
}

/// What the peers of one group of IP addresses may use together.
#[derive(Debug)]
pub(crate) struct GroupShare {
    /// Units of content that is being uploaded.
    pub(crate) uploads: Arc<Semaphore>,
    records: Allowance,
    synced: Allowance,
    heads: Allowance,
}

impl Default for GroupShare {
    fn default() -> Self {
        let of = |pace: Pace| Allowance::at(pace.times(policy::PEERS_OF_GROUP));
        Self {
            uploads: Arc::new(Semaphore::new(policy::UPLOAD_UNITS_PER_GROUP as usize)),
            records: of(policy::RECORDS),
            synced: of(policy::SYNCED_RECORDS),
            heads: of(policy::HEADS),
        }
    }
}

impl Default for Share {
    fn default() -> Self {
        Self {
            group: Mutex::default(),
            streams: Arc::new(Semaphore::new(policy::MAX_STREAMS_PER_PEER)),
            bitswap: Arc::new(Semaphore::new(policy::MAX_BITSWAP_STREAMS_PER_PEER)),
            uploads: Arc::new(Semaphore::new(policy::UPLOAD_UNITS_PER_PEER as usize)),
            announcements: Arc::new(Semaphore::new(policy::MAX_ANNOUNCEMENTS_PER_PEER)),
            verifying: Semaphore::new(policy::MAX_VERIFYING_PER_PEER),
            verifying_heads: Arc::new(Semaphore::new(policy::MAX_VERIFYING_HEADS_PER_PEER)),
            fetches: Arc::new(Semaphore::new(policy::MAX_FETCHES_PER_PEER)),
            fetching: Semaphore::new(policy::MAX_FETCHING_PER_PEER),
            records: Allowance::at(policy::RECORDS),
            synced: Allowance::at(policy::SYNCED_RECORDS),
            heads: Allowance::at(policy::HEADS),
        }
    }
}

impl Peers {
    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The share of a peer. It counts as used for as long as the caller has it.
    pub(crate) fn of(&self, peer: PeerId) -> Arc<Share> {
        let All { shares, groups, places, .. } = &mut *self.lock();
        if let Some(share) = shares.get(&peer) {
            return share.clone();
        }
        let share = one_of(shares, peer, Share::default, Share::is_whole);
        *share.group_lock() = places.get(&peer).map(|group| group_of(groups, *group));
        share
    }

    /// A peer is connected, from such an address: of two connections, the first counts.
    pub(crate) fn connected(&self, peer: PeerId, group: IpGroup) {
        let All { shares, groups, places, .. } = &mut *self.lock();
        let group = *places.entry(peer).or_insert(group);
        if let Some(share) = shares.get(&peer) {
            *share.group_lock() = Some(group_of(groups, group));
        }
    }

    /// A peer is not connected any more. What it used is remembered.
    pub(crate) fn disconnected(&self, peer: &PeerId) {
        self.lock().places.remove(peer);
    }

    fn publisher(&self, publisher: PublisherId) -> Arc<Allowance> {
        let new = || Allowance::at(policy::RECORDS_OF_PUBLISHER);
        one_of(&mut self.lock().publishers, publisher, new, Allowance::is_whole)
    }

    /// Waits until so many new records of a publisher may be added, whoever brings them.
    pub(crate) async fn wait_to_add_of(&self, publisher: PublisherId, records: usize) {
        self.publisher(publisher).wait(records).await;
    }

    /// Whether so many new records of a publisher may be added now, whoever brings them. To be asked about what is verified: nobody else uses it up.
    pub(crate) fn may_add_of(&self, publisher: PublisherId, records: usize) -> bool {
        self.publisher(publisher).spend_at_once(records, Instant::now())
    }
}

fn group_of(groups: &mut HashMap<IpGroup, Arc<GroupShare>>, group: IpGroup) -> Arc<GroupShare> {
    one_of(groups, group, GroupShare::default, GroupShare::is_whole)
}

/// The one of a key. One that is forgotten and one that never used anything are the same, so those are forgotten when there are many.
fn one_of<K: Eq + Hash, T>(
    all: &mut HashMap<K, Arc<T>>,
    key: K,
    new: impl FnOnce() -> T,
    is_whole: impl Fn(&T, Instant) -> bool,
) -> Arc<T> {
    if all.len() >= policy::MAX_PEERS_REMEMBERED && !all.contains_key(&key) {
        let now = Instant::now();
        all.retain(|_, one| Arc::strong_count(one) > 1 || !is_whole(one, now));
    }
    all.entry(key).or_insert_with(|| Arc::new(new())).clone()
}

impl GroupShare {
    fn is_whole(&self, now: Instant) -> bool {
        [&self.records, &self.synced, &self.heads].iter().all(|allowance| allowance.is_whole(now))
    }
}

impl Share {
    fn group_lock(&self) -> MutexGuard<'_, Option<Arc<GroupShare>>> {
        self.group.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the peer uses together with others, if it is known where it is.
    pub(crate) fn group(&self) -> Option<Arc<GroupShare>> {
        self.group_lock().clone()
    }

    /// Waits until the peer, and its group, may add so many new records.
    pub(crate) async fn wait_to_add(&self, records: usize) {
        self.records.wait(records).await;
        if let Some(group) = self.group() {
            group.records.wait(records).await;
        }
    }

    /// Whether the peer, and its group, may add so many new records now.
    pub(crate) fn may_add(&self, records: usize) -> bool {
        let now = Instant::now();
        self.records.spend_at_once(records, now)
            && self.group().is_none_or(|group| group.records.spend_at_once(records, now))
    }

    /// Counts new records that the peer has sent in a sync: how long to leave it alone until they are made up for.
    pub(crate) fn spend_synced(&self, records: usize) -> Duration {
        let now = Instant::now();
        let of_group = self.group().map_or(Duration::ZERO, |group| group.synced.spend(records, now));
        self.synced.spend(records, now).max(of_group)
    }

    /// Whether a package head may be looked at that the peer puts.
    pub(crate) fn may_put_head(&self) -> bool {
        let now = Instant::now();
        self.heads.spend_at_once(1, now) && self.group().is_none_or(|group| group.heads.spend_at_once(1, now))
    }

    /// As if the peer had put so many package heads just now.
    #[cfg(test)]
    pub(crate) fn spend_heads(&self, count: usize) {
        self.heads.spend(count, Instant::now());
    }

    /// Whether it is as if the peer had never done anything.
    fn is_whole(&self, now: Instant) -> bool {
        [&self.records, &self.synced, &self.heads].iter().all(|allowance| allowance.is_whole(now))
    }
}

/// How much of something a peer may do.
#[derive(Debug)]
struct Allowance {
    pace: Pace,
    /// When all of it will be there again, at the pace of the long run.
    whole_at: Mutex<Option<Instant>>,
}

impl Allowance {
    const fn at(pace: Pace) -> Self {
        Self { pace, whole_at: Mutex::new(None) }
    }

    /// The time that so much takes in the long run.
    fn time_of(&self, count: usize) -> Duration {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Duration::from_nanos(1_000_000_000 / u64::from(self.pace.per_second)).saturating_mul(count)
    }

    fn whole_at(&self) -> MutexGuard<'_, Option<Instant>> {
        self.whole_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_whole(&self, now: Instant) -> bool {
        self.whole_at().is_none_or(|whole_at| whole_at <= now)
    }

    /// Spends it, beyond what is left if need be, and waits until that is made up for.
    async fn wait(&self, count: usize) {
        let wait = self.spend(count, Instant::now());
        // A timer takes at least a millisecond, which most need not wait.
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Spends it, beyond what is left if need be: how long to wait until that is made up for.
    fn spend(&self, count: usize, now: Instant) -> Duration {
        let mut at = self.whole_at();
        let (whole_at, wait) = self.spent(*at, count, now);
        *at = Some(whole_at);
        wait
    }

    /// Spends it if so much is left. More than a burst may be spent when all of it is there.
    fn spend_at_once(&self, count: usize, now: Instant) -> bool {
        let mut at = self.whole_at();
        let (whole_at, wait) = self.spent(*at, count.min(self.pace.burst as usize), now);
        if wait.is_zero() {
            *at = Some(whole_at);
        }
        wait.is_zero()
    }

    /// When all of it is there again once so much is spent, and how long to wait until that is made up for.
    fn spent(&self, whole_at: Option<Instant>, count: usize, now: Instant) -> (Instant, Duration) {
        let whole_at = whole_at.map_or(now, |at| at.max(now)) + self.time_of(count);
        (whole_at, (whole_at - now).saturating_sub(self.time_of(self.pace.burst as usize)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_long_run_is_paced() {
        for pace in [policy::RECORDS, policy::SYNCED_RECORDS, policy::HEADS] {
            let (allowance, start) = (Allowance::at(pace), Instant::now());
            assert!(allowance.is_whole(start));
            assert_eq!(allowance.spend(pace.burst as usize, start), Duration::ZERO);
            assert!(!allowance.spend_at_once(1, start));
            assert!(!allowance.spend_at_once(1, start), "what is refused costs nothing");
            assert_eq!(allowance.spend(pace.per_second as usize, start), Duration::from_secs(1));
            let later = start + Duration::from_secs(1);
            assert!(!allowance.spend_at_once(1, later));
            assert!(allowance.spend_at_once(1, later + allowance.time_of(1)));
            assert!(!allowance.is_whole(later));
            assert!(allowance.is_whole(later + allowance.time_of(pace.burst as usize + 1)));
        }
    }

    #[test]
    fn what_comes_at_once_counts_as_a_whole() {
        let (allowance, start) = (Allowance::at(policy::RECORDS), Instant::now());
        let burst = policy::RECORDS.burst as usize;
        assert!(allowance.spend_at_once(burst - 10, start));
        assert!(!allowance.spend_at_once(11, start));
        assert!(allowance.spend_at_once(10, start));
        let whole = Allowance::at(policy::RECORDS);
        assert!(whole.spend_at_once(2 * burst, start), "who has done nothing yet may do it once");
        assert!(!whole.spend_at_once(1, start));
    }

    #[test]
    fn many_identities_of_one_place_do_as_much_together_as_a_few_peers() {
        let (peers, flood, elsewhere) = (Peers::default(), IpGroup::V4([10, 66]), IpGroup::V4([10, 1]));
        let come = |group| {
            let peer = PeerId::random();
            peers.connected(peer, group);
            (peer, peers.of(peer))
        };
        let burst = policy::RECORDS.burst as usize;
        let added = (0..4 * policy::PEERS_OF_GROUP).filter(|_| come(flood).1.may_add(burst)).count();
        assert_eq!(added, policy::PEERS_OF_GROUP as usize);
        let (other, share) = come(elsewhere);
        assert!(share.may_add(burst), "elsewhere nobody notices");
        assert!(peers.of(PeerId::random()).may_add(burst), "nor does who comes through a relay, or a proxy here");
        // Whoever moves there after it had a share counts there.
        peers.disconnected(&other);
        peers.connected(other, flood);
        assert!(Arc::ptr_eq(&share, &peers.of(other)));
        assert!(Arc::ptr_eq(&share.group().unwrap(), &come(flood).1.group().unwrap()));
        let uploads = |share: &Share| share.group().unwrap().uploads.available_permits();
        assert_eq!(uploads(&share), policy::UPLOAD_UNITS_PER_GROUP as usize);
        const { assert!(policy::UPLOAD_UNITS_PER_GROUP < policy::UPLOAD_UNITS, "some is left to others") };
    }

    #[test]
    fn a_publisher_is_paced_whoever_brings_its_records() {
        let (peers, [one, other]) = (Peers::default(), [1, 2].map(|byte| PublisherId::from_bytes([byte; 32])));
        let burst = policy::RECORDS_OF_PUBLISHER.burst as usize;
        assert!(peers.may_add_of(one, burst));
        assert!(!peers.may_add_of(one, burst));
        assert!(peers.may_add_of(other, 1));
    }

    #[test]
    fn peers_that_use_nothing_are_forgotten_and_others_are_not() {
        let (peers, [held, busy, syncing]) = (Peers::default(), [(); 3].map(|()| PeerId::random()));
        let share = peers.of(held);
        // Twice the burst: what comes back while the test runs does not matter.
        peers.of(busy).records.spend(2 * policy::RECORDS.burst as usize, Instant::now());
        peers.of(syncing).synced.spend(2 * policy::SYNCED_RECORDS.burst as usize, Instant::now());
        for _ in 0..policy::MAX_PEERS_REMEMBERED {
            peers.of(PeerId::random());
        }
        assert!(peers.lock().shares.len() < policy::MAX_PEERS_REMEMBERED);
        assert!(Arc::ptr_eq(&share, &peers.of(held)));
        assert!(!peers.of(busy).may_add(1));
        assert!(!peers.of(syncing).is_whole(Instant::now()));
    }
}
