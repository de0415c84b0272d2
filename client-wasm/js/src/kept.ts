import type { KeptBlocks } from "./types.ts";

const DATABASE = "ggen-market-downloads";
const BLOCKS = "blocks";
const DOWNLOADS = "downloads";

/** What downloads under way keep, all together: a browser gives an origin far more, and the page wants some of it too. */
const MAX_KEPT_BYTES = 64 * 1024 * 1024;
/** Downloads that broke off and were not taken up again: the oldest is forgotten for one more. */
const MAX_DOWNLOADS = 16;
/** What is smaller is fetched again sooner than anybody reloads a page. */
const MIN_CONTENT_BYTES = 4 * 1024 * 1024;

/** What takes no longer is fetched again sooner than anybody reloads a page: writing it would only take time from it. */
const PATIENCE_MS = 1000;
/** Blocks that are written together: each transaction costs something, and what a crash takes of the last one is fetched again. */
const BLOCKS_PER_TRANSACTION = 16;

/** What a download keeps, and when it last did. */
interface Download {
  cid: string;
  bytes: number;
  at: number;
}

/** A block that is to be written: a leaf by its place in the content, a node by its bytes. */
type Waiting = { cid: string; at: number; length: number } | { cid: string; node: Uint8Array };

/**
 * The content of one download, whose verified blocks are kept in IndexedDB until it is complete, so that it goes on where it was after the page is
 * reloaded.
 */
export class KeptDownload implements KeptBlocks {
  /** None where nothing can be kept, as outside browsers or where storage is forbidden, and where nothing has to be. */
  readonly #database: IDBDatabase | undefined;
  readonly #cid: string;
  readonly #size: number;
  /** Made when the first block is there: before, nothing speaks for the size. */
  #content: Uint8Array<ArrayBuffer> | undefined;
  /** The blocks that are there: what is not is not looked for. */
  readonly #there: Set<string>;

  /** What is to be written: no more than the content has. */
  #waiting: Waiting[] = [];
  readonly #timer: ReturnType<typeof setTimeout>;
  /** Ends when nothing waits any more, or nothing more can be written. */
  #writing: Promise<void> | undefined;
  #isPatient = true;

