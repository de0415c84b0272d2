/** What the marketplace client takes and gives. Everything a peer sent is plain data here: escape it, sanitise it. */

/** How to reach a relay. */
export type Transport = "websocket" | "webrtc-direct";

/** Options of {@link MarketClient.start}; every field has a default. */
export interface ClientOptions {
  /**
   * Where to begin: multiaddrs that end in `/p2p/<peer id>`, or `http(s)` URLs of a relay's `relay.json`.
   * Default: `/.well-known/ggen/relay.json` of the page's own origin.
   */
  relays?: string[];
  /** Transports that may be used, best first. Default: `["websocket", "webrtc-direct"]`. */
  transports?: Transport[];
  /** Find further relays through the DHT. Default: `true`. */
  discover?: boolean;
  /**
   * Remember the relays that served, in the local storage of the page's origin, for thirty days. At another visit they are turned to where none that is
   * named can be reached, unless `discover` is `false`: they add availability, never agreement. Which relays a visitor met is told to nobody, but a
   * relay that was met may see the visitor come back. `false` forgets them. Default: `true`.
   */
  remember?: boolean;
  /** The network whose records count. Default: `"ggen"`, everyone's. Only there has each publisher proved some work. */
  network?: string;
  /** Seconds of an epoch of the network. Default: 60, as in everyone's network. */
  epochSeconds?: number;
  /** Where the wasm module is, or its bytes. Default: beside the script. */
  wasm?: string | URL | BufferSource;
}

/** A publisher, as its key log proves it. */
export interface Publisher {
  /** The publisher's id: the id of the first event of its key log, 52 characters of base32. */
  id: string;
  /** The handle it claims; not unique. */
  handle: string;
  /** The first 16 characters of `id` (80 bits). */
  fingerprint: string;
}

/** Content that is named by its hash. */
export interface ContentRef {
  /** CIDv1 in base32. */
  cid: string;
  /** Bytes. */
  size: number;
}

export interface Dependency {
  /** Whose package is meant; absent when the publisher of the release did not say. */
  publisher?: string;
  name: string;
  /** A SemVer requirement such as `^1.2`. */
  requirement: string;
  optional: boolean;
}

/** A release whose signature and hash were verified in this browser. */
export interface Release {
  /** Record id: 52 characters of base32. */
  id: string;
  publisher: Publisher;
  name: string;
  /** `handle~fingerprint/name`: means this package and no other. */
  fullName: string;
  version: string;
  title?: string;
  description: string;
  categories: string[];
  tags: string[];
  license?: string;
  authors: string[];
  homepage?: string;
  repository?: string;
  documentation?: string;
  dependencies: Dependency[];
  artifact: ContentRef;
  readme?: ContentRef;
  /** Seconds since 1970, as the publisher says. */
  created: number;
  /** The key event that the release is signed under. */
  signedUnder: string;
}

/** Why something that a relay sent was not accepted. */
export interface Refusal {
  /** Stable code, such as `record/bad-signature` or `record/wrong-id`. */
  code: string;
  /** A sentence for people. */
  message: string;
  /** Peer id of the relay that sent it. */
  relay: string;
}

/** One row of an answer: verified here, or refused with the reason. */
export type Hit =
  | {
      status: "verified";
      release: Release;
      /** `false`: published just now; the relay has not committed to it yet. */
      inCheckpoint: boolean;
      /**
       * What the publisher says that this version is good for, signed and verified; that it is the last word is the relay's. What is `yanked` or
       * `retracted` was so since the relay's checkpoint: the next one does not list it.
       */
      state: VersionState;
      /** Why, in the publisher's words. */
      reason?: string;
      /** What the publisher says to use in place of a deprecated version. */
      instead?: { publisher: string; name: string };
    }
  | { status: "refused"; refusal: Refusal };

/** What an answer stands on: what the relay committed to, and the proof under its root that was checked in this browser. */
export interface Proof {
  /** The epoch of the relay's checkpoint: minutes since 1970. */
  epoch: number;
  /** The root of the relay's whole catalogue, in hex. */
  root: string;
  /** The hash of all entries that the question is about; relays with the same hash give the same answer. Absent: there are none. */
  rangeHash?: string;
  /** Entries that the question is about. */
  entries: number;
  /** Those of them that this page and the pages before it went through. */
  walked: number;
  /** Bytes of the proof. */
  bytes: number;
}

export interface SearchAnswer {
  query: string;
  /** Best first; what is refused comes last. */
  hits: Hit[];
  /** How many packages match. */
  total: number;
  /** `false`: at least `total` match. */
  totalIsExact: boolean;
  /** Peer id of the relay that answered. */
  relay: string;
  /** Pass it to the next search for the next page; absent at the end. */
  cursor?: string;
  /** Absent when nothing can match, as of punctuation. */
  proof?: Proof;
  /**
   * Up to three other spellings of the query, where the relay finds little. They are the relay's guess, and nothing proves them: search for
   * one, and what is found is proven as always. They are text of a stranger: show them as text.
   */
  suggestions: string[];
  /** `true`: no relay can be asked now, and this is what one answered before. */
  offline: boolean;
}

