//! Names on the wire. Peers that disagree on one of these can't hear each other.

/// The protocol version that identify tells.
pub const IDENTIFY: &str = "/ggen/1.0.0";
/// Kademlia: our own network, never the public one.
pub const KADEMLIA: &str = "/ggen/kad/1.0.0";
/// Queries.
pub const QUERY: &str = "/ggen/query/1.0.0";
/// Publish sessions.
pub const PUBLISH: &str = "/ggen/publish/1.0.0";
/// Blocks of content, as all of IPFS exchanges them.
pub const BITSWAP: &str = "/ipfs/bitswap/1.2.0";
/// The gossip topic of signed records.
pub const PACKAGES_TOPIC: &str = "/ggen/packages/v1";
/// The gossip topic of evidence against relays.
pub const EVIDENCE_TOPIC: &str = "/ggen/evidence/v1";
/// What relays say that they provide in the DHT, so that others find them.
pub const RELAYS_KEY: &[u8] = b"/ggen/relays/1.0.0";
/// What the DHT keys of package heads begin with.
pub const PACKAGE_HEAD_PREFIX: &str = "/ggen/package/";
