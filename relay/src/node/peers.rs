//! What each peer uses of the relay: bounded for each, so that no one peer takes what is there for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use libp2p::PeerId;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::policy::{self, Pace};

/// The shares of peers that use something, or did a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<HashMap<PeerId, Arc<Share>>>);

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
}

impl Default for Share {
    fn default() -> Self {
        Self {
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
    /// The share of a peer. It counts as used for as long as the caller has it.
    pub(crate) fn of(&self, peer: PeerId) -> Arc<Share> {
        let mut shares = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if shares.len() >= policy::MAX_PEERS_REMEMBERED && !shares.contains_key(&peer) {
            let now = Instant::now();
            // One that is forgotten and one that never used anything are the same.
            shares.retain(|_, share| Arc::strong_count(share) > 1 || !share.is_whole(now));
        }
        shares.entry(peer).or_default().clone()
    }
}

impl Share {
    /// Waits until the peer may add so many new records.
    pub(crate) async fn wait_to_add(&self, records: usize) {
        self.records.wait(records).await;
    }

    /// Whether the peer may add so many new records now.
    pub(crate) fn may_add(&self, records: usize) -> bool {
        self.records.spend_at_once(records, Instant::now())
    }

    /// Counts new records that the peer has sent in a sync: how long to leave it alone until they are made up for.
    pub(crate) fn spend_synced(&self, records: usize) -> Duration {
        self.synced.spend(records, Instant::now())
    }

    /// Whether a package head may be looked at that the peer puts.
    pub(crate) fn may_put_head(&self) -> bool {
        self.heads.spend_at_once(1, Instant::now())
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
    fn peers_that_use_nothing_are_forgotten_and_others_are_not() {
        let (peers, [held, busy, syncing]) = (Peers::default(), [(); 3].map(|()| PeerId::random()));
        let share = peers.of(held);
        // Twice the burst: what comes back while the test runs does not matter.
        peers.of(busy).records.spend(2 * policy::RECORDS.burst as usize, Instant::now());
        peers.of(syncing).synced.spend(2 * policy::SYNCED_RECORDS.burst as usize, Instant::now());
        for _ in 0..policy::MAX_PEERS_REMEMBERED {
            peers.of(PeerId::random());
        }
        assert!(peers.0.lock().unwrap().len() < policy::MAX_PEERS_REMEMBERED);
        assert!(Arc::ptr_eq(&share, &peers.of(held)));
        assert!(!peers.of(busy).may_add(1));
        assert!(!peers.of(syncing).is_whole(Instant::now()));
    }
}
