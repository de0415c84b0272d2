//! The data channels of one connection: SCTP's streams, what has come on them and who waits for it.

use super::watch::{Told, Watch};
use super::*;
use crate::limits::{FORGIVE_EVERY, MAX_NUMBER, MAX_RESETS, MAX_STRAY_PIECES, MAX_STRAYS, MAX_UNREAD_PIECES};

/// All channels of a connection.
pub(super) struct Channels {
    role: Role,
    pub(super) entries: HashMap<ChannelId, Entry>,
    /// Which channel a stream of SCTP is now.
    pub(super) by_stream: HashMap<u16, ChannelId>,
    next: ChannelId,
    /// Those that the peer may close, until then.
    pub(super) leaving: VecDeque<(Instant, ChannelId)>,
    /// From where on a number is looked for: none is used again before all others were.
    next_number: u16,
    /// Streams whose numbers can't be used again yet.
    pub(super) resetting: HashSet<u16>,
    /// How often the peer has ended a stream, and not confirmed that this end does, too.
    pub(super) unconfirmed: usize,
    /// The peer's, which nobody has taken.
    pub(super) opened: VecDeque<ChannelId>,
    /// In all entries.
    pub(super) unread: usize,
    /// Pieces of messages that SCTP holds.
    pieces: usize,
    /// How many of them may be gone without this end having been told.
    pub(super) strays: usize,
    pub(super) watch: Watch,
    /// Who waits until less of what was written is unacknowledged.
    pub(super) crowded: VecDeque<ChannelId>,
    pub(super) refused: usize,
    forgiven: Option<Instant>,
    /// There is room again, which the peer does not know.
    pub(super) news: bool,
    pub(super) acceptor: Option<Waker>,
    pub(super) opener: Option<Waker>,
    pub(super) ended: bool,
}

pub(super) struct Entry {
    /// `None` once the peer has closed it.
    pub(super) stream: Option<u16>,
    pub(super) state: State,
    pub(super) unread: Vec<u8>,
    /// Something was left in SCTP, because there was no room for it.
    pub(super) held: bool,
    pub(super) waker: Option<Waker>,
    /// It was let go on, and has sent nothing since.
    pub(super) has_turn: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The peer uses the stream, and has not said what for.
    Announced,
    Open,
    /// The peer has sent what it must not.
    Violated,
    /// Nobody reads it any longer, and the peer is to close it.
    Left,
}

pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

