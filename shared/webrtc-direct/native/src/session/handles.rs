//! What the handle of a channel does, and what waits for channels.

use super::channels::{State, gone, is_of, wake};
use super::*;
use crate::limits::LET_CLOSE;

/// All of it fails once the connection is over.
impl Session {
    /// The channel of the handshake, once the connection is established.
    pub(crate) fn handshake(&self) -> ChannelId {
        0
    }

    /// The next channel that the peer has opened.
    pub(crate) fn poll_opened(&mut self, context: &Context<'_>) -> Poll<Option<ChannelId>> {
        if let Some(channel) = self.channels.opened.pop_front() {
            return Poll::Ready(Some(channel));
        }
        if self.channels.ended {
            return Poll::Ready(None);
        }
        self.channels.acceptor = Some(context.waker().clone());
        Poll::Pending
    }

    /// Opens a channel. Pending while there are as many as there may be.
    pub(crate) fn poll_open(&mut self, context: &Context<'_>) -> Poll<Option<ChannelId>> {
        if self.channels.ended {
            return Poll::Ready(None);
        }
        if let Some(channel) = self.with_channels(|channels, association| Ok(channels.open(association))) {
            self.wake_driver();
            return Poll::Ready(Some(channel));
        }
        self.channels.opener = Some(context.waker().clone());
        Poll::Pending
    }

    /// What has come on a channel, of one or more messages. `None` once the peer has closed it.
    pub(crate) fn poll_receive(
        &mut self,
        channel: ChannelId,
        context: &Context<'_>,
    ) -> Poll<Option<io::Result<Vec<u8>>>> {
        self.with_channels(|channels, association| channels.fill(channel, association));
        let Some(entry) = self.channels.entries.get_mut(&channel) else { return Poll::Ready(Some(Err(gone()))) };
        if !entry.unread.is_empty() {
            let unread = std::mem::take(&mut entry.unread);
            self.channels.unread -= unread.len();
            if std::mem::take(&mut entry.held) {
                // Where there was no room, there is now.
                self.with_channels(|channels, association| channels.fill(channel, association));
                self.channels.news = true;
                self.wake_driver();
            }
            return Poll::Ready(Some(Ok(unread)));
        }
        match (entry.state, entry.stream) {
            (State::Violated, _) => Poll::Ready(Some(Err(io::ErrorKind::InvalidData.into()))),
            (_, None) if self.channels.ended => Poll::Ready(Some(Err(gone()))),
            (_, None) => Poll::Ready(None),
            (_, Some(_)) => {
                entry.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Ready when a message may be sent on a channel.
    pub(crate) fn poll_ready(&mut self, channel: ChannelId, context: &Context<'_>) -> Poll<io::Result<()>> {
        let ready = self.with_channels(|channels, association| {
            let Some(entry) = channels.entries.get_mut(&channel) else { return Ok(None) };
            let Some(mut stream) = entry.stream.and_then(|stream| association.stream(stream).ok()) else {
                return Ok(None);
            };
            // Nobody passes those that wait.
            let is_crowded = channels.watch.room() == 0 || (!entry.has_turn && !channels.crowded.is_empty());
            if !is_crowded && stream.buffered_amount().unwrap_or(0) < MAX_UNSENT_BYTES {
                return Ok(Some(true));
            }
            _ = stream.set_buffered_amount_low_threshold(MAX_UNSENT_BYTES / 2);
            entry.waker = Some(context.waker().clone());
            if is_crowded && !channels.crowded.contains(&channel) {
                entry.has_turn = false;
                channels.crowded.push_back(channel);
            }
            Ok(Some(false))
        });
        match ready {
            None => Poll::Ready(Err(gone())),
            Some(true) => Poll::Ready(Ok(())),
            Some(false) => {
                // Not in any case: it may be the driver's own task that asks, each time it is woken.
                if self.channels.can_let_go_on() {
                    self.wake_driver();
                }
                Poll::Pending
            }
        }
    }

    /// Sends a message on a channel that is ready.
    pub(crate) fn send(&mut self, channel: ChannelId, message: &[u8]) -> io::Result<()> {
        let sent = self.with_channels(|channels, association| {
            let entry = channels.entries.get_mut(&channel);
            let stream = entry.and_then(|entry| {
                entry.has_turn = false;
                entry.stream
            });
            Ok(stream.and_then(|stream| channels.write(stream, message, Protocol::Binary, association)))
        });
        self.wake_driver();
        if sent.is_some() { Ok(()) } else { Err(gone()) }
    }

    /// Closes a channel behind what was sent on it.
    pub(crate) fn close_channel(&mut self, channel: ChannelId) {
        let Some(entry) = self.channels.entries.get_mut(&channel) else { return };
        self.channels.unread -= entry.unread.len();
        entry.unread = Vec::new();
        entry.waker = None;
        self.channels.crowded.retain(|waiting| *waiting != channel);
        // What SCTP holds of it, nobody reads.
        self.channels.news |= std::mem::take(&mut entry.held);
        match entry.stream {
            Some(stream) if !is_of(self.role, stream) && entry.state == State::Open => {
                entry.state = State::Left;
                self.channels.leaving.push_back((self.now + LET_CLOSE, channel));
                self.with_channels(|channels, association| channels.fill(channel, association));
            }
            Some(stream) => {
                self.channels.entries.remove(&channel);
                self.with_channels(|channels, association| channels.reset(stream, association));
            }
            None => _ = self.channels.entries.remove(&channel),
        }
        self.wake_driver();
        wake(&mut self.channels.opener);
    }

    /// How many channels there are, those included of which only one end has gone.
    #[cfg(test)]
    pub(crate) fn channel_count(&self) -> usize {
        self.channels.entries.len() + self.channels.resetting.len()
    }
}
