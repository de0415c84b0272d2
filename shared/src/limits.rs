//! Every bound of the protocol, with its reason. Sizes are in bytes unless the name says otherwise.

/// A signed record, envelope included: small enough that a gossip message, a DHT value and a page of results stay cheap.
pub const MAX_RECORD_BYTES: usize = 16 * 1024;
/// A network's name inside what is signed: its length is one byte on the wire, and names are short.
pub const MAX_NETWORK_NAME_BYTES: usize = 32;
/// A handle is read aloud and typed.
pub const MAX_HANDLE_BYTES: usize = 32;
/// A package name is a path segment of a URL.
pub const MAX_NAME_BYTES: usize = 64;
/// A version is shown in a row of a list.
pub const MAX_VERSION_BYTES: usize = 64;
/// A title is one line.
pub const MAX_TITLE_BYTES: usize = 128;
/// A description is a paragraph of a result list; longer text is content, by CID.
pub const MAX_DESCRIPTION_BYTES: usize = 512;
/// Categories bound how many listings one package can enter.
pub const MAX_CATEGORIES: usize = 8;
/// Tags bound how many terms one package can claim besides its text.
pub const MAX_TAGS: usize = 32;
/// A tag or category is a word or a few.
pub const MAX_TAG_BYTES: usize = 64;
/// An SPDX expression of real packages fits twice.
pub const MAX_LICENSE_BYTES: usize = 128;
/// Authors are shown in full on the package page.
pub const MAX_AUTHORS: usize = 16;
/// A name with an address.
pub const MAX_AUTHOR_BYTES: usize = 128;
/// A link that people can still look at.
pub const MAX_URL_BYTES: usize = 256;
/// What fits in a record beside the rest.
pub const MAX_DEPENDENCIES: usize = 128;
/// A requirement such as `>=1.2.3, <2.0.0`.
pub const MAX_REQUIREMENT_BYTES: usize = 128;

/// Record indices of the identity that proved most, and of any where no work is asked for. At most two records stand at one index.
pub const MAX_QUOTA: u32 = 16 * 1024;
/// Records that may stand at one index, or claim one version, of a publisher: two prove a conflict, more add nothing.
pub const MAX_CONFLICTING_RECORDS: usize = 2;

/// A leaf of an artifact's DAG. Smaller than IPFS's default so that a browser checks and shows progress often.
pub const CHUNK_BYTES: usize = 256 * 1024;
/// Links of an inner node of an artifact's DAG, as kubo balances it.
pub const MAX_LINKS: usize = 174;
/// A block on the wire: a leaf, or an inner node of as many links as fit in it.
pub const MAX_BLOCK_BYTES: usize = CHUNK_BYTES;
/// An artifact that relays admit.
pub const MAX_ARTIFACT_BYTES: u64 = 64 * 1024 * 1024;
/// A message of Bitswap: what the software of others sends and takes at most.
pub const MAX_BITSWAP_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// A message of Bitswap from a peer that was asked for nothing, so wants only: other software cuts its want-lists at this.
pub const MAX_WANTS_MESSAGE_BYTES: usize = 512 * 1024;
/// Wants of one message: as many as fit [`MAX_WANTS_MESSAGE_BYTES`] with the names that blocks have here.
pub const MAX_WANTS_PER_MESSAGE: usize = 12 * 1024;
/// Wants of one peer that are remembered; it may ask for the rest again. Other software has the same bound.
pub const MAX_WANTS_PER_PEER: usize = 1024;
/// Blocks of one message: more than are ever asked for at once.
pub const MAX_BLOCKS_PER_MESSAGE: usize = 64;
/// Presences of one message: one for each want that is remembered.
pub const MAX_PRESENCES_PER_MESSAGE: usize = MAX_WANTS_PER_PEER;
/// Providers that one download uses at once, those aside that say they lack most of it: more make it no faster, and each is asked about
/// the first block.
pub const MAX_PROVIDERS: usize = 8;
/// Providers that one download uses one after the other: whoever names many that are of no use must not keep it busy.
pub const MAX_PROVIDERS_TRIED: usize = 4 * MAX_PROVIDERS;
/// Blocks that one provider is asked for ahead: two megabytes, so that a long way does not make it slow.
pub const MAX_BLOCKS_IN_FLIGHT: usize = 8;
/// Blocks that a gateway is asked for ahead: sixteen megabytes, in runs of which each is one request.
pub const MAX_BLOCKS_IN_FLIGHT_GATEWAY: usize = 64;
/// Blocks that one provider is asked for ahead over WebRTC in a browser, whose streams have no back-pressure: half of what one
/// may have unread.
pub const MAX_BLOCKS_IN_FLIGHT_WEBRTC: usize = 2;
/// A README that a page renders.
pub const MAX_README_BYTES: u64 = 1024 * 1024;
/// Blocks of one release: its artifact and its README with their inner nodes.
pub const MAX_BLOCKS_PER_RELEASE: usize = 512;
/// Depth of an artifact's DAG: three levels of links address far more than the largest artifact.
pub const MAX_DAG_DEPTH: usize = 3;

