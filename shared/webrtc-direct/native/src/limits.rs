//! Every bound on what a peer may have this end keep or do, with its reason.

use std::time::Duration;

/// A datagram that this end sends has at most so many bytes: what every path of IPv6 carries, and QUIC sends from the start.
pub(crate) const MAX_DATAGRAM_BYTES: usize = 1200;

/// A longer datagram is cut, in bytes: longer than any Ethernet frame.
pub(crate) const RECEIVE_BUFFER_BYTES: usize = 2048;

/// A longer message ends the connection, in bytes: four times what the specification allows, because who puts two frames into one
/// message breaks only its stream.
pub(crate) const MAX_MESSAGE_BYTES: u32 = 64 * 1024;

/// What a peer may send before anything of it is read, in bytes: SCTP's window. It is one for all of a connection's streams.
pub(crate) const WINDOW_BYTES: u32 = 512 * 1024;

/// What was taken out of SCTP's window for channels that nobody reads at the moment, in bytes: of all, and of one. It is there so
/// that messages of some bytes each, which SCTP keeps at a hundred times their size, become bytes.
pub(crate) const MAX_UNREAD_BYTES: usize = 512 * 1024;
pub(crate) const MAX_WAITING_BYTES: usize = 128 * 1024;

/// Pieces of messages that SCTP holds: as many as fit into the window if each has 64 bytes. A peer of which more wait ends its connection.
pub(crate) const MAX_UNREAD_PIECES: usize = 8 * 1024;
/// Pieces that may have come for a channel after this end had closed it. They are dropped, and nobody tells when.
pub(crate) const MAX_STRAY_PIECES: usize = 512;
/// And for all such channels, until SCTP holds nothing at all.
pub(crate) const MAX_STRAYS: usize = 64 * 1024;
/// How far a piece may be ahead of one that is missing. SCTP keeps each until that one has come, also those that were read meanwhile.
pub(crate) const MAX_TSN_AHEAD: u32 = 4096;

/// What this end has sent on one channel and the peer has not confirmed, in bytes: a writer waits from there on.
pub(crate) const MAX_UNSENT_BYTES: usize = 256 * 1024;
/// The same of all channels of a connection, those included that were closed meanwhile. At twice as much, which is what ends and
/// beginnings of channels make of it, the connection ends.
pub(crate) const MAX_UNACKED_BYTES: usize = 1024 * 1024;
/// Below that: so much, and so much more for each millisecond of the shortest round trip. SCTP sends what it may at once, and Chromium's socket has room
/// for some 57 datagrams: of a larger burst, some are lost. Nearby there is no need for as much; on a long way a burst spreads.
pub(crate) const NEARBY_UNACKED_BYTES: usize = 24 * 1024;
pub(crate) const UNACKED_BYTES_OF_A_MS: usize = 32 * 1024;
/// The shortest round trip is that of so long and as long before. Later ones may be longer for good; where they are because much is under way, more of that follows
/// until something is lost, and then they are short again.
pub(crate) const ROUND_TRIPS_OF: Duration = Duration::from_secs(10);
/// What SCTP keeps for a message beside its bytes, in bytes.
pub(crate) const MESSAGE_COST: usize = 128;
/// A peer that has acknowledged nothing for so long, of what it was sent, takes no more.
pub(crate) const ACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(30);

/// Channels of a connection that either end has opened: as many as browsers have. Past it, the peer's are refused, and this end's wait.
pub(crate) const MAX_CHANNELS: usize = 512;
/// Numbers of channels are below it, as browsers know no higher ones.
pub(crate) const MAX_NUMBER: u16 = 1024;
/// Whoever opened a channel closes it; the other end waits for so long for that when both are done. Where both close it at once,
/// SCTP resets it twice, and the second time may hit the channel that has its number next.
pub(crate) const LET_CLOSE: Duration = Duration::from_secs(2);
/// Channels that were refused, for whatever reason, before the connection is. One of them is forgiven each second.
pub(crate) const MAX_REFUSED_CHANNELS: usize = 256;
pub(crate) const FORGIVE_EVERY: Duration = Duration::from_secs(1);
/// Ends of channels that the peer has not confirmed. Browsers confirm each within a round trip, and have no more channels.
pub(crate) const MAX_RESETS: usize = 1024;

/// Datagrams that wait until the socket takes them. From there on nothing is taken from the peer, in answer to which there would be more.
pub(crate) const MAX_OUTGOING_DATAGRAMS: usize = 1024;
/// Datagrams that wait for a connection's task: as many as fill both windows. More are lost, as they are anywhere on the way.
pub(crate) const MAX_WAITING_DATAGRAMS: usize = 1024;
/// The same as long as it is not authenticated: a handshake has some ten.
pub(crate) const MAX_WAITING_OF_HANDSHAKE: usize = 32;

/// Addresses from which a valid STUN request has come, and of which it is not known whether anybody receives there.
pub(crate) const MAX_ASKED: usize = 4096;
/// Addresses that have answered, and sent nothing else yet. The oldest make way.
pub(crate) const MAX_CANDIDATES: usize = 1024;
/// The same of one IP address, or of one /64 of IPv6.
pub(crate) const MAX_CANDIDATES_OF_ONE: usize = 32;
/// Connections that are not authenticated yet: of all, and of one IP address. They cost a handshake's arithmetic and some 20 kB.
pub(crate) const MAX_HANDSHAKES: usize = 256;
pub(crate) const MAX_HANDSHAKES_OF_ONE: usize = 32;
/// What is not authenticated by then is forgotten.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Addresses of one connection: browsers ask from each that they have. The one that has asked longest ago makes way.
pub(crate) const MAX_ADDRESSES: usize = 8;

/// STUN requests of one IP address that are looked at: so many at once, and so many a second. Addresses with a connection are not counted.
pub(crate) const STUN_BURST: u32 = 128;
pub(crate) const STUN_PER_SECOND: u32 = 64;
/// IP addresses of which that is remembered.
pub(crate) const MAX_COUNTED_IPS: usize = 4096;

/// Connections that wait to be taken by the swarm.
pub(crate) const MAX_WAITING_CONNECTIONS: usize = 64;

/// How long the peer may confirm nothing after a stream is closed and dropped: then its channel is closed all the same.
pub(crate) const MAX_FAREWELL: Duration = Duration::from_secs(10);

/// When nothing has come for so long, the peer is asked whether it is there, once a second.
pub(crate) const ASK_AFTER: Duration = Duration::from_secs(4);
pub(crate) const ASK_EVERY: Duration = Duration::from_secs(1);
/// How often whoever dials asks first, until it is answered.
pub(crate) const FIRST_ASK_EVERY: Duration = Duration::from_millis(100);
/// When nothing has come for so long, the peer is gone.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(9);
