// js-libp2p with the client's transports, and nothing that is not needed.
import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { webRTCDirect } from "@libp2p/webrtc";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { timed, transfers, turn } from "./turn.js";

const PERF = "/perf/1.0.0";
const BLOCK = new Uint8Array(64 * 1024);

const start = () =>
  createLibp2p({
    transports: [webSockets(), webRTCDirect()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // All of it is on loopback, which is not dialed otherwise.
    connectionGater: { denyDialMultiaddr: () => false },
    connectionMonitor: { enabled: false },
    services: { identify: identify() },
  });

await turn(async ({ relay, peer, volume }) => {
  const node = await start();
  if (peer !== undefined) {
    const connection = await node.dial(multiaddr(peer));
    // A connection of theirs that does not last has figures of what it got to.
    const told = {};
    return transfers(volume, (up, down) => transfer(connection, up, down), told).catch(() => told);
  }
  await node.dial(multiaddr(relay));
  const page = performance.now();
  const other = await start();
  const dial = await timed(() => other.dial(multiaddr(relay)));
  await Promise.all([node.stop(), other.stop()]);
  return { page, dial };
});

/** One stream of libp2p's perf protocol. */
async function transfer(connection, up, down) {
  const stream = await connection.newStream(PERF);
  let received = 0;
  const ended = new Promise((done, fail) => {
    stream.addEventListener("message", ({ data }) => (received += data.byteLength));
    stream.addEventListener("remoteCloseWrite", done);
    stream.addEventListener("close", ({ error }) => (error ? fail(error) : done()));
  });
  const wanted = new Uint8Array(8);
  new DataView(wanted.buffer).setBigUint64(0, BigInt(down));
  await send(stream, wanted);
  for (let left = up; left > 0; left -= BLOCK.length) await send(stream, BLOCK.subarray(0, left));
  await stream.close();
  await ended;
  if (received !== down) throw new Error(`${received} of ${down} bytes came`);
}

async function send(stream, bytes) {
  if (!stream.send(bytes)) await stream.onDrain();
}
