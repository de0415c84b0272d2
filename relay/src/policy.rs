//! What a relay lets a peer use, and why: every bound that is an operator's matter, not the protocol's.

use std::time::Duration;

/// Connections in all. A settled one costs some 75 kB, so this is about 300 MB.
pub const MAX_CONNECTIONS: u32 = 4096;
/// Connections that are still shaking hands: what a flood of dials can hold.
pub const MAX_PENDING_CONNECTIONS: u32 = 256;
/// Connections of one peer: one for each transport, and one to spare.
pub const MAX_CONNECTIONS_PER_PEER: u32 = 5;
/// New connections are refused when the process is larger than this part of the machine's memory.
pub const MAX_MEMORY_SHARE: f64 = 0.8;

/// Streams of one peer that are being answered at once; a browser that types fast has a few.
pub const MAX_STREAMS_PER_PEER: usize = 16;
/// Streams that are being answered at once in all.
pub const MAX_STREAMS: usize = 1024;
/// Content that is being uploaded is in memory until it is whole: it is counted in units of this.
pub const UPLOAD_UNIT_BYTES: usize = 256 * 1024;
/// Units in memory at once, 512 MiB in all: a few of the largest artifacts, or very many small ones.
pub const UPLOAD_UNITS: u32 = 2048;
/// A publisher sends at least so much: a slow one must not keep others' memory for long.
const MIN_UPLOAD_BYTES_PER_SECOND: usize = 64 * 1024;
/// How long a peer may take to ask its question, once it opened a stream.
pub const QUESTION_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer may take to take its answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an upload may take: some time to begin, and the time at the slowest pace.
pub const fn upload_timeout(bytes: usize) -> Duration {
    Duration::from_secs(10 + (bytes / MIN_UPLOAD_BYTES_PER_SECOND) as u64)
}

/// Announcements that are being verified at once; more are left to other peers.
pub const MAX_VERIFYING: usize = 256;
/// Artifacts of announced releases that are being fetched at once.
pub const MAX_FETCHING: usize = 4;
/// Commands that may wait for the node.
pub const COMMANDS: usize = 1024;

/// A connection on which nothing happens is closed after this long; a light peer dials again when it needs to.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
/// Running work may end after the signal to stop, up to this long.
pub const SHUTDOWN_GRACE: Duration = Duration::from_secs(5);

/// Provider records that the DHT may leave with this relay.
pub const MAX_PROVIDED_KEYS: usize = 65_536;
/// A key that something is provided under: a CID, or a short name.
pub const MAX_PROVIDED_KEY_BYTES: usize = 64;
/// Addresses of one provider record: a few of the longest.
pub const MAX_PROVIDER_ADDRESS_BYTES: usize = 512;
