// A browser that knows one relay finds, through the DHT, what only another relay holds; and the DHT never knows the browser.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TRANSPORTS, useBrowser } from "./support/browser.mjs";
import { openOwnPage } from "./support/own-page.mjs";
import { Publisher, samplePackage } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

useBrowser();

for (const transport of TRANSPORTS) {
  test(`a browser that knows only a relay without the record reads the head through the DHT, over ${transport}`, async (t) => {
    // Relays that sync would all hold it in a moment, and there would be nothing to look for.
    const holder = await Relay.start(t, { sync: false });
    const publisher = await Publisher.create(t, "grace");
    const [published] = await publisher.publish([holder], [samplePackage("rest-api-axum")]);
    const other = await Relay.start(t, { sync: false });
    const newcomer = await Relay.start(t, { bootstrap: [holder, other], sync: false });
    const relays = [holder, other, newcomer];
    await until("relays that know each other", async () => (await other.routingTable()).includes(newcomer.peerId));
    const tables = watchRoutingTables(t, relays);

    // A page of one's own, with the npm package: the relays' page would look for further relays by itself.
    const options = { relays: [newcomer.address(transport)], transports: [transport], discover: false };
    const client = await openOwnPage(t, options);
    const only = await client.ask("connections");
    assert.deepEqual(only.value.map(({ peer }) => peer), [newcomer.peerId]);
    const found = await client.ask("search", "axum");
    assert.deepEqual([found.value.hits, found.value.total, found.value.relay], [[], 0, newcomer.peerId]);
    const full = `~${publisher.id}/rest-api-axum`;
    for (const name of [published.fullName, full]) {
      assert.equal((await client.ask("getPackage", name)).code, "package/not-found");
    }

    const { value: head, code, message } = await client.ask("head", full);
    assert.ok(head, `${code}: ${message}`);
    assert.deepEqual(
      [head.from, head.release.id, head.release.version, head.release.artifact.cid, head.release.publisher.id],
      [holder.peerId, published.id, published.version, published.cid, publisher.id],
    );
    // What nobody holds is not found, also by asking around.
    assert.equal((await client.ask("head", `~${"a".repeat(52)}/rest-api-axum`)).code, "package/not-found");

    assert.deepEqual([...(await tables.stop())].sort(), relays.map(({ peerId }) => peerId).sort());
  });
}

/** Reads every relay's routing table again and again, and once more at the end: whom it ever held. */
function watchRoutingTables(t, relays) {
  const peers = new Set();
  let stopped = false;
  const read = async () => {
    for (const relay of relays) for (const peer of await relay.routingTable()) peers.add(peer);
  };
  const reading = (async () => {
    while (!stopped) {
      await read();
      await new Promise((wake) => setTimeout(wake, 20));
    }
  })();
  const stop = async () => {
    stopped = true;
    await reading;
  };
  t.after(stop);
  return {
    async stop() {
      await stop();
      await read();
      return peers;
    },
  };
}
