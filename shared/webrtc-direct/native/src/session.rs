//! What is said within one connection: DTLS, in it SCTP, in it data channels. It does no I/O and reads no clock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dimpl::{Dtls, Output};
use libp2p_webrtc_utils::Fingerprint;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Protocol, ServerConfig, StreamEvent, Transmit, TransportConfig,
};

use crate::certificate::{Certificate, fingerprint};
use crate::dcep;
use crate::error::Error;
use crate::limits::{
    MAX_CHANNELS, MAX_DATAGRAM_BYTES, MAX_MESSAGE_BYTES, MAX_OUTGOING_DATAGRAMS, MAX_REFUSED_CHANNELS,
    MAX_UNREAD_BYTES, MAX_UNSENT_BYTES, MAX_WAITING_BYTES, WINDOW_BYTES,
};

mod channels;
mod handles;
mod watch;

use self::watch::Admitted;

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;

/// SCTP wants addresses; within DTLS there are none.
const NOWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 5000);

/// Associations that a peer may begin in one connection: each repetition of its first message is one, of which the last counts.
const MAX_ASSOCIATIONS: u8 = 8;

/// The number of the channel that both ends have without telling each other, for the handshake.
const HANDSHAKE: u16 = 0;

/// What all connections of a transport share.
pub(crate) struct Config {
    dtls: Arc<dimpl::Config>,
    certificate: Certificate,
    endpoint: Arc<EndpointConfig>,
    transport: Arc<TransportConfig>,
}

/// Which end of a connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The one that listens: it waits in DTLS and SCTP, and opens channels with odd numbers.
    Server,
    /// The one that dials.
    Client,
}

/// Names a channel for good: numbers of SCTP's streams are used again.
pub(crate) type ChannelId = u64;

/// The state of one connection.
pub(crate) struct Session {
    config: Arc<Config>,
    role: Role,
    /// As of what was done last.
    now: Instant,
    dtls: Dtls,
    dtls_deadline: Option<Instant>,
    peer: Option<Fingerprint>,
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    associations: u8,
    established: bool,
    /// Nothing more can be done; `reason` is why, until somebody asked.
    over: bool,
    reason: Option<Error>,
    /// Records that were the peer's for certain.
    heard: u64,
    /// What DTLS has opened and SCTP has not seen.
    opened_records: VecDeque<Bytes>,
    /// The last one that had data in it.
    last_data: Option<Bytes>,
    outgoing: VecDeque<Vec<u8>>,
    channels: channels::Channels,
    /// Who drives the connection, and is told when a channel has something to send.
    driver: Option<Waker>,
}

impl Config {
    pub(crate) fn new(certificate: Certificate) -> Result<Self, Error> {
        let dtls = dimpl::Config::builder()
            .mtu(MAX_DATAGRAM_BYTES)
            // That whoever sends from an address also receives there, ICE has shown.
            .use_server_cookie(false)
            .flight_start_rto(Duration::from_millis(500))
            .with_crypto_provider(dimpl::crypto::aws_lc_rs::default_provider())
            .build()
            .map_err(Error::Dtls)?;
        let mut endpoint = EndpointConfig::default();
        // What DTLS (37 bytes) and SCTP (28) add to it is left of a datagram.
        endpoint.max_payload_size(MAX_DATAGRAM_BYTES as u32 - 68);
        let transport = TransportConfig::default()
            // Whether the peer is still there is another one's matter.
            .with_max_init_retransmits(None)
            .with_max_data_retransmits(None)
            .with_rto_initial_ms(1000)
            .with_rto_min_ms(400)
            .with_rto_max_ms(3000)
            .with_max_receive_buffer_size(WINDOW_BYTES)
            .with_max_receive_message_size(MAX_MESSAGE_BYTES)
            .with_max_send_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { dtls: Arc::new(dtls), certificate, endpoint: Arc::new(endpoint), transport: Arc::new(transport) })
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.certificate.fingerprint()
    }
}

