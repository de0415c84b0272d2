import init, { Client } from "../wasm/ggen_client_wasm.js";
import { MarketError, toMarketError } from "./error.ts";
import { KnownGateways } from "./gateways.ts";
import { KeptDownload } from "./kept.ts";
import { Remembered } from "./remembered.ts";
import { resolveRelays, type Resolved } from "./resolve.ts";
import type {
  Audits,
  Comparison,
  ClientOptions,
  Connection,
  Fault,
  HeadView,
  ContentEvent,
  MarketEvent,
  PackageView,
  Publication,
  Published,
  RawClient,
  Release,
  Reputation,
  SearchAnswer,
  SearchOptions,
  Transport,
  VersionList,
} from "./types.ts";

export { MarketError } from "./error.ts";
export type * from "./types.ts";

/** The longest pause between attempts to find out where the named relays are. */
const MAX_PAUSE_MS = 30_000;

const DEFAULT_TRANSPORTS: Transport[] = ["websocket", "webrtc-direct"];

/** Compiled once for a page, however many clients are started; forgotten when it failed, so that a retry can work. */
let wasmReady: Promise<unknown> | undefined;

/**
 * A light client of the marketplace: asks any relay, believes none.
 *
 * Whatever a method gives has been verified in this process; what was not accepted is thrown, or listed as refused.
 */
export class MarketClient {
  readonly #listeners = new Set<(event: MarketEvent) => void>();
  #raw: RawClient | undefined;
  #gateways = new KnownGateways(new Map());

  private constructor() {}

