import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { Remembered } from "../src/remembered.ts";

const KEY = "ggen-market-relays";
const DAY_MS = 24 * 60 * 60 * 1000;
const at = (port: number) => ({ address: `/ip4/127.0.0.1/tcp/${port}/ws/p2p/12D3KooWGjMbTt4aNGgm4gWDGXYzGvK5EpTqAxxsm8yoGjM3kJpL`, reputation: {} });

/** As browsers have it, which Node does not by default. */
class MemoryStorage {
  readonly items = new Map<string, string>();
  isFull = false;
  getItem(key: string) {
    return this.items.get(key) ?? null;
  }
  setItem(key: string, value: string) {
    if (this.isFull) throw new DOMException("full", "QuotaExceededError");
    this.items.set(key, value);
  }
  removeItem(key: string) {
    this.items.delete(key);
  }
}

let storage: MemoryStorage;
const define = (descriptor: PropertyDescriptor) =>
  Object.defineProperty(globalThis, "localStorage", { ...descriptor, configurable: true });
beforeEach(() => define({ value: (storage = new MemoryStorage()) }));
afterEach(() => Reflect.deleteProperty(globalThis, "localStorage"));

test("relays are remembered, no more than sixteen, and the next ones take their place", () => {
  Remembered.open(true).keep(Array.from({ length: 40 }, (_, port) => at(port)));
  assert.deepEqual(Remembered.open(true).relays, Array.from({ length: 16 }, (_, port) => at(port)));
  Remembered.open(true).keep([at(1)]);
  assert.deepEqual(Remembered.open(true).relays, [at(1)]);
  Remembered.open(true).keep([]);
  assert.deepEqual(Remembered.open(true).relays, [], "none that served is left");
});

test("where nothing is to be remembered, what was is forgotten, and nothing is written", () => {
  Remembered.open(true).keep([at(1)]);
  const forgetful = Remembered.open(false);
  assert.deepEqual(forgetful.relays, []);
  forgetful.keep([at(2)]);
  assert.equal(storage.items.size, 0);
});

test("what is stored counts as nothing when it can't be read, is too long, or too old", () => {
  const relays = [at(1)];
  const stored = (more: object) => JSON.stringify({ at: Date.now(), relays, ...more });
  const bad = ["", "null", "[]", "{", stored({ relays: 1 }), stored({ at: "now" }), stored({ x: "x".repeat(17_000) })];
  for (const text of [...bad, stored({ at: Date.now() - 31 * DAY_MS }), stored({ at: Date.now() + DAY_MS })]) {
    storage.setItem(KEY, text);
    assert.deepEqual(Remembered.open(true).relays, [], text.slice(0, 60));
  }
  storage.setItem(KEY, stored({ at: Date.now() - 29 * DAY_MS }));
  assert.deepEqual(Remembered.open(true).relays, relays);
});

test("a storage that is full, forbidden or not there stops nothing", () => {
  storage.isFull = true;
  Remembered.open(true).keep([at(1)]);
  assert.deepEqual(Remembered.open(true).relays, []);
  define({
    get() {
      throw new DOMException("denied", "SecurityError");
    },
  });
  Remembered.open(true).keep([at(1)]);
  Remembered.open(false);
  Reflect.deleteProperty(globalThis, "localStorage");
  assert.deepEqual(Remembered.open(true).relays, []);
});
