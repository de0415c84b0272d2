// Peers of js-libp2p in our network: identify, ping, Kademlia, gossip, and circuits, with the relay that operators run.
import assert from "node:assert/strict";
import { test } from "node:test";
import { multiaddr } from "@multiformats/multiaddr";
import { Publisher } from "../browser/support/publisher.mjs";
import { Relay } from "../browser/support/relay.mjs";
import { deadline, until } from "../browser/support/wait.mjs";
import { PACKAGES_TOPIC, all, get, least, put, startPeer } from "./peer.mjs";

const ECHO = "/ggen-tests/echo/1.0.0";

/** The DHT key of a package's head. */
const headKey = ({ id }, name) => new TextEncoder().encode(`/ggen/package/${id}/${name}`);

/** Whether a relay shows a package to those who ask over HTTP. */
const shows = async (relay, fullName) => (await fetch(`${relay.url}/api/v1/packages/${fullName}`)).ok;

for (const transport of ["tcp", "websocket", "webrtc-direct"]) {
  test(`a js peer identifies a relay and pings it over ${transport}`, async (t) => {
    const relay = await Relay.start(t);
    const peer = await startPeer(t, { services: least() });
    const identified = new Promise((done) => peer.addEventListener("peer:identify", ({ detail }) => done(detail), { once: true }));
    await peer.dial(multiaddr(relay.address(transport)));
    const { protocolVersion, agentVersion, protocols, peerId } = await deadline("identify", identified);
    assert.equal(peerId.toString(), relay.peerId);
    assert.equal(protocolVersion, "/ggen/1.0.0");
    assert.match(agentVersion, /^ggen-relay\//);
    for (const protocol of ["/ggen/kad/1.0.0", "/ggen/query/1.0.0", "/ipfs/bitswap/1.2.0", "/libp2p/circuit/relay/0.2.0/hop"]) {
      assert.ok(protocols.includes(protocol), `${protocol} among ${protocols}`);
    }
    const milliseconds = await peer.services.ping.ping(peerId);
    assert.ok(milliseconds >= 0 && milliseconds < 5_000, `${milliseconds} ms`);
  });

  test(`a js peer gets a package's head from the DHT, and puts one into it, over ${transport}`, async (t) => {
    const [relay, other] = [await Relay.start(t), await Relay.start(t)];
    const publisher = await Publisher.create(t, "heidi");
    const [{ name, fullName }] = await publisher.publish([relay], [publisher.write("kettle", { description: "Boils water." })]);
    const key = headKey(publisher, name);

    const peer = await startPeer(t);
    await peer.dial(multiaddr(relay.address(transport)));
    const head = await until("the head", () => get(peer, key));
    assert.equal(head.from, relay.peerId);
    assert.ok(Buffer.from(head.value).includes("Boils water."), "the release is in it");

    // A relay that knows nothing of the first one.
    const stranger = await startPeer(t);
    await stranger.dial(multiaddr(other.address(transport)));
    await until("a routing table", () => stranger.services.dht.routingTable.size > 0);
    const forged = Uint8Array.from(head.value);
    forged[forged.length - 1] ^= 1;
    await put(stranger, key, forged);
    assert.equal(await shows(other, fullName), false, "what does not verify is not kept");
    assert.equal((await get(await dialed(t, other, transport), key))?.value, undefined, "nor given to others");
    assert.deepEqual(await put(stranger, key, head.value), [other.peerId]);
    const again = await dialed(t, other, transport);
    const found = await until("the head at the other relay", () => get(again, key));
    assert.deepEqual(Buffer.from(found.value), Buffer.from(head.value));
  });
}

test("a relay dials a js peer over webrtc-direct, and has it in its routing table", async (t) => {
  const peer = await startPeer(t, { listen: ["/ip4/127.0.0.1/udp/0/webrtc-direct"], services: all({ server: true }) });
  const identified = new Promise((done) => peer.addEventListener("peer:identify", ({ detail }) => done(detail), { once: true }));
  const [address] = peer.getMultiaddrs();
  const relay = await Relay.start(t, { bootstrap: [{ address: () => address.toString() }] });
  assert.equal((await deadline("identify", identified)).peerId.toString(), relay.peerId);
  assert.deepEqual(await relay.routingTable(), [peer.peerId.toString()]);
  const [connection] = peer.getConnections();
  assert.equal(connection.direction, "inbound");
  // Its DHT pings whom it gets to know, and one ping of a connection is all that it does at once.
  await until("the end of its DHT's ping", () => connection.streams.every(({ protocol, direction }) => direction === "inbound" || !protocol.startsWith("/ipfs/ping/")));
  assert.ok((await peer.services.ping.ping(connection.remotePeer)) < 5_000);
});

test("a stream of a js peer over webrtc-direct ends at both ends, two hundred times on one connection", async (t) => {
  const relay = await Relay.start(t);
  const peer = await startPeer(t);
  const connection = await peer.dial(multiaddr(relay.address("webrtc-direct")));
  await until("a routing table", () => peer.services.dht.routingTable.size > 0);
  const key = new TextEncoder().encode("/ggen/package/nobody/nothing");
  for (let number = 0; number < 200; number++) assert.equal(await get(peer, key), undefined);
  assert.equal(peer.getConnections().length, 1);
  assert.equal(connection.status, "open");
  await until("streams that are gone", () => connection.streams.length < 10);
});

test("gossip goes both ways between a relay and js peers", async (t) => {
  const [relay, other] = [await Relay.start(t), await Relay.start(t)];
  const publisher = await Publisher.create(t, "ivan");
  const peer = await startPeer(t);
  const heard = [];
  peer.services.pubsub.addEventListener("message", ({ detail }) => heard.push(detail.data));
  peer.services.pubsub.subscribe(PACKAGES_TOPIC);
  await peer.dial(multiaddr(relay.address("tcp")));
  await until("a relay that listens", () => peer.services.pubsub.getSubscribers(PACKAGES_TOPIC).length > 0);
  // The inception goes by itself, and the other relay has to have it to verify what it hears.
  await publisher.publish([relay, other], [publisher.write("lamp", { description: "Gives light." })]);
  const [{ fullName }] = await publisher.publish([relay], [publisher.write("kettle", { description: "Boils water." })]);
  const announcement = await until("the announcement", () => heard.find((data) => Buffer.from(data).includes("Boils water.")));

  const speaker = await startPeer(t);
  speaker.services.pubsub.subscribe(PACKAGES_TOPIC);
  await speaker.dial(multiaddr(other.address("tcp")));
  await until("another that listens", () => speaker.services.pubsub.getSubscribers(PACKAGES_TOPIC).length > 0);
  assert.equal(await shows(other, fullName), false);
  await speaker.services.pubsub.publish(PACKAGES_TOPIC, announcement);
  await until("what it was told", () => shows(other, fullName));
});

test("a js peer holds a reservation at a relay, and another one reaches it through the circuit", async (t) => {
  const relay = await Relay.start(t);
  const hidden = await startPeer(t, { listen: [`${relay.address("tcp")}/p2p-circuit`] });
  await hidden.handle(
    ECHO,
    async (stream) => {
      for await (const bytes of stream) stream.send(bytes.subarray());
      await stream.close();
    },
    { runOnLimitedConnection: true },
  );
  const address = await until("a reservation", () => hidden.getMultiaddrs().find((address) => address.toString().includes("/p2p-circuit")));

  const visitor = await startPeer(t);
  // By another transport than the hidden peer has: the relay is between.
  const [, end] = /(\/p2p-circuit\/p2p\/.*)$/.exec(address.toString());
  const connection = await visitor.dial(multiaddr(`${relay.address("websocket")}${end}`));
  assert.equal(connection.remotePeer.toString(), hidden.peerId.toString());
  assert.ok(connection.limits, "it goes through the relay");
  const stream = await visitor.dialProtocol(hidden.peerId, ECHO, { runOnLimitedConnection: true });
  const sent = Buffer.alloc(200_000, "through the relay ");
  const received = [];
  const answer = (async () => {
    for await (const bytes of stream) {
      received.push(Buffer.from(bytes.subarray()));
      if (received.reduce((sum, part) => sum + part.length, 0) >= sent.length) return Buffer.concat(received);
    }
    return Buffer.concat(received);
  })();
  for (let at = 0; at < sent.length; at += 10_000) {
    if (!stream.send(sent.subarray(at, at + 10_000))) await stream.onDrain();
  }
  assert.ok((await deadline("the echo", answer)).equals(sent));
});

/** A peer that is connected to a relay, and knows that it is a DHT server. */
async function dialed(t, relay, transport) {
  const peer = await startPeer(t);
  await peer.dial(multiaddr(relay.address(transport)));
  await until("a routing table", () => peer.services.dht.routingTable.size > 0);
  return peer;
}
