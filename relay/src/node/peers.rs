//! What each peer uses of the relay: bounded for each, so that no one peer takes what is there for all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use libp2p::PeerId;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::policy;

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
    /// Releases that it announced and whose content is to be fetched.
    pub(crate) fetches: Arc<Semaphore>,
    /// Those of them that are being fetched.
    pub(crate) fetching: Semaphore,
    records: Mutex<Allowance>,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            streams: Arc::new(Semaphore::new(policy::MAX_STREAMS_PER_PEER)),
            bitswap: Arc::new(Semaphore::new(policy::MAX_BITSWAP_STREAMS_PER_PEER)),
            uploads: Arc::new(Semaphore::new(policy::UPLOAD_UNITS_PER_PEER as usize)),
            announcements: Arc::new(Semaphore::new(policy::MAX_ANNOUNCEMENTS_PER_PEER)),
            verifying: Semaphore::new(policy::MAX_VERIFYING_PER_PEER),
            fetches: Arc::new(Semaphore::new(policy::MAX_FETCHES_PER_PEER)),
            fetching: Semaphore::new(policy::MAX_FETCHING_PER_PEER),
            records: Mutex::default(),
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
            shares.retain(|_, share| Arc::strong_count(share) > 1 || !share.allowance(|records| records.is_whole(now)));
        }
        shares.entry(peer).or_default().clone()
    }
}

impl Share {
    /// Waits until the peer may add so many new records.
    pub(crate) async fn wait_to_add(&self, records: usize) {
        let wait = self.allowance(|allowance| allowance.spend(records, Instant::now()));
        // A timer takes at least a millisecond, which most need not wait.
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Whether the peer may add a new record now.
    pub(crate) fn may_add(&self) -> bool {
        self.allowance(|allowance| allowance.spend_at_once(Instant::now()))
    }

    fn allowance<T>(&self, with: impl FnOnce(&mut Allowance) -> T) -> T {
        with(&mut self.records.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// How many new records a peer may add: [`policy::RECORDS_BURST`] at once, then [`policy::RECORDS_PER_SECOND`].
#[derive(Debug, Default)]
struct Allowance {
    /// When all of it will be there again, at the pace of the long run.
    whole_at: Option<Instant>,
}

impl Allowance {
    const RECORD: Duration = Duration::from_nanos(1_000_000_000 / policy::RECORDS_PER_SECOND as u64);
    const ALL: Duration = Self::RECORD.saturating_mul(policy::RECORDS_BURST);

    fn is_whole(&self, now: Instant) -> bool {
        self.whole_at.is_none_or(|whole_at| whole_at <= now)
    }

    /// Spends it on records, beyond what is left if need be: how long to wait until that is made up for.
    fn spend(&mut self, records: usize, now: Instant) -> Duration {
        let cost = Self::RECORD.saturating_mul(u32::try_from(records).unwrap_or(u32::MAX));
        let whole_at = self.whole_at.map_or(now, |whole_at| whole_at.max(now)) + cost;
        self.whole_at = Some(whole_at);
        (whole_at - now).saturating_sub(Self::ALL)
    }

    /// Spends it on one record if so much is left.
    fn spend_at_once(&mut self, now: Instant) -> bool {
        let before = self.whole_at;
        let enough = self.spend(1, now).is_zero();
        if !enough {
            self.whole_at = before;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_the_long_run_is_paced() {
        let (mut allowance, start) = (Allowance::default(), Instant::now());
        assert!(allowance.is_whole(start));
        assert_eq!(allowance.spend(policy::RECORDS_BURST as usize, start), Duration::ZERO);
        assert!(!allowance.spend_at_once(start));
        assert!(!allowance.spend_at_once(start), "what is refused costs nothing");
        assert_eq!(allowance.spend(policy::RECORDS_PER_SECOND as usize, start), Duration::from_secs(1));
        let later = start + Duration::from_secs(1);
        assert!(!allowance.spend_at_once(later));
        assert!(allowance.spend_at_once(later + Allowance::RECORD));
        assert!(!allowance.is_whole(later));
        assert!(allowance.is_whole(later + Allowance::ALL + Allowance::RECORD));
    }

    #[test]
    fn peers_that_use_nothing_are_forgotten_and_others_are_not() {
        let (peers, [held, busy]) = (Peers::default(), [PeerId::random(), PeerId::random()]);
        let share = peers.of(held);
        // Twice the burst: what comes back while the test runs does not matter.
        peers.of(busy).allowance(|allowance| allowance.spend(2 * policy::RECORDS_BURST as usize, Instant::now()));
        for _ in 0..policy::MAX_PEERS_REMEMBERED {
            peers.of(PeerId::random());
        }
        assert!(peers.0.lock().unwrap().len() < policy::MAX_PEERS_REMEMBERED);
        assert!(Arc::ptr_eq(&share, &peers.of(held)));
        assert!(!peers.of(busy).may_add());
    }
}