impl Session {
    pub(crate) fn new(config: Arc<Config>, role: Role, now: Instant) -> Result<Self, Error> {
        let mut dtls = Dtls::new_12(config.dtls.clone(), config.certificate.to_dtls(), now);
        dtls.set_active(role == Role::Client);
        dtls.handle_timeout(now).map_err(Error::Dtls)?;
        let mut server = ServerConfig::default();
        server.transport = config.transport.clone();
        let endpoint = Endpoint::new(config.endpoint.clone(), Some(Arc::new(server)));
        let mut session = Self {
            config,
            role,
            now,
            dtls,
            dtls_deadline: None,
            peer: None,
            endpoint,
            association: None,
            associations: 0,
            established: false,
            over: false,
            reason: None,
            heard: 0,
            opened_records: VecDeque::new(),
            last_data: None,
            outgoing: VecDeque::new(),
            channels: channels::Channels::new(role),
            driver: None,
        };
        session.advance(now);
        Ok(session)
    }

    /// Takes a datagram that is DTLS, or should be.
    pub(crate) fn receive(&mut self, now: Instant, datagram: &[u8]) {
        // Who does not take what is sent is not listened to meanwhile: as if it had been lost.
        if self.over || self.outgoing.len() >= MAX_OUTGOING_DATAGRAMS {
            return;
        }
        let taken = self.dtls.handle_timeout(now).and_then(|()| self.dtls.handle_packet(datagram));
        if let Err(error) = taken {
            return self.end(Error::Dtls(error));
        }
        self.step(now);
    }

    /// Does what is due. To be called at [`Session::deadline`], after datagrams were received, and after channels were used.
    pub(crate) fn advance(&mut self, now: Instant) {
        self.step(now);
        // Once for all that was received.
        self.channels.let_go_on();
    }

    fn step(&mut self, now: Instant) {
        if self.over {
            return;
        }
        self.now = now;
        if let Err(error) = self.dtls.handle_timeout(now) {
            return self.end(Error::Dtls(error));
        }
        self.drain_dtls();
        while let Some(record) = self.opened_records.pop_front() {
            self.receive_sctp(now, record);
        }
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        self.with_channels(|channels, association| channels.advance(now, association));
        if self.channels.take_news() {
            self.announce_room(now);
        }
        self.pump_sctp(now);
    }

    /// Has SCTP tell the peer how much room there is. By itself it does so only in answer to data, of which none comes from a peer
    /// that was told that there is no room: it asks after a while, then after twice as long. Data that came before is no data, but
    /// is answered, the second time at once.
    fn announce_room(&mut self, now: Instant) {
        if let Some(record) = self.last_data.clone() {
            self.receive_sctp(now, record.clone());
            self.receive_sctp(now, record);
        }
    }

    /// The next datagram to be sent to the peer.
    pub(crate) fn next_datagram(&mut self) -> Option<Vec<u8>> {
        self.outgoing.pop_front()
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.over {
            return None;
        }
        let sctp = self.association.as_ref().and_then(|(_, association)| association.poll_timeout());
        // Whose turn it is may have nothing to send any longer.
        let soon = self.channels.can_let_go_on().then_some(self.now);
        sctp.into_iter().chain(self.dtls_deadline).chain(self.channels.deadline()).chain(soon).min()
    }

    /// Whether channels can be used.
    pub(crate) fn is_established(&self) -> bool {
        self.established
    }

    /// Why the connection is over, if it is. The reason is told once.
    pub(crate) fn take_end(&mut self) -> Option<Error> {
        self.over.then(|| self.reason.take().unwrap_or(Error::Closed))
    }

    /// A number that grows with each record that is the peer's for certain.
    pub(crate) fn heard(&self) -> u64 {
        self.heard
    }

    /// The SHA-256 of the peer's certificate, once it has proven to have its key.
    pub(crate) fn peer(&self) -> Option<Fingerprint> {
        self.peer
    }