  /**
   * Loads the verifier, finds out where the relays are, and begins to connect.
   *
   * @throws {@link MarketError} `client/bad-options`, `client/no-wasm`, `network/unreachable`, `network/timeout`,
   * `relay/broke-protocol`.
   */
  static async start(options: ClientOptions = {}): Promise<MarketClient> {
    const client = new MarketClient();
    // First of all, because it takes longest: to read what is remembered stops the page.
    const wasm = loadWasm(options.wasm);
    const remembered = Remembered.open(options.remember ?? true);
    const others = options.discover === false ? [] : remembered.relays;
    const resolve = () => resolveRelays(options.relays, globalThis.location?.origin);
    const [named] = await Promise.all([
      // Without anybody to turn to, there is nothing to start.
      resolve().catch((thrown: unknown) => (others.length > 0 && isNetworkError(thrown) ? undefined : Promise.reject(thrown))),
      wasm,
    ]);
    const rawOptions = {
      relays: named?.addresses ?? [],
      transports: options.transports ?? DEFAULT_TRANSPORTS,
      discover: options.discover ?? true,
      epochSeconds: options.epochSeconds,
      network: options.network,
    };
    client.#gateways = new KnownGateways(named?.gateways ?? new Map());
    KeptDownload.prepare();
    const raw: RawClient = await guarded(() => Client.start(rawOptions, others, (event) => client.#tell(event)));
    client.#raw = raw;
    client.subscribe((event) => {
      if (event.type === "connections") remembered.keep(raw.remembered());
    });
    if (!named) void client.#nameLater(resolve);
    return client;
  }

  /**
   * Packages that match, best first; an empty query gives the newest.
   *
   * @throws {@link MarketError} `query/*`, `network/*`, `relay/*`, `client/closed`.
   */
  search(query: string, options: SearchOptions = {}): Promise<SearchAnswer> {
    const typing = options.typing === true && !savesData();
    return this.#ask((raw) => raw.search(query, { ...options, typing }));
  }

  /**
   * The packages that depend on one, those first that most publishers depend on: proven and counted like any search.
   *
   * @param fullName - `handle~fingerprint/name`.
   * @throws {@link MarketError} `name/invalid`, `package/not-found`, `query/*`, `network/*`, `relay/*`, `client/closed`.
   */
  dependents(fullName: string, options: SearchOptions = {}): Promise<SearchAnswer> {
    return this.#ask((raw) => raw.dependents(fullName, options));
  }

  /**
   * Compares an answer with what other relays commit to: one honest relay among them is enough to see that something was kept back. Costs
   * each of them about a kilobyte, so ask when the reader has stopped typing.
   *
   * @param answer - the first page of the last search.
   * @throws {@link MarketError} `client/bad-options` for any other answer, `client/closed`.
   */
  compare(answer: SearchAnswer): Promise<Comparison> {
    return this.#ask((raw) => raw.compare(answer.query));
  }

  /**
   * Looks at a random record that a relay holds, and at some entries that follow from it. A client does so by itself once a minute.
   *
   * @param relay - peer id of a connected relay.
   * @returns what is wrong, with evidence; `undefined` when all is as the rules say.
   * @throws {@link MarketError} `client/bad-options`, `network/*`, `relay/*`, `client/closed`.
   */
  audit(relay: string): Promise<Fault | undefined> {
    return this.#ask((raw) => raw.audit(relay));
  }

  /**
   * How many audits there were, and what came of them.
   *
   * @throws {@link MarketError} `client/closed`.
   */
  audits(): Audits {
    return this.#now((raw) => raw.audits());
  }

  /**
   * Evidence against relays that this client found, or was shown by others about relays that it knows: one piece for each rule that a relay
   * breaks, the last ones.
   *
   * @throws {@link MarketError} `client/closed`.
   */
  evidence(): Fault[] {
    return this.#now((raw) => raw.evidence());
  }

  /**
   * What evidence against a relay shows that somebody else found: nobody has to be believed.
   *
   * @param evidence - {@link Fault.evidence}.
   * @throws {@link MarketError} `evidence/refused`, `client/closed`.
   */
  checkEvidence(evidence: Uint8Array): Fault {
    return this.#now((raw) => raw.checkEvidence(evidence));
  }

  /**
   * The newest release of a package that is not a pre-release.
   *
   * @param fullName - `handle~fingerprint/name`; the handle may be empty.
   * @throws {@link MarketError} `name/invalid`, `package/not-found`, `record/*`, `network/*`, `relay/*`, `client/closed`.
   */
  getPackage(fullName: string): Promise<PackageView> {
    return this.#ask((raw) => raw.getPackage(fullName));
  }

  /**
   * One release of a package.
   *
   * @throws {@link MarketError} as {@link getPackage}, and `version/not-found`.
   */
  getPackageVersion(fullName: string, version: string): Promise<PackageView> {
    return this.#ask((raw) => raw.getPackageVersion(fullName, version));
  }

  /**
   * All versions that the relay showed and that verified, highest first, those that were withdrawn too; and how many more there are.
   *
   * @throws {@link MarketError} as {@link getPackage}.
   */
  listVersions(fullName: string): Promise<VersionList> {
    return this.#ask((raw) => raw.listVersions(fullName));
  }

  /**
   * Hands what was signed elsewhere to all connected relays. The same again succeeds, and changes nothing.
   *
   * @throws {@link MarketError} `publish/written-once` for a version that its publisher published with other content, `publish/*`, `record/*`,
   * `network/*`, `relay/*`, `client/bad-options`, `client/closed`.
   */
  publish(publication: Publication): Promise<Published> {
    return this.#handOver(publication, false);
  }

  /**
   * Retracts a version, as a signed status says: out of listings and search, and its number never to be used again. What was copied stays
   * where it is.
   *
   * @throws {@link MarketError} `delete/not-a-retraction`, and as {@link getPackageVersion} and {@link publish}.
   */
  delete(retraction: Publication): Promise<Published> {
    return this.#handOver(retraction, true);
  }

  /**
   * Whether the relay showed a release of this package that verified.
   *
   * @throws {@link MarketError} `name/invalid`, `record/*`, `network/*`, `relay/*`, `client/closed`.
   */
  exists(fullName: string): Promise<boolean> {
    return this.#ask((raw) => raw.exists(fullName));
  }

  /**
   * The release that {@link getPackage} would show, without the list of versions.
   *
   * @throws {@link MarketError} as {@link getPackage}.
   */
  metadata(fullName: string): Promise<Release> {
    return this.#ask((raw) => raw.metadata(fullName));
  }

  /**
   * The package's head through the DHT, verified: works when no connected relay holds the record.
   *
   * @throws {@link MarketError} as {@link getPackage}.
   */
  head(fullName: string): Promise<HeadView> {
    return this.#ask((raw) => raw.head(fullName));
  }

  /**
   * Content by its hash; every block is checked as it arrives. Of what takes long, the blocks are kept in the browser until all are there: after
   * the page was reloaded, or the connection lost, another call fetches the rest.
   *
   * @param cid - CIDv1 in base32.
   * @param size - its bytes, as the release says; content of another size is refused.
   * @param onEvent - is told how far it is, and which relays are used no more for it, and why.
   * @throws {@link MarketError} `content/*`, `network/*`, `client/closed`.
   */
  content(cid: string, size: number, onEvent?: (event: ContentEvent) => void): Promise<Uint8Array> {
    return this.#ask(async (raw) => {
      const kept = await KeptDownload.open(cid, size);
      let isComplete = false;
      try {
        await raw.content(cid, size, onEvent, kept, this.#gateways);
        isComplete = true;
        return kept.content;
      } finally {
        await kept.end(isComplete);
      }
    });
  }

  /**
   * The relays this client is connected to or trying to reach, as of now.
   *
   * @throws {@link MarketError} `client/closed`.
   */
  connections(): Connection[] {
    return this.#now((raw) => raw.connections());
  }

  /**
   * What this client thinks of a relay or a provider of content, by its peer id: a stranger's reputation for one that it never met.
   *
   * @throws {@link MarketError} `client/bad-options` for what is no peer id, `client/closed`.
   */
  reputation(peer: string): Reputation {
    return this.#now((raw) => raw.reputation(peer));
  }

  /**
   * Calls `listener` for every event from now on; a listener that throws harms no other.
   *
   * @returns a function that ends the subscription.
   * @throws {@link MarketError} `client/closed`.
   */
  subscribe(listener: (event: MarketEvent) => void): () => void {
    this.#open();
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Ends all connections and subscriptions; a second call does nothing.
   *
   * @throws nothing.
   */
  close(): void {
    const raw = this.#raw;
    this.#raw = undefined;
    this.#listeners.clear();
    try {
      raw?.close();
    } catch (thrown) {
      // Closing is where callers clean up: an error here could only hide theirs.
      reportError(thrown);
    }
  }

  /** Tries again to find out where the named relays are, until it is known or the client is closed. */
  async #nameLater(resolve: () => Promise<Resolved>): Promise<void> {
    for (let pause = 1_000; ; pause = Math.min(2 * pause, MAX_PAUSE_MS)) {
      await new Promise((wake) => setTimeout(wake, pause));
      if (!this.#raw) return;
      try {
        const { addresses, gateways } = await resolve();
        this.#gateways = new KnownGateways(gateways);
        return await this.#raw?.addRelays(addresses);
      } catch {
        // The client works by relays that are remembered, and says whom it is connected to.
      }
    }
  }

  #handOver({ records, blocks = [] }: Publication, isRetraction: boolean): Promise<Published> {
    const [cids, data] = [blocks.map(({ cid }) => cid), blocks.map(({ data }) => data)];
    return this.#ask((raw) => raw.handOver(records, cids, data, isRetraction));
  }

  async #ask<T>(question: (raw: RawClient) => Promise<T>): Promise<T> {
    const raw = this.#open();
    return guarded(() => question(raw));
  }

