// A Helia node on loopback that knows nobody but those it is told of: no bootstrap nodes, no DHT, no gateways.
import { withBitswap } from "@helia/bitswap";
import { withHTTP } from "@helia/http";
import { withLibp2pLight } from "@helia/libp2p";
import { unixfs } from "@helia/unixfs";
import { createVerifiedFetchWithHelia } from "@helia/verified-fetch";
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

/** A `fetch` of content by its CID from one HTTP gateway, and from nowhere else; every block is verified. */
export async function startGatewayClient(t, gateway) {
  const options = { recursiveGateways: [gateway], delegatedRouters: [], allowInsecure: true, allowLocal: true };
  const light = createHeliaLight();
  // Helia waits for ever for the first answer of no routers at all; this one knows nobody.
  light.addRouter({ name: "nobody", async *findProviders() {} });
  const helia = await withHTTP(light, options).start();
  t.after(() => helia.stop());
  return createVerifiedFetchWithHelia(helia);
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
