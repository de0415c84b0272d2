//! Messages that arrived and were not read yet. Nothing pauses a browser's sockets, so what a peer sends has to be taken or
//! refused.

use std::collections::VecDeque;

/// A message that is kept costs this many bytes besides its content, so that a flood of tiny ones is bounded as well.
const MESSAGE_OVERHEAD_BYTES: usize = 64;

/// Messages as one stream of bytes. Never holds an empty message, and never more than its bound.
#[derive(Debug)]
pub(crate) struct Inbound {
    max_bytes: usize,
    messages: VecDeque<Vec<u8>>,
    /// How much of the first message was read.
    read: usize,
    /// Cost of all messages that are kept, the part of the first one that was read included.
    held: usize,
}

/// The queue cannot take the message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Inbound {
    /// An empty queue for at most so many bytes.
    pub(crate) const fn new(max_bytes: usize) -> Self {
        Self { max_bytes, messages: VecDeque::new(), read: 0, held: 0 }
    }

    /// Whether a message of `len` bytes may be pushed. Asked before its bytes are copied out of the browser.
    pub(crate) fn check(&self, len: usize) -> Result<(), Full> {
        let cost = len.saturating_add(MESSAGE_OVERHEAD_BYTES);
        if self.held.saturating_add(cost) > self.max_bytes { Err(Full) } else { Ok(()) }
    }

    /// Appends a message. An empty one is nothing: to a reader, nothing would look like the end.
    pub(crate) fn push(&mut self, message: Vec<u8>) -> Result<(), Full> {
        self.check(message.len())?;
        if !message.is_empty() {
            self.held += message.len() + MESSAGE_OVERHEAD_BYTES;
            self.messages.push_back(message);
        }
        Ok(())
    }

    /// Moves bytes into `buffer`, across messages; returns how many. Zero only if nothing waits or `buffer` is empty.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> usize {
        let mut filled = 0;
        while let Some(message) = self.messages.front() {
            let rest = message.get(self.read..).unwrap_or_default();
            let n = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + n].copy_from_slice(&rest[..n]);
            filled += n;
            if n < rest.len() {
                self.read += n;
                break;
            }
            self.held -= message.len() + MESSAGE_OVERHEAD_BYTES;
            self.read = 0;
            self.messages.pop_front();
        }
        filled
    }

    /// What all messages that are kept cost.
    pub(crate) const fn held(&self) -> usize {
        self.held
    }

    /// Takes the first message, or what of it was not read.
    pub(crate) fn pop(&mut self) -> Option<Vec<u8>> {
        let mut message = self.messages.pop_front()?;
        self.held -= message.len() + MESSAGE_OVERHEAD_BYTES;
        message.drain(..std::mem::take(&mut self.read));
        Some(message)
    }

    /// Forgets everything, and frees it.
    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.max_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_BYTES: usize = 1 << 20;

    fn read(inbound: &mut Inbound, len: usize) -> Vec<u8> {
        let mut buffer = vec![0; len];
        let n = inbound.read(&mut buffer);
        buffer.truncate(n);
        buffer
    }

    #[test]
    fn messages_read_as_one_stream() {
        let mut inbound = Inbound::new(MAX_BYTES);
        for message in [&b"ab"[..], b"", b"cde", b"f"] {
            inbound.push(message.to_vec()).expect("far below the bound");
        }
        assert_eq!(read(&mut inbound, 1), b"a");
        assert_eq!(read(&mut inbound, 3), b"bcd");
        assert_eq!(read(&mut inbound, 0), b"");
        assert_eq!(read(&mut inbound, 9), b"ef");
        assert_eq!(read(&mut inbound, 9), b"");
        assert_eq!(inbound.held, 0);
    }

    #[test]
    fn messages_are_taken_whole() {
        let mut inbound = Inbound::new(MAX_BYTES);
        for message in [&b"ab"[..], b"cde"] {
            inbound.push(message.to_vec()).expect("far below the bound");
        }
        assert_eq!(read(&mut inbound, 1), b"a");
        assert_eq!([inbound.pop(), inbound.pop(), inbound.pop()], [Some(b"b".to_vec()), Some(b"cde".to_vec()), None]);
        assert_eq!(inbound.held, 0);
    }

    #[test]
    fn refuses_what_passes_the_bound_and_takes_it_again_after_reading() {
        let mut inbound = Inbound::new(MAX_BYTES);
        let half = vec![7; MAX_BYTES / 2 - MESSAGE_OVERHEAD_BYTES];
        inbound.push(half.clone()).expect("fits");
        inbound.push(half.clone()).expect("fits exactly");
        assert_eq!(inbound.push(vec![7]), Err(Full));
        assert_eq!(read(&mut inbound, half.len()).len(), half.len());
        inbound.push(vec![7]).expect("there is room again");
    }

    #[test]
    fn refuses_one_message_over_the_bound_and_a_flood_of_tiny_ones() {
        let mut inbound = Inbound::new(MAX_BYTES);
        assert_eq!(inbound.check(MAX_BYTES), Err(Full));
        assert_eq!(inbound.check(usize::MAX), Err(Full));
        let pushed = (0..).take_while(|_| inbound.push(vec![1]).is_ok()).count();
        assert!(pushed <= MAX_BYTES / MESSAGE_OVERHEAD_BYTES);
        inbound.clear();
        assert_eq!(inbound.held, 0);
    }
}
