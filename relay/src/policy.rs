//! What a relay lets a peer use, and why: every bound that is an operator's matter, not the protocol's.

use std::num::NonZeroU32;
use std::time::Duration;

/// Records that are packed for answers at a time after a start: a few milliseconds of one core, so that a stop is heard between.
pub const PACKED_AT_ONCE: usize = 128;

/// Connections that others made, in all. A settled one costs some 75 kB, so this is about 300 MB. Past it, who has most of them makes room.
pub const MAX_CONNECTIONS: u32 = 4096;
/// Connections that are still shaking hands: what a flood of dials can hold.
pub const MAX_PENDING_CONNECTIONS: u32 = 256;
/// Of these, those from one group of IP addresses: four such floods leave room for everybody else.
pub const MAX_PENDING_CONNECTIONS_PER_GROUP: usize = 48;
/// Handshakes over QUIC besides, each begun by a single packet, whose sender may be forged.
pub const MAX_PENDING_UNPROVEN: usize = 96;
/// Between two warnings of what strangers can cause as often as they like.
pub const WARNING_INTERVAL: Duration = Duration::from_secs(60);
/// How often it is written down what is thought of peers: so much of it is lost when a relay is killed.
pub const REPUTATIONS_INTERVAL: Duration = Duration::from_secs(300);
/// Dials at once that peers ask for to learn whether they can be reached, each a socket for some seconds where nobody answers.
pub const MAX_DIAL_BACKS: usize = 64;
/// Of these, those to one peer.
pub const MAX_DIAL_BACKS_TO_PEER: usize = 2;
/// And those that peers of one group of IP addresses ask for.
pub const MAX_DIAL_BACKS_OF_GROUP: usize = 16;
/// Such dials that wait until others have ended.
pub const MAX_DIAL_BACKS_WAITING: usize = 256;
/// Whoever has asked so long ago does not wait for it any more.
pub const DIAL_BACK_PATIENCE: Duration = Duration::from_secs(10);
/// Connections that are being closed to make room for others, and may take their time: past so many newcomers wait.
pub const MAX_CONNECTIONS_CLOSING: u32 = 256;
/// Connections of one peer: one for each transport, and one to spare.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 5;
/// New connections are refused when the process is larger than this part of the machine's memory.
pub const MAX_MEMORY_SHARE: f64 = 0.8;

/// Streams of one peer that are being answered at once; a browser that types fast has a few.
pub const MAX_STREAMS_PER_PEER: usize = 64;
/// Streams that are being answered at once in all.
pub const MAX_STREAMS: usize = 1024;
/// Streams of one peer on which it says which blocks it wants: other software opens one for each message. They cost little while
/// nothing comes on them.
pub const MAX_BITSWAP_STREAMS_PER_PEER: usize = 16;
/// Such streams in all: one for each connection, and some to spare.
pub const MAX_BITSWAP_STREAMS: usize = 2 * MAX_CONNECTIONS as usize;
/// How long such a stream is kept on which nothing comes: somewhat longer than its other end keeps it.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// Blocks that are in memory to be sent, one for each peer at most: 256 MiB.
pub const MAX_BLOCKS_SENDING: usize = 1024;
/// Content that is being uploaded is in memory until it is whole: it is counted in units of this.
pub const UPLOAD_UNIT_BYTES: usize = 256 * 1024;
/// Units in memory at once, 512 MiB in all: a few of the largest artifacts, or very many small ones.
pub const UPLOAD_UNITS: u32 = 2048;
/// Units of one peer: room for the largest release, or for very many small ones, and most is left to others.
pub const UPLOAD_UNITS_PER_PEER: u32 = UPLOAD_UNITS / 4;
/// Units of all peers of one group of IP addresses.
pub const UPLOAD_UNITS_PER_GROUP: u32 = UPLOAD_UNITS / 2;
/// A publisher sends at least so much: a slow one must not keep others' memory for long.
const MIN_UPLOAD_BYTES_PER_SECOND: usize = 64 * 1024;
/// How long a peer may take to ask its question, once it opened a stream.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take to take its answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a search that finds little waits for other spellings of its words: the vocabulary of 63,000 packages may have to be built first.
pub const SUGGESTION_TIMEOUT: Duration = Duration::from_millis(500);

