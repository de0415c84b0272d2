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

  private constructor(database: IDBDatabase, cid: string, there: Set<string>) {
    this.#database = database;
    this.#cid = cid;
    this.#there = there;
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

  async put(cid: string, block: Uint8Array): Promise<void> {
    // Relaxed: what a crash of the machine takes is fetched again.
    const transaction = this.#database.transaction([BLOCKS, DOWNLOADS], "readwrite", { durability: "relaxed" });
    const [blocks, downloads] = [transaction.objectStore(BLOCKS), transaction.objectStore(DOWNLOADS)];
    const key = [this.#cid, cid];
    // Another tab may be at the same download.
    if ((await result(blocks.count(key))) > 0) return;
    const all: Download[] = await result(downloads.getAll());
    const others = all.filter((download) => download.cid !== this.#cid);
    const own = all.find((download) => download.cid === this.#cid)?.bytes ?? 0;
    const bytes = own + block.length;
    if (bytes > MAX_KEPT_BYTES) return;
    for (const { cid } of tooMany(others, bytes)) forget(transaction, cid);
    downloads.put({ cid: this.#cid, bytes, at: Date.now() } satisfies Download);
    await result(blocks.put(block, key));
    this.#there.add(cid);
  }

  /** The download has ended: with `isComplete`, nothing of it is kept. */
  async end(isComplete: boolean): Promise<void> {
    try {
      if (isComplete) {
        const transaction = this.#database.transaction([BLOCKS, DOWNLOADS], "readwrite");
        forget(transaction, this.#cid);
        await completed(transaction);
      }
    } catch {
      // It counts against the quota until others take its place.
    } finally {
      this.#database.close();
    }
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
