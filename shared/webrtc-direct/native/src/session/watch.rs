//! What packets of SCTP (RFC 9260) say of an association that sctp-proto tells nobody: how much of all that was sent the peer has not
//! acknowledged, whatever became of its stream, and which pieces sctp-proto would keep without a bound.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crc::{CRC_32_ISCSI, Crc, Table};

use crate::error::Error;
use crate::limits::{
    ACKNOWLEDGED_WITHIN, MAX_TSN_AHEAD, MAX_UNACKED_BYTES, MESSAGE_COST, NEARBY_UNACKED_BYTES, ROUND_TRIPS_OF,
    UNACKED_BYTES_OF_A_MS, WINDOW_BYTES,
};

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;

const HEADER_BYTES: usize = 12;
const DATA_HEADER_BYTES: usize = 12;
const SACK_HEADER_BYTES: usize = 12;
const BEGINS_MESSAGE: u8 = 2;

mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const SACK: u8 = 3;
    pub(super) const RE_CONFIG: u8 = 130;
}

/// Parameters of RE-CONFIG (RFC 6525).
mod parameter {
    pub(super) const OUTGOING_RESET_REQUEST: u16 = 13;
    pub(super) const RESPONSE: u16 = 16;
}

/// The result in a response that says that the request is to wait for data.
const IN_PROGRESS: u32 = 6;
const PERFORMED: u32 = 1;

/// Castagnoli's, which SCTP's packets have.
static CHECKSUM: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);

/// One association's.
#[derive(Default)]
pub(super) struct Watch {
    /// What was written and is not acknowledged, each message at its bytes and [`MESSAGE_COST`].
    unacknowledged: usize,
    /// The part of it that was sent, by TSN: from the one behind `acknowledged` on.
    flight: VecDeque<usize>,
    acknowledged: Option<u32>,
    /// The last piece of a packet, and when it was sent.
    timed: Option<(u32, Instant)>,
    round_trips: RoundTrips,
    /// Something was acknowledged, or there was nothing to acknowledge, the last time at `since`.
    progressed: bool,
    since: Option<Instant>,
    /// Up to which TSN everything has come, as the peer was told last.
    received: Option<u32>,
    /// The peer's request that waits for its answer. By RFC 6525 it has no other one meanwhile.
    reset: Option<ResetRequest>,
}

/// The shortest round trip of late.
#[derive(Default)]
struct RoundTrips {
    /// Since when, and the shortest since.
    current: Option<(Instant, Duration)>,
    before: Option<Duration>,
}

impl RoundTrips {
    fn add(&mut self, now: Instant, took: Duration) {
        match &mut self.current {
            Some((since, shortest)) if now < *since + ROUND_TRIPS_OF => *shortest = took.min(*shortest),
            current => {
                self.before = current.take().map(|(_, shortest)| shortest);
                self.current = Some((now, took));
            }
        }
    }

    fn shortest(&self) -> Option<Duration> {
        self.current.map(|(_, shortest)| shortest).into_iter().chain(self.before).min()
    }
}

/// Resets streams behind what was sent on them before.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ResetRequest {
    number: u32,
    last_tsn: u32,
    /// All streams if there is none.
    streams: Vec<u16>,
}

/// What of a packet SCTP is to see.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Admitted {
    pub(super) packets: Vec<Bytes>,
    /// How many pieces of messages are in it.
    pub(super) pieces: u64,
    /// The cumulative TSN of each acknowledgement in it.
    pub(super) acknowledgements: Vec<u32>,
}

/// What the peer was told.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// That SCTP holds nothing of the peer's.
    pub(super) holds_nothing: bool,
    /// That these streams were reset; all of them if there is none.
    pub(super) reset: Option<Vec<u16>>,
}

struct Chunk<'a> {
    kind: u8,
    flags: u8,
    body: &'a [u8],
}