  #now<T>(question: (raw: RawClient) => T): T {
    const raw = this.#open();
    try {
      return question(raw);
    } catch (thrown) {
      throw toMarketError(thrown);
    }
  }

  #open(): RawClient {
    if (!this.#raw) throw new MarketError("client/closed", "This client has been closed.");
    return this.#raw;
  }

  /** Called by the wasm module: nothing may be thrown back into it. */
  #tell(event: MarketEvent): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(event);
      } catch (thrown) {
        reportError(thrown);
      }
    }
  }
}

function isNetworkError(thrown: unknown): boolean {
  return thrown instanceof MarketError && thrown.code.startsWith("network/");
}

/** Whether the visitor asked for fewer bytes. Not every browser tells. */
function savesData(): boolean {
  const { connection } = navigator as { connection?: { saveData?: boolean } };
  return connection?.saveData === true;
}

async function guarded<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (thrown) {
    throw toMarketError(thrown);
  }
}

async function loadWasm(given: ClientOptions["wasm"]): Promise<void> {
  // Spelled out in one expression: bundlers recognise only this form and emit the module as an asset.
  const beside = new URL("../wasm/ggen_client_wasm_bg.wasm", import.meta.url);
  wasmReady ??= init({ module_or_path: given ?? beside });
  try {
    await wasmReady;
  } catch (cause) {
    wasmReady = undefined;
    throw new MarketError("client/no-wasm", "The verifier, a WebAssembly module, could not be loaded.", { cause });
  }
}
