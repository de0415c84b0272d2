use proptest::prelude::*;

use super::*;
use crate::clock;

fn packet(chunks: &[Vec<u8>]) -> Bytes {
    [vec![0; HEADER_BYTES], chunks.concat()].concat().into()
}

fn chunk(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut chunk = [&[kind, flags][..], &(4 + body.len() as u16).to_be_bytes(), body].concat();
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

fn data(tsn: u32, flags: u8, bytes: usize) -> Vec<u8> {
    chunk(kind::DATA, flags, &[&tsn.to_be_bytes()[..], &[0; 8], &vec![1; bytes]].concat())
}

fn sack(tsn: u32, window: u32) -> Vec<u8> {
    chunk(kind::SACK, 0, &[tsn.to_be_bytes(), window.to_be_bytes(), [0; 4]].concat())
}

#[test]
fn a_small_piece_gets_a_packet_of_its_own_and_a_large_one_stays_where_it_is() {
    let mut watch = Watch::default();
    let bulk = packet(&[sack(7, 0), data(1, 3, 1000)]);
    let admitted = watch.admit(bulk.clone()).unwrap();
    assert_eq!(admitted, Admitted { packets: vec![bulk], pieces: 1, acknowledgements: vec![7] });

    let small = packet(&[data(2, 3, 1), data(3, 3, 1000), data(4, 3, 5)]);
    let admitted = watch.admit(small).unwrap();
    let lengths: Vec<_> = admitted.packets.iter().map(Bytes::len).collect();
    assert_eq!(lengths, [32, 12 + 16 + 1000, 36]);
    assert_eq!(admitted.pieces, 3);
    for packet in admitted.packets {
        let mut again = packet.to_vec();
        set_checksum(&mut again);
        assert_eq!(again, packet, "with the checksum that it should have");
    }
}

#[test]
fn the_checksum_is_that_of_sctp() {
    // RFC 3720, appendix B.4: 32 bytes of zeros.
    assert_eq!(CHECKSUM.checksum(&[0; 32]).to_le_bytes(), [0xaa, 0x36, 0x91, 0x8a]);
}

#[test]
fn a_packet_that_can_not_be_read_is_dropped_whole() {
    let mut watch = Watch::default();
    let whole = packet(&[sack(7, 0), data(1, 3, 10)]);
    for length in HEADER_BYTES + 1..whole.len() {
        let cut = watch.admit(whole.slice(..length)).unwrap();
        let is_between = length == HEADER_BYTES + 16;
        assert_eq!((cut.packets.len(), cut.acknowledgements.len()), (is_between.into(), is_between.into()), "{length}");
    }
}

#[test]
fn an_acknowledgement_tells_of_each_piece_once() {
    let passes = |gaps: &[(u16, u16)], count: u16| {
        let gaps: Vec<u8> =
            gaps.iter().flat_map(|(start, end)| [start.to_be_bytes(), end.to_be_bytes()].concat()).collect();
        let body = [&[0, 0, 0, 7, 0, 0, 0, 0][..], &count.to_be_bytes(), &[0, 1], &gaps, &[0, 0, 0, 3]].concat();
        Watch::default().admit(packet(&[chunk(kind::SACK, 0, &body)])).unwrap().acknowledgements == [7]
    };
    assert!(passes(&[], 0) && passes(&[(2, 2), (3, 9), (11, u16::MAX)], 3));
    for wrong in [&[(0, 4)][..], &[(2, 9), (2, 9)], &[(2, 9), (9, 10)], &[(5, 6), (2, 3)], &[(4, 3)]] {
        assert!(!passes(wrong, wrong.len() as u16), "{wrong:?}");
    }
    assert!(!passes(&[(2, 2)], 2) && !passes(&[(2, 2)], 0));
}

#[test]
fn a_window_that_is_whole_tells_that_nothing_is_held() {
    let mut watch = Watch::default();
    assert!(watch.sent(clock::now(), &packet(&[sack(1, WINDOW_BYTES)])).holds_nothing);
    assert!(!watch.sent(clock::now(), &packet(&[sack(1, WINDOW_BYTES - 1)])).holds_nothing);
    assert_eq!(watch.sent(clock::now(), &packet(&[data(1, 3, 1)])), Told::default());
}

#[test]
fn a_request_waits_for_its_answer_and_no_other_one_takes_its_place() {
    let request = |number: u32, stream: u8| {
        let value = [&[0, 13, 0, 18][..], &number.to_be_bytes(), &[0; 4], &10_u32.to_be_bytes(), &[0, stream]].concat();
        packet(&[chunk(kind::RE_CONFIG, 0, &value)])
    };
    let response = |number: u32, result: u32| {
        let value = [&[0, 16, 0, 12][..], &number.to_be_bytes(), &result.to_be_bytes()].concat();
        packet(&[chunk(kind::RE_CONFIG, 0, &value)])
    };
    let mut watch = Watch::default();
    let passes = |watch: &mut Watch, packet| watch.admit(packet).unwrap().packets.len() == 1;
    assert!(passes(&mut watch, request(5, 2)) && passes(&mut watch, request(5, 2)));
    assert!(!passes(&mut watch, request(5, 4)) && !passes(&mut watch, request(6, 2)));
    // Pieces before its end are part of what was sent before, and streams beside are not touched.
    let on = |tsn: u32, stream: u8| {
        packet(&[chunk(kind::DATA, 3, &[&tsn.to_be_bytes()[..], &[0, stream, 0, 0, 0, 0, 0, 0, 1]].concat())])
    };
    assert!(passes(&mut watch, on(10, 2)) && !passes(&mut watch, on(11, 2)) && passes(&mut watch, on(11, 3)));
    for (number, result) in [(5, IN_PROGRESS), (4, PERFORMED)] {
        assert_eq!(watch.sent(clock::now(), &response(number, result)), Told::default());
        assert!(!passes(&mut watch, on(11, 2)));
    }
    assert_eq!(watch.sent(clock::now(), &response(5, PERFORMED)).reset, Some(vec![2]));
    assert!(passes(&mut watch, on(11, 2)) && passes(&mut watch, request(6, 2)));
    // One that is refused.
    assert_eq!(watch.sent(clock::now(), &response(6, 5)), Told::default());
    assert!(passes(&mut watch, on(11, 2)));
}

#[test]
fn much_more_than_may_be_written_ends_the_connection() {
    let mut watch = Watch::default();
    let now = clock::now();
    watch.written(2 * MAX_UNACKED_BYTES - MESSAGE_COST);
    assert!(watch.advance(now).is_ok());
    watch.written(1);
    assert!(matches!(watch.advance(now), Err(Error::Unacknowledged)));
}

#[test]
fn the_shortest_round_trip_of_late_is_known_and_older_ones_are_forgotten() {
    let mut watch = Watch::default();
    let mut now = clock::now();
    let mut tsn = u32::MAX - 3;
    // One that takes so long, and whether another piece behind it, or another acknowledgement, changes that.
    let mut exchange = |watch: &mut Watch, now: &mut Instant, took_ms: u64| {
        watch.sent(*now, &packet(&[data(tsn, 3, 100)]));
        *now += Duration::from_millis(took_ms);
        watch.sent(*now, &packet(&[data(tsn.wrapping_add(1), 3, 100)]));
        watch.acknowledge(*now, tsn.wrapping_sub(1));
        watch.acknowledge(*now, tsn.wrapping_add(1));
        tsn = tsn.wrapping_add(2);
        watch.round_trips.shortest().unwrap().as_millis()
    };
    // One alone says nothing.
    watch.sent(now, &packet(&[data(u32::MAX - 4, 3, 100)]));
    watch.acknowledge(now, u32::MAX - 4);
    assert_eq!(watch.round_trips.shortest(), None);
    for (took_ms, shortest) in [(50, 50), (20, 20), (80, 20)] {
        assert_eq!(exchange(&mut watch, &mut now, took_ms), shortest);
    }
    assert_eq!(watch.room(), NEARBY_UNACKED_BYTES + 20 * UNACKED_BYTES_OF_A_MS);
    now += ROUND_TRIPS_OF;
    assert_eq!(exchange(&mut watch, &mut now, 30), 20, "of the time before");
    now += ROUND_TRIPS_OF;
    assert_eq!(exchange(&mut watch, &mut now, 40), 30, "of the time before");
    watch.written(NEARBY_UNACKED_BYTES);
    assert_eq!(watch.room(), 30 * UNACKED_BYTES_OF_A_MS - MESSAGE_COST);
    watch.written(MAX_UNACKED_BYTES);
    assert_eq!(watch.room(), 0);
}

proptest! {
    /// Messages are written, sent in pieces, some of them again, and acknowledged in any way.
    #[test]
    fn what_is_unacknowledged_is_what_was_written_without_what_was_acknowledged(
        first in any::<u32>(),
        steps in proptest::collection::vec((0..4_u8, 1..3000_usize), 1..200),
    ) {
        let mut watch = Watch::default();
        let (mut next, mut acknowledged) = (first, first.wrapping_sub(1));
        let mut costs = std::collections::HashMap::new();
        let mut expected = 0;
        for (step, size) in steps {
            match step {
                0 | 1 => {
                    watch.written(size);
                    let pieces = size.div_ceil(1000);
                    for piece in 0..pieces {
                        let bytes = (size - piece * 1000).min(1000);
                        watch.sent(clock::now(), &packet(&[data(next, if piece == 0 { BEGINS_MESSAGE } else { 0 }, bytes)]));
                        costs.insert(next, bytes + if piece == 0 { MESSAGE_COST } else { 0 });
                        next = next.wrapping_add(1);
                    }
                    expected += size + MESSAGE_COST;
                }
                2 => {
                    // Of which some was never sent, and some before.
                    let tsn = acknowledged.wrapping_add(size as u32 % 20).wrapping_sub(5);
                    if is_behind(tsn, acknowledged) && is_behind(next, tsn) {
                        while acknowledged != tsn {
                            acknowledged = acknowledged.wrapping_add(1);
                            expected -= costs[&acknowledged];
                        }
                    }
                    watch.acknowledge(clock::now(), tsn);
                }
                // Again.
                _ => _ = costs.keys().next().map(|tsn| watch.sent(clock::now(), &packet(&[data(*tsn, 3, size)]))),
            }
            prop_assert_eq!(watch.unacknowledged(), expected);
        }
    }

    #[test]
    fn any_bytes_are_taken_apart(bytes in proptest::collection::vec(any::<u8>(), 0..300), kind in 0..4_usize) {
        let mut watch = Watch::default();
        let kind = [kind::DATA, kind::SACK, kind::RE_CONFIG, 9][kind];
        let bytes = packet(&[chunk(kind, 3, &bytes)]);
        if let Ok(admitted) = watch.admit(bytes.clone()) {
            prop_assert!(admitted.packets.iter().map(Bytes::len).sum::<usize>() <= bytes.len());
        }
        watch.sent(clock::now(), &bytes);
        prop_assert!(watch.advance(clock::now()).is_ok());
    }
}
