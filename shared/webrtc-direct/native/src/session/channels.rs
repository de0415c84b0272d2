//! The data channels of one connection: SCTP's streams, what has come on them and who waits for it.

use super::*;
use crate::limits::{LET_CLOSE, MAX_NUMBER, MAX_STRAY_PIECES, MAX_STRAYS, MAX_UNREAD_PIECES};

/// All channels of a connection.
pub(super) struct Channels {
    role: Role,
    pub(super) entries: HashMap<ChannelId, Entry>,
    /// Which channel a stream of SCTP is now.
    pub(super) by_stream: HashMap<u16, ChannelId>,
    next: ChannelId,
    /// Those that the peer may close, until then.
    leaving: VecDeque<(Instant, ChannelId)>,
    /// From where on a number is looked for: none is used again before all others were.
    next_number: u16,
    /// Streams whose numbers can't be used again yet.
    resetting: HashMap<u16, ()>,
    /// The peer's, which nobody has taken.
    opened: VecDeque<ChannelId>,
    /// In all entries.
    unread: usize,
    /// Pieces of messages that SCTP holds.
    pieces: usize,
    /// How many of them may be gone without this end having been told.
    strays: usize,
    /// At most so much of what was sent is not confirmed.
    unacked: usize,
    /// Who waits until that is less.
    crowded: Vec<ChannelId>,
    pub(super) refused: usize,
    /// Something was left in SCTP, because there was no room for it.
    held: bool,
    /// There is room again.
    news: bool,
    acceptor: Option<Waker>,
    opener: Option<Waker>,
    ended: bool,
}

