// Content from several relays at once, of which some do not serve well, and a download that goes on after its page was reloaded.
import assert from "node:assert/strict";
import { test } from "node:test";
import { useBrowser } from "./support/browser.mjs";
import { startGateway } from "./support/gateway.mjs";
import { openOwnPage, startClient } from "./support/own-page.mjs";
import { Relay } from "./support/relay.mjs";
import { deadline, until } from "./support/wait.mjs";

useBrowser();

const MEGABYTE = 1_000_000;
/** 50 MB through a debug build of the relay, on a machine that does other things too. */
const DOWNLOAD_MS = 120_000;
/** As the harness has it. */
const EPOCH_SECONDS = 1;
const DATABASE = "ggen-market-downloads";

/** Of few blocks, hardly more than one is asked of the relay that stalls. */
const STALLS = [
  [1, "no-more:0"],
  [50, "no-more:1"],
];

for (const [megabytes, stalls] of STALLS) {
  test(`${megabytes} MB from three relays of which one sends a wrong block and one stalls arrive whole, and the wrong one is named`, async (t) => {
    const relays = await providers(t, megabytes * MEGABYTE, ["well", "wrongly:1", stalls]);
    const [{ content }, wrong, stalled] = relays;
    const { page, ask } = await openOwnPage(t, options(relays), relays.length);
    // It answered well so far, so it is the first that is asked, and for more once its first block was right.
    const answers = async () => (await ask("audit", wrong.peerId)).code === undefined;
    for (let times = 0; times < 3; times += 1) await until("an audit that it passes", answers);

    const { events, sha256, size, seconds } = await download(page, content);
    assert.equal(size, content.size);
    assert.equal(sha256, content.sha256);
    console.log(`${size} bytes in ${seconds.toFixed(2)} s`);

    const progress = events.filter(({ type }) => type === "progress");
    assert.ok(progress.every(({ total }) => total === content.size));
    const done = progress.map(({ done }) => done);
    assert.equal(done[0], 0);
    assert.equal(done.at(-1), content.size);
    assert.ok(done.every((bytes, at) => at === 0 || bytes > done[at - 1]), `it only grows: ${done}`);
    const dropped = events.filter(({ type, peer }) => type === "dropped" && peer === wrong.peerId);
    assert.equal(dropped.length, 1, JSON.stringify(events.filter(({ type }) => type === "dropped")));
    assert.match(dropped[0].reason, /^sent bytes that were not asked for, with the hash /);
    assert.ok((await wrong.served()) > 1, "its first block was right");
    assert.ok((await stalled.served()) > Number(stalls.split(":")[1]), "it was asked for what it never sent");
  });
}

test("a download goes on where it was after its page was reloaded in the middle, and keeps nothing once it is complete", async (t) => {
  const [relay] = await providers(t, 50 * MEGABYTE, ["slowly:30"]);
  const { content } = relay;
  const { page } = await openOwnPage(t, options([relay]));
  await page.evaluate(({ cid, size }) => {
    // Nobody waits for it: the page is gone before it ends.
    void globalThis.client.content(cid, size, (event) => event.type === "progress" && (globalThis.done = event.done));
  }, content);
  const isInTheMiddle = () => page.evaluate((enough) => globalThis.done >= enough, 0.35 * content.size);
  await until("a third of it", isInTheMiddle, DOWNLOAD_MS);
  await page.reload();
  const before = await settled(relay);
  assert.ok(before < content.blocks, "it was not complete");
  const { blocks: held } = await keptIn(page);
  await damageOne(page);

  await startClient(page, options([relay]));
  const { sha256, events } = await download(page, content);
  assert.equal(sha256, content.sha256);
  const again = (await relay.served()) - before;
  console.log(`${before} blocks sent, ${held} kept, then ${again} sent of ${content.blocks}`);
  assert.equal(again, content.blocks - held + 1, "what was kept is not sent again, but for what has another hash now");
  assert.ok(again <= 0.75 * content.blocks, `${again} of ${content.blocks} blocks were sent in the second life of the page`);
  assert.equal(events.at(-1).done, content.size);
  assert.deepEqual(await keptIn(page), { blocks: 0, downloads: 0 });
});

test("50 MB come through the gateway of a relay that has one, and nothing of it by Bitswap", async (t) => {
  const [relay] = await providers(t, 50 * MEGABYTE, ["well"]);
  const { page } = await openOwnPage(t, { ...options([]), relays: [`${relay.url}/.well-known/ggen/relay.json`] });
  const { events, sha256 } = await download(page, relay.content);
  assert.equal(sha256, relay.content.sha256);
  assert.deepEqual(events.filter(({ type }) => type === "dropped"), []);
  assert.ok(events.length > relay.content.blocks / 2, `${events.length} times it was told how far it is`);
  assert.equal(await relay.served(), 0);
});

/** What a gateway does in between, and why it is dropped for it. */
const BAD_GATEWAYS = [
  ["sends a wrong block", wrongly, /^sent bytes that were not asked for, with the hash /],
  ["sends what is no archive", (body, response) => response.end(body.fill(0xff)), /^sent no archive of blocks: /],
  ["sends without end", endlessly, /^sent no archive of blocks: more bytes than /],
];