    pub(crate) fn set_driver(&mut self, waker: &Waker) {
        if !self.driver.as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            self.driver = Some(waker.clone());
        }
    }

    fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    /// Ends the connection and tells the peer, behind what may be sent to it now.
    pub(crate) fn close(&mut self) {
        self.advance(self.now);
        if !self.over {
            // Without a connection nobody has to be told.
            _ = self.dtls.close();
            let mut buffer = [0; 2 * MAX_DATAGRAM_BYTES];
            while let Output::Packet(packet) = self.dtls.poll_output(&mut buffer) {
                self.outgoing.push_back(packet.to_vec());
            }
            self.end(Error::Closed);
        }
    }

    /// Ends the connection: its channels fail.
    pub(crate) fn end(&mut self, error: Error) {
        if !self.over {
            self.over = true;
            self.reason = Some(error);
            self.association = None;
            self.opened_records = VecDeque::new();
            self.channels.end();
            self.wake_driver();
        }
    }

    fn drain_dtls(&mut self) {
        let mut buffer = [0; 2 * MAX_DATAGRAM_BYTES];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => self.outgoing.push_back(packet.to_vec()),
                Output::Timeout(deadline) => {
                    self.dtls_deadline = Some(deadline);
                    return;
                }
                Output::Connected if self.role == Role::Client => self.connect_sctp(),
                Output::PeerCert(certificate) => self.peer = Some(fingerprint(certificate)),
                Output::ApplicationData(record) => {
                    self.heard += 1;
                    self.opened_records.push_back(Bytes::copy_from_slice(record));
                }
                Output::CloseNotify => return self.end(Error::ClosedByPeer),
                // Nothing that fits into a datagram is larger than the buffer.
                Output::BufferTooSmall { .. } => return self.end(Error::Oversized),
                _ => {}
            }
        }
    }

    fn connect_sctp(&mut self) {
        let mut client = ClientConfig::default();
        client.transport = self.config.transport.clone();
        match self.endpoint.connect(client, NOWHERE) {
            Ok(association) => self.association = Some(association),
            Err(error) => self.end(Error::Associate(error)),
        }
    }

    fn receive_sctp(&mut self, now: Instant, record: Bytes) {
        // Behind a header of twelve bytes, the kind of the first chunk: 0 is data.
        if record.get(12) == Some(&0) {
            self.last_data = Some(record.clone());
        }
        match self.channels.watch.admit(record) {
            Ok(admitted) => self.handle_sctp(now, admitted),
            Err(error) => self.end(error),
        }
        self.take_events();
    }

    fn handle_sctp(&mut self, now: Instant, admitted: Admitted) {
        let before = self.handled();
        for packet in admitted.packets {
            self.handle_packet(now, packet);
        }
        let (pieces, acknowledgements) = self.handled();
        let (pieces, acknowledgements) = (pieces.saturating_sub(before.0), acknowledgements.saturating_sub(before.1));
        // What it can't read, or does not read yet, is not counted.
        let is_all = |count: u64, expected: u64| count == 0 || count == expected;
        let expected = admitted.acknowledgements.len() as u64;
        if acknowledgements == expected {
            admitted.acknowledgements.into_iter().for_each(|tsn| self.channels.watch.acknowledge(now, tsn));
        }
        let is_closed = self.association.as_ref().is_some_and(|(_, association)| association.is_closed());
        let has_found_others = !is_all(pieces, admitted.pieces) || !is_all(acknowledgements, expected);
        if has_found_others && !is_closed {
            self.end(Error::Violation);
        }
    }

    /// How many pieces of messages and acknowledgements SCTP has looked at.
    fn handled(&self) -> (u64, u64) {
        let mut stats = self.association.as_ref().map(|(_, association)| association.stats()).unwrap_or_default();
        (stats.get_num_datas(), stats.get_num_sacks())
    }

    fn handle_packet(&mut self, now: Instant, packet: Bytes) {
        match self.endpoint.handle(now, NOWHERE, None, None, packet) {
            Some((handle, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = self.association.as_mut().filter(|(current, _)| *current == handle) {
                    association.handle_event(event);
                }
            }
            Some((handle, DatagramEvent::NewAssociation(association))) => {
                self.associations += 1;
                // Some peers begin at both ends at once. One beginning is enough, and it is the client's.
                if !self.established && self.role == Role::Server {
                    self.association = Some((handle, association));
                }
                if self.established || self.associations >= MAX_ASSOCIATIONS {
                    self.endpoint.reject_new_associations();
                }
            }
            None => {}
        }
    }

    /// Moves what SCTP has to send into DTLS, until there is nothing more.
    fn pump_sctp(&mut self, now: Instant) {
        self.take_events();
        loop {
            let Some((handle, association)) = &mut self.association else { return };
            while let Some(event) = association.poll_endpoint_event() {
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    association.handle_event(event);
                }
            }
            let Some(transmit) = self.endpoint.poll_transmit().or_else(|| association.poll_transmit(now)) else {
                break;
            };
            let Transmit { payload: Payload::RawEncode(packets), .. } = transmit else { continue };
            for packet in packets {
                self.with_channels(|channels, association| channels.sent(now, &packet, association));
                if let Err(error) = self.dtls.send_application_data(&packet) {
                    return self.end(Error::Dtls(error));
                }
                // DTLS holds few packets, so it is asked for each at once.
                self.drain_dtls();
            }
            self.take_events();
        }
    }

    fn take_events(&mut self) {
        while let Some(event) = self.association.as_mut().and_then(|(_, association)| association.poll()) {
            match event {
                Event::Connected => {
                    self.established = true;
                    self.endpoint.reject_new_associations();
                    self.with_channels(|channels, association| channels.establish(association));
                    self.wake_driver();
                }
                Event::HandshakeFailed { reason } | Event::AssociationLost { reason } => self.end(Error::Sctp(reason)),
                Event::Stream(event) => self.with_channels(|channels, association| channels.take(event, association)),
                Event::DatagramReceived => self.with_channels(|channels, _| channels.take_piece()),
                _ => {}
            }
        }
    }

    /// Lends the association to what is done with its channels, and ends the connection if that fails.
    fn with_channels<T: Default>(
        &mut self,
        act: impl FnOnce(&mut channels::Channels, &mut Association) -> Result<T, Error>,
    ) -> T {
        let Some((_, association)) = &mut self.association else { return T::default() };
        act(&mut self.channels, association).unwrap_or_else(|error| {
            self.end(error);
            T::default()
        })
    }
}