/// How long an upload may take: some time to begin, and the time at the slowest pace.
pub const fn upload_timeout(bytes: usize) -> Duration {
    Duration::from_secs(10 + (bytes / MIN_UPLOAD_BYTES_PER_SECOND) as u64)
}

/// Announcements in memory at once, 64 MiB of the largest; more are left to other peers.
pub const MAX_ANNOUNCEMENTS: usize = 4096;
/// Announcements in memory that came from one peer: it may pass on a bulk import faster than the disk syncs.
pub const MAX_ANNOUNCEMENTS_PER_PEER: usize = 256;
/// Announcements of one peer that are being verified at once; the others wait. As many commits share a sync.
pub const MAX_VERIFYING_PER_PEER: usize = 8;
/// Package heads from the DHT that are being verified at once: nothing on the network depends on them.
pub const MAX_VERIFYING_HEADS: usize = 16;
/// Those of one peer: most is left to others.
pub const MAX_VERIFYING_HEADS_PER_PEER: usize = 4;
/// How long one relay may take to give a publisher's key log. Gossip tells of what is verified within two seconds, so there is
/// time to ask a second one before it is too late to pass the announcement on.
pub const KEY_LOG_TIMEOUT: Duration = Duration::from_millis(1500);
/// Relays that are asked, besides the one that passed something on, for what belongs to it.
pub const MAX_OTHERS_ASKED: usize = 3;
/// Releases whose content is being fetched at once. Of each [`MAX_UNCOMMITTED_BYTES`] are in memory, and what its providers are sending.
pub const MAX_FETCHING: usize = 4;
/// Bytes of content that is being fetched until they are made durable: a few blocks share a sync.
pub const MAX_UNCOMMITTED_BYTES: usize = 4 * 1024 * 1024;
/// Releases of one peer whose content is being fetched at once: a slow one must not take every turn.
pub const MAX_FETCHING_PER_PEER: usize = 1;
/// Releases whose content is to be fetched: a bulk import of thousands. One that waits costs less than a kilobyte.
pub const MAX_FETCHES: usize = 4096;
/// Releases whose content is to be fetched that came from one peer.
pub const MAX_FETCHES_PER_PEER: usize = 1024;

/// How much of something one peer may do: `burst` at once, then `per_second`.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// In the long run.
    pub per_second: u32,
    /// At once, after a while without any.
    pub burst: u32,
}

impl Pace {
    /// That of so many together.
    #[must_use]
    pub const fn times(self, count: u32) -> Self {
        Self { per_second: self.per_second * count, burst: self.burst * count }
    }
}

/// All peers of one group of IP addresses may do as much as so many: identities cost nothing, addresses of one network little.
pub const PEERS_OF_GROUP: u32 = 4;

/// New records of one publisher, whoever brings them: some of them several do at once.
pub const RECORDS_OF_PUBLISHER: Pace = RECORDS.times(4);
/// New records that one peer publishes or announces. In the long run far more than people publish, and a pace that the disk and others can
/// bear; an import of thousands of packages is not slowed.
pub const RECORDS: Pace = Pace { per_second: 200, burst: 2000 };
/// What an identity that claims some work counts for among the records that a peer adds, whatever becomes of it: to check it takes five and a
/// half milliseconds of a core, so a peer has a thirtieth of one in the long run.
pub const IDENTITY_IN_RECORDS: usize = 40;
/// What is verified at a time on threads that serve nobody meanwhile: the work of an identity takes eight mebibytes.
pub const MAX_VERIFYING: usize = 4;
/// New records that one relay sends in syncs. A relay that joins gets all there is of a large network without waiting; past that, who makes up
/// records without end keeps a quarter of a core busy, and the others have their turn.
pub const SYNCED_RECORDS: Pace = Pace { per_second: 2000, burst: 100_000 };
/// Package heads that one peer puts into the DHT, of whatever packages: each is verified, known or not, which takes some signatures.
pub const HEADS: Pace = Pace { per_second: 50, burst: 500 };
/// Peers whose use is remembered before those that use nothing are forgotten.
pub const MAX_PEERS_REMEMBERED: usize = MAX_CONNECTIONS as usize;
/// Memory of the catalogue, as it estimates it: what a small server has beside everything else. Hundreds of thousands of packages
/// fit; past it the relay serves what it has and takes nothing new, which is better than to be killed and never start again.
pub const MAX_CATALOGUE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// How far ahead of the relay's clock a release may say it was made, for clocks that are set badly. Further ahead it would stand
/// first among the newest for as long as it likes.
pub const MAX_CREATED_AHEAD: Duration = Duration::from_secs(3600);