pub(super) struct Entry {
    /// `None` once the peer has closed it.
    pub(super) stream: Option<u16>,
    state: State,
    unread: Vec<u8>,
    waker: Option<Waker>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The peer uses the stream, and has not said what for.
    Announced,
    Open,
    /// The peer has sent what it must not.
    Violated,
    /// Nobody reads it any longer, and the peer is to close it.
    Left,
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn gone() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Channels {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            entries: HashMap::new(),
            by_stream: HashMap::new(),
            next: 0,
            leaving: VecDeque::new(),
            next_number: 0,
            resetting: HashMap::new(),
            opened: VecDeque::new(),
            unread: 0,
            pieces: 0,
            strays: 0,
            unacked: 0,
            crowded: Vec::new(),
            refused: 0,
            held: false,
            news: false,
            acceptor: None,
            opener: None,
            ended: false,
        }
    }

    /// Opens the channel of the handshake, which is the first one.
    pub(super) fn establish(&mut self, association: &mut Association) -> Result<(), Error> {
        // That the peer has used it already makes no difference.
        _ = association.open_stream(HANDSHAKE, Protocol::Binary);
        self.insert(HANDSHAKE, State::Open);
        Ok(())
    }

    fn insert(&mut self, stream: u16, state: State) -> ChannelId {
        let id = self.next;
        self.next += 1;
        self.entries.insert(id, Entry { stream: Some(stream), state, unread: Vec::new(), waker: None });
        self.by_stream.insert(stream, id);
        id
    }

    /// Ends all channels. What has come can still be read.
    pub(super) fn end(&mut self) {
        self.ended = true;
        for entry in self.entries.values_mut() {
            entry.stream = None;
            wake(&mut entry.waker);
        }
        self.by_stream.clear();
        wake(&mut self.acceptor);
        wake(&mut self.opener);
    }

    pub(super) fn take(&mut self, event: StreamEvent, association: &mut Association) -> Result<(), Error> {
        match event {
            StreamEvent::Opened { id } => {
                _ = association.accept_stream();
                self.announce(id, association)
            }
            StreamEvent::Readable { id } => match self.by_stream.get(&id).copied() {
                Some(channel) => self.fill(channel, association),
                None => Ok(()),
            },
            StreamEvent::Finished { id } => {
                if let Some(channel) = self.by_stream.get(&id).copied() {
                    self.fill(channel, association)?;
                    self.by_stream.remove(&id);
                    if let Some(entry) = self.entries.get_mut(&channel) {
                        entry.stream = None;
                        wake(&mut entry.waker);
                    }
                    let nobodys = |entry: &Entry| matches!(entry.state, State::Announced | State::Left);
                    if self.entries.get(&channel).is_some_and(nobodys) {
                        self.entries.remove(&channel);
                        wake(&mut self.opener);
                    }
                    self.resetting.insert(id, ());
                }
                Ok(())
            }
            StreamEvent::ResetComplete { id } => {
                self.resetting.remove(&id);
                wake(&mut self.opener);
                Ok(())
            }
            StreamEvent::BufferedAmountLow { id } => {
                if let Some(entry) = self.by_stream.get(&id).and_then(|channel| self.entries.get_mut(channel)) {
                    wake(&mut entry.waker);
                }
                Ok(())
            }
            // One that could not be reset keeps its number for good.
            _ => Ok(()),
        }
    }

    /// Whether there is room again, which the peer does not know.
    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news)
    }

    /// A piece of a message has come.
    pub(super) fn take_piece(&mut self) -> Result<(), Error> {
        self.pieces += 1;
        if self.pieces > MAX_UNREAD_PIECES + self.strays { Err(Error::TooManyPieces) } else { Ok(()) }
    }

    fn announce(&mut self, stream: u16, association: &mut Association) -> Result<(), Error> {
        if self.by_stream.contains_key(&stream) {
            return Ok(());
        }
        if self.entries.len() >= MAX_CHANNELS || is_of(self.role, stream) {
            return self.refuse(stream, association);
        }
        self.insert(stream, State::Announced);
        Ok(())
    }

    fn refuse(&mut self, stream: u16, association: &mut Association) -> Result<(), Error> {
        self.refused += 1;
        self.reset(stream, association);
        if self.refused > MAX_REFUSED_CHANNELS { Err(Error::TooManyChannels) } else { Ok(()) }
    }

    /// Ends this end's part of a stream, behind what was sent on it.
    fn reset(&mut self, stream: u16, association: &mut Association) {
        if let Ok(mut open) = association.stream(stream) {
            // What can't be closed is gone already.
            _ = open.close();
        }
        self.by_stream.remove(&stream);
        self.resetting.insert(stream, ());
        self.strays = (self.strays + MAX_STRAY_PIECES).min(MAX_STRAYS);
    }

    /// Takes messages of a channel out of SCTP, as long as there is room.
    fn fill(&mut self, channel: ChannelId, association: &mut Association) -> Result<(), Error> {
        loop {
            let Some(entry) = self.entries.get_mut(&channel) else { return Ok(()) };
            let Some(id) = entry.stream else { return Ok(()) };
            let is_full = entry.unread.len() >= MAX_WAITING_BYTES || self.unread >= MAX_UNREAD_BYTES;
            if is_full && !entry.unread.is_empty() {
                self.held = true;
                return Ok(());
            }
            let Some(message) = association.stream(id).ok().and_then(|mut stream| stream.read_sctp().ok()?) else {
                return Ok(());
            };
            self.pieces = self.pieces.saturating_sub(message.chunks.len());
            let before = entry.unread.len();
            match (entry.state, message.ppi) {
                (State::Open, Protocol::Binary) => {
                    entry.unread.resize(before + message.len(), 0);
                    _ = message.read(&mut entry.unread[before..]);
                    self.unread += entry.unread.len() - before;
                    wake(&mut entry.waker);
                }
                (State::Open, Protocol::BinaryEmpty) | (State::Left, _) => {}
                (state, Protocol::Dcep) => {
                    let mut bytes = vec![0; message.len()];
                    _ = message.read(&mut bytes);
                    match (state, dcep::parse(&bytes)) {
                        (State::Announced, Some(dcep::Message::Open)) => {
                            entry.state = State::Open;
                            let stream = association.stream(id).ok();
                            stream
                                .and_then(|mut stream| stream.write_with_ppi(&dcep::CONFIRMATION, Protocol::Dcep).ok());
                            self.opened.push_back(channel);
                            wake(&mut self.acceptor);
                        }
                        (State::Open, Some(dcep::Message::Confirm)) => {}
                        _ => return self.violate(channel, id, association),
                    }
                }
                _ => return self.violate(channel, id, association),
            }
        }
    }

    fn violate(&mut self, channel: ChannelId, stream: u16, association: &mut Association) -> Result<(), Error> {
        match self.entries.get_mut(&channel) {
            Some(entry) if entry.state == State::Open => {
                entry.state = State::Violated;
                entry.stream = None;
                wake(&mut entry.waker);
            }
            _ => _ = self.entries.remove(&channel),
        }
        self.refuse(stream, association)
    }

    /// Looks again at how much of what was sent is not confirmed, and lets go on who waited for it.
    pub(super) fn recount(&mut self, association: &mut Association) {
        if self.crowded.is_empty() {
            return;
        }
        self.unacked = 0;
        for stream in self.by_stream.keys() {
            self.unacked +=
                association.stream(*stream).ok().and_then(|stream| stream.buffered_amount().ok()).unwrap_or(0);
        }
        if self.unacked < MAX_UNACKED_BYTES / 2 {
            for channel in std::mem::take(&mut self.crowded) {
                if let Some(entry) = self.entries.get_mut(&channel) {
                    wake(&mut entry.waker);
                }
            }
        }
    }

    fn open(&mut self, association: &mut Association) -> Option<ChannelId> {
        if self.entries.len() >= MAX_CHANNELS {
            return None;
        }
        for step in 0..MAX_NUMBER {
            let number = (self.next_number + step) % MAX_NUMBER;
            let is_free = !self.by_stream.contains_key(&number) && !self.resetting.contains_key(&number);
            if number == HANDSHAKE || !is_of(self.role, number) || !is_free {
                continue;
            }
            if let Ok(mut stream) = association.open_stream(number, Protocol::Binary) {
                stream.write_with_ppi(&dcep::OPENING, Protocol::Dcep).ok()?;
                self.next_number = number + 1;
                return Some(self.insert(number, State::Open));
            }
        }
        None
    }

    /// When [`Channels::advance`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.leaving.front().map(|(deadline, _)| *deadline)
    }

    /// Closes what the peer has not closed in time.
    pub(super) fn advance(&mut self, now: Instant, association: &mut Association) -> Result<(), Error> {
        while let Some((_, channel)) = self.leaving.pop_front_if(|(deadline, _)| *deadline <= now) {
            if let Some(stream) = self.entries.remove(&channel).and_then(|entry| entry.stream) {
                self.reset(stream, association);
                wake(&mut self.opener);
            }
        }
        Ok(())
    }
}

