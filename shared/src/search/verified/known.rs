//! What a client has verified already, so that it need not be verified again: while somebody types, most of a page is what the one before had,
//! and publishers are the same again and again. Signatures are half of the time that an answer takes.

use std::collections::VecDeque;

use serde_bytes::ByteBuf;

use super::Hit;
use crate::checkpoint::{self, Checkpoint, Signed};
use crate::id::{Network, PublisherId};
use crate::limits::MAX_KNOWN_BYTES;
use crate::record::PresumedKeyLog;

/// Releases and key logs that were verified, and a checkpoint, the last ones: at most [`MAX_KNOWN_BYTES`] of each, key logs of releases included. What is known is only taken for what has
/// the very same bytes and stands under the very same key log.
#[derive(Debug, Default)]
pub struct Known {
    /// Where they were verified: they hold nowhere else.
    network: Option<Network>,
    key_logs: Last<KnownKeyLog>,
    releases: Last<Hit>,
    /// The last one whose signature was checked: what one answer stands on, the relay's next ones mostly do too.
    checkpoint: Option<Signed<Checkpoint>>,
}

#[derive(Debug)]
struct KnownKeyLog {
    events: Vec<ByteBuf>,
    publisher: PublisherId,
    key_log: PresumedKeyLog,
}

impl Known {
    /// Forgets everything if this is another network.
    pub(super) fn enter(&mut self, network: &Network) {
        if self.network.as_ref() != Some(network) {
            *self = Self { network: Some(network.clone()), ..Self::default() };
        }
    }

    /// The checkpoint of this network with these bytes, verified.
    ///
    /// # Errors
    /// As [`Checkpoint::verify`].
    pub(super) fn checkpoint(
        &mut self,
        bytes: &ByteBuf,
        network: &Network,
    ) -> Result<Signed<Checkpoint>, checkpoint::Error> {
        if let Some(known) =
            self.checkpoint.as_ref().filter(|known| known.network == *network && known.bytes() == bytes)
        {
            return Ok(known.clone());
        }
        let checkpoint = Checkpoint::verify(bytes, network)?;
        Ok(self.checkpoint.insert(checkpoint).clone())
    }

    /// The key log of these events.
    pub(super) fn key_log(&self, events: &[ByteBuf]) -> Option<(PublisherId, PresumedKeyLog)> {
        let known = self.key_logs.find(tail_of(events), |known| known.events == events)?;
        Some((known.publisher, known.key_log.clone()))
    }

    pub(super) fn keep_key_log(&mut self, events: &[ByteBuf], publisher: PublisherId, key_log: &PresumedKeyLog) {
        let size = |known: &KnownKeyLog| known.events.iter().map(|event| event.len()).sum();
        let known = KnownKeyLog { events: events.to_vec(), publisher, key_log: key_log.clone() };
        self.key_logs.keep(tail_of(events), known, size);
    }

    /// The release with these bytes, as it was verified under its publisher's key log.
    pub(super) fn release(&self, bytes: &[u8]) -> Option<&Hit> {
        self.releases.find(tail(bytes), |known| known.release.bytes()[..] == *bytes)
    }

    /// Keeps a release in place of what was known of it under another key log.
    pub(super) fn keep_release(&mut self, hit: &Hit) {
        // A key log may be far longer than the release, and be held by nothing else.
        let size = |known: &Hit| known.release.bytes().len() + known.key_log.events().map(|it| it.len()).sum::<usize>();
        let tail = tail(hit.release.bytes());
        self.releases.drop_first(tail, |known| known.release.bytes() == hit.release.bytes(), size);
        self.releases.keep(tail, hit.clone(), size);
    }
}

/// The last bytes of a record, which are of its signature: hardly two have the same.
fn tail(record: &[u8]) -> u64 {
    record.last_chunk().map_or(0, |tail| u64::from_le_bytes(*tail))
}

fn tail_of(events: &[ByteBuf]) -> u64 {
    events.last().map_or(0, |event| tail(event))
}