/// The chunks of a packet; `None` for one, the last, that does not fit.
fn chunks(packet: &[u8]) -> impl Iterator<Item = Option<Chunk<'_>>> {
    let mut rest = packet.get(HEADER_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let chunk = match *rest {
            [kind, flags, l0, l1, ..] => {
                let length = usize::from(u16::from_be_bytes([l0, l1]));
                let body = rest.get(4..length);
                let next = rest.get(length.next_multiple_of(4)..);
                body.zip(next).map(|(body, next)| (Chunk { kind, flags, body }, next))
            }
            _ => None,
        };
        rest = chunk.as_ref().map_or(&[], |(_, next)| next);
        Some(chunk.map(|(chunk, _)| chunk))
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Whether a TSN is behind another one, as numbers that begin again.
fn is_behind(tsn: u32, other: u32) -> bool {
    (tsn.wrapping_sub(other) as i32) > 0
}

/// The cumulative TSN of a SACK. `None` if it is longer than it says, as it may have another chunk in it, or tells of a piece twice, as
/// SCTP looks for each as often as it is told of.
fn acknowledgement(body: &[u8]) -> Option<u32> {
    let (gaps, duplicates) = (usize::from(u16_at(body, 8)?), usize::from(u16_at(body, 10)?));
    let mut last = 0;
    for gap in body.get(SACK_HEADER_BYTES..)?.chunks_exact(4).take(gaps) {
        let (start, end) = (u16_at(gap, 0)?, u16_at(gap, 2)?);
        if start <= last || end < start {
            return None;
        }
        last = end;
    }
    (body.len() == SACK_HEADER_BYTES + 4 * (gaps + duplicates)).then_some(u32_at(body, 0)?)
}

impl ResetRequest {
    fn affects(&self, stream: u16) -> bool {
        self.streams.is_empty() || self.streams.contains(&stream)
    }
}

/// What a RE-CONFIG chunk says.
#[derive(Default)]
struct Reconfiguration {
    request: Option<ResetRequest>,
    response: Option<(u32, u32)>,
}

impl Reconfiguration {
    /// `None` if it could be read in another way, too.
    fn parse(mut rest: &[u8]) -> Option<Self> {
        let mut read = Self::default();
        while !rest.is_empty() {
            let length = usize::from(u16_at(rest, 2)?);
            let value = rest.get(4..length)?;
            match u16_at(rest, 0)? {
                parameter::OUTGOING_RESET_REQUEST if read.request.is_none() => {
                    let (streams, odd) = value.get(12..)?.as_chunks::<2>();
                    let streams = streams.iter().map(|stream| u16::from_be_bytes(*stream)).collect();
                    let (number, last_tsn) = (u32_at(value, 0)?, u32_at(value, 8)?);
                    read.request = odd.is_empty().then_some(ResetRequest { number, last_tsn, streams });
                    read.request.as_ref()?;
                }
                parameter::RESPONSE if value.len() == 8 => read.response = Some((u32_at(value, 0)?, u32_at(value, 4)?)),
                _ => return None,
            }
            // The padding of the last one may be left out.
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Some(read)
    }
}

impl Watch {
    /// Takes a packet of the peer's apart, and leaves out what SCTP would keep without a bound. What is left out comes again, as if it had been lost.
    pub(super) fn admit(&mut self, packet: Bytes) -> Result<Admitted, Error> {
        let mut admitted = Admitted::default();
        let mut kept = Vec::new();
        let (mut all, mut is_mixed) = (true, false);
        for chunk in chunks(&packet) {
            // SCTP takes nothing of a packet that it can't read.
            let Some(chunk) = chunk else { return Ok(Admitted::default()) };
            if chunk.kind == kind::DATA {
                // A piece without a byte would take none of the window (RFC 9260, section 6.2: whoever sends it is aborted).
                if chunk.body.len() <= DATA_HEADER_BYTES {
                    return Err(Error::Violation);
                }
                is_mixed |= 2 * chunk.body.len() < packet.len();
            }
            if self.admits(&chunk, &mut admitted) { kept.push(chunk) } else { all = false }
        }
        // A piece is kept as a part of its packet, so one that has little of it gets one of its own.
        admitted.packets = if all && !is_mixed {
            vec![packet]
        } else {
            kept.iter().map(|chunk| alone(&packet[..HEADER_BYTES], chunk)).collect()
        };
        Ok(admitted)
    }

    fn admits(&mut self, chunk: &Chunk<'_>, admitted: &mut Admitted) -> bool {
        match chunk.kind {
            kind::DATA => {
                let (Some(tsn), Some(stream)) = (u32_at(chunk.body, 0), u16_at(chunk.body, 4)) else { return false };
                // Nobody sends on a stream while its reset is not answered.
                let is_early = |reset: &ResetRequest| reset.affects(stream) && is_behind(tsn, reset.last_tsn);
                let is_far = |received: u32| is_behind(tsn, received.wrapping_add(MAX_TSN_AHEAD));
                if self.reset.as_ref().is_some_and(is_early) || self.received.is_some_and(is_far) {
                    return false;
                }
                admitted.pieces += 1;
            }
            kind::SACK => match acknowledgement(chunk.body) {
                Some(tsn) => admitted.acknowledgements.push(tsn),
                None => return false,
            },
            kind::RE_CONFIG => {
                let Some(Reconfiguration { request, .. }) = Reconfiguration::parse(chunk.body) else { return false };
                if let Some(request) = request {
                    return *self.reset.get_or_insert_with(|| request.clone()) == request;
                }
            }
            _ => {}
        }
        true
    }

    /// Takes note of a packet that is sent to the peer.
    pub(super) fn sent(&mut self, now: Instant, packet: &[u8]) -> Told {
        let mut told = Told::default();
        let mut last = None;
        for chunk in chunks(packet).flatten() {
            match chunk.kind {
                kind::DATA => last = self.sent_piece(&chunk).or(last),
                kind::SACK => {
                    self.received = u32_at(chunk.body, 0);
                    told.holds_nothing = u32_at(chunk.body, 4) == Some(WINDOW_BYTES);
                }
                kind::RE_CONFIG => {
                    let response = Reconfiguration::parse(chunk.body).and_then(|read| read.response);
                    let answered = |reset: &mut ResetRequest| {
                        response.is_some_and(|(number, result)| number == reset.number && result != IN_PROGRESS)
                    };
                    if let Some(reset) = self.reset.take_if(answered) {
                        let is_performed = response.is_some_and(|(_, result)| result == PERFORMED);
                        told.reset = is_performed.then_some(reset.streams);
                    }
                }
                _ => {}
            }
        }
        if let Some(tsn) = last {
            self.timed.get_or_insert((tsn, now));
        }
        told
    }

    /// The piece's TSN, if it is sent for the first time.
    fn sent_piece(&mut self, chunk: &Chunk<'_>) -> Option<u32> {
        let tsn = u32_at(chunk.body, 0)?;
        let before = *self.acknowledged.get_or_insert(tsn.wrapping_sub(1));
        // All others were sent before.
        let is_new = tsn.wrapping_sub(before) as usize == self.flight.len() + 1;
        if is_new {
            let message = if chunk.flags & BEGINS_MESSAGE == 0 { 0 } else { MESSAGE_COST };
            self.flight.push_back(chunk.body.len().saturating_sub(DATA_HEADER_BYTES) + message);
        }
        is_new.then_some(tsn)
    }

    /// A message of so many bytes is to be sent.
    pub(super) fn written(&mut self, bytes: usize) {
        self.unacknowledged += bytes + MESSAGE_COST;
    }

    /// SCTP has taken an acknowledgement.
    pub(super) fn acknowledge(&mut self, now: Instant, tsn: u32) {
        let Some(before) = self.acknowledged else { return };
        let count = tsn.wrapping_sub(before) as usize;
        // What was acknowledged before, or never sent, SCTP has not taken.
        if (1..=self.flight.len()).contains(&count) {
            let acknowledged: usize = self.flight.drain(..count).sum();
            self.unacknowledged = self.unacknowledged.saturating_sub(acknowledged);
            self.acknowledged = Some(tsn);
            self.progressed = true;
            // A packet alone is acknowledged after a while, or with what the peer says next; of two, the second one is at once.
            if let Some((timed, sent)) = self.timed.take_if(|(timed, _)| !is_behind(*timed, tsn))
                && timed != tsn
            {
                self.round_trips.add(now, now.saturating_duration_since(sent));
            }
        }
    }

    /// What of all that was written is not acknowledged.
    #[cfg(test)]
    pub(super) fn unacknowledged(&self) -> usize {
        self.unacknowledged
    }

    /// How much more may be written. A message may be larger.
    pub(super) fn room(&self) -> usize {
        let micros = self.round_trips.shortest().unwrap_or_default().as_micros();
        let farther = usize::try_from(micros).unwrap_or(usize::MAX).saturating_mul(UNACKED_BYTES_OF_A_MS) / 1000;
        NEARBY_UNACKED_BYTES.saturating_add(farther).min(MAX_UNACKED_BYTES).saturating_sub(self.unacknowledged)
    }

    /// When [`Watch::advance`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.since.map(|since| since + ACKNOWLEDGED_WITHIN)
    }

    /// Ends the connection of who acknowledges nothing.
    pub(super) fn advance(&mut self, now: Instant) -> Result<(), Error> {
        if std::mem::take(&mut self.progressed) || self.since.is_none() {
            self.since = Some(now);
        }
        if self.unacknowledged == 0 {
            self.since = None;
        }
        let is_late = self.deadline().is_some_and(|deadline| deadline <= now);
        if is_late || self.unacknowledged > 2 * MAX_UNACKED_BYTES { Err(Error::Unacknowledged) } else { Ok(()) }
    }
}

/// A packet with one chunk in it.
fn alone(header: &[u8], chunk: &Chunk<'_>) -> Bytes {
    let length = 4 + chunk.body.len();
    let mut packet = Vec::with_capacity(HEADER_BYTES + length.next_multiple_of(4));
    packet.extend_from_slice(header);
    packet.extend_from_slice(&[chunk.kind, chunk.flags]);
    packet.extend_from_slice(&(length as u16).to_be_bytes());
    packet.extend_from_slice(chunk.body);
    packet.resize(packet.len().next_multiple_of(4), 0);
    set_checksum(&mut packet);
    packet.into()
}

/// Puts the checksum into a packet that it is to have.
pub(super) fn set_checksum(packet: &mut [u8]) {
    packet[8..HEADER_BYTES].fill(0);
    let checksum = CHECKSUM.checksum(packet);
    packet[8..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}