/// Whether this end chooses the number: even ones are those of the client (RFC 8832, section 6).
fn is_of(role: Role, stream: u16) -> bool {
    stream.is_multiple_of(2) == (role == Role::Client)
}

/// What a channel's handle does. All of it fails once the connection is over.
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
            if std::mem::take(&mut self.channels.held) {
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
            let is_crowded = channels.unacked >= MAX_UNACKED_BYTES;
            if !is_crowded && stream.buffered_amount().unwrap_or(0) < MAX_UNSENT_BYTES {
                return Ok(Some(true));
            }
            _ = stream.set_buffered_amount_low_threshold(MAX_UNSENT_BYTES / 2);
            entry.waker = Some(context.waker().clone());
            if is_crowded && !channels.crowded.contains(&channel) {
                channels.crowded.push(channel);
            }
            Ok(Some(false))
        });
        match ready {
            None => Poll::Ready(Err(gone())),
            Some(true) => Poll::Ready(Ok(())),
            Some(false) => {
                self.wake_driver();
                Poll::Pending
            }
        }
    }

    /// Sends a message on a channel that is ready.
    pub(crate) fn send(&mut self, channel: ChannelId, message: &[u8]) -> io::Result<()> {
        let sent = self.with_channels(|channels, association| {
            let stream = channels.entries.get(&channel).and_then(|entry| entry.stream);
            let stream = stream.and_then(|stream| association.stream(stream).ok());
            channels.unacked += message.len();
            Ok(stream.and_then(|mut stream| stream.write_with_ppi(message, Protocol::Binary).ok()))
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
        match entry.stream {
            Some(stream) if !is_of(self.role, stream) && entry.state == State::Open => {
                entry.state = State::Left;
                self.channels.leaving.push_back((self.now + LET_CLOSE, channel));
                self.with_channels(|channels, association| channels.fill(channel, association));
            }
            Some(stream) => {
                self.channels.entries.remove(&channel);
                self.with_channels(|channels, association| {
                    channels.reset(stream, association);
                    Ok(())
                });
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
