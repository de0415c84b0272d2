//! When the browser gets its turn: it moves bytes between our tasks only.
//!
//! Chromium has 64 KiB on the way between a page and the process that has the socket. What came it takes from there when the event of a message
//! has ended, and microtasks belong to the event: a message that is worked on in them holds up what follows it. What is sent it puts there in tasks of
//! its own: whoever keeps sending keeps it from that, and then waits for all of it to be done.

/// A message of at least so many bytes is worked on in a turn of its own; a smaller one at once, which is quicker for an answer.
const LARGE_BYTES: usize = 8 * 1024;

/// If more than so many bytes wait with it, it is worked on at once. A browser may have many messages before the next turn, after a page was busy for
/// long, and all of them together may be more than can wait.
const MOST_WAITING_BYTES: usize = 256 * 1024;

/// A writer makes way after the message with which it passes so many bytes.
const SENT_BYTES: usize = 64 * 1024;

/// Whether a message may wait for the next turn while so many bytes wait, its own among them.
pub(super) const fn can_wait(length: usize, waiting: usize) -> bool {
    length >= LARGE_BYTES && waiting <= MOST_WAITING_BYTES
}

/// The turns of one socket.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The next one was asked for, and did not come yet.
    is_asked: bool,
    /// Bytes that were sent since one came.
    sent: usize,
}

impl Turns {
    /// So many bytes were sent.
    pub(super) const fn count(&mut self, bytes: usize) {
        self.sent = self.sent.saturating_add(bytes);
    }

    /// Whether to write now.
    pub(super) const fn admits(&self) -> bool {
        self.sent < SENT_BYTES
    }

    /// Whether the next turn has still to be asked for. Then whoever wants it does so.
    pub(super) const fn wants_asking(&mut self) -> bool {
        let wants = !self.is_asked;
        self.is_asked = true;
        wants
    }

    /// It came.
    pub(super) const fn came(&mut self) {
        *self = Self { is_asked: false, sent: 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbound::Inbound;
    use crate::websocket::MAX_UNREAD_BYTES;

    #[test]
    fn a_writer_makes_way_after_each_so_many_bytes() {
        let mut turns = Turns::default();
        turns.count(SENT_BYTES - 1);
        assert!(turns.admits());
        turns.count(1);
        assert!(!turns.admits());
        assert!(turns.wants_asking());
        assert!(!turns.wants_asking(), "it is asked for once");
        assert!(!turns.admits(), "that it was asked for is not that it came");
        turns.came();
        assert!(turns.admits());
        assert!(turns.wants_asking());
    }

    #[test]
    fn answers_are_read_at_once() {
        assert!(!can_wait(LARGE_BYTES - 1, LARGE_BYTES - 1));
        assert!(can_wait(LARGE_BYTES, LARGE_BYTES));
    }

    /// Many messages before the next turn are read as they come: none is refused for those before it.
    #[test]
    fn what_waits_for_a_turn_is_never_too_much() {
        for length in [LARGE_BYTES, 48 * 1024, 240 * 1024] {
            let mut inbound = Inbound::new(MAX_UNREAD_BYTES);
            let mut buffer = vec![0; length];
            for _ in 0..3 * MAX_UNREAD_BYTES / length {
                inbound.push(vec![0; length]).expect("there is room");
                if !can_wait(length, inbound.held()) {
                    while inbound.read(&mut buffer) > 0 {}
                }
            }
        }
    }
}