/** What other relays commit to, where the relay of an answer commits to something. */
export interface Comparison {
  /** At least one anchor agrees, and nobody who was asked differs but by what its own operator excludes. */
  complete: boolean;
  /** Peer ids of anchors that commit to the same, or to all but what their own operators exclude. */
  agree: string[];
  /** Relays that show another page, or exclude something of this one. */
  differ: Difference[];
  /** Relays that did not say, and why. */
  silent: Refusal[];
}

/** How the page of one relay differs from the one that was compared. Valid records that a relay lacks were handed to it. */
export interface Difference {
  /** Peer id. */
  relay: string;
  /** Releases, verified here, that this relay has and the compared page has not. */
  more: Release[];
  /** There is nothing to it but what is {@link excluded}, as far as it was seen. */
  explained: boolean;
  /** Record ids of those among `more` that the compared relay does not list although it holds them. */
  hidden: string[];
  /**
   * Releases, verified here, that one of both lists, and that the operator of the other one keeps off its lists. No fault: the relay's map
   * says so.
   */
  excluded: Excluded[];
  /** Record ids of the compared page that this relay does not have. */
  lacks: string[];
  /** Record ids of the compared page in whose place this relay has a later release of the same package. */
  outdated: string[];
  /** Entries of the compared relay that stand for nothing that it delivers: it counts more than there is. */
  unbacked: number;
  /** Which of both derived what wrongly, with what proves it to anyone. */
  faults: Fault[];
}

/** A release that the operator of a relay excludes. Nobody else is bound by it. */
export interface Excluded {
  /** Peer id of the relay. */
  relay: string;
  /** The release, as another relay has it. */
  release: Release;
  /** Why, as the operator says; may be empty. It is text of a stranger: show it as text. */
  reason: string;
}

/** A relay that is proven to break the rules. */
export interface Fault {
  /** Peer id. */
  relay: string;
  /**
   * `relay/two-roots`: it signed two states of everything for one epoch. Or its lists are not what the rules make of what it holds:
   * `relay/missing-entry`, `relay/false-filter`, `relay/wrong-entry`, `relay/stale-entry` (an older version is listed),
   * `relay/missing-version`, `relay/unheeded-status` (it is held, and the version is listed as if it were not) or `relay/void-release` (the
   * rotation that makes it void is held too).
   */
  code: string;
  /** Record id of the release whose entry shows it; absent where its signatures alone do. */
  release?: string;
  /** What it signed, and the proofs: {@link RawClient.checkEvidence} of any other client says the same. */
  evidence: Uint8Array;
}

/** Random audits of the connected relays: one a minute. */
export interface Audits {
  /** All was as the rules say. */
  passed: number;
  /** A wrong derivation was found. */
  failed: number;
  /** The relay did not answer, or holds no release. */
  unfinished: number;
}

export interface SearchOptions {
  /** 1–50, default 20. */
  limit?: number;
  /** The `cursor` of the page before. It belongs to its query, filters and order: with others it is refused as `query/bad-cursor`. */
  cursor?: string;
  /** What packages have to be besides; all of it has to hold. */
  filters?: SearchFilters;
  /** What comes first, default `best`. */
  order?: SearchOrder;
  /**
   * Somebody types the query: what is likely typed next is asked for ahead, so that most key presses are answered at once, without a relay. An answer may
   * then be ten seconds old. Without effect where the browser is to save data. Default: `false`.
   */
  typing?: boolean;
}

/** Each is compared as a whole, however it is written: `Command line` is `command-line`. */
export interface SearchFilters {
  category?: string;
  /** A license that the package may be used under, alone or with others: `MIT` finds `MIT OR Apache-2.0`. */
  license?: string;
  /** A publisher's id. */
  publisher?: string;
  /** A tag. */
  keyword?: string;
}

/**
 * `best`: what matches best; without a text, what most publishers depend on; without anything, the newest. `dependents`: what most publishers
 * depend on, as a power of two, then the newest. Of too many matches to be sorted, the first in that order are found among all packages, and
 * `totalIsExact` is false.
 */
export type SearchOrder = "best" | "newest" | "name" | "dependents";

/** One package, the release asked for, and what else there is. */
export interface PackageView extends VersionList {
  release: Release;
  /** What the publisher says that this version is good for. */
  state: VersionState;
  /** Why, in the publisher's words. */
  reason?: string;
  /** What the publisher says to use in place of a deprecated version. */
  instead?: { publisher: string; name: string };
  /** `false`: the relay has not committed to the release yet. */
  inCheckpoint: boolean;
  proof: Proof;
}

