use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use futures::task::noop_waker;
use webrtc_direct::frame::MAX_FRAME_BYTES;

use super::*;
use crate::limits::{
    MAX_UNACKED_BYTES, MAX_UNREAD_PIECES, MESSAGE_COST, NEARBY_UNACKED_BYTES, UNACKED_BYTES_OF_A_MS, WINDOW_BYTES,
};

/// SCTP forgets the padding of many tiny pieces when it puts them into one packet.
const MOST_BYTES: usize = 1450;

/// Both ends of a connection, and a network between that loses nothing and, if nothing else is said, takes no time.
struct Pair {
    client: Session,
    server: Session,
    now: Instant,
    /// What a datagram takes.
    way: Duration,
}

fn config() -> Arc<Config> {
    Arc::new(Config::new(Certificate::generate().unwrap()).unwrap())
}

fn ready<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

macro_rules! poll {
    ($call:ident ( $session:expr $(, $argument:expr)* )) => {{
        let waker = noop_waker();
        ready($session.$call($($argument,)* &Context::from_waker(&waker)))
    }};
}

#[path = "session/hostile_tests.rs"]
mod hostile;
#[path = "session/loss_tests.rs"]
mod loss;

impl Pair {
    fn new() -> Self {
        Self::far(Duration::ZERO)
    }

    /// With a network in which a datagram takes so long.
    fn far(way: Duration) -> Self {
        let now = crate::clock::now();
        let client = Session::new(config(), Role::Client, now).unwrap();
        let server = Session::new(config(), Role::Server, now).unwrap();
        let mut pair = Self { client, server, now, way };
        pair.pass();
        assert!(pair.client.is_established() && pair.server.is_established());
        pair
    }

    /// Passes datagrams on until there are none.
    fn pass(&mut self) {
        loop {
            self.client.advance(self.now);
            self.server.advance(self.now);
            let [to_server, to_client] = [&mut self.client, &mut self.server]
                .map(|from| std::iter::from_fn(|| from.next_datagram()).collect::<Vec<_>>());
            if to_server.is_empty() && to_client.is_empty() {
                return;
            }
            self.now += self.way;
            for (to, datagrams) in [(&mut self.server, to_server), (&mut self.client, to_client)] {
                for datagram in datagrams {
                    assert!(datagram.len() <= MOST_BYTES);
                    to.receive(self.now, &datagram);
                }
            }
        }
    }

    /// Passes on, later, what the client has sent and what the server says to it; the client's writers are not told.
    fn deliver(&mut self, later: Duration) {
        self.now += later;
        self.server.advance(self.now);
        while let Some(datagram) = self.client.next_datagram() {
            self.server.receive(self.now, &datagram);
        }
        while let Some(datagram) = self.server.next_datagram() {
            self.client.receive(self.now, &datagram);
        }
    }

    /// Passes datagrams on, and lets the time pass in which delayed confirmations are sent.
    fn settle(&mut self) {
        for _ in 0..30 {
            self.pass();
            self.now += Duration::from_millis(100);
        }
        self.pass();
    }

    /// A channel that the client has opened: its names at both ends.
    fn open(&mut self) -> (ChannelId, ChannelId) {
        let client = poll!(poll_open(self.client)).flatten().unwrap();
        self.pass();
        let server = poll!(poll_opened(self.server)).flatten().unwrap();
        (client, server)
    }

    fn association(&mut self) -> &mut Association {
        &mut self.client.association.as_mut().unwrap().1
    }
}

fn receive(session: &mut Session, channel: ChannelId) -> Option<Option<io::Result<Vec<u8>>>> {
    poll!(poll_receive(session, channel))
}

fn take(session: &mut Session, channel: ChannelId) -> Vec<u8> {
    receive(session, channel).flatten().unwrap().unwrap()
}

#[test]
fn certificates_are_known_and_channels_carry_bytes_both_ways() {
    let mut pair = Pair::new();
    assert_eq!(pair.client.peer(), Some(pair.server.config.fingerprint()));
    assert_eq!(pair.server.peer(), Some(pair.client.config.fingerprint()));
    let (client, server) = pair.open();
    pair.client.send(client, b"to").unwrap();
    pair.server.send(server, b"from").unwrap();
    pair.pass();
    assert_eq!(take(&mut pair.server, server), b"to");
    assert_eq!(take(&mut pair.client, client), b"from");
    // The channel that both have.
    let handshake = pair.client.handshake();
    pair.client.send(handshake, b"hello").unwrap();
    pair.pass();
    assert_eq!(take(&mut pair.server, handshake), b"hello");
    assert!(receive(&mut pair.server, server).is_none());
}

