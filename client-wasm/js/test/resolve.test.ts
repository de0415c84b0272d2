import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { MarketError, toMarketError } from "../src/error.ts";
import { MAX_RELAYS, resolveRelays } from "../src/resolve.ts";

const PEER = "12D3KooWGjMbTt4aNGgm4gWDGXYzGvK5EpTqAxxsm8yoGjM3kJpL";
const WS = `/ip4/127.0.0.1/tcp/4001/ws/p2p/${PEER}`;
const ANCHOR = `/ip4/127.0.0.1/tcp/4002/ws/p2p/${PEER.replace("Gj", "Gk")}`;
const code = (expected: string) => (thrown: unknown) => thrown instanceof MarketError && thrown.code === expected;

const realFetch = globalThis.fetch;
afterEach(() => {
  globalThis.fetch = realFetch;
});

function serveRelayJson(served: (url: string) => boolean): string[] {
  const asked: string[] = [];
  globalThis.fetch = async (input) => {
    asked.push(String(input));
    if (!served(String(input))) throw new TypeError("refused");
    return new Response(JSON.stringify({ peer_id: PEER, addresses: [WS], anchors: [ANCHOR], versions: {} }));
  };
  return asked;
}

test("asks the page's own origin when no relay is given", async () => {
  const asked = serveRelayJson(() => true);
  const { addresses } = await resolveRelays(undefined, "https://market.example");
  assert.deepEqual(addresses, [WS, ANCHOR], "and whom it is compared with");
  assert.deepEqual(asked, ["https://market.example/.well-known/ggen/relay.json"]);
});

test("passes multiaddrs on without fetching anything", async () => {
  const asked = serveRelayJson(() => false);
  assert.deepEqual(await resolveRelays([WS, WS], undefined), { addresses: [WS], gateways: new Map() });
  assert.deepEqual(asked, []);
});

test("one reachable starting point is enough; none is an error", async () => {
  serveRelayJson((url) => url.includes("good"));
  const { addresses } = await resolveRelays(["https://bad.example/r.json", "https://good.example/r.json"], undefined);
  assert.deepEqual(addresses, [WS]);
  await assert.rejects(resolveRelays(["https://bad.example/r.json"], undefined), code("network/unreachable"));
});

test("refuses entries that are neither URL nor dialable multiaddr", async () => {
  const bad = ["relay.example", "javascript:alert(1)", "/ip4/127.0.0.1/tcp/1/ws", `/ip4/0.0.0.0/tcp/1/ws/p2p/${PEER}`];
  for (const entry of bad) await assert.rejects(resolveRelays([entry], undefined), code("client/bad-options"), entry);
  await assert.rejects(resolveRelays(undefined, undefined), code("client/bad-options"));
  await assert.rejects(resolveRelays(undefined, "null"), code("client/bad-options"));
  await assert.rejects(resolveRelays(Array(MAX_RELAYS + 1).fill(WS), undefined), code("client/bad-options"));
});

test("an error of the wasm module keeps its code, and anything else becomes client/internal", () => {
  const coded = Object.assign(new Error("no such package"), { code: "package/not-found" });
  assert.equal(toMarketError(coded).code, "package/not-found");
  assert.equal(toMarketError(coded).message, "no such package");
  assert.equal(toMarketError(coded).cause, coded);
  assert.equal(toMarketError(new RangeError("trap")).code, "client/internal");
  assert.equal(toMarketError("text").code, "client/internal");
  assert.equal(toMarketError(Object.assign(new Error(""), { code: 7 })).code, "client/internal");
});
