//! What frames mean for the two directions of a stream.

use std::collections::VecDeque;
use std::io;

use crate::frame::{Decoder, Flag, Frame, Malformed};

#[cfg(test)]
#[path = "machine_tests.rs"]
mod tests;

/// A stream takes no further message while so many bytes wait to be read. It looks ahead at all because a peer that wants no
/// more, or gives up, says so behind data that nobody reads.
pub const MAX_READ_AHEAD_BYTES: usize = 32 * 1024;

/// Why a direction of a stream ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// This end closed it before.
    #[error("the stream is closed")]
    Closed,
    /// The peer gave up the stream.
    #[error("the peer has reset the stream")]
    ResetByPeer,
    /// The peer reads no more.
    #[error("the peer reads no more of the stream")]
    StoppedByPeer,
    /// The channel ended without a word, or its connection did.
    #[error("the stream's data channel is closed")]
    ChannelClosed,
    /// The peer sent something other than frames.
    #[error("the peer sent no valid frame: {0}")]
    Malformed(#[from] Malformed),
    /// The peer said that it had sent all, and sent more.
    #[error("the peer sent data after its end")]
    DataAfterFin,
}

impl From<End> for io::Error {
    fn from(end: End) -> Self {
        let kind = match end {
            End::Closed | End::StoppedByPeer => io::ErrorKind::BrokenPipe,
            End::ResetByPeer | End::ChannelClosed => io::ErrorKind::ConnectionReset,
            End::Malformed(_) | End::DataAfterFin => io::ErrorKind::InvalidData,
        };
        Self::new(kind, end)
    }
}

/// The state of one stream, as far as this end knows it.
///
/// It is told what comes ([`Machine::receive`]) and what its user does, and says which flags are to be sent
/// ([`Machine::next_flag`]) and when there is nothing more to say ([`Machine::is_done`]). What its user writes does not come by here:
/// it is sent at once, behind the flags that are owed.
#[derive(Debug)]
pub struct Machine {
    decoder: Decoder,
    unread: VecDeque<u8>,
    reading: Reading,
    writing: Writing,
    owed: Owed,
    /// RESET was said or heard, or the channel is closed: what comes now means nothing.
    over: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    /// All of the peer's data is here.
    Finished,
    Ended(End),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    Open,
    /// FIN is said, or owed, and the peer has not confirmed it.
    Finished,
    Acknowledged,
    Ended(End),
}

/// Flags to be sent, each once. They never pass data, as data is sent at once; among themselves they go in the order of the fields.
#[derive(Debug, Default)]
struct Owed {
    fin_ack: bool,
    stop_sending: bool,
    fin: bool,
    reset: bool,
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// A stream of which both directions are open.
    pub fn new() -> Self {
        Self {
            decoder: Decoder::default(),
            unread: VecDeque::new(),
            reading: Reading::Open,
            writing: Writing::Open,
            owed: Owed::default(),
            over: false,
        }
    }

    /// Whether the next message may be taken from the channel.
    pub fn has_room(&self) -> bool {
        self.unread.len() < MAX_READ_AHEAD_BYTES
    }

    /// Takes a message of the channel. What is no frame resets the stream.
    pub fn receive(&mut self, message: &[u8]) {
        if self.over {
            return;
        }
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut violation = None;
        let fed = decoder.feed(message, |frame| {
            if violation.is_none() && !self.over {
                violation = self.take(frame).err();
            }
        });
        self.decoder = decoder;
        if let Some(end) = violation.or(fed.err().map(End::Malformed)) {
            self.fail(end);
        }
    }

    fn take(&mut self, frame: Frame<'_>) -> Result<(), End> {
        if !frame.data.is_empty() {
            match self.reading {
                Reading::Open => self.unread.extend(frame.data),
                Reading::Finished => return Err(End::DataAfterFin),
                Reading::Ended(_) => {}
            }
        }
        match frame.flag {
            None => {}
            Some(Flag::Fin) => {
                if self.reading == Reading::Open {
                    self.reading = Reading::Finished;
                }
                // Also by who does not read any longer: the peer waits for it.
                self.owed.fin_ack = true;
            }
            // One that comes before FIN was sent confirms nothing.
            Some(Flag::FinAck) if self.writing != Writing::Finished || self.owed.fin => {}
            Some(Flag::FinAck) => self.writing = Writing::Acknowledged,
            Some(Flag::StopSending) => self.end_writing(End::StoppedByPeer),
            Some(Flag::Reset) => {
                if self.reading == Reading::Open {
                    self.unread = VecDeque::new();
                    self.reading = Reading::Ended(End::ResetByPeer);
                }
                self.end_writing(End::ResetByPeer);
                self.owed = Owed::default();
                self.over = true;
            }
        }
        Ok(())
    }