#[test]
fn either_end_opens_channels_and_neither_takes_the_others_numbers() {
    let mut pair = Pair::new();
    for _ in 0..20 {
        pair.open();
        let server = poll!(poll_open(pair.server)).flatten().unwrap();
        pair.server.send(server, b"x").unwrap();
        pair.pass();
        let client = poll!(poll_opened(pair.client)).flatten().unwrap();
        assert_eq!(take(&mut pair.client, client), b"x");
    }
    assert_eq!((pair.client.channel_count(), pair.server.channel_count()), (41, 41));
}

#[test]
fn channels_that_are_closed_leave_nothing_and_their_numbers_come_again() {
    let mut pair = Pair::new();
    for round in 0..1100 {
        let (client, server) = pair.open();
        pair.client.send(client, b"last words").unwrap();
        pair.client.close_channel(client);
        pair.settle();
        assert_eq!(take(&mut pair.server, server), b"last words");
        assert!(matches!(receive(&mut pair.server, server), Some(None)), "it is closed");
        pair.server.close_channel(server);
        pair.settle();
        assert_eq!((pair.client.channel_count(), pair.server.channel_count()), (1, 1), "round {round}");
    }
}

#[test]
fn channels_that_both_ends_close_at_once_do_not_touch_those_that_follow() {
    let mut pair = Pair::new();
    for round in 0..2000_u32 {
        let (client, server) = pair.open();
        pair.client.send(client, &round.to_be_bytes()).unwrap();
        pair.pass();
        assert_eq!(take(&mut pair.server, server), round.to_be_bytes());
        pair.server.send(server, &round.to_be_bytes()).unwrap();
        pair.pass();
        assert!(receive(&mut pair.server, server).is_none(), "round {round}");
        assert_eq!(take(&mut pair.client, client), round.to_be_bytes());
        pair.client.close_channel(client);
        pair.server.close_channel(server);
        pair.now += Duration::from_millis(u64::from(round % 7));
    }
    pair.settle();
    assert_eq!((pair.client.channel_count(), pair.server.channel_count()), (1, 1));
}

#[test]
fn a_reader_that_stops_holds_its_peer_back_and_loses_nothing() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let mut sent = 0_u64;
    let message = [7; 16 * 1024];
    for _ in 0..100 {
        while poll!(poll_ready(pair.client, client)).is_some() {
            pair.client.send(client, &message).unwrap();
            sent += message.len() as u64;
        }
        pair.pass();
        pair.now += Duration::from_millis(50);
    }
    let most = u64::from(WINDOW_BYTES) + (MAX_WAITING_BYTES + MAX_UNSENT_BYTES) as u64 + 3 * message.len() as u64;
    assert!(sent > u64::from(WINDOW_BYTES) && sent <= most, "{sent}");
    // It goes on at once: whoever was held back does not have to ask.
    let began = pair.now;
    let mut read = 0;
    while read < sent {
        if let Some(Some(Ok(bytes))) = receive(&mut pair.server, server) {
            assert!(bytes.iter().all(|byte| *byte == 7));
            read += bytes.len() as u64;
        }
        pair.pass();
        pair.now += Duration::from_millis(1);
    }
    assert!(pair.now - began < Duration::from_millis(350), "{:?}", pair.now - began);
}

#[test]
fn one_channel_that_nobody_reads_leaves_room_for_others() {
    let mut pair = Pair::new();
    let (stopped, _) = pair.open();
    let (client, server) = pair.open();
    for _ in 0..8 {
        pair.client.send(stopped, &[1; 16 * 1024]).unwrap();
    }
    pair.settle();
    for _ in 0..100 {
        pair.client.send(client, &[2; 1000]).unwrap();
        pair.pass();
        assert_eq!(take(&mut pair.server, server), [2; 1000]);
    }
}

/// What may be written on one channel after the other before anything of it is taken.
fn written_at_once(pair: &mut Pair) -> usize {
    let mut sent = 0;
    for _ in 0..5 {
        let channel = poll!(poll_open(pair.client)).flatten().unwrap();
        while poll!(poll_ready(pair.client, channel)).is_some_and(|ready| ready.is_ok()) {
            pair.client.send(channel, &[3; MAX_FRAME_BYTES]).unwrap();
            sent += MAX_FRAME_BYTES;
        }
    }
    sent
}

