import { isObject } from "./relay-json.ts";
import type { RememberedRelay } from "./types.ts";

const KEY = "ggen-market-relays";
/** As many as a client takes. */
const MAX_RELAYS = 16;
/** What a `relay.json` said is of use to a page of the same origin that names the same few. */
const MAX_FILES = 8;
const MAX_CHARS = 256 * 1024;

interface Stored {
  /** Relays that served, the last ones first. */
  relays: RememberedRelay[];
  /** By URL, what a `relay.json` said last; the newest last. */
  files: Record<string, unknown>;
}

/**
 * What is remembered of relays between visits, in the origin's local storage: a page finds the network again though the relay that it begins with is
 * gone. Where nothing can be stored, or what is stored is not what was, nothing is remembered.
 */
export class Remembered {
  #stored: Stored;
  readonly #storage: Storage | undefined;

  private constructor(storage: Storage | undefined) {
    this.#storage = storage;
    this.#stored = read(storage);
  }

  /** @param isWanted - whether anything is to be read and written. */
  static open(isWanted: boolean): Remembered {
    return new Remembered(isWanted ? localStorageIfAny() : undefined);
  }

  get relays(): RememberedRelay[] {
    return this.#stored.relays;
  }

  /** What the `relay.json` at this URL said last; nobody has checked it. */
  file(url: URL): unknown {
    return Object.hasOwn(this.#stored.files, url.href) ? this.#stored.files[url.href] : undefined;
  }

  keepFile(url: URL, json: unknown): void {
    const { [url.href]: _, ...others } = this.#stored.files;
    const files = [...Object.entries(others), [url.href, json] as const].slice(-MAX_FILES);
    this.#stored.files = Object.fromEntries(files);
    this.#write();
  }

  /** Those that are connected now come first; one that is not is still remembered, for it may be back. */
  keepRelays(connected: RememberedRelay[]): void {
    const now = new Set(connected.map(({ address }) => address));
    const others = this.#stored.relays.filter(({ address }) => !now.has(address));
    this.#stored.relays = [...connected, ...others].slice(0, MAX_RELAYS);
    this.#write();
  }

  /** Forgets relays that no client takes. */
  forgetRelays(): void {
    this.#stored.relays = [];
    this.#write();
  }

  #write(): void {
    try {
      this.#storage?.setItem(KEY, JSON.stringify(this.#stored));
    } catch {
      // No room, or forbidden by now: the next visit begins as the first one did.
    }
  }
}

function read(storage: Storage | undefined): Stored {
  const nothing = { relays: [], files: {} };
  try {
    const text = storage?.getItem(KEY) ?? "";
    const stored: unknown = text.length > 0 && text.length <= MAX_CHARS ? JSON.parse(text) : undefined;
    if (!isObject(stored) || !Array.isArray(stored["relays"]) || !isObject(stored["files"])) return nothing;
    // What is in the list is for the client to check, which it does.
    return { relays: stored["relays"].slice(0, MAX_RELAYS), files: stored["files"] };
  } catch {
    return nothing;
  }
}

function localStorageIfAny(): Storage | undefined {
  try {
    return globalThis.localStorage;
  } catch {
    // A browser that forbids it throws.
    return undefined;
  }
}
