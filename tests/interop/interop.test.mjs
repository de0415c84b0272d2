// Content is interchangeable with IPFS's: the same names for the same bytes, and Bitswap between Helia and our own programs.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { multiaddr } from "@multiformats/multiaddr";
import { CID } from "multiformats/cid";
import { Publisher, crateFile } from "../browser/support/publisher.mjs";
import { Relay } from "../browser/support/relay.mjs";
import { CHUNK_BYTES, MAX_LINKS, add, read, startGatewayClient, startHelia } from "./helia.mjs";

const PEER = join(process.env.GGEN_TEST_BINS, "interop-peer");

/** Runs our peer with some input: its output. */
async function peer(args, input = new Uint8Array()) {
  const child = spawn(PEER, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(input);
  const chunks = [];
  for await (const chunk of child.stdout) chunks.push(chunk);
  const code = child.exitCode ?? (await new Promise((done) => child.once("exit", done)));
  assert.equal(code, 0, `${args.join(" ")} ended with ${code}`);
  return Buffer.concat(chunks);
}

/** Bytes that no two blocks have in common. */
function bytes(length) {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4) bytes.writeUInt32LE((at * 2654435761) >>> 0, at);
  return bytes;
}

test("the CID of an artifact is the one that Helia computes for the same bytes", async (t) => {
  const helia = await startHelia(t);
  const sizes = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 1_000_000, MAX_LINKS * CHUNK_BYTES, MAX_LINKS * CHUNK_BYTES + 1];
  for (const size of sizes) {
    const content = bytes(size);
    const [theirs, ours] = [await add(helia, content), await peer(["cid"], content)];
    assert.equal(ours.toString().trim(), theirs.toString(), `${size} bytes`);
  }
});

test("Helia fetches a package from a relay by Bitswap over WebSocket", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "judy");
  const path = crateFile("tokio");
  const [{ cid }] = await publisher.publish([relay], [path]);
  const helia = await startHelia(t);
  await helia.libp2p.dial(multiaddr(relay.address("websocket")));
  const fetched = await read(helia, CID.parse(cid));
  assert.ok(fetched.length > 2 * CHUNK_BYTES, `${fetched.length} bytes are no more than two blocks`);
  assert.ok(fetched.equals(readFileSync(path)), "the bytes are those published");
});

test("our peer fetches a file from Helia by Bitswap over WebSocket", async (t) => {
  const helia = await startHelia(t);
  const content = bytes(5_000_000);
  const cid = await add(helia, content);
  const [address] = helia.libp2p.getMultiaddrs();
  const fetched = await peer(["fetch", address.toString(), cid.toString(), String(content.length)]);
  assert.ok(fetched.equals(content), "the bytes are those that Helia has");
});

test("verified-fetch reads a package from the trustless gateway of a relay", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "trent");
  const path = crateFile("tokio");
  const [{ cid }] = await publisher.publish([relay], [path]);
  const verifiedFetch = await startGatewayClient(t, relay.url);
  const response = await verifiedFetch(`ipfs://${cid}`, { allowLocal: true, allowInsecure: true });
  assert.equal(response.status, 200);
  assert.ok(Buffer.from(await response.arrayBuffer()).equals(readFileSync(path)), "the bytes are those published");
});