/// How often content is asked for that could not be had before.
pub const REPAIR_INTERVAL: Duration = Duration::from_secs(5);
/// How much of it is asked for each time: what nobody has costs some questions a second.
pub const REPAIRED_AT_ONCE: usize = 32;

/// How often the relay looks whether others have what it lacks: some hundred bytes each when nothing is missing.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(4);
/// Connected relays that the routing table has no room for, and that are asked in turn: some each time, so that none is left out for good.
pub const MAX_OTHERS_IN_TURN: usize = 4;
/// Relays that are synced with at once. Each has one answer in memory.
pub const MAX_SYNCS: usize = 4;
/// How long a relay is not synced with that did not answer, or answered wrongly.
pub const SYNC_PAUSE: Duration = Duration::from_secs(15);
/// How long a relay that is to be joined, and neither answers nor fails to, keeps this one from being ready.
pub const JOIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a part of the records is left to the relay that is sending it: an answer takes a second or two. Past it, others are asked for the
/// part as well.
pub const CLAIM_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a sync may go on with one relay that delivers nothing new: each keeps one of few places.
pub const SYNC_PATIENCE: Duration = Duration::from_secs(60);
/// How often a long sync is told of in the log.
pub const SYNC_REPORT_INTERVAL: Duration = Duration::from_secs(5);
/// How many relays that were just met may wait for a sync; the others have their turn later.
pub const SYNCS_WAITING: usize = 16;

/// Connections over HTTP in all. Each has a block in memory, or two of an archive: some 300 MiB if all of them take it slowly.
pub const MAX_HTTP_CONNECTIONS: usize = 1024;
/// Such connections from one IPv4 address or one /64 network of IPv6: ten browsers behind one address, and most is left to others. Those
/// from this machine are not counted so: a proxy speaks for everybody.
pub const MAX_HTTP_CONNECTIONS_PER_SOURCE: usize = 64;
/// Bytes of a request's head, and of an answer that wait to be written: browsers send less than a kilobyte.
pub const MAX_HTTP_BUFFER_BYTES: usize = 32 * 1024;
/// Files that a relay may need to have open: one for each of its connections, and what its store, its logs and the blocks under way take.
pub const MAX_OPEN_FILES: u64 =
    (MAX_CONNECTIONS + MAX_CONNECTIONS_CLOSING + MAX_PENDING_CONNECTIONS) as u64 + MAX_HTTP_CONNECTIONS as u64 + 512;
/// How long a connection over HTTP may be without a request, and how long a request's head may take: a few round trips of the slowest.
pub const HTTP_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long nothing may be taken of an answer over HTTP. The system says that something was taken when a part of its buffer was, so
/// who takes single bytes takes nothing.
pub const HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long no connection over HTTP is accepted once the system could not give one.
pub const HTTP_ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// Archives of blocks that are sent over HTTP at once, each with two blocks in memory.
pub const MAX_ARCHIVES: usize = 64;
/// Blocks that are read for HTTP at once: the disk serves peers too.
pub const MAX_HTTP_BLOCKS: usize = 32;
/// How long a request over HTTP waits for its turn.
pub const HTTP_TURN_TIMEOUT: Duration = Duration::from_secs(5);
/// Questions over HTTP that are answered at once: each takes some milliseconds of a core, for the answer is verified.
pub const MAX_HTTP_QUESTIONS: usize = 8;

