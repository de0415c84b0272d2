//! What goes out: how writes become messages, and when a writer has to wait.
//!
//! A browser buffers what it is given and shows the sum as `bufferedAmount`; no event tells that it fell. A writer
//! therefore goes on, but for [turns](super::turns) of the browser, until the sum passes [`HIGH_WATER_BYTES`], which
//! few ever do, and only then waits for one of: an inbound message (peers acknowledge what they get with window updates, so one usually comes), the end of the
//! connection, or, because a peer need not answer, a short timer. The timer runs only while a writer waits, and a flush
//! never waits at all: it is done once the browser has the bytes.

use std::time::Duration;

/// The largest message, in bytes: enough that the cost of a call into the browser no longer shows.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// A single write of at least this many bytes goes to the browser as it is rather than through a copy.
const DIRECT_WRITE_BYTES: usize = 8 * 1024;

/// A writer waits from this `bufferedAmount` on, in bytes. More would only add to the delay of what comes behind it.
const HIGH_WATER_BYTES: usize = 1024 * 1024;

/// A writer that waits goes on below this `bufferedAmount`, in bytes: half, so that it has something to do, and so that
/// the browser still has something to send when a timer is late.
const LOW_WATER_BYTES: usize = HIGH_WATER_BYTES / 2;

/// The first wait for a buffer to fall; browsers allow no shorter one in a row. At this rate no less than 128 MB/s pass.
const FIRST_WAIT: Duration = Duration::from_millis(4);

/// Waits double up to this one: on a link this slow an earlier look would be in vain.
const LONGEST_WAIT: Duration = Duration::from_millis(64);

/// Gathers small writes until the flush; never holds more than [`MAX_MESSAGE_BYTES`].
#[derive(Debug, Default)]
pub(super) struct Outbound {
    pending: Vec<u8>,
}

impl Outbound {
    /// Takes some of `data` and returns how much; calls `send` with each message that is complete.
    ///
    /// # Errors
    /// Whatever `send` returns; what it was called with is lost then, as the connection is.
    pub(super) fn write<E>(&mut self, data: &[u8], mut send: impl FnMut(&[u8]) -> Result<(), E>) -> Result<usize, E> {
        let data = &data[..data.len().min(MAX_MESSAGE_BYTES)];
        if self.pending.len() + data.len() > MAX_MESSAGE_BYTES {
            self.flush(&mut send)?;
        }
        if self.pending.is_empty() && data.len() >= DIRECT_WRITE_BYTES {
            send(data)?;
        } else {
            self.pending.extend_from_slice(data);
        }
        Ok(data.len())
    }

    /// Calls `send` with what was gathered, if anything was.
    ///
    /// # Errors
    /// Whatever `send` returns.
    pub(super) fn flush<E>(&mut self, send: impl FnOnce(&[u8]) -> Result<(), E>) -> Result<(), E> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let sent = send(&self.pending);
        self.pending.clear();
        sent
    }
}

/// Decides from `bufferedAmount` whether a writer may go on.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    waiting: bool,
    /// The last wait that was given out since the writer began to wait.
    wait: Option<Duration>,
}

impl Throttle {
    /// Whether to write now.
    pub(super) fn admits(&mut self, buffered: usize) -> bool {
        let bound = if self.waiting { LOW_WATER_BYTES } else { HIGH_WATER_BYTES };
        self.waiting = buffered >= bound;
        if !self.waiting {
            self.wait = None;
        }
        !self.waiting
    }

    /// How long to wait, at most, before asking again.
    pub(super) fn next_wait(&mut self) -> Duration {
        let wait = self.wait.map_or(FIRST_WAIT, |last| (last * 2).min(LONGEST_WAIT));
        self.wait = Some(wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Writes all of each, flushes at the end, and returns the messages.
    fn messages(writes: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let mut send = |message: &[u8]| -> Result<(), Infallible> {
            sent.push(message.to_vec());
            Ok(())
        };
        let mut outbound = Outbound::default();
        for mut data in writes.iter().copied() {
            while !data.is_empty() {
                let n = outbound.write(data, &mut send).expect("cannot fail");
                assert!(n > 0, "a write makes progress");
                data = &data[n..];
                assert!(outbound.pending.len() <= MAX_MESSAGE_BYTES);
            }
        }
        outbound.flush(&mut send).expect("cannot fail");
        outbound.flush(&mut send).expect("cannot fail");
        sent
    }

    #[test]
    fn small_writes_are_one_message_at_the_flush() {
        assert_eq!(messages(&[b"a", b"", b"bc"]), [b"abc"]);
        assert_eq!(messages(&[]), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn a_large_write_is_not_copied_and_keeps_its_place() {
        let large = vec![1; MAX_MESSAGE_BYTES];
        let sent = messages(&[b"a", &large, b"b"]);
        assert_eq!(sent, [&b"a"[..], &large, b"b"]);
    }

    #[test]
    fn every_byte_arrives_in_order_in_messages_of_bounded_size() {
        let data: Vec<u8> = (0..5 * MAX_MESSAGE_BYTES + 17).map(|i| (i % 251) as u8).collect();
        for chunk in [1000, DIRECT_WRITE_BYTES - 1, DIRECT_WRITE_BYTES, MAX_MESSAGE_BYTES - 1, data.len()] {
            let sent = messages(&data.chunks(chunk).collect::<Vec<_>>());
            assert!(sent.iter().all(|message| !message.is_empty() && message.len() <= MAX_MESSAGE_BYTES));
            assert_eq!(sent.concat(), data, "in chunks of {chunk}");
        }
    }

    #[test]
    fn a_failed_send_is_reported_once() {
        let mut outbound = Outbound::default();
        outbound.write(b"a", |_| Err("unused")).expect("only gathers");
        assert_eq!(outbound.flush(|_| Err("gone")), Err("gone"));
        assert_eq!(outbound.flush(|_| Err("gone")), Ok(()));
    }

    #[test]
    fn a_writer_waits_above_the_high_mark_until_the_low_one() {
        let mut throttle = Throttle::default();
        assert!(throttle.admits(HIGH_WATER_BYTES - 1));
        assert!(!throttle.admits(HIGH_WATER_BYTES));
        assert!(!throttle.admits(LOW_WATER_BYTES));
        assert!(throttle.admits(LOW_WATER_BYTES - 1));
        assert!(throttle.admits(LOW_WATER_BYTES));
    }

    #[test]
    fn waits_grow_to_a_bound_and_start_anew() {
        let mut throttle = Throttle::default();
        assert!(!throttle.admits(usize::MAX));
        assert_eq!(throttle.next_wait(), FIRST_WAIT);
        assert!(!throttle.admits(usize::MAX));
        assert_eq!(throttle.next_wait(), FIRST_WAIT * 2);
        assert_eq!((0..20).map(|_| throttle.next_wait()).last(), Some(LONGEST_WAIT));
        assert!(throttle.admits(0));
        assert_eq!(throttle.next_wait(), FIRST_WAIT);
    }
}
