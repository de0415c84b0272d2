//! Peers that have the keys, and write SCTP by hand.

use super::*;
use crate::limits::{
    ACKNOWLEDGED_WITHIN, FORGIVE_EVERY, MAX_RESETS, MAX_STRAY_PIECES, MAX_TSN_AHEAD, NEARBY_UNACKED_BYTES,
};

const DCEP: u32 = 50;
const BINARY: u32 = 53;

/// A client that sends what it likes, and takes nothing.
struct Forger {
    pair: Pair,
    /// What all its packets begin with.
    header: Vec<u8>,
    /// The next number of a piece, and of a request.
    tsn: u32,
    request: u32,
}

impl Forger {
    fn new() -> Self {
        let mut pair = Pair::new();
        let now = pair.now;
        pair.client.channels.open(&mut pair.client.association.as_mut().unwrap().1).unwrap();
        let Some(Transmit { payload: Payload::RawEncode(packets), .. }) = pair.association().poll_transmit(now) else {
            panic!("the message that opens a channel is sent");
        };
        // What it would have sent begins with its first number, with which its requests begin as well.
        let tsn = u32::from_be_bytes(packets[0][16..20].try_into().unwrap());
        Self { pair, header: packets[0][..12].to_vec(), tsn, request: tsn }
    }

    /// Sends a packet with these chunks. The answers are lost.
    fn send(&mut self, chunks: &[Vec<u8>]) {
        let now = self.pair.now;
        self.pair.client.send_raw(now, &[&self.header[..], &chunks.concat()].concat());
        while let Some(datagram) = self.pair.client.next_datagram() {
            self.pair.server.receive(now, &datagram);
        }
        while self.pair.server.next_datagram().is_some() {}
    }

    fn data(&mut self, stream: u16, protocol: u32, bytes: &[u8]) -> Vec<u8> {
        self.tsn = self.tsn.wrapping_add(1);
        piece(self.tsn.wrapping_sub(1), stream, 3, protocol, bytes)
    }

    fn open(&mut self, stream: u16) -> ChannelId {
        let opening = self.data(stream, DCEP, &dcep::OPENING);
        self.send(&[opening]);
        poll!(poll_opened(self.pair.server)).flatten().expect("a channel that was opened")
    }

    /// Resets streams behind this piece.
    fn reset(&mut self, last_tsn: u32, streams: &[u16]) -> Vec<u8> {
        let mut value = [self.request, self.request.wrapping_sub(1), last_tsn].map(u32::to_be_bytes).concat();
        streams.iter().for_each(|stream| value.extend_from_slice(&stream.to_be_bytes()));
        self.request = self.request.wrapping_add(1);
        let length = (4 + value.len()) as u16;
        chunk(130, 0, &[&13_u16.to_be_bytes()[..], &length.to_be_bytes(), &value].concat())
    }

    fn read(&mut self, channel: ChannelId) -> Option<Vec<u8>> {
        receive(&mut self.pair.server, channel).flatten().map(Result::unwrap)
    }
}

fn chunk(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut chunk = [&[kind, flags][..], &(4 + body.len() as u16).to_be_bytes(), body].concat();
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

fn piece(tsn: u32, stream: u16, flags: u8, protocol: u32, bytes: &[u8]) -> Vec<u8> {
    // Unordered, so that nobody has to count.
    let header = [&tsn.to_be_bytes()[..], &stream.to_be_bytes(), &[0, 0], &protocol.to_be_bytes()].concat();
    chunk(0, 4 | flags, &[&header[..], bytes].concat())
}

#[test]
fn what_was_sent_on_channels_that_are_gone_is_bounded_and_waits_for_half_a_minute() {
    let mut forger = Forger::new();
    let mut sent = 0;
    for round in 1..=100 {
        let channel = forger.open(2 * round);
        while poll!(poll_ready(forger.pair.server, channel)).is_some() {
            forger.pair.server.send(channel, &[7; 16 * 1024]).unwrap();
            sent += 16 * 1024;
        }
        let reset = forger.reset(forger.tsn.wrapping_sub(1), &[2 * round]);
        forger.send(&[reset]);
        forger.pair.server.close_channel(channel);
    }
    assert!((NEARBY_UNACKED_BYTES..NEARBY_UNACKED_BYTES + 17 * 1024).contains(&sent), "{sent}");
    assert!(forger.pair.server.take_end().is_none());
    let began = forger.pair.now;
    let waits = loop {
        assert!(forger.pair.now - began <= 2 * ACKNOWLEDGED_WITHIN);
        let deadline = forger.pair.server.deadline().unwrap();
        forger.pair.now = deadline.max(forger.pair.now + Duration::from_millis(1));
        forger.pair.server.advance(deadline);
        while forger.pair.server.next_datagram().is_some() {}
        if let Some(end) = forger.pair.server.take_end() {
            assert!(matches!(end, Error::Unacknowledged), "{end:?}");
            break deadline - began;
        }
    };
    assert!(waits.abs_diff(ACKNOWLEDGED_WITHIN) < Duration::from_secs(1), "{waits:?}");
}

#[test]
fn who_acknowledges_slowly_is_waited_for() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    for _ in 0..20 {
        for _ in 0..8 {
            pair.client.send(client, &[7; 16 * 1024]).unwrap();
        }
        // Just before it would be too late.
        pair.client.advance(pair.now);
        pair.now += ACKNOWLEDGED_WITHIN - Duration::from_secs(1);
        pair.settle();
        while receive(&mut pair.server, server).is_some() {}
        assert!(pair.client.take_end().is_none());
    }
    pair.settle();
    assert_eq!(pair.client.channels.watch.unacknowledged(), 0);
}