pub(super) fn gone() -> io::Error {
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
            resetting: HashSet::new(),
            unconfirmed: 0,
            opened: VecDeque::new(),
            unread: 0,
            pieces: 0,
            strays: 0,
            watch: Watch::default(),
            crowded: VecDeque::new(),
            refused: 0,
            forgiven: None,
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
        let entry =
            Entry { stream: Some(stream), state, unread: Vec::new(), held: false, waker: None, has_turn: false };
        self.entries.insert(id, entry);
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
                // What SCTP held of a channel that this end had closed is gone.
                self.news |= self.pieces > 0 && self.resetting.contains(&id);
                self.unconfirmed += 1;
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
                    self.resetting.insert(id);
                }
                self.check_resets()
            }
            StreamEvent::ResetComplete { id } => {
                self.unconfirmed = self.unconfirmed.saturating_sub(1);
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

    /// SCTP queues what ends a stream until the peer has confirmed what ended the one before.
    fn check_resets(&self) -> Result<(), Error> {
        if self.unconfirmed.max(self.resetting.len()) > MAX_RESETS { Err(Error::TooManyResets) } else { Ok(()) }
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
        self.reset(stream, association)?;
        if self.refused > MAX_REFUSED_CHANNELS { Err(Error::TooManyChannels) } else { Ok(()) }
    }

    /// Ends this end's part of a stream, behind what was sent on it.
    pub(super) fn reset(&mut self, stream: u16, association: &mut Association) -> Result<(), Error> {
        if let Ok(mut open) = association.stream(stream) {
            // What can't be closed is gone already.
            _ = open.close();
        }
        self.by_stream.remove(&stream);
        self.resetting.insert(stream);
        self.strays = (self.strays + MAX_STRAY_PIECES).min(MAX_STRAYS);
        self.check_resets()
    }

    /// Takes note of a packet that is sent.
    pub(super) fn sent(&mut self, now: Instant, packet: &[u8], association: &mut Association) -> Result<(), Error> {
        let Told { holds_nothing, reset } = self.watch.sent(now, packet);
        if holds_nothing {
            (self.pieces, self.strays) = (0, 0);
        }
        let Some(mut streams) = reset else { return Ok(()) };
        if streams.is_empty() {
            streams = self.by_stream.keys().copied().collect();
        }
        for stream in streams {
            let Some(channel) = self.by_stream.get(&stream).copied() else { continue };
            // As long as anything of it is unread, SCTP keeps what comes under its number next aside.
            self.take_out(channel, association, WINDOW_BYTES as usize)?;
            if association.stream(stream).is_ok() && self.by_stream.contains_key(&stream) {
                // It ended within a message.
                self.violate(channel, stream, association)?;
            }
        }
        Ok(())
    }

    /// Takes messages of a channel out of SCTP, as long as there is room.
    pub(super) fn fill(&mut self, channel: ChannelId, association: &mut Association) -> Result<(), Error> {
        self.take_out(channel, association, 0)
    }

    /// The same, with so much more room.
    fn take_out(&mut self, channel: ChannelId, association: &mut Association, more: usize) -> Result<(), Error> {
        loop {
            let Some(entry) = self.entries.get_mut(&channel) else { return Ok(()) };
            let Some(id) = entry.stream else { return Ok(()) };
            let is_full = entry.unread.len() >= MAX_WAITING_BYTES + more || self.unread >= MAX_UNREAD_BYTES + more;
            if is_full && !entry.unread.is_empty() {
                entry.held = true;
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
                            self.write(id, &dcep::CONFIRMATION, Protocol::Dcep, association);
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

    /// Sends a message, if its stream takes it.
    pub(super) fn write(
        &mut self,
        stream: u16,
        message: &[u8],
        protocol: Protocol,
        association: &mut Association,
    ) -> Option<()> {
        association.stream(stream).ok()?.write_with_ppi(message, protocol).ok()?;
        self.watch.written(message.len());
        Some(())
    }

    /// Whether somebody waits, and has not to.
    pub(super) fn can_let_go_on(&self) -> bool {
        !self.crowded.is_empty() && self.watch.room() > 0
    }

    /// Lets go on who has waited longest until more was acknowledged. Once that one has sent something, which wakes the driver, it is the next one's turn;
    /// and soon after, if it has nothing to send any longer.
    pub(super) fn let_go_on(&mut self) {
        while self.can_let_go_on()
            && let Some(channel) = self.crowded.pop_front()
        {
            let Some(entry) = self.entries.get_mut(&channel) else { continue };
            entry.has_turn = true;
            if let Some(waker) = entry.waker.take() {
                return waker.wake();
            }
        }
    }

    pub(super) fn open(&mut self, association: &mut Association) -> Option<ChannelId> {
        if self.entries.len() >= MAX_CHANNELS {
            return None;
        }
        for step in 0..MAX_NUMBER {
            let number = (self.next_number + step) % MAX_NUMBER;
            let is_free = !self.by_stream.contains_key(&number) && !self.resetting.contains(&number);
            if number == HANDSHAKE || !is_of(self.role, number) || !is_free {
                continue;
            }
            if association.open_stream(number, Protocol::Binary).is_ok() {
                self.write(number, &dcep::OPENING, Protocol::Dcep, association)?;
                self.next_number = number + 1;
                return Some(self.insert(number, State::Open));
            }
        }
        None
    }

    /// When [`Channels::advance`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.leaving.front().map(|(deadline, _)| *deadline).into_iter().chain(self.watch.deadline()).min()
    }

    /// Closes what the peer has not closed in time, and forgives what was refused long ago.
    pub(super) fn advance(&mut self, now: Instant, association: &mut Association) -> Result<(), Error> {
        while let Some((_, channel)) = self.leaving.pop_front_if(|(deadline, _)| *deadline <= now) {
            if let Some(stream) = self.entries.remove(&channel).and_then(|entry| entry.stream) {
                self.reset(stream, association)?;
                wake(&mut self.opener);
            }
        }
        let forgiven = self.forgiven.get_or_insert(now);
        while *forgiven + FORGIVE_EVERY <= now {
            *forgiven += FORGIVE_EVERY;
            self.refused = self.refused.saturating_sub(1);
        }
        self.watch.advance(now)
    }
}

/// Whether this end chooses the number: even ones are those of the client (RFC 8832, section 6).
pub(super) fn is_of(role: Role, stream: u16) -> bool {
    stream.is_multiple_of(2) == (role == Role::Client)
}