/** The versions of a package. */
export interface VersionList {
  /** Those that the relay showed and that verified, in the precedence of SemVer, highest first. Two entries of one version contest each other. */
  versions: VersionView[];
  /** How many more releases there are than an answer holds. */
  missing: number;
  /** Records of this package that were refused. */
  refused: Refusal[];
  /** Peer id of the relay that answered. */
  relay: string;
  /** `true`: no relay can be asked now, and this is what one answered before. */
  offline: boolean;
}

/** What was signed elsewhere: this client holds no key. */
export interface Publication {
  /** The publisher's key events, then what it signed under them: the bytes of records. */
  records: Uint8Array[];
  /** Every block of the content that the releases name. */
  blocks?: { cid: string; data: Uint8Array }[];
}

/** What came of a publication. */
export interface Published {
  /** Peer ids of relays that say that everything is durable. */
  durableAt: string[];
  /** Relays that refused or failed, with what they said. */
  failedAt: Refusal[];
}

export interface VersionView {
  version: string;
  id: string;
  created: number;
  state: VersionState;
}

/** `deprecated` works, and there is something better; `yanked` is not to be chosen any more; `retracted` is not shown, and never used again. */
export type VersionState = "active" | "deprecated" | "yanked" | "retracted";

/** A package head read from the DHT and verified. */
export interface HeadView {
  release: Release;
  /** Peer id of the DHT server that gave it. */
  from: string;
}

export interface Connection {
  /** Peer id. */
  peer: string;
  /** Multiaddr in use or being tried. */
  address: string;
  transport: Transport | "other";
  /** Whether it was named in the options or by the page: only then its agreement counts. */
  anchor: boolean;
  state: "connecting" | "connected" | "waiting";
  /** Round trip of the last ping in milliseconds. */
  rttMs?: number;
  /** What went wrong last, in a sentence. */
  problem?: string;
}

/** What is thought of a peer: from what it did, and what of that verified. It says whom to ask first, and never what is true. */
export interface Reputation {
  /** 0 to 1: whom to ask first. 0.5 is that of a stranger; what sent something that does not verify has less than 0.1. */
  score: number;
  /** Good answers; they count half after six hours, as failures do. Decayed to the last of all. */
  successes: number;
  /** Answers that came too late or not at all, and refusals. */
  failures: number;
  /** What does not verify; evidence that the peer signed counts twice. Half after two weeks. */
  faults: number;
  /** The moving average of how long good answers took, in milliseconds. */
  latencyMs?: number;
  /** When it was last heard of, in seconds since 1970. */
  lastSeen?: number;
}

/** What happens without being asked for. */
export type MarketEvent =
  | { type: "connections"; connections: Connection[] }
  /** A release was announced, and verified here. It may be in no relay's index yet. */
  | { type: "announced"; release: Release }
  /** A publisher that is known here rotated its key; it is frozen if somebody else has the next key too: then nothing of it is new any more. */
  | { type: "rotated"; publisher: string; handle: string; isFrozen: boolean }
  /** A publisher that is known here said what a version is good for. Read the package to know what counts. */
  | { type: "stated"; fullName: string; version: string; state: VersionState; reason: string }
  /** A relay that is known here is proven to break the rules: this client found it, or was shown what proves it. */
  | { type: "accused"; fault: Fault }
  /** An announcement was refused. */
  | { type: "refused"; refusal: Refusal }
  /** A relay was lost, or too much came at once: others were asked for announcements that were missed, and `found` of them were told just now. */
  | { type: "caughtUp"; found: number };

/** What happens during a download. */
export type ContentEvent =
  /** Bytes that are here and verified, of all. */
  | { type: "progress"; done: number; total: number }
  /** A relay that is used no more for it: it sent other bytes, nothing at all, or is gone. */
  | { type: "dropped"; peer: string; reason: string };

/**
 * The content of a download as it comes, and where its blocks are kept beyond the page's life. Nothing that it gives is believed: each block is
 * hashed again. Blocks that it takes are views into the module's memory: what is needed of them is copied at once. Offsets are bytes of the content.
 */
export interface KeptBlocks {
  /** A block, if it is kept. One that can't be read is fetched. */
  get(cid: string): Promise<Uint8Array | undefined>;
  /** Takes a leaf that {@link get} gave, and that is right: it stands at `at`. */
  found(at: number, leaf: Uint8Array): void;
  /** Takes a block that came, a leaf that stands at `at` or a node without a place, to keep. One that can't be kept is fetched another time. */
  put(cid: string, at: number | undefined, block: Uint8Array): void;
  /** Some bytes that are there already stand at `to`, too. */
  repeat(from: number, to: number, length: number): void;
}