for (const [does, serve, reason] of BAD_GATEWAYS) {
  test(`a gateway that ${does} is dropped and named, and its content comes from others`, async (t) => {
    const [relay, other] = await providers(t, 10 * MEGABYTE, ["well", "slowly:20"]);
    const gateway = await startGateway(t, relay, serve);
    const { page } = await openOwnPage(t, { ...options([other]), relays: [gateway.relayJson, ...options([other]).relays] }, 2);
    const { events, sha256 } = await download(page, relay.content);
    assert.equal(sha256, relay.content.sha256);
    const dropped = events.filter(({ type }) => type === "dropped");
    assert.deepEqual(dropped.map(({ peer }) => peer), [relay.peerId]);
    assert.match(dropped[0].reason, reason);
    assert.equal(await relay.served(), 0, "whose gateway lies is not asked in another way");
  });
}

test("a gateway that stalls holds nothing up for long", async (t) => {
  const [relay, other] = await providers(t, 10 * MEGABYTE, ["well", "slowly:20"]);
  // Each archive ends in the middle, and goes on for ever.
  const gateway = await startGateway(t, relay, (body, response) => response.write(body.subarray(0, body.length / 2)));
  const { page } = await openOwnPage(t, { ...options([]), relays: [gateway.relayJson, ...options([other]).relays] }, 2);
  const { sha256, seconds } = await download(page, relay.content);
  assert.equal(sha256, relay.content.sha256);
  assert.ok(gateway.asked > 0, "it was asked");
  assert.ok(seconds < 15, `${seconds} s`);
});

test("what a gateway can't give comes from the same relay by Bitswap", async (t) => {
  // Archives break off: the first one, which has most of it, or those behind it.
  for (const whole of [0, 1]) {
    const [relay] = await providers(t, 10 * MEGABYTE, ["well"]);
    const gateway = await startGateway(t, relay, (body, response) => {
      if (gateway.asked <= whole) return response.end(body);
      response.write(body.subarray(0, body.length / 2));
      response.destroy();
    });
    const { page } = await openOwnPage(t, { ...options([]), relays: [gateway.relayJson] });
    const { events, sha256 } = await download(page, relay.content);
    assert.equal(sha256, relay.content.sha256);
    assert.deepEqual(events.filter(({ type }) => type === "dropped"), []);
    assert.ok((await relay.served()) > 0, `by Bitswap, when ${whole} came whole`);
  }
});

/** Changes a bit of the last block of an archive. */
function wrongly(body, response) {
  body[body.length - 1] ^= 1;
  response.end(body);
}

/** Sends an archive's first block under another name, again and again, as long as anybody reads. */
async function endlessly(body, response) {
  const header = 1 + body[0];
  const section = Buffer.from(body.subarray(header));
  // Behind its length, and within the hash.
  section[20] ^= 1;
  response.write(body.subarray(0, header));
  while (!response.destroyed) if (!response.write(section)) await new Promise((wake) => response.once("drain", wake).once("close", wake));
}

/** Relays that all have the same content, and serve its blocks each in its way. */
function providers(t, size, servings) {
  return Promise.all(servings.map((serving) => Relay.startProvider(t, size, serving)));
}

function options(relays) {
  return { relays: relays.map((relay) => relay.address("websocket")), discover: false, epochSeconds: EPOCH_SECONDS };
}

/** Content through the page's client: what it was told, and what came of it as the browser hashes it. */
function download(page, content) {
  const downloading = page.evaluate(async ({ cid, size }) => {
    const events = [];
    const begun = performance.now();
    const bytes = await globalThis.client.content(cid, size, (event) => events.push(event));
    const seconds = (performance.now() - begun) / 1000;
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return { events, sha256, size: bytes.length, seconds };
  }, content);
  return deadline("the content", downloading, DOWNLOAD_MS);
}

/** How many blocks a relay has read, once it reads no more of them for the page that is gone. */
async function settled(relay) {
  let last;
  return until("the end of the first download", async () => {
    const before = last;
    last = await relay.served();
    await new Promise((wake) => setTimeout(wake, 200));
    return last === before && last;
  });
}

/** How much the page's origin keeps of downloads. */
function keptIn(page) {
  return inDatabase(page, async (database, result) => {
    const count = (store) => result(database.transaction(store).objectStore(store).count());
    return { blocks: await count("blocks"), downloads: await count("downloads") };
  });
}

/** Changes a bit of a block that is kept, as a disk may. */
function damageOne(page) {
  return inDatabase(page, async (database, result) => {
    const blocks = database.transaction("blocks", "readwrite").objectStore("blocks");
    const [key] = await result(blocks.getAllKeys(null, 1));
    const block = await result(blocks.get(key));
    block[block.length - 1] ^= 1;
    await result(blocks.put(block, key));
  });
}

/** Runs in the page, with what it keeps of downloads. */
function inDatabase(page, work) {
  return page.evaluate(
    async ([name, work]) => {
      const result = (request) =>
        new Promise((done, fail) => {
          request.onsuccess = () => done(request.result);
          request.onerror = () => fail(request.error);
        });
      const database = await result(indexedDB.open(name));
      try {
        return await (0, eval)(work)(database, result);
      } finally {
        database.close();
      }
    },
    [DATABASE, `(${work})`],
  );
}