  private constructor(database: IDBDatabase | undefined, cid: string, size: number, there: Set<string>) {
    this.#database = database;
    this.#cid = cid;
    this.#size = size;
    this.#there = there;
    this.#timer = setTimeout(() => {
      this.#isPatient = false;
      this.#write();
    }, PATIENCE_MS);
  }

  /**
   * Opens the database, so that the first download does not wait for it.
   *
   * @throws nothing.
   */
  static prepare(): void {
    opened().catch(() => {
      // It is tried again by the download.
    });
  }

  /**
   * Begins a download, with what is kept of it.
   *
   * @throws nothing.
   */
  static async open(cid: string, size: number): Promise<KeptDownload> {
    if (size >= MIN_CONTENT_BYTES) {
      try {
        const database = await opened();
        if (!database) return new KeptDownload(undefined, cid, size, new Set());
        const keys = await result(database.transaction(BLOCKS).objectStore(BLOCKS).getAllKeys(blocksOf(cid)));
        return new KeptDownload(database, cid, size, new Set(keys.map((key) => (key as [string, string])[1])));
      } catch {
        // Then nothing is kept.
      }
    }
    return new KeptDownload(undefined, cid, size, new Set());
  }

  /** The bytes that came, at their places. */
  get content(): Uint8Array<ArrayBuffer> {
    return (this.#content ??= new Uint8Array(this.#size));
  }

  async get(cid: string): Promise<Uint8Array | undefined> {
    if (!this.#database || !this.#there.has(cid)) return undefined;
    return result(this.#database.transaction(BLOCKS).objectStore(BLOCKS).get([this.#cid, cid]));
  }

  found(at: number, leaf: Uint8Array): void {
    this.content.set(leaf, at);
  }

  put(cid: string, at: number | undefined, block: Uint8Array): void {
    if (at !== undefined) this.content.set(block, at);
    if (!this.#database) return;
    // It is written later, beside the download.
    this.#waiting.push(at === undefined ? { cid, node: block.slice() } : { cid, at, length: block.length });
    if (!this.#isPatient) this.#write();
  }

  repeat(from: number, to: number, length: number): void {
    this.content.copyWithin(to, from, from + length);
  }

  /** The download has ended: with `isComplete`, nothing of it is kept. */
  async end(isComplete: boolean): Promise<void> {
    clearTimeout(this.#timer);
    try {
      if (isComplete) {
        this.#waiting = [];
        await this.#writing;
        if (!this.#database || this.#there.size === 0) return;
        const transaction = this.#database.transaction([BLOCKS, DOWNLOADS], "readwrite");
        forget(transaction, this.#cid);
        await completed(transaction);
      } else {
        this.#write();
        await this.#writing;
      }
    } catch {
      // It counts against the quota until others take its place.
    }
  }

  /** Writes what waits, until nothing does. */
  #write(): void {
    const database = this.#database;
    if (!database) return;
    this.#writing ??= (async () => {
      try {
        while (this.#waiting.length > 0) await this.#writeSome(database, this.#waiting.splice(0, BLOCKS_PER_TRANSACTION));
        this.#writing = undefined;
      } catch {
        // The disk takes no more: what was not written is fetched again.
      }
    })();
  }

  async #writeSome(database: IDBDatabase, some: Waiting[]): Promise<void> {
    // Relaxed: what a crash of the machine takes is fetched again.
    const transaction = database.transaction([BLOCKS, DOWNLOADS], "readwrite", { durability: "relaxed" });
    const done = completed(transaction);
    // It is awaited below, unless something fails before.
    done.catch(() => {});
    const [blocks, downloads] = [transaction.objectStore(BLOCKS), transaction.objectStore(DOWNLOADS)];
    const [all, known]: [Download[], IDBValidKey[]] = await Promise.all([
      result(downloads.getAll()),
      // Another tab may be at the same download.
      result(blocks.getAllKeys(blocksOf(this.#cid))),
    ]);
    const there = new Set(known.map((key) => (key as [string, string])[1]));
    let bytes = all.find((download) => download.cid === this.#cid)?.bytes ?? 0;
    for (const waiting of some.filter(({ cid }) => !there.has(cid))) {
      const block = "node" in waiting ? waiting.node : this.content.slice(waiting.at, waiting.at + waiting.length);
      if (bytes + block.length > MAX_KEPT_BYTES) break;
      bytes += block.length;
      blocks.put(block, [this.#cid, waiting.cid]);
      this.#there.add(waiting.cid);
    }
    const others = all.filter((download) => download.cid !== this.#cid);
    for (const { cid } of tooMany(others, bytes)) forget(transaction, cid);
    downloads.put({ cid: this.#cid, bytes, at: Date.now() } satisfies Download);
    await done;
  }
}

/** Those of other downloads, oldest first, that have to go for this many bytes of one. */
export function tooMany(others: Download[], bytes: number): Download[] {
  const newest = [...others].sort((a, b) => b.at - a.at);
  let [kept, total] = [0, bytes];
  for (const download of newest) {
    total += download.bytes;
    if (total > MAX_KEPT_BYTES || kept + 1 >= MAX_DOWNLOADS) break;
    kept += 1;
  }
  return newest.slice(kept).reverse();
}

function forget(transaction: IDBTransaction, cid: string): void {
  transaction.objectStore(BLOCKS).delete(blocksOf(cid));
  transaction.objectStore(DOWNLOADS).delete(cid);
}

/** The keys of a download's blocks: an array is above any text. */
function blocksOf(cid: string): IDBKeyRange {
  return IDBKeyRange.bound([cid], [cid, []]);
}

/** The database of this page, opened once: to open it takes as long as a megabyte. */
let database: Promise<IDBDatabase> | undefined;

/** None where there are no databases, as outside browsers. */
function opened(): Promise<IDBDatabase | undefined> {
  if (globalThis.indexedDB === undefined) return Promise.resolve(undefined);
  database ??= openDatabase();
  database.catch(closed);
  return database;
}

/** The next download opens it anew. */
function closed(): void {
  database = undefined;
}

async function openDatabase(): Promise<IDBDatabase> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(BLOCKS);
    opening.result.createObjectStore(DOWNLOADS, { keyPath: "cid" });
  };
  const there = await result(opening);
  // Whoever wants to delete it, or to have it in another version, must not wait for this page to be closed.
  there.onversionchange = () => {
    there.close();
    closed();
  };
  there.onclose = closed;
  return there;
}

function result<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((done, fail) => {
    request.onsuccess = () => done(request.result);
    request.onerror = () => fail(request.error);
  });
}

function completed(transaction: IDBTransaction): Promise<void> {
  return new Promise((done, fail) => {
    transaction.oncomplete = () => done();
    transaction.onabort = () => fail(transaction.error);
  });
}
