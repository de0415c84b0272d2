import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { MarketError } from "../src/error.ts";
import { Remembered } from "../src/remembered.ts";
import { resolveRelays } from "../src/resolve.ts";

const PEER = "12D3KooWGjMbTt4aNGgm4gWDGXYzGvK5EpTqAxxsm8yoGjM3kJpL";
const WS = `/ip4/127.0.0.1/tcp/4001/ws/p2p/${PEER}`;
const URL_OF_FILE = "https://relay.example/.well-known/ggen/relay.json";
const at = (port: number) => ({ address: WS.replace("4001", String(port)), reputation: {} });
const addresses = (remembered: Remembered) => remembered.relays.map(({ address }) => address);

/** As browsers have it, which Node does not by default. */
class MemoryStorage {
  readonly items = new Map<string, string>();
  getItem(key: string) {
    return this.items.get(key) ?? null;
  }
  setItem(key: string, value: string) {
    this.items.set(key, value);
  }
}

let storage: MemoryStorage;
const realFetch = globalThis.fetch;
beforeEach(() => {
  storage = new MemoryStorage();
  Object.defineProperty(globalThis, "localStorage", { value: storage, configurable: true });
});
afterEach(() => {
  Reflect.deleteProperty(globalThis, "localStorage");
  globalThis.fetch = realFetch;
});

test("relays are remembered, the last ones first, and no more than sixteen", () => {
  Remembered.open(true).keepRelays([at(1), at(2)]);
  const next = Remembered.open(true);
  assert.deepEqual(addresses(next), [at(1), at(2)].map(({ address }) => address));
  next.keepRelays([at(2)]);
  assert.deepEqual(addresses(Remembered.open(true)), [at(2), at(1)].map(({ address }) => address));
  next.keepRelays(Array.from({ length: 40 }, (_, port) => at(port + 10)));
  assert.equal(Remembered.open(true).relays.length, 16);
  next.forgetRelays();
  assert.deepEqual(Remembered.open(true).relays, []);
});

test("nothing is read or written where nothing is to be remembered", () => {
  Remembered.open(false).keepRelays([at(1)]);
  assert.equal(storage.items.size, 0);
  Remembered.open(true).keepRelays([at(1)]);
  assert.deepEqual(Remembered.open(false).relays, []);
});

test("what is stored and no longer what was counts as nothing", () => {
  for (const text of ["", "null", "[]", "{", '{"relays":1,"files":{}}', '{"relays":[]}', `{"relays":[],"x":"${"x".repeat(300_000)}"}`]) {
    storage.setItem("ggen-market-relays", text);
    assert.deepEqual(Remembered.open(true).relays, [], text.slice(0, 40));
  }
});

test("a relay.json that can't be had is what it was at the last visit, checked again; what it says now counts when it can", async () => {
  let answer: () => Response = () => {
    throw new TypeError("refused");
  };
  globalThis.fetch = async () => answer();
  const resolve = () => resolveRelays([URL_OF_FILE], undefined, Remembered.open(true));
  const code = (expected: string) => (thrown: unknown) => thrown instanceof MarketError && thrown.code === expected;
  await assert.rejects(resolve(), code("network/unreachable"), "it was never had");
  const served = answer;
  answer = () => new Response(JSON.stringify({ peer_id: PEER, addresses: [WS] }));
  assert.deepEqual((await resolve()).addresses, [WS]);
  answer = served;
  assert.deepEqual((await resolve()).addresses, [WS]);
  answer = () => new Response("nonsense");
  await assert.rejects(resolve(), code("relay/broke-protocol"), "a relay that is there speaks for itself");
  answer = served;
  storage.setItem("ggen-market-relays", JSON.stringify({ relays: [], files: { [URL_OF_FILE]: { peer_id: PEER, addresses: ["/x"] } } }));
  await assert.rejects(resolve(), code("relay/broke-protocol"), "what was stored is checked, too");
});
