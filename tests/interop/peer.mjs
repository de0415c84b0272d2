// A peer of js-libp2p that speaks what our network speaks, and knows nobody but those it is told of.
import { circuitRelayTransport } from "@libp2p/circuit-relay-v2";
import { gossipsub } from "@libp2p/gossipsub";
import { identify } from "@libp2p/identify";
import { kadDHT, passthroughMapper } from "@libp2p/kad-dht";
import { noise } from "@libp2p/noise";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { webRTCDirect } from "@libp2p/webrtc";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { blake3 } from "@noble/hashes/blake3.js";
import { createLibp2p } from "libp2p";

/** The names of shared/src/protocol/names.rs. */
export const PACKAGES_TOPIC = "/ggen/packages/v1";
const KADEMLIA = "/ggen/kad/1.0.0";
/** As in shared/src/protocol/announcement.rs. */
const MESSAGE_ID_CONTEXT = new TextEncoder().encode("ggen marketplace 2026 announcement message id");

/** What tells who is there. The other services ping as well. */
export const least = () => ({ identify: identify(), ping: ping() });

/** All that a peer in our network has. A `server` of the DHT is in relays' routing tables. */
export const all = ({ server = false } = {}) => ({
  ...least(),
  dht: kadDHT({
    protocol: KADEMLIA,
    clientMode: !server,
    // Addresses on loopback are kept.
    peerInfoMapper: passthroughMapper,
    validators: { ggen: async () => {} },
    selectors: { ggen: () => 0 },
  }),
  pubsub: gossipsub({
    globalSignaturePolicy: "StrictNoSign",
    msgIdFn: ({ data }) => blake3(data, { context: MESSAGE_ID_CONTEXT }),
    allowedTopics: [PACKAGES_TOPIC],
  }),
});

/** Starts a peer; it is stopped at the end of the test. `listen`: where, if anywhere; `/p2p-circuit` behind a relay's address for a reservation. */
export async function startPeer(t, { listen = [], services = all() } = {}) {
  const peer = await createLibp2p({
    addresses: { listen },
    transports: [tcp(), webSockets(), webRTCDirect(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    // All of it is on loopback, which is not dialed otherwise.
    connectionGater: { denyDialMultiaddr: () => false },
    // It pings by itself, and rust-libp2p answers one ping of a connection at a time: a second one ends the first.
    connectionMonitor: { enabled: false },
    services,
  });
  t.after(() => peer.stop());
  return peer;
}

/** The value of a key that a query of the DHT finds first; undefined when nobody has one. */
export async function get(peer, key) {
  for await (const event of peer.services.dht.get(key)) {
    if (event.name === "VALUE") return { value: event.value, from: event.from.toString() };
  }
  return undefined;
}

/** Puts a value into the DHT: the peers that took it. */
export async function put(peer, key, value) {
  const took = [];
  for await (const event of peer.services.dht.put(key, value)) {
    if (event.name === "PEER_RESPONSE" && event.messageName === "PUT_VALUE") took.push(event.from.toString());
  }
  return took;
}
