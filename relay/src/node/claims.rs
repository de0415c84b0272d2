//! Which parts of the records are being fetched, so that several relays are asked at once and none for what another one is sending.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ggen_shared::sync::Part;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::policy;

/// The parts that are being fetched by all syncs of this relay.
#[derive(Debug)]
pub(super) struct Claims {
    claimed: Mutex<Claimed>,
    released: Notify,
    /// How long a claim keeps others off.
    time: Duration,
}

#[derive(Debug, Default)]
struct Claimed {
    parts: Vec<(Part, Held)>,
    next: u64,
}

/// By which claim, and until when: past it, whoever asks faster may take the part as well.
#[derive(Debug, Clone, Copy)]
struct Held {
    claim: u64,
    until: Instant,
}

/// Parts that one sync fetches. They are free again when this is dropped, however the sync ended, or when its time is up.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    number: u64,
    /// What is claimed.
    pub(super) parts: Vec<Part>,
}

impl Default for Claims {
    fn default() -> Self {
        Self::of(policy::CLAIM_TIMEOUT)
    }
}

impl Claims {
    fn of(time: Duration) -> Self {
        Self { claimed: Mutex::default(), released: Notify::new(), time }
    }

    fn claimed(&self) -> MutexGuard<'_, Claimed> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Claims those of some parts that are free; the others come back as they are.
    pub(super) fn take(&self, parts: Vec<Part>) -> (Claim<'_>, Vec<Part>) {
        let (mut claimed, now) = (self.claimed(), Instant::now());
        // There are few: one question's parts for each sync that runs.
        let is_taken = |part: &Part| claimed.parts.iter().any(|(other, held)| held.until > now && other.meets(part));
        let (taken, free): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_taken);
        let held = Held { claim: claimed.next, until: now + self.time };
        claimed.next += 1;
        claimed.parts.extend(free.iter().map(|part| (part.clone(), held)));
        (Claim { claims: self, number: held.claim, parts: free }, taken)
    }

    /// Waits until something is free again that was claimed when this was called, if anything was.
    pub(super) async fn released(&self) {
        let released = self.released.notified();
        tokio::pin!(released);
        released.as_mut().enable();
        let now = Instant::now();
        let next = self.claimed().parts.iter().map(|(_, held)| held.until).filter(|until| *until > now).min();
        if let Some(until) = next {
            // Which of both it is makes no difference.
            _ = timeout_at(until, released).await;
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.claimed().parts.retain(|(_, held)| held.claim != self.number);
        self.claims.released.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(count: u8) -> Vec<Part> {
        let entry = |number| [&b"r/"[..], &[number; 65]].concat();
        (0..count).filter_map(|number| Part::of_entry(&entry(number))).collect()
    }

    #[test]
    fn a_part_is_claimed_once_and_free_when_its_claim_is_gone() {
        let (claims, parts) = (Claims::default(), parts(3));
        let (first, taken) = claims.take(parts[..2].to_vec());
        assert_eq!((&first.parts[..], taken), (&parts[..2], vec![]));
        let (second, taken) = claims.take(parts.clone());
        assert_eq!((&second.parts[..], &taken[..]), (&parts[2..], &parts[..2]));
        drop(first);
        let (all, taken) = claims.take(vec![Part::ALL]);
        assert_eq!((all.parts.len(), taken.len()), (0, 1), "one of them is still claimed");
        drop(second);
        assert_eq!(claims.take(vec![Part::ALL]).1, []);
    }

    #[tokio::test]
    async fn who_waits_is_told_when_a_claim_is_gone() {
        let claims = Claims::default();
        claims.released().await;
        let (claim, _) = claims.take(parts(1));
        let waiting = claims.released();
        tokio::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(claim);
        waiting.await;
    }

    #[tokio::test]
    async fn a_part_that_is_claimed_for_too_long_is_free_for_others() {
        let time = Duration::from_millis(50);
        let (claims, parts) = (Claims::of(time), parts(2));
        let (slow, _) = claims.take(parts[..1].to_vec());
        let before = Instant::now();
        timeout_at(before + Duration::from_secs(10), claims.released()).await.unwrap();
        assert!(before.elapsed() > time / 2, "it waited");
        let (second, taken) = claims.take(parts.clone());
        assert_eq!((second.parts.len(), taken.len()), (2, 0));
        drop(slow);
        let held: Vec<_> = claims.claimed().parts.iter().map(|(_, held)| held.claim).collect();
        assert_eq!(held, [second.number; 2], "what the second has taken stays its own");
    }
}