/** Gateways of relays: blocks by HTTP, each of which is hashed and compared with what was asked for. */
export interface Gateways {
  /** Peer ids of the relays that have one, with spaces between them. */
  peers(): string;
  /** Asks the gateway of one of them for `/ipfs/` with `path` behind it, and takes no more than `limit` bytes. */
  ask(peer: string, path: string, limit: number): Archive;
}

/** An archive of blocks (CAR, version 1) that is being received. */
export interface Archive {
  /**
   * The next block; `undefined` at the end, or if there is no such content.
   *
   * @throws {@link ArchiveFault}, and nothing else.
   */
  next(): Promise<ArchivedBlock | undefined>;
  /** Nothing more is wanted of it. */
  cancel(): void;
}

/** A block of an archive. */
export interface ArchivedBlock {
  /** Which block it is said to be: a CID. */
  cid: Uint8Array;
  /** To be copied before the next block is asked for: then its memory is used again. */
  data: Uint8Array<ArrayBuffer>;
  /** The SHA-256 of `data` as this browser computes it; absent where it does not, as on pages that were not loaded securely. */
  digest?: Uint8Array;
}

/** Why an archive ends early. */
export interface ArchiveFault {
  /** What is wrong with what the gateway sent; absent if it can't be asked, or broke off. */
  broken?: string;
}

/**
 * What every method may throw. `code` is stable, `message` is a sentence for people. Codes:
 * `network/unreachable`, `network/timeout`, `package/not-found`, `package/withdrawn`, `version/not-found`, `version/contested`,
 * `version/retracted`, `query/too-long`,
 * `query/too-many-words`, `query/bad-filter`, `query/bad-cursor`, `query/old-cursor` (search again), `checkpoint/*`, `delete/not-a-retraction`,
 * `head/*`, `publish/incomplete`, `publish/written-once`, `name/invalid`, `relay/*` (what the relay says, or did wrong), `record/*`
 * (verification), `content/not-found`, `content/no-provider`, `content/*` (verification), `client/closed`, `client/bad-options`,
 * `evidence/refused` (what was given shows nothing),
 * `client/no-wasm` (the module could not be fetched or compiled), `client/internal` (a fault of the client itself).
 */
export interface MarketErrorShape extends Error {
  code: string;
}

/** A relay that served, and how well: a multiaddr that ends in its peer id, and numbers of the module's own. */
export interface RememberedRelay {
  address: string;
  reputation: unknown;
}

/** The names on the wasm side; `MarketClient` in `index.ts` is the public class and has the same methods. */
export interface RawClient {
  search(query: string, options: SearchOptions): Promise<SearchAnswer>;
  /** The packages that depend on one, those first that most publishers depend on. */
  dependents(fullName: string, options: SearchOptions): Promise<SearchAnswer>;
  /** Compares the last first page with what other relays commit to. */
  compare(query: string): Promise<Comparison>;
  /** Looks at a random record of a relay, and at entries that follow from it. Absent: they are as the rules say. */
  audit(relay: string): Promise<Fault | undefined>;
  audits(): Audits;
  /** Wrong derivations that were found, the last ones. */
  evidence(): Fault[];
  /** What evidence shows that somebody else found. */
  checkEvidence(evidence: Uint8Array): Fault;
  /** `fullName`: `handle~fingerprint/name`. The newest version that is not a pre-release. */
  getPackage(fullName: string): Promise<PackageView>;
  getPackageVersion(fullName: string, version: string): Promise<PackageView>;
  listVersions(fullName: string): Promise<VersionList>;
  /** Publishes or, with `isRetraction`, deletes. Blocks by their CIDs, in the same order. */
  handOver(records: Uint8Array[], cids: string[], blocks: Uint8Array[], isRetraction: boolean): Promise<Published>;
  exists(fullName: string): Promise<boolean>;
  metadata(fullName: string): Promise<Release>;
  /** The package's head through the DHT, verified: works when no connected relay holds the record. */
  head(fullName: string): Promise<HeadView>;
  /** Content by CID, of exactly `size` bytes, every block checked against its hash. */
  content(
    cid: string,
    size: number,
    onEvent: ((event: ContentEvent) => void) | undefined,
    kept: KeptBlocks,
    gateways: Gateways,
  ): Promise<void>;
  connections(): Connection[];
  /** What is thought of a relay or provider, by its peer id. */
  reputation(peer: string): Reputation;
  /** The relays that served, for another visit. */
  remembered(): RememberedRelay[];
  /** Adds relays that are named later than at the start: multiaddrs. */
  addRelays(addresses: string[]): Promise<void>;
  close(): void;
}
/** The wasm class has `static start(options: ClientOptions, remembered: RememberedRelay[], onEvent: (event: MarketEvent) => void): Promise<RawClient>`. */
