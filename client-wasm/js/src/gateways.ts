import type { Archive, ArchiveFault, ArchivedBlock, Gateways } from "./types.ts";

/** A section is a block with its CID before it; blocks have no more than a quarter of a megabyte. */
const MAX_SECTION_BYTES = 256 * 1024 + 128;
/** Version, codec, hash function, length, and a SHA-256: names of blocks of other kinds are asked for by nobody. */
const CID_BYTES = 36;
/** Blocks that are hashed while the next ones come. */
const MAX_HASHING = 4;
/** Sections that are in memory at once: those, the one that is being taken, and the one that is being read. */
const MAX_SECTIONS = MAX_HASHING + 2;

class Fault extends Error implements ArchiveFault {
  readonly broken: string;

  constructor(broken: string) {
    super(broken);
    this.broken = broken;
  }
}

/** The gateways that relays name in their `relay.json`, by peer id. */
export class KnownGateways implements Gateways {
  readonly #urls: Map<string, string>;

  constructor(urls: Map<string, string>) {
    this.#urls = urls;
  }

  peers(): string {
    return [...this.#urls.keys()].join(" ");
  }

  ask(peer: string, path: string, limit: number): Archive {
    return new FetchedArchive(this.#urls.get(peer) + path, limit);
  }
}

/** An archive by `fetch`: read as it is taken, so that what comes faster waits in the network. */
class FetchedArchive implements Archive {
  readonly #aborting = new AbortController();
  readonly #reader: Promise<Sections | undefined>;
  /** What was read and is being hashed, in order. */
  readonly #ahead: Promise<ArchivedBlock | undefined>[] = [];
  #last: Promise<unknown> = Promise.resolve();
  /** The block that was taken last: whoever takes the next one has copied it. */
  #taken: ArchivedBlock | undefined;

  constructor(url: string, limit: number) {
    this.#reader = open(url, limit, this.#aborting.signal);
    // It is told to whoever asks for a block.
    this.#reader.catch(() => {});
  }

  async next(): Promise<ArchivedBlock | undefined> {
    if (this.#taken) free(this.#taken.data.buffer);
    this.#taken = undefined;
    while (this.#ahead.length < MAX_HASHING) this.#readAhead();
    return (this.#taken = await this.#ahead.shift());
  }

  cancel(): void {
    this.#aborting.abort();
  }

  #readAhead(): void {
    const section = this.#last.then(async () => (await this.#reader)?.next());
    this.#last = section;
    const block = section.then((section) => section && hashed(section));
    block.catch(() => {});
    this.#ahead.push(block);
  }
}

async function open(url: string, limit: number, signal: AbortSignal): Promise<Sections | undefined> {
  // What is kept of a download is kept by it.
  const response = await fetch(url, { signal, cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" });
  if (response.status === 404) return undefined;
  if (!response.ok || !response.body) throw new Error(`HTTP status ${response.status}`);
  return new Sections(response.body.getReader(), limit);
}

/**
 * Memory of sections that are not needed any more, for the next ones: what is new to the browser's memory is filled with zeros first, which took
 * longer than all copying.
 */
const spare: ArrayBuffer[] = [];

function free(buffer: ArrayBuffer): void {
  if (buffer.byteLength === MAX_SECTION_BYTES && spare.length < MAX_SECTIONS) spare.push(buffer);
}

function allocate(length: number): Uint8Array<ArrayBuffer> {
  // Nodes are few and small.
  if (length < MAX_SECTION_BYTES / 2) return new Uint8Array(length);
  return new Uint8Array(spare.pop() ?? new ArrayBuffer(MAX_SECTION_BYTES), 0, length);
}

async function hashed(section: Uint8Array<ArrayBuffer>): Promise<ArchivedBlock> {
  const [cid, data] = [section.subarray(0, CID_BYTES), section.subarray(CID_BYTES)];
  const digest = await globalThis.crypto?.subtle?.digest("SHA-256", data);
  return digest ? { cid, data, digest: new Uint8Array(digest) } : { cid, data };
}

/** The parts of an archive, each behind its length: https://ipld.io/specs/transport/car/carv1/ */
class Sections {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #chunk: Uint8Array = new Uint8Array();
  #left: number;
  #isBehindHeader = false;

  constructor(reader: ReadableStreamDefaultReader<Uint8Array>, limit: number) {
    this.#reader = reader;
    this.#left = limit;
  }

  /** The next block with its CID before it. */
  async next(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (!this.#isBehindHeader) {
      await this.#section();
      this.#isBehindHeader = true;
    }
    const section = await this.#section();
    if (section && section.length < CID_BYTES) throw new Fault("a block without a name");
    return section;
  }

  async #section(): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const length = await this.#length();
    if (length === undefined) return undefined;
    const section = allocate(length);
    for (let filled = 0; filled < length; ) {
      if (!(await this.#fill())) throw new Error("it broke off");
      const part = this.#take(length - filled);
      section.set(part, filled);
      filled += part.length;
    }
    return section;
  }

  async #length(): Promise<number | undefined> {
    let length = 0;
    for (let factor = 1; factor <= 1 << 21; factor *= 128) {
      if (!(await this.#fill())) {
        if (factor === 1) return undefined;
        throw new Error("it broke off");
      }
      const [byte = 0] = this.#take(1);
      length += (byte & 127) * factor;
      if (byte < 128) {
        if (length > MAX_SECTION_BYTES) break;
        return length;
      }
    }
    throw new Fault("a block that is larger than any may be");
  }

  /** Whether there are bytes to take; waits until there are. */
  async #fill(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return false;
      this.#left -= value.length;
      if (this.#left < 0) throw new Fault("more bytes than what was asked for can have");
      this.#chunk = value;
    }
    return true;
  }

  #take(bytes: number): Uint8Array {
    const taken = this.#chunk.subarray(0, bytes);
    this.#chunk = this.#chunk.subarray(bytes);
    return taken;
  }
}