/// As many of the last items as there is room for.
#[derive(Debug)]
struct Last<T> {
    items: VecDeque<T>,
    /// What tells most items from the others, in their order: there may be thousands, which are looked through for each row of an answer.
    tails: VecDeque<u64>,
    bytes: usize,
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), tails: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Last<T> {
    fn position(&self, tail: u64, is_it: impl Fn(&T) -> bool) -> Option<usize> {
        let mut alike = self.tails.iter().enumerate().filter(|(_, here)| **here == tail).map(|(at, _)| at);
        alike.find(|at| is_it(&self.items[*at]))
    }

    fn find(&self, tail: u64, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        self.position(tail, is_it).map(|at| &self.items[at])
    }

    /// Keeps an item, unless it takes the room of all others.
    fn keep(&mut self, tail: u64, item: T, size: impl Fn(&T) -> usize) {
        if size(&item) > MAX_KNOWN_BYTES / 2 {
            return;
        }
        self.bytes += size(&item);
        self.items.push_back(item);
        self.tails.push_back(tail);
        while self.bytes > MAX_KNOWN_BYTES
            && let Some(first) = self.items.pop_front()
        {
            self.tails.pop_front();
            self.bytes -= size(&first);
        }
    }

    fn drop_first(&mut self, tail: u64, is_it: impl Fn(&T) -> bool, size: impl Fn(&T) -> usize) {
        if let Some(at) = self.position(tail, is_it) {
            self.tails.remove(at);
            self.bytes -= self.items.remove(at).as_ref().map_or(0, size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::testing::Publisher;

    #[test]
    fn a_release_is_kept_once_and_counts_with_its_key_log() {
        let publisher = Publisher::new(1);
        let release = publisher.release(0, "package", "1.0.0", |_| {});
        let key_log = PresumedKeyLog::from(publisher.key_log());
        let bytes = release.bytes().len() + key_log.events().map(|event| event.len()).sum::<usize>();
        let hit = Hit { key_log, release, status: None, in_checkpoint: false };
        let mut known = Known::default();
        for _ in 0..2 {
            known.keep_release(&hit);
            assert_eq!((known.releases.items.len(), known.releases.bytes), (1, bytes));
        }
    }

    #[test]
    fn what_came_first_makes_room() {
        let mut last = Last::default();
        let size = |item: &usize| *item;
        let half = MAX_KNOWN_BYTES / 2;
        for item in [half, half] {
            last.keep(7, item, size);
        }
        assert_eq!((last.items.make_contiguous(), last.bytes), (&mut [half, half][..], 2 * half));
        last.keep(7, 2, size);
        assert_eq!((last.items.make_contiguous(), last.bytes), (&mut [half, 2][..], half + 2));
        last.keep(7, half + 1, size);
        assert_eq!((last.items.len(), last.bytes), (2, half + 2), "what is too long is not kept");
        last.drop_first(8, |item| *item == 2, size);
        assert_eq!(last.items.len(), 2, "what has another tail is not it");
        last.drop_first(7, |item| *item == 2, size);
        last.drop_first(7, |item| *item == 2, size);
        assert_eq!((last.items.make_contiguous(), last.bytes), (&mut [half][..], half));
        assert_eq!(last.tails, [7]);
    }

    #[test]
    fn of_items_with_one_tail_the_right_one_is_found() {
        let mut last = Last::default();
        for (tail, item) in [(1, 10), (2, 20), (2, 21), (3, 30)] {
            last.keep(tail, item, |_| 1);
        }
        assert_eq!(last.find(2, |item| *item == 21), Some(&21));
        assert_eq!((last.find(2, |item| *item == 30), last.find(4, |_| true)), (None, None));
        last.drop_first(2, |item| *item == 20, |_| 1);
        assert_eq!((last.find(2, |_| true), last.find(3, |_| true), last.bytes), (Some(&21), Some(&30), 3));
    }

    #[test]
    fn the_last_bytes_of_the_last_record_are_the_tail() {
        let record = [1, 0, 0, 0, 0, 0, 0, 0, 2];
        assert_eq!((tail(&record), tail(&[1; 7])), (2 << 56, 0));
        assert_eq!((tail_of(&[ByteBuf::from([1; 9]), ByteBuf::from(record)]), tail_of(&[])), (2 << 56, 0));
    }
}
