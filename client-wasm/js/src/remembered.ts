import type { RememberedRelay } from "./types.ts";

const KEY = "ggen-market-relays";
/** As many as a client takes. */
const MAX_RELAYS = 16;
/** Relays come and go: what is older is worth no more than what the page names. */
const MAX_AGE_MS = 30 * 24 * 60 * 60 * 1000;
/** Some hundred for each relay; what is longer was not written here. */
const MAX_CHARS = 16 * 1024;

interface Stored {
  /** When it was written, in milliseconds since 1970. */
  at: number;
  relays: RememberedRelay[];
}

/**
 * The relays that served, remembered between visits in the local storage of the page's origin: they are turned to where none that is named can be
 * reached. Where nothing can be stored, or what is stored can't be read, nothing is remembered. Of several pages at once the last one is.
 */
export class Remembered {
  /** Of an earlier visit. Each is for the client to check, which it does. */
  readonly relays: RememberedRelay[];
  readonly #storage: Storage | undefined;

  private constructor(storage: Storage | undefined) {
    this.#storage = storage;
    this.relays = read(storage);
  }

  /** @param isWanted - if not, what was remembered is forgotten. */
  static open(isWanted: boolean): Remembered {
    const storage = localStorageIfAny();
    if (!isWanted) attempt(() => storage?.removeItem(KEY));
    return new Remembered(isWanted ? storage : undefined);
  }

  /** Remembers these, and no others. */
  keep(relays: RememberedRelay[]): void {
    const stored: Stored = { at: Date.now(), relays: relays.slice(0, MAX_RELAYS) };
    const text = JSON.stringify(stored);
    // No room, or forbidden by now: the next visit begins as the first one did.
    if (text.length <= MAX_CHARS) attempt(() => this.#storage?.setItem(KEY, text));
  }
}

function read(storage: Storage | undefined): RememberedRelay[] {
  const text = attempt(() => storage?.getItem(KEY)) ?? "";
  const stored = text.length <= MAX_CHARS ? attempt(() => JSON.parse(text) as Partial<Stored> | null) : undefined;
  const age = Date.now() - Number(stored?.at);
  const isOfUse = Array.isArray(stored?.relays) && age >= 0 && age <= MAX_AGE_MS;
  return isOfUse ? (stored?.relays ?? []).slice(0, MAX_RELAYS) : [];
}

/** A browser that forbids local storage throws where it is named. */
function localStorageIfAny(): Storage | undefined {
  return attempt(() => globalThis.localStorage) ?? undefined;
}

function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch {
    return undefined;
  }
}
