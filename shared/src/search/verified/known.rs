//! What a client has verified already, so that it need not be verified again: while somebody types, most of a page is what the one before had,
//! and publishers are the same again and again. Signatures are half of the time that an answer takes.

use std::collections::VecDeque;

use serde_bytes::ByteBuf;

use super::Hit;
use crate::id::{Network, PublisherId};
use crate::limits::MAX_KNOWN_BYTES;
use crate::record::KeyLog;

/// Releases and key logs that were verified, the last ones: at most [`MAX_KNOWN_BYTES`] of each. What is known is only taken for what has
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
    key_log: KeyLog,
}

impl Known {
    /// Forgets everything if this is another network.
    pub(super) fn enter(&mut self, network: &Network) {
        if self.network.as_ref() != Some(network) {
            *self = Self { network: Some(network.clone()), ..Self::default() };
        }
    }

    /// The key log of these events.
    pub(super) fn key_log(&self, events: &[ByteBuf]) -> Option<(PublisherId, KeyLog)> {
        let known = self.key_logs.items.iter().find(|known| known.events == events)?;
        Some((known.publisher, known.key_log.clone()))
    }

    pub(super) fn keep_key_log(&mut self, events: &[ByteBuf], publisher: PublisherId, key_log: &KeyLog) {
        let size = |known: &KnownKeyLog| known.events.iter().map(|event| event.len()).sum();
        self.key_logs.keep(KnownKeyLog { events: events.to_vec(), publisher, key_log: key_log.clone() }, size);
    }

    /// The release with these bytes, as it was verified under its publisher's key log.
    pub(super) fn release(&self, bytes: &[u8]) -> Option<&Hit> {
        self.releases.items.iter().find(|known| known.release.bytes()[..] == *bytes)
    }

    pub(super) fn keep_release(&mut self, hit: &Hit) {
        self.releases.keep(hit.clone(), |known| known.release.bytes().len());
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
    fn keep(&mut self, item: T, size: impl Fn(&T) -> usize) {
        self.bytes += size(&item);
        self.items.push_back(item);
        while self.bytes > MAX_KNOWN_BYTES
            && let Some(first) = self.items.pop_front()
        {
            self.bytes -= size(&first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_first_makes_room() {
        let mut last = Last::default();
        let size = |item: &usize| *item;
        for item in [1, MAX_KNOWN_BYTES - 1] {
            last.keep(item, size);
        }
        assert_eq!((last.items.len(), last.bytes), (2, MAX_KNOWN_BYTES));
        last.keep(2, size);
        assert_eq!((last.items.make_contiguous(), last.bytes), (&mut [2][..], 2));
        last.keep(MAX_KNOWN_BYTES + 1, size);
        assert_eq!((last.items.len(), last.bytes), (0, 0), "what is too long is not kept either");
    }
}
