//! Which parts of the records are being fetched, so that several relays are asked at once and none for what another one is sending.

use std::sync::{Mutex, PoisonError};

use ggen_shared::sync::Part;
use tokio::sync::Notify;

/// The parts that are being fetched by all syncs of this relay.
#[derive(Debug, Default)]
pub(super) struct Claims {
    parts: Mutex<Vec<Part>>,
    released: Notify,
}

/// Parts that one sync fetches. They are free again when this is dropped, however the sync ended.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    /// What is claimed.
    pub(super) parts: Vec<Part>,
}

impl Claims {
    /// Claims those of some parts that are free; the others come back as they are.
    pub(super) fn take(&self, parts: Vec<Part>) -> (Claim<'_>, Vec<Part>) {
        let mut claimed = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        // There are few: one question's parts for each sync that runs.
        let (free, taken): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| !claimed.iter().any(|other| other.meets(part)));
        claimed.extend(free.iter().cloned());
        (Claim { claims: self, parts: free }, taken)
    }

    /// Waits until something is free again that was claimed when this was called, if anything was.
    pub(super) async fn released(&self) {
        let released = self.released.notified();
        tokio::pin!(released);
        released.as_mut().enable();
        if !self.parts.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            released.await;
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut claimed = self.claims.parts.lock().unwrap_or_else(PoisonError::into_inner);
        claimed.retain(|part| !self.parts.contains(part));
        drop(claimed);
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
}