/// How long the store may take to say that it is well.
pub const READY_TIMEOUT: Duration = Duration::from_secs(2);
/// Commands that may wait for the node.
pub const COMMANDS: usize = 1024;

/// A connection on which nothing happens is closed after this long; a light peer dials again when it needs to.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// How often a relay closes connections that lookups made and that are no use any more. One lasts for as long at least.
pub const SURPLUS_INTERVAL: Duration = Duration::from_secs(10);
/// Running work may end after the signal to stop, up to this long.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// How often a relay to which nobody is connected dials those of its routing table: its own line may be what is broken.
pub const LOOK_AROUND_INTERVAL: Duration = Duration::from_secs(10);
/// Neighbours whom a relay remembers for its next start, some kilobytes: enough that some of them are still there.
pub const MAX_NEIGHBOURS: usize = 64;
/// How often those of the last run are dialed that were not met yet, and for how long.
pub const FORMER_NEIGHBOURS_INTERVAL: Duration = Duration::from_secs(60);
/// See [`FORMER_NEIGHBOURS_INTERVAL`].
pub const FORMER_NEIGHBOURS_TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// Relays that the DHT may name to whoever looks for one: many times what an answer carries, and half a megabyte.
pub const MAX_PROVIDED_RELAYS: usize = 512;
/// Of these, those in one group of IP addresses: an answer names twenty, and must not be of one place.
pub const MAX_PROVIDED_RELAYS_PER_GROUP: usize = 8;
/// Peers that relays lead to, and hold a reservation here: each is a connection that stays.
pub const MAX_RESERVATIONS: usize = 1024;
/// Something that is granted now and then: so many at once, and one more after each interval.
#[derive(Debug, Clone, Copy)]
pub struct Refill {
    /// At once, after a while without any.
    pub burst: NonZeroU32,
    /// Until there is one more.
    pub interval: Duration,
}

const fn refill(burst: u32, interval: Duration) -> Refill {
    let Some(burst) = NonZeroU32::new(burst) else { panic!("a burst is not 0") };
    Refill { burst, interval }
}

/// Reservations that one peer asks for. One holds for an hour; who moves from network to network asks again each time.
pub const RESERVATIONS_FROM_PEER: Refill = refill(30, Duration::from_secs(120));
/// Reservations that are asked for from one IP address: an office of machines that serve, behind one address.
pub const RESERVATIONS_FROM_IP: Refill = refill(256, Duration::from_secs(15));
/// Circuits in all. One that is idle stays until its connection does, up to ten minutes, and costs some kilobytes; what passes through it is
/// bounded by itself.
pub const MAX_CIRCUITS: usize = 1024;
/// Circuits of one peer, at either end: a peer at home has many visitors.
pub const MAX_CIRCUITS_PER_PEER: usize = 128;
/// Bytes that pass through one circuit: it may carry an artifact, not a film. Content of tens of megabytes fits.
pub const CIRCUIT_BYTES: u64 = 128 * 1024 * 1024;
/// How long one circuit lasts.
pub const CIRCUIT_DURATION: Duration = Duration::from_secs(600);
/// Circuits that one peer begins: whoever installs dozens of packages from homes is not slowed, two for each of their providers included.
pub const CIRCUITS_FROM_PEER: Refill = refill(64, Duration::from_secs(1));
/// Circuits that begin at one IP address: a school is behind one.
pub const CIRCUITS_FROM_IP: Refill = refill(256, Duration::from_millis(250));
/// Provider records of content that others put here: some forty megabytes.
pub const MAX_PROVIDED_CONTENT: usize = 32_768;
/// Of one key: as many as an answer of the DHT names.
pub const MAX_PROVIDERS_PER_KEY: usize = 20;
/// Of one provider: everything that somebody at home has installed.
pub const MAX_KEYS_PER_PROVIDER: usize = 2048;
/// Addresses of one provider record: a few of the longest, or some ways through each of three relays, of a hundred bytes.
pub const MAX_PROVIDER_ADDRESS_BYTES: usize = 1024;
