// The same content in several ways: each function gives its bytes, as its users would have them.
import { MarketClient } from "@ggen/market-client";
import { withBitswap } from "@helia/bitswap";
import { withLibp2pLight } from "@helia/libp2p";
import { unixfs } from "@helia/unixfs";
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createHeliaLight } from "helia";
import { CID } from "multiformats/cid";

const EPOCH_SECONDS = 1;

/** Prepares a way: what is not a part of the download. Gives the download, and what ends it. */
const WAYS = {
  ours: (places) => ours([places.relay]),
  unkept: (places) => {
    Object.defineProperty(globalThis, "indexedDB", { value: undefined });
    return ours([places.relay]);
  },
  gateway: (places) => ours([`${places.origin}/.well-known/ggen/relay.json`]),
  bare: (places) => bare(places.bare),
  plain: async (places) => ({ download: (content) => plain(`${places.origin}/${content.file}`, content), end() {} }),
  helia: (places) => helia(places.relay),
};

/** One download: the seconds that it takes, and what came of it. */
async function race({ way, places, content }) {
  const { download, end } = await WAYS[way](places);
  const begun = performance.now();
  const bytes = await download(content);
  const seconds = (performance.now() - begun) / 1000;
  await end();
  return { seconds, sha256: await hash(Array.isArray(bytes) ? await new Blob(bytes).arrayBuffer() : bytes) };
}

async function ours(relays) {
  const client = await MarketClient.start({ relays, discover: false, epochSeconds: EPOCH_SECONDS });
  while (!client.connections().some(({ state }) => state === "connected")) await new Promise((wake) => setTimeout(wake, 10));
  return { download: ({ cid, size }) => client.content(cid, size), end: () => client.close() };
}

/** Nothing but the messages, one after the other. */
async function bare(url) {
  const socket = new WebSocket(url);
  socket.binaryType = "arraybuffer";
  await new Promise((done, fail) => Object.assign(socket, { onopen: done, onerror: fail }));
  const download = ({ size }) =>
    new Promise((done) => {
      const messages = [];
      let received = 0;
      socket.onmessage = ({ data }) => {
        messages.push(data);
        received += data.byteLength;
        if (received === size) done(messages);
      };
      socket.send(`get ${size}`);
    });
  return { download, end: () => socket.close() };
}

async function plain(url, { sha256 }) {
  const response = await fetch(url, { cache: "no-store" });
  const bytes = await response.arrayBuffer();
  if ((await hash(bytes)) !== sha256) throw new Error("other bytes");
  return bytes;
}

async function helia(relay) {
  const node = withBitswap(
    withLibp2pLight(createHeliaLight(), {
      addresses: { listen: [] },
      transports: [webSockets()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      connectionGater: { denyDialMultiaddr: () => false },
      services: { identify: identify() },
    }),
  );
  await node.start();
  await node.libp2p.dial(multiaddr(relay));
  const download = async ({ cid }) => {
    const chunks = [];
    for await (const chunk of unixfs(node).cat(CID.parse(cid))) chunks.push(chunk);
    return chunks;
  };
  return { download, end: () => node.stop() };
}

async function hash(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const driver = new URL(location.href).searchParams.get("driver");
const told = await race(await (await fetch(driver)).json()).catch((error) => ({ fault: String(error) }));
await fetch(driver, { method: "POST", body: JSON.stringify(told) });
location.reload();
