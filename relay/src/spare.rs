//! Work that makes answers better and is done while there is time for it: it takes a twentieth of one core's time at most, so that however many ask,
//! all of them are answered about as fast as without it.

use std::sync::{Mutex, TryLockError};
use std::time::Duration;

use tokio::time::Instant;

/// How many times as long as it worked it rests.
const REST: u32 = 19;

/// When there is time for such work again.
#[derive(Debug, Default)]
pub(crate) struct SpareTime(Mutex<Option<Instant>>);

impl SpareTime {
    /// Does some work, unless it is being done for somebody else, or was just now.
    pub(crate) fn spend(&self, work: impl FnOnce()) {
        // Held while it works: what others would have done meanwhile is left out.
        let mut rests_until = match self.0.try_lock() {
            Ok(held) => held,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let begin = Instant::now();
        if rests_until.is_some_and(|until| begin < until) {
            return;
        }
        work();
        let end = Instant::now();
        *rests_until = Some(end + rest(end - begin));
    }
}

fn rest(worked: Duration) -> Duration {
    worked * REST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_rests_nineteen_times_as_long_as_it_worked() {
        assert_eq!(rest(Duration::from_micros(500)), Duration::from_micros(9500));
        let time = SpareTime::default();
        let (mut done, begin) = (0, Instant::now());
        while begin.elapsed() < Duration::from_millis(60) {
            time.spend(|| {
                done += 1;
                let end = Instant::now() + Duration::from_millis(2);
                while Instant::now() < end {}
            });
        }
        // Twice, if nothing else runs on this machine: at the beginning, and 38 ms behind its end.
        assert!((1..=2).contains(&done), "{done}");
    }

    #[test]
    fn what_one_does_another_leaves_out() {
        let time = SpareTime::default();
        let mut done = Vec::new();
        time.spend(|| time.spend(|| done.push("inside")));
        assert!(done.is_empty());
        *time.0.lock().unwrap() = None;
        time.spend(|| done.push("again"));
        assert_eq!(done, ["again"]);
    }
}