#[test]
fn the_farther_a_peer_is_the_more_is_under_way_to_it() {
    for (way_ms, bound) in
        [(0, NEARBY_UNACKED_BYTES), (2, NEARBY_UNACKED_BYTES + 4 * UNACKED_BYTES_OF_A_MS), (40, MAX_UNACKED_BYTES)]
    {
        let mut pair = Pair::far(Duration::from_millis(way_ms));
        let (client, _) = pair.open();
        pair.settle();
        // Of two pieces that come one behind the other, the second is acknowledged at once.
        pair.client.send(client, &[1; 2000]).unwrap();
        pair.settle();
        // One alone is acknowledged later, which says nothing of the way.
        pair.client.send(client, &[1; 10]).unwrap();
        pair.settle();
        let sent = written_at_once(&mut pair);
        // Each message, and each channel's beginning, costs something beside its bytes.
        let costs = (sent / MAX_FRAME_BYTES + 5) * (MESSAGE_COST + 16);
        assert!((bound..bound + costs + MAX_FRAME_BYTES).contains(&(sent + costs)), "{way_ms} ms: {sent}, {bound}");
    }
}

#[test]
fn who_finds_no_room_wakes_nobody_and_leaves_no_place_behind() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    let (other, _) = pair.open();
    while poll!(poll_ready(pair.client, client)).is_some() {
        pair.client.send(client, &[3; MAX_FRAME_BYTES]).unwrap();
    }
    pair.client.advance(pair.now);
    let driver = Arc::new(Woken::default());
    pair.client.set_driver(&driver.clone().into());
    for _ in 0..3 {
        assert!(poll!(poll_ready(pair.client, other)).is_none());
    }
    assert_eq!(driver.0.load(Ordering::Relaxed), 0, "a task that drives and writes would never rest");
    assert_eq!(pair.client.channels.crowded, [client, other]);
    pair.client.close_channel(other);
    assert_eq!(pair.client.channels.crowded, [client]);
}

/// How often somebody was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn who_waits_has_a_turn_though_those_before_have_nothing_to_send_any_longer() {
    let mut pair = Pair::new();
    let waiting: Vec<_> = (0..20).map(|_| pair.open()).collect();
    let woken = Arc::new(Woken::default());
    let waker = woken.clone().into();
    while poll!(poll_ready(pair.client, waiting[0].0)).is_some() {
        pair.client.send(waiting[0].0, &[3; MAX_FRAME_BYTES]).unwrap();
    }
    for (channel, _) in &waiting {
        assert!(pair.client.poll_ready(*channel, &Context::from_waker(&waker)).is_pending());
    }
    pair.client.advance(pair.now);
    assert_eq!(woken.0.load(Ordering::Relaxed), 0, "there is no room");
    for _ in 0..10 {
        pair.deliver(Duration::from_millis(100));
    }
    assert_eq!(pair.client.channels.watch.unacknowledged(), 0, "nothing more will come that wakes anybody");
    for turn in 1..=waiting.len() {
        assert!(pair.client.deadline().unwrap() <= pair.now, "{turn}");
        pair.client.advance(pair.now);
        assert_eq!(woken.0.load(Ordering::Relaxed), turn);
    }
    assert!(pair.client.deadline().is_none_or(|deadline| deadline > pair.now));
}

#[test]
fn who_writes_much_and_fast_takes_nothing_from_others() {
    let mut pair = Pair::new();
    let channels: Vec<_> = (0..6).map(|_| pair.open().0).collect();
    // Two pieces are acknowledged at once, which took no time.
    pair.client.send(channels[0], &[1; 2000]).unwrap();
    pair.settle();
    let woken: Vec<_> = channels.iter().map(|_| Arc::new(Woken::default())).collect();
    let all = || woken.iter().map(|woken| woken.0.load(Ordering::Relaxed)).sum::<usize>();
    let mut sent = vec![0; channels.len()];
    let mut seen = vec![usize::MAX; channels.len()];
    for round in 0..15 {
        loop {
            // Each writes as much as it can whenever it is let go on, and the first ones are always faster.
            let before = sent.clone();
            for (at, channel) in channels.iter().enumerate() {
                let count = woken[at].0.load(Ordering::Relaxed);
                if std::mem::replace(&mut seen[at], count) == count {
                    continue;
                }
                let waker = woken[at].clone().into();
                while pair.client.poll_ready(*channel, &Context::from_waker(&waker)).is_ready() {
                    pair.client.send(*channel, &[3; MAX_FRAME_BYTES]).unwrap();
                    sent[at] += 1;
                }
            }
            let told = all();
            pair.client.advance(pair.now);
            assert!(all() - told <= 1, "{round}: one after the other");
            if sent == before {
                break;
            }
        }
        let told = all();
        for _ in 0..12 {
            pair.deliver(Duration::from_millis(50));
        }
        assert_eq!(all(), told, "once for all that came, and not with each acknowledgement");
        // Something is under way still.
        pair.client.send(pair.client.handshake(), b"x").unwrap();
        pair.client.advance(pair.now);
    }
    let (least, most) = (sent.iter().min().unwrap(), sent.iter().max().unwrap());
    assert!(*least >= 4 && most - least <= 3, "{sent:?}");
}