/// What a test needs to be a peer that does as it pleases.
#[cfg(test)]
impl Session {
    /// Packets of SCTP that this end would send now, after it has used some channels.
    pub(crate) fn sctp_samples(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let waker = futures::task::noop_waker();
        let mut samples = Vec::new();
        for _ in 0..4 {
            let Poll::Ready(Some(channel)) = self.poll_open(&Context::from_waker(&waker)) else { break };
            self.send(channel, b"data").expect("a new channel takes data");
            let handshake = self.handshake();
            _ = self.send(handshake, &[7; 2000]);
            self.close_channel(channel);
            let Some((_, association)) = &mut self.association else { break };
            while let Some(Transmit { payload: Payload::RawEncode(packets), .. }) = association.poll_transmit(now) {
                samples.extend(packets.iter().map(|packet| packet.to_vec()));
            }
        }
        // One of each kind of chunk, with a body of some bytes.
        let header = samples.first().map_or(vec![0; 12], |sample| sample[..12].to_vec());
        // One that resets a stream.
        let request = [&[130, 0, 0, 22, 0, 13, 0, 18][..], &header[..4], &[0; 8], &[0, 2, 0, 0]].concat();
        samples.push([&header[..], &request].concat());
        samples.extend(
            (0..=15)
                .chain([64, 128, 130, 192, 193, 194])
                .map(|kind| [&header[..], &[kind, 0, 0, 20], &[0; 16]].concat()),
        );
        samples
    }

    /// Sends a packet of SCTP, whatever it is, with the checksum that it should have.
    pub(crate) fn send_raw(&mut self, now: Instant, packet: &[u8]) {
        let mut packet = packet.to_vec();
        if packet.len() >= 12 {
            watch::set_checksum(&mut packet);
        }
        _ = self.dtls.handle_timeout(now);
        _ = self.dtls.send_application_data(&packet);
        self.drain_dtls();
    }
}
