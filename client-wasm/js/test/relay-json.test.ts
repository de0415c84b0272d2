import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { MarketError } from "../src/error.ts";
import {
  fetchRelayJson,
  MAX_ADDRESS_CHARS,
  MAX_RELAY_ADDRESSES,
  MAX_RELAY_JSON_BYTES,
  validateRelayJson,
} from "../src/relay-json.ts";

const PEER = "12D3KooWGjMbTt4aNGgm4gWDGXYzGvK5EpTqAxxsm8yoGjM3kJpL";
const at = (base: string) => `${base}/p2p/${PEER}`;
const info = (addresses: unknown, rest: object = {}) => ({ peer_id: PEER, addresses, versions: {}, ...rest });
const refused = (code: string) => (thrown: unknown) => thrown instanceof MarketError && thrown.code === code;

test("accepts a relay's addresses, ignores fields it does not know, and drops repetitions", () => {
  const ws = at("/ip4/127.0.0.1/tcp/4001/ws");
  const rtc = at("/ip6/::1/udp/4001/webrtc-direct/certhash/uEiAk");
  const parsed = validateRelayJson(info([ws, rtc, ws], { newer: true }));
  assert.deepEqual(parsed, { peerId: PEER, addresses: [ws, rtc], anchors: [] });
});

test("takes the anchors that can be dialed, and no harm from what is none", () => {
  const ws = at("/ip4/127.0.0.1/tcp/4001/ws");
  const anchors = [ws, ws, 7, "/ip4/127.0.0.1/tcp/1/ws", at("/ip4/0.0.0.0/tcp/1/ws"), `${ws} `, "x".repeat(MAX_ADDRESS_CHARS + 1)];
  assert.deepEqual(validateRelayJson(info([ws], { anchors })).anchors, [ws]);
  assert.deepEqual(validateRelayJson(info([ws], { anchors: "none" })).anchors, []);
  const many = Array.from({ length: MAX_RELAY_ADDRESSES + 5 }, (_, port) => at(`/ip4/127.0.0.1/tcp/${port + 1}/ws`));
  assert.equal(validateRelayJson(info([ws], { anchors: many })).anchors.length, MAX_RELAY_ADDRESSES);
});

test("never yields an unspecified address, however it is spelled", () => {
  const good = at("/ip4/192.0.2.7/tcp/1/ws");
  const unspecified = ["/ip4/0.0.0.0", "/ip6/::", "/ip6/0:0:0:0:0:0:0:0", "/ip6/::0.0.0.0", "/ip6/::ffff:0.0.0.0"];
  const { addresses } = validateRelayJson(info([...unspecified.map((ip) => at(`${ip}/tcp/1/ws`)), good]));
  assert.deepEqual(addresses, [good]);
});

test("refuses a file that breaks shape or bounds", () => {
  const ok = at("/dns4/relay.example/tcp/443/tls/ws");
  const bad: unknown[] = [
    null,
    [],
    "text",
    {},
    info("not a list"),
    info([]),
    info([7]),
    info(["relay.example"]),
    info(["/ip4/192.0.2.7/tcp/1/ws"]),
    info(["/ip4/192.0.2.7/tcp/1/ws/p2p/12D3KooWSomebodyElse"]),
    info([at("/ip4/0.0.0.0/tcp/1/ws")]),
    info([at(`/dns4/${"a".repeat(MAX_ADDRESS_CHARS)}/tcp/1/ws`)]),
    info(Array.from({ length: MAX_RELAY_ADDRESSES + 1 }, () => ok)),
    info([ok], { peer_id: "no/peer" }),
    info([ok], { peer_id: 7 }),
    info([ok], { versions: "1" }),
  ];
  for (const json of bad) {
    assert.throws(() => validateRelayJson(json), refused("relay/broke-protocol"), JSON.stringify(json));
  }
});

test("reads no more of an answer than the bound, and tells failures apart", async (t) => {
  const bodies: Record<string, [number, string]> = {
    "/good": [200, JSON.stringify(info([at("/ip4/127.0.0.1/tcp/1/ws")]))],
    "/large": [200, `"${"a".repeat(MAX_RELAY_JSON_BYTES)}"`],
    "/garbage": [200, "<html>"],
    "/absent": [404, "{}"],
  };
  const server = createServer((request, response) => {
    const [status, body] = bodies[request.url ?? ""] ?? [500, ""];
    response.writeHead(status).end(body);
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  t.after(() => server.close());
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  assert.equal((await fetchRelayJson(new URL("/good", base))).peerId, PEER);
  await assert.rejects(fetchRelayJson(new URL("/large", base)), refused("relay/broke-protocol"));
  await assert.rejects(fetchRelayJson(new URL("/garbage", base)), refused("relay/broke-protocol"));
  await assert.rejects(fetchRelayJson(new URL("/absent", base)), refused("network/unreachable"));
});