#[test]
fn writers_wait_for_all_that_a_connection_has_to_send() {
    let mut pair = Pair::far(Duration::from_millis(20));
    let (first, _) = pair.open();
    pair.client.send(first, &[1; 2000]).unwrap();
    pair.settle();
    let mut sent = 0;
    for _ in 0..100 {
        let channel = poll!(poll_open(pair.client)).flatten().unwrap();
        while poll!(poll_ready(pair.client, channel)).is_some_and(|ready| ready.is_ok()) {
            pair.client.send(channel, &[3; 16 * 1024]).unwrap();
            sent += 16 * 1024;
        }
    }
    assert!((MAX_UNACKED_BYTES..MAX_UNACKED_BYTES + 100 * 17 * 1024).contains(&sent), "{sent}");
    // Nobody takes them, and nothing else is hurt: when they are taken, writers go on.
    pair.settle();
    let mut taken = Vec::new();
    let mut read = 0;
    while read < sent {
        let before = read;
        while let Some(Some(channel)) = poll!(poll_opened(pair.server)) {
            taken.push(channel);
        }
        for channel in &taken {
            if let Some(Some(Ok(bytes))) = receive(&mut pair.server, *channel) {
                read += bytes.len();
            }
            pair.pass();
        }
        if read == before {
            pair.now += Duration::from_millis(100);
        }
    }
    let (client, server) = pair.open();
    assert!(poll!(poll_ready(pair.client, client)).is_some());
    pair.client.send(client, b"after").unwrap();
    pair.settle();
    assert_eq!(take(&mut pair.server, server), b"after");
}

#[test]
fn a_peer_that_opens_ten_thousand_channels_is_refused() {
    let mut pair = Pair::new();
    for number in 1..=10_000_u16 {
        let Some((_, association)) = &mut pair.client.association else { break };
        if let Ok(mut stream) = association.open_stream(2 * number, Protocol::Binary) {
            stream.write_with_ppi(&dcep::OPENING, Protocol::Dcep).unwrap();
        }
        if number % 50 == 0 {
            pair.pass();
            assert!(pair.server.channels.entries.len() <= MAX_CHANNELS);
        }
    }
    assert!(matches!(pair.server.take_end(), Some(Error::TooManyChannels)));
    assert!(pair.server.association.is_none(), "its memory is freed");
}

#[test]
fn what_is_no_channel_is_refused_and_the_connection_goes_on() {
    let mut pair = Pair::new();
    for (number, bytes, protocol) in [
        // Data before the channel is opened, in and out of band.
        (2, &b"data"[..], Protocol::Binary),
        // The message that opens it is cut, or for a channel that loses data.
        (4, b"\x03\0\0", Protocol::Dcep),
        (6, b"\x03\x80\0\0\0\0\0\0\0\0\0\0", Protocol::Dcep),
        // A number that is this end's to choose.
        (7, &dcep::OPENING, Protocol::Dcep),
        (8, b"\x02", Protocol::Dcep),
        (10, b"text", Protocol::String),
    ] {
        let mut stream = pair.association().open_stream(number, Protocol::Binary).unwrap();
        stream.write_with_ppi(bytes, protocol).unwrap();
        let before = pair.server.channels.refused;
        pair.pass();
        assert_eq!(pair.server.channels.refused, before + 1, "{number}");
        pair.settle();
        assert!(poll!(poll_opened(pair.server)).is_none(), "{number}");
        assert_eq!(pair.server.channels.entries.len(), 1, "{number}");
    }
    let (client, server) = pair.open();
    pair.client.send(client, b"fine").unwrap();
    pair.pass();
    assert_eq!(take(&mut pair.server, server), b"fine");
}