    /// The channel was closed by the peer, or has failed: nothing comes any longer and nothing can be sent.
    ///
    /// What came before can still be read.
    pub fn channel_closed(&mut self) {
        if self.reading == Reading::Open {
            self.reading = Reading::Ended(End::ChannelClosed);
        }
        self.end_writing(End::ChannelClosed);
        self.owed = Owed::default();
        self.over = true;
    }

    /// Moves data into `buffer` and returns how much; nothing at the end of the peer's data. `None` if none is there yet.
    ///
    /// # Errors
    /// [`End`], once all that came before is read.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<Option<usize>, End> {
        if !self.unread.is_empty() {
            let (front, back) = self.unread.as_slices();
            let first = front.len().min(buffer.len());
            buffer[..first].copy_from_slice(&front[..first]);
            let second = back.len().min(buffer.len() - first);
            buffer[first..first + second].copy_from_slice(&back[..second]);
            self.unread.drain(..first + second);
            if self.unread.is_empty() {
                // A stream that waits for its next message holds no memory of the one before.
                self.unread = VecDeque::new();
            }
            return Ok(Some(first + second));
        }
        match self.reading {
            Reading::Open => Ok(None),
            Reading::Finished => Ok(Some(0)),
            Reading::Ended(end) => Err(end),
        }
    }

    /// Whether data may be written.
    ///
    /// # Errors
    /// [`End`] if no more can be.
    pub fn check_writable(&self) -> Result<(), End> {
        match self.writing {
            Writing::Open => Ok(()),
            Writing::Finished | Writing::Acknowledged => Err(End::Closed),
            Writing::Ended(end) => Err(end),
        }
    }

    /// Ends this end's data. The peer is told, and to confirm it.
    pub fn finish(&mut self) {
        if self.writing == Writing::Open {
            self.writing = Writing::Finished;
            self.owed.fin = true;
        }
    }

    /// Whether [`Machine::finish`] was in vain: this end's data ended before, and the peer did not mean to have enough.
    ///
    /// # Errors
    /// [`End`] in that case.
    pub fn check_finished(&self) -> Result<(), End> {
        match self.writing {
            Writing::Ended(end) if end != End::StoppedByPeer => Err(end),
            _ => Ok(()),
        }
    }

    /// This end's user is gone. What it wrote before [`Machine::finish`] still has to arrive; if it did not call that, the
    /// peer must not take what came for all.
    pub fn leave(&mut self) {
        self.unread = VecDeque::new();
        if self.over {
            return;
        }
        if self.writing == Writing::Open {
            return self.fail(End::Closed);
        }
        if self.reading == Reading::Open {
            self.reading = Reading::Ended(End::Closed);
            self.owed.stop_sending = true;
        }
    }

    /// The next flag to be sent, which is then owed no more.
    pub fn next_flag(&mut self) -> Option<Flag> {
        let owed = &mut self.owed;
        [
            (&mut owed.fin_ack, Flag::FinAck),
            (&mut owed.stop_sending, Flag::StopSending),
            (&mut owed.fin, Flag::Fin),
            (&mut owed.reset, Flag::Reset),
        ]
        .into_iter()
        .find_map(|(owed, flag)| std::mem::take(owed).then_some(flag))
    }

    /// Whether [`Machine::next_flag`] has one.
    pub fn owes(&self) -> bool {
        let Owed { fin_ack, stop_sending, fin, reset } = self.owed;
        fin_ack || stop_sending || fin || reset
    }

    /// Whether neither end has anything more to say: the channel is to be closed.
    ///
    /// A peer that confirms nothing never lets it come to that, so who waits for it does so for a time.
    pub fn is_done(&self) -> bool {
        self.reading != Reading::Open && !matches!(self.writing, Writing::Open | Writing::Finished) && !self.owes()
    }

    /// Whether the stream was reset by either end, or has no channel: what comes now means nothing.
    pub fn is_over(&self) -> bool {
        self.over
    }

    /// Gives up both directions and tells the peer, also that its data was taken if it was. What the peer has finished can
    /// still be read.
    fn fail(&mut self, end: End) {
        if self.reading == Reading::Open || end == End::DataAfterFin {
            self.unread = VecDeque::new();
            self.reading = Reading::Ended(end);
        }
        self.end_writing(end);
        self.owed = Owed { fin_ack: self.owed.fin_ack, reset: true, ..Owed::default() };
        self.over = true;
    }

    fn end_writing(&mut self, end: End) {
        if matches!(self.writing, Writing::Open | Writing::Finished) {
            self.writing = Writing::Ended(end);
            self.owed.fin = false;
        }
    }
}