#[test]
fn what_comes_for_a_stream_whose_reset_is_pending_takes_no_room() {
    let mut forger = Forger::new();
    let (first, other) = (forger.open(2), forger.open(4));
    let missing = forger.data(4, BINARY, b"late");
    let reset = forger.reset(forger.tsn.wrapping_sub(1), &[2]);
    forger.send(&[reset]);
    for _ in 0..600 {
        let early = forger.data(2, BINARY, &[1; 1000]);
        forger.send(&[early]);
    }
    let beside = forger.data(4, BINARY, b"beside");
    forger.send(&[beside]);
    assert_eq!(forger.read(other).expect("there is room for others"), b"beside");
    assert_eq!(forger.read(first), None);
    // When what was missing comes, the stream ends, and its number begins again.
    forger.send(&[missing]);
    assert_eq!(forger.read(other).unwrap(), b"late");
    assert!(matches!(receive(&mut forger.pair.server, first), Some(None)), "it is closed");
    forger.pair.server.close_channel(first);
    let second = forger.open(2);
    let data = forger.data(2, BINARY, b"again");
    forger.send(&[data]);
    assert_eq!(forger.read(second).unwrap(), b"again");
}

#[test]
fn another_request_under_the_number_of_one_that_is_pending_changes_nothing() {
    let mut forger = Forger::new();
    let (first, second) = (forger.open(2), forger.open(4));
    let missing = forger.data(4, BINARY, b"late");
    let boundary = forger.tsn.wrapping_sub(1);
    let reset = forger.reset(boundary, &[2]);
    forger.send(&[reset]);
    forger.request = forger.request.wrapping_sub(1);
    let changed = forger.reset(boundary, &[4]);
    let next = forger.reset(boundary, &[4]);
    forger.send(&[changed]);
    forger.send(&[next]);
    forger.send(&[missing]);
    assert!(matches!(receive(&mut forger.pair.server, first), Some(None)));
    assert_eq!(forger.read(second).unwrap(), b"late");
    assert_eq!(forger.read(second), None, "it is open");
}

#[test]
fn a_piece_without_a_byte_ends_the_connection() {
    let mut forger = Forger::new();
    forger.open(2);
    let empty = forger.data(2, BINARY, b"");
    forger.send(&[empty]);
    assert!(matches!(forger.pair.server.take_end(), Some(Error::Violation)));
}

#[test]
fn a_peer_that_ends_streams_and_confirms_no_end_is_given_up() {
    let mut forger = Forger::new();
    let mut rounds = 0;
    while !forger.pair.server.over {
        rounds += 1;
        assert!(rounds <= MAX_RESETS + 1);
        let channel = forger.open(2);
        let reset = forger.reset(forger.tsn.wrapping_sub(1), &[2]);
        forger.send(&[reset]);
        forger.pair.server.close_channel(channel);
    }
    assert!(matches!(forger.pair.server.take_end(), Some(Error::TooManyResets)));
    assert_eq!(rounds, MAX_RESETS + 1);
}

#[test]
fn what_is_far_ahead_of_what_is_missing_is_not_kept() {
    let mut forger = Forger::new();
    let channel = forger.open(2);
    forger.pair.now += Duration::from_millis(300);
    forger.pair.server.advance(forger.pair.now);
    while forger.pair.server.next_datagram().is_some() {}
    for (ahead, is_kept) in [(MAX_TSN_AHEAD - 1, true), (MAX_TSN_AHEAD, false), (1 << 30, false), (1, true)] {
        let data = piece(forger.tsn.wrapping_add(ahead), 2, 3, BINARY, b"x");
        forger.send(&[data]);
        assert_eq!(forger.read(channel).is_some(), is_kept, "{ahead}");
    }
}

#[test]
fn what_hides_in_a_chunk_that_is_longer_than_it_says_is_not_taken() {
    let mut forger = Forger::new();
    let channel = forger.open(2);
    let hidden = forger.data(2, BINARY, b"hidden");
    let sack = [&[0; 4][..], &WINDOW_BYTES.to_be_bytes(), &[0; 4], &hidden].concat();
    let data = forger.data(2, BINARY, b"open");
    forger.send(&[chunk(3, 0, &sack), data]);
    assert_eq!(forger.read(channel).unwrap(), b"open");
    assert_eq!(forger.read(channel), None);
    // In a kind of chunk that is not looked into, it ends the connection.
    let heartbeat = [&[0, 1, 0, 8, 1, 2, 3, 4][..], &hidden].concat();
    forger.send(&[chunk(4, 0, &heartbeat)]);
    assert!(matches!(forger.pair.server.take_end(), Some(Error::Violation)));
}

