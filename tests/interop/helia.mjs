// A Helia node on loopback that knows nobody but those it is told of: no bootstrap nodes, no DHT, no gateways.
import { withBitswap } from "@helia/bitswap";
import { withLibp2pLight } from "@helia/libp2p";
import { unixfs } from "@helia/unixfs";
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { createHeliaLight } from "helia";
import { fixedSize } from "ipfs-unixfs-importer/chunker";
import { balanced } from "ipfs-unixfs-importer/layout";

/** The shape that artifacts have here: shared/src/limits.rs. */
export const CHUNK_BYTES = 256 * 1024;
export const MAX_LINKS = 174;

/** Starts a node that speaks Bitswap over WebSocket, and is stopped at the end of the test. */
export async function startHelia(t) {
  const helia = withBitswap(
    withLibp2pLight(createHeliaLight(), {
      addresses: { listen: ["/ip4/127.0.0.1/tcp/0/ws"] },
      transports: [webSockets()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify() },
    }),
  );
  await helia.start();
  t.after(() => helia.stop());
  return helia;
}

/** Adds bytes as a file of that shape: its CID. */
export async function add(helia, bytes) {
  return unixfs(helia).addBytes(bytes, {
    cidVersion: 1,
    rawLeaves: true,
    reduceSingleLeafToSelf: true,
    chunker: fixedSize({ chunkSize: CHUNK_BYTES }),
    layout: balanced({ maxChildrenPerNode: MAX_LINKS }),
  });
}

/** The bytes of a file, from wherever they are. */
export async function read(helia, cid) {
  const chunks = [];
  for await (const chunk of unixfs(helia).cat(cid)) chunks.push(chunk);
  return Buffer.concat(chunks);
}
