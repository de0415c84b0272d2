//! What a client has verified already, so that it need not be verified again: while somebody types, most of a page is what the one before had,
//! and publishers are the same again and again. Signatures are half of the time that an answer takes.

use std::collections::VecDeque;

use serde_bytes::ByteBuf;

use super::Hit;
use crate::id::{Network, PublisherId};
use crate::limits::MAX_KNOWN_BYTES;
use crate::record::PresumedKeyLog;

/// Releases and key logs that were verified, the last ones: at most [`MAX_KNOWN_BYTES`] of each, key logs of releases included. What is known is only taken for what has
/// the very same bytes and stands under the very same key log.
#[derive(Debug, Default)]
pub struct Known {
    /// Where they were verified: they hold nowhere else.
    network: Option<Network>,
    key_logs: Last<KnownKeyLog>,
    releases: Last<Hit>,
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

    /// The key log of these events.
    pub(super) fn key_log(&self, events: &[ByteBuf]) -> Option<(PublisherId, PresumedKeyLog)> {
        let known = self.key_logs.items.iter().find(|known| known.events == events)?;
        Some((known.publisher, known.key_log.clone()))
    }

    pub(super) fn keep_key_log(&mut self, events: &[ByteBuf], publisher: PublisherId, key_log: &PresumedKeyLog) {
        let size = |known: &KnownKeyLog| known.events.iter().map(|event| event.len()).sum();
        self.key_logs.keep(KnownKeyLog { events: events.to_vec(), publisher, key_log: key_log.clone() }, size);
    }

    /// The release with these bytes, as it was verified under its publisher's key log.
    pub(super) fn release(&self, bytes: &[u8]) -> Option<&Hit> {
        self.releases.items.iter().find(|known| known.release.bytes()[..] == *bytes)
    }

    /// Keeps a release in place of what was known of it under another key log.
    pub(super) fn keep_release(&mut self, hit: &Hit) {
        // A key log may be far longer than the release, and be held by nothing else.
        let size = |known: &Hit| known.release.bytes().len() + known.key_log.events().map(|it| it.len()).sum::<usize>();
        self.releases.drop_first(|known| known.release.bytes() == hit.release.bytes(), size);
        self.releases.keep(hit.clone(), size);
    }
}

/// As many of the last items as there is room for.
#[derive(Debug)]
struct Last<T> {
    items: VecDeque<T>,
    bytes: usize,
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self { items: VecDeque::new(), bytes: 0 }
    }
}

impl<T> Last<T> {
    /// Keeps an item, unless it takes the room of all others.
    fn keep(&mut self, item: T, size: impl Fn(&T) -> usize) {
        if size(&item) > MAX_KNOWN_BYTES / 2 {
            return;
        }
        self.bytes += size(&item);
        self.items.push_back(item);
        while self.bytes > MAX_KNOWN_BYTES
            && let Some(first) = self.items.pop_front()
        {
            self.bytes -= size(&first);
        }
    }

    fn drop_first(&mut self, is_it: impl FnMut(&T) -> bool, size: impl Fn(&T) -> usize) {
        let dropped = self.items.iter().position(is_it).and_then(|at| self.items.remove(at));
        self.bytes -= dropped.as_ref().map_or(0, size);
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
            last.keep(item, size);
        }
        assert_eq!((last.items.make_contiguous(), last.bytes), (&mut [half, half][..], 2 * half));
        last.keep(2, size);
        assert_eq!((last.items.make_contiguous(), last.bytes), (&mut [half, 2][..], half + 2));
        last.keep(half + 1, size);
        assert_eq!((last.items.len(), last.bytes), (2, half + 2), "what is too long is not kept");
        last.drop_first(|item| *item == 2, size);
        last.drop_first(|item| *item == 2, size);
        assert_eq!((last.items.make_contiguous(), last.bytes), (&mut [half][..], half));
    }
}