/// A query as a person types it.
pub const MAX_QUERY_BYTES: usize = 256;
/// Words of a query that are looked at; what follows them is refused, not ignored.
pub const MAX_QUERY_TOKENS: usize = 8;
/// Results of one answer.
pub const MAX_RESULTS: usize = 50;
/// Other spellings that an answer suggests.
pub const MAX_SUGGESTIONS: usize = 3;
/// A token of the analyser.
pub const MAX_TOKEN_BYTES: usize = 32;
/// Tokens that one package can be found by.
pub const MAX_TOKENS_PER_PACKAGE: usize = 256;
/// Letters of a prefix entry. One letter less is counted exactly: most words are known by then, and longer beginnings would be a third
/// more of the map.
pub const MAX_PREFIX_CHARS: usize = 7;
/// Levels of a range that one answer shows: at most some hundred hashes.
pub const MAX_LEVELS: u8 = 6;
/// Records asked for by id in one request.
pub const MAX_RECORDS_PER_REQUEST: usize = 64;
/// Parts of the records that one question of a sync compares or asks for: some three kilobytes of them.
pub const MAX_PARTS_PER_REQUEST: usize = 32;
/// Records of one answer of a sync: some hundreds, which are verified and made durable together.
pub const MAX_RECORDS_ANSWER_BYTES: usize = 256 * 1024;
/// Versions of one package in one answer, newest first.
pub const MAX_VERSIONS_PER_ANSWER: usize = 64;
/// Key events of one publisher that follow one another.
pub const MAX_KEY_EVENTS: usize = 64;
/// Ids that one keep page lists: they fit a record.
pub const MAX_KEPT_PER_PAGE: usize = 250;
/// Ids of the pages that publishers write: whoever is shown one release downloads the page that keeps it.
pub const KEPT_PER_PAGE: usize = 64;
/// Keep pages of one rotation: as many as it takes to keep a record at every index below the quota.
pub const MAX_PAGES_PER_ROTATION: usize = MAX_QUOTA as usize / KEPT_PER_PAGE;
/// Keep pages that the rotations of one key log name, those of a fork's other branch aside: it takes two thirds of them to keep a record at
/// every index below the quota, with a page left half empty by each rotation. So a key log without its pages is some forty kilobytes
/// at most, and fits every answer and all evidence. As many come with one key log.
pub const MAX_PAGES_PER_KEY_LOG: usize = 2 * MAX_PAGES_PER_ROTATION;
/// Keep pages that wait for the rotation that names them, of all publishers: they come just before it.
pub const MAX_WAITING_PAGES: usize = 2 * MAX_PAGES_PER_ROTATION;
/// Why a version was yanked, deprecated or retracted: a sentence or two.
pub const MAX_REASON_BYTES: usize = 256;
/// Releases and publishers that the operator of one relay excludes.
pub const MAX_EXCLUSIONS: usize = 4096;

/// A request of the query protocol.
pub const MAX_REQUEST_BYTES: usize = 8 * 1024;
/// An answer of the query protocol: a full page of the largest records, or a block.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// Bytes of releases, and of key logs, that a client remembers to have verified.
pub const MAX_KNOWN_BYTES: usize = 512 * 1024;
/// A page of results with its proof: what a person on a phone waits for.
pub const MAX_SEARCH_BYTES: usize = 60 * 1024;
/// Text of the records of an answer that are deflated together: some times what a page has. A relay works on it for some milliseconds.
pub const MAX_JOINED_BYTES: usize = 128 * 1024;
/// Evidence against a relay: a record with its key log, and proofs of a package's versions.
pub const MAX_EVIDENCE_BYTES: usize = 128 * 1024;
/// Answer bytes in flight on one stream when the asker is a browser on WebRTC, which can't hold back who sends: a quarter of what one
/// may have unread.
pub const WEBRTC_WINDOW_BYTES: u32 = 256 * 1024;
/// Answer bytes in flight on one stream elsewhere: back-pressure is the transport's.
pub const DEFAULT_WINDOW_BYTES: u32 = 1024 * 1024;
/// The offer that opens a publish session.
pub const MAX_OFFER_BYTES: usize = 64 * 1024;
/// Records of one offer: a release and the key log it needs, or keep pages, as many as fit an offer. Where a rotation has more pages, they
/// come in offers before it.
pub const MAX_RECORDS_PER_OFFER: usize = 32;

/// A package head in the DHT; it must fit a Kademlia packet together with the peers that are nearer.
pub const MAX_HEAD_BYTES: usize = 12 * 1024;
/// Addresses of one relay, in a list of relays or in its `relay.json`.
pub const MAX_ADDRESSES_PER_RELAY: usize = 32;
