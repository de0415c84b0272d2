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

/** The verified blocks of one download, kept in IndexedDB until it is complete, so that it goes on where it was after the page is reloaded. */
export class KeptDownload implements KeptBlocks {
  readonly #database: IDBDatabase;
  readonly #cid: string;
  /** The blocks that are there: what is not is not looked for. */
  readonly #there: Set<string>;

  /** What is to be written: no more than the content has. */
  #waiting: { cid: string; block: Uint8Array }[] = [];
  readonly #timer: ReturnType<typeof setTimeout>;
  /** Ends when nothing waits any more, or nothing more can be written. */
  #writing: Promise<void> | undefined;
  #isPatient = true;

  private constructor(database: IDBDatabase, cid: string, there: Set<string>) {
    this.#database = database;
    this.#cid = cid;
    this.#there = there;
    this.#timer = setTimeout(() => {
      this.#isPatient = false;
      this.#write();
    }, PATIENCE_MS);
  }

  /**
   * What is kept of some content; `undefined` where nothing can be, as outside browsers or where storage is forbidden.
   *
   * @throws nothing.
   */
  static async open(cid: string, size: number): Promise<KeptDownload | undefined> {
    if (globalThis.indexedDB === undefined || size < MIN_CONTENT_BYTES) return undefined;
    try {
      const database = await openDatabase();
      const keys = await result(database.transaction(BLOCKS).objectStore(BLOCKS).getAllKeys(blocksOf(cid)));
      return new KeptDownload(database, cid, new Set(keys.map((key) => (key as [string, string])[1])));
    } catch {
      return undefined;
    }
  }

  async get(cid: string): Promise<Uint8Array | undefined> {
    if (!this.#there.has(cid)) return undefined;
    return result(this.#database.transaction(BLOCKS).objectStore(BLOCKS).get([this.#cid, cid]));
  }

  /** Takes a block; it is written later, beside the download. */
  put(cid: string, block: Uint8Array): void {
    this.#waiting.push({ cid, block });
    if (!this.#isPatient) this.#write();
  }

  /** The download has ended: with `isComplete`, nothing of it is kept. */
  async end(isComplete: boolean): Promise<void> {
    clearTimeout(this.#timer);
    try {
      if (isComplete) {
        this.#waiting = [];
        await this.#writing;
        if (this.#there.size === 0) return;
        const transaction = this.#database.transaction([BLOCKS, DOWNLOADS], "readwrite");
        forget(transaction, this.#cid);
        await completed(transaction);
      } else {
        this.#write();
        await this.#writing;
      }
    } catch {
      // It counts against the quota until others take its place.
    } finally {
      this.#database.close();
    }
  }

  /** Writes what waits, until nothing does. */
  #write(): void {
    this.#writing ??= (async () => {
      try {
        while (this.#waiting.length > 0) await this.#writeSome(this.#waiting.splice(0, BLOCKS_PER_TRANSACTION));
        this.#writing = undefined;
      } catch {
        // The disk takes no more: what was not written is fetched again.
      }
    })();
  }

  async #writeSome(some: { cid: string; block: Uint8Array }[]): Promise<void> {
    // Relaxed: what a crash of the machine takes is fetched again.
    const transaction = this.#database.transaction([BLOCKS, DOWNLOADS], "readwrite", { durability: "relaxed" });
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
    for (const { cid, block } of some.filter(({ cid }) => !there.has(cid))) {
      if (bytes + block.length > MAX_KEPT_BYTES) break;
      bytes += block.length;
      blocks.put(block, [this.#cid, cid]);
      this.#there.add(cid);
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

function openDatabase(): Promise<IDBDatabase> {
  const opening = indexedDB.open(DATABASE, 1);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore(BLOCKS);
    opening.result.createObjectStore(DOWNLOADS, { keyPath: "cid" });
  };
  return result(opening);
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
