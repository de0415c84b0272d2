//! How far this relay has come in getting what other relays have.

use tokio::sync::watch;

/// What a sync has cost so far: bytes of questions and of answers, without what the transport adds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Sound records that came.
    pub records: u64,
    /// Bytes of questions.
    pub sent: u64,
    /// Bytes of answers.
    pub received: u64,
}

/// How far it has come.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What all syncs that ended have cost.
    pub cost: Cost,
    /// Syncs that run now.
    pub running: usize,
    /// How many records the relay has that has most of those that are being synced with.
    pub of: u64,
    /// Whether another relay was met.
    pub has_met: bool,
    /// Whether this relay has what the others had when it came: the first sync has ended well, or the last one that ran has ended.
    pub has_caught_up: bool,
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All that was missing is here.
    Well,
    /// The other relay did not do its part.
    Badly,
    /// It goes on a little later.
    Paused,
}

/// Tells of it.
#[derive(Debug, Default)]
pub(super) struct Teller(watch::Sender<Progress>);

impl Teller {
    pub(super) fn listen(&self) -> watch::Receiver<Progress> {
        self.0.subscribe()
    }

    /// There will be no syncs.
    pub(super) fn skip(&self) {
        self.0.send_modify(|progress| progress.has_caught_up = true);
    }

    pub(super) fn met(&self) {
        self.0.send_modify(|progress| progress.has_met = true);
    }

    pub(super) fn begun(&self) {
        self.0.send_modify(|progress| progress.running += 1);
    }

    pub(super) fn of(&self, records: u64) {
        self.0.send_modify(|progress| progress.of = progress.of.max(records));
    }

    pub(super) fn ended(&self, how: End, cost: Cost) {
        self.0.send_modify(|progress| {
            progress.cost.records += cost.records;
            progress.cost.sent += cost.sent;
            progress.cost.received += cost.received;
            progress.running = progress.running.saturating_sub(1);
            progress.has_caught_up |= match how {
                End::Well => true,
                // Without another relay to go on with, what is here is all that there is.
                End::Badly => progress.running == 0,
                End::Paused => false,
            };
            if progress.running == 0 {
                progress.of = 0;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relay_that_pauses_a_sync_has_not_caught_up() {
        let teller = Teller::default();
        let ends = |how| {
            teller.begun();
            teller.ended(how, Cost::default());
            teller.listen().borrow().has_caught_up
        };
        assert!(!ends(End::Paused));
        teller.begun();
        assert!(!ends(End::Badly), "another one goes on");
        teller.ended(End::Badly, Cost::default());
        assert!(teller.listen().borrow().has_caught_up, "nobody is left to go on with");
        let other = Teller::default();
        other.begun();
        other.begun();
        other.ended(End::Well, Cost::default());
        assert!(other.listen().borrow().has_caught_up);
    }
}