#[test]
fn a_stream_that_ends_within_a_message_fails_alone() {
    let mut forger = Forger::new();
    let first = forger.open(2);
    let part = piece(forger.tsn, 2, 2, BINARY, b"the beginning");
    forger.tsn = forger.tsn.wrapping_add(1);
    let reset = forger.reset(forger.tsn.wrapping_sub(1), &[2]);
    forger.send(&[part]);
    forger.send(&[reset]);
    let error = receive(&mut forger.pair.server, first).flatten().unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(forger.pair.server.channels.unconfirmed, 1, "SCTP has nothing of it");
    let second = forger.open(4);
    let data = forger.data(4, BINARY, b"whole");
    forger.send(&[data]);
    assert_eq!(forger.read(second).unwrap(), b"whole");
}

#[test]
fn a_channel_that_its_peer_closes_unread_keeps_all_and_leaves_its_number() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let number = pair.client.channels.entries[&client].stream.unwrap();
    let bytes = vec![5; 16 * 1024];
    for _ in 0..20 {
        pair.client.send(client, &bytes).unwrap();
    }
    pair.settle();
    pair.client.close_channel(client);
    pair.settle();
    assert!(pair.server.association.as_mut().unwrap().1.stream(number).is_err(), "SCTP has nothing of it");
    let mut read = 0;
    while let Some(Some(bytes)) = receive(&mut pair.server, server) {
        read += bytes.unwrap().len();
    }
    assert_eq!(read, 20 * bytes.len());
    assert!(matches!(receive(&mut pair.server, server), Some(None)), "it is closed");
}

#[test]
fn who_closes_a_channel_unread_lets_the_others_go_on_at_once() {
    let mut pair = Pair::new();
    let (stopped, unread) = pair.open();
    let (client, server) = pair.open();
    for _ in 0..100 {
        while poll!(poll_ready(pair.client, stopped)).is_some() {
            pair.client.send(stopped, &[1; 16 * 1024]).unwrap();
        }
        pair.pass();
        pair.now += Duration::from_millis(50);
    }
    for _ in 0..4 {
        pair.client.send(client, &[2; 16 * 1024]).unwrap();
    }
    pair.settle();
    pair.server.close_channel(unread);
    let began = pair.now;
    let mut read = 0;
    while read < 4 * 16 * 1024 {
        if let Some(Some(bytes)) = receive(&mut pair.server, server) {
            read += bytes.unwrap().len();
        }
        pair.pass();
        pair.now += Duration::from_millis(1);
    }
    assert!(pair.now - began < Duration::from_millis(350), "{:?}", pair.now - began);
}

#[test]
fn what_was_refused_long_ago_is_forgiven() {
    let mut forger = Forger::new();
    let most = MAX_REFUSED_CHANNELS as u16;
    for round in 0..4 {
        for number in 0..most {
            let text = forger.data(2 + 2 * (number % 100), 51, b"text");
            forger.send(&[text]);
        }
        assert!(forger.pair.server.take_end().is_none(), "round {round}");
        forger.pair.now += FORGIVE_EVERY * u32::from(most);
        forger.pair.server.advance(forger.pair.now);
        assert_eq!(forger.pair.server.channels.refused, 0);
    }
}

#[test]
fn stray_pieces_are_not_allowed_for_once_sctp_holds_nothing() {
    let mut pair = Pair::new();
    for _ in 0..10 {
        let (client, server) = pair.open();
        pair.client.send(client, b"x").unwrap();
        pair.server.close_channel(server);
        pair.settle();
        pair.client.close_channel(client);
        pair.settle();
        assert!(pair.server.channels.strays <= MAX_STRAY_PIECES);
    }
}

#[test]
fn who_takes_no_answers_is_not_listened_to() {
    let mut pair = Pair::new();
    let (client, server) = pair.open();
    let Some(header) = pair.client.sctp_samples(pair.now).first().map(|sample| sample[..12].to_vec()) else {
        panic!("there is a packet");
    };
    let heartbeat = [header, chunk(4, 0, &[0, 1, 0, 8, 1, 2, 3, 4])].concat();
    for _ in 0..5 * MAX_OUTGOING_DATAGRAMS {
        pair.client.send_raw(pair.now, &heartbeat);
        while let Some(datagram) = pair.client.next_datagram() {
            pair.server.receive(pair.now, &datagram);
        }
        assert!(pair.server.outgoing.len() <= MAX_OUTGOING_DATAGRAMS + 8);
    }
    assert!(pair.server.outgoing.len() >= MAX_OUTGOING_DATAGRAMS);
    pair.server.send(server, b"behind them").unwrap();
    pair.settle();
    assert_eq!(take(&mut pair.client, client), b"behind them");
}