#[test]
fn a_text_or_a_second_opening_fails_its_channel_alone() {
    for (bytes, protocol) in [(&b"text"[..], Protocol::String), (&dcep::OPENING, Protocol::Dcep)] {
        let mut pair = Pair::new();
        let (client, server) = pair.open();
        pair.client.send(client, b"before").unwrap();
        let number = pair.client.channels.entries[&client].stream.unwrap();
        pair.association().stream(number).unwrap().write_with_ppi(bytes, protocol).unwrap();
        pair.settle();
        assert_eq!(take(&mut pair.server, server), b"before");
        let error = receive(&mut pair.server, server).flatten().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(pair.server.send(server, b"x").is_err());
        pair.server.close_channel(server);
        let (_, _) = pair.open();
    }
}

#[test]
fn tiny_messages_that_nobody_reads_are_bounded() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    let mut sent = 0_usize;
    while pair.server.reason.is_none() && sent < 1_000_000 {
        for _ in 0..500 {
            if pair.client.association.is_some() {
                _ = pair.client.send(client, b"x");
                sent += 1;
            }
        }
        pair.pass();
        pair.now += Duration::from_millis(10);
    }
    assert!(matches!(pair.server.take_end(), Some(Error::TooManyPieces)), "{sent}");
    assert!(sent > MAX_WAITING_BYTES, "those that were taken out are bytes");
    assert!(sent < MAX_WAITING_BYTES + 2 * MAX_UNREAD_PIECES);
}

#[test]
fn a_message_over_the_limit_ends_the_connection() {
    let mut pair = Pair::new();
    let (client, _) = pair.open();
    pair.association().set_max_send_message_size(1 << 20);
    let number = pair.client.channels.entries[&client].stream.unwrap();
    let large = vec![1; MAX_MESSAGE_BYTES as usize + 1];
    pair.association().stream(number).unwrap().write_with_ppi(&large, Protocol::Binary).unwrap();
    pair.settle();
    assert!(matches!(pair.server.take_end(), Some(Error::Sctp(_))));
}

#[test]
fn garbage_between_records_changes_nothing() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let mut random = 1_u64;
    for round in 0..500 {
        pair.client.send(client, b"real").unwrap();
        pair.client.advance(pair.now);
        while let Some(datagram) = pair.client.next_datagram() {
            for _ in 0..3 {
                let mut garbage = datagram.clone();
                for _ in 0..=round % 5 {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let at = (random >> 33) as usize % garbage.len();
                    garbage[at] ^= (random >> 20) as u8 | 1;
                }
                garbage.truncate(garbage.len() - (random >> 40) as usize % garbage.len());
                pair.server.receive(pair.now, &garbage);
            }
            pair.server.receive(pair.now, &datagram);
            // Once more, which is no other.
            pair.server.receive(pair.now, &datagram);
        }
        pair.pass();
        assert_eq!(take(&mut pair.server, server), b"real", "round {round}");
    }
    assert!(pair.server.take_end().is_none());
}

#[test]
fn a_peer_that_closes_is_believed_and_a_stranger_is_not() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    pair.client.send(client, b"bye").unwrap();
    pair.pass();
    // An alert that is not encrypted, as anybody can send.
    pair.server.receive(pair.now, b"\x15\xfe\xfd\0\0\0\0\0\0\0\x09\0\x02\x01\0");
    assert!(pair.server.take_end().is_none());
    pair.client.close();
    pair.pass();
    assert!(matches!(pair.server.take_end(), Some(Error::ClosedByPeer)));
    assert_eq!(take(&mut pair.server, server), b"bye", "what came before is there");
    assert!(receive(&mut pair.server, server).flatten().unwrap().is_err());
    assert!(matches!(poll!(poll_open(pair.server)), Some(None)));
}

#[test]
fn a_handshake_survives_losses() {
    let now = crate::clock::now();
    for lost in 0..12 {
        let mut pair = Pair {
            way: Duration::ZERO,
            client: Session::new(config(), Role::Client, now).unwrap(),
            server: Session::new(config(), Role::Server, now).unwrap(),
            now,
        };
        let mut number = 0;
        for _ in 0..100 {
            pair.client.advance(pair.now);
            pair.server.advance(pair.now);
            let mut turn = |from: &mut Session, to: &mut Session, now| {
                while let Some(datagram) = from.next_datagram() {
                    number += 1;
                    if number != lost {
                        to.receive(now, &datagram);
                    }
                }
            };
            turn(&mut pair.client, &mut pair.server, pair.now);
            turn(&mut pair.server, &mut pair.client, pair.now);
            pair.now += Duration::from_millis(100);
        }
        assert!(pair.client.is_established() && pair.server.is_established(), "without datagram {lost}");
    }
}
