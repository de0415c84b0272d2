// The relay in use is killed without a word: questions, downloads and subscriptions go on, and the page says so calmly.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TRANSPORTS, connected, openPage, useBrowser } from "./support/browser.mjs";
import { openOwnPage, startClient } from "./support/own-page.mjs";
import { Publisher, samplePackage } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { deadline, until } from "./support/wait.mjs";

useBrowser();

const MEGABYTE = 1_000_000;
const EPOCH_SECONDS = 1;
const ANSWERED_MS = 3_000;
const ANNOUNCEMENTS = 500;
/** Debug builds sign, store and carry all of them, on a machine that does other things too. */
const ANNOUNCED_MS = 120_000;

for (const transport of TRANSPORTS) {
  test(`a question is answered within three seconds though the relay that was asked is killed meanwhile, over ${transport}`, async (t) => {
    const relays = await threeRelays(t);
    const publisher = await Publisher.create(t, "alice");
    await publisher.publish(relays, [samplePackage("rest-api-axum")]);
    const { page, ask } = await openOwnPage(t, options(relays, transport), relays.length);
    const { value: before } = await ask("search", "axum", {});
    const used = relays.find(({ peerId }) => peerId === before.relay);

    // It takes the question and has no time to answer.
    await used.silence();
    await page.evaluate(() => {
      const asked = performance.now();
      globalThis.answering = globalThis.client.search("axum").then((answer) => ({ answer, took: performance.now() - asked }));
    });
    await used.kill();
    const { answer, took } = await deadline("an answer", page.evaluate(() => globalThis.answering));
    console.log(`answered ${took.toFixed(0)} ms after it was asked`);
    assert.ok(took < ANSWERED_MS, `it took ${took} ms`);
    assert.notEqual(answer.relay, used.peerId);
    assert.deepEqual(answer.hits.map(({ release }) => release.name), ["rest-api-axum"]);
  });
}

test("a download from three relays of which one is killed in the middle is complete", async (t) => {
  const serving = ["slowly:30", "slowly:30", "slowly:30"];
  const relays = await Promise.all(serving.map((serving) => Relay.startProvider(t, 30 * MEGABYTE, serving)));
  const [{ content }, killed] = relays;
  const { page } = await openOwnPage(t, options(relays, "websocket"), relays.length);
  await page.evaluate(({ cid, size }) => {
    globalThis.dropped = [];
    globalThis.downloading = globalThis.client.content(cid, size, (event) => {
      if (event.type === "progress") globalThis.done = event.done;
      else globalThis.dropped.push(event);
    });
  }, content);
  await until("a third of it", () => page.evaluate((enough) => globalThis.done >= enough, content.size / 3));
  await killed.kill();
  const hashing = page.evaluate(async () => {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await globalThis.downloading));
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  });
  assert.equal(await deadline("the content", hashing, 60_000), content.sha256);
  const dropped = await page.evaluate(() => globalThis.dropped);
  assert.deepEqual(dropped.map(({ peer }) => peer), [killed.peerId], JSON.stringify(dropped));
});

test(`of ${ANNOUNCEMENTS} announcements none is lost though a relay is killed while they come, and each is told once`, async (t) => {
  const relays = await threeRelays(t);
  const [killed, ...others] = relays;
  const publisher = await Publisher.create(t, "bob");
  const { page } = await openOwnPage(t, options(relays, "websocket"), relays.length);
  await hear(page);
  const names = Array.from({ length: ANNOUNCEMENTS }, (_, number) => `news-${number}`);
  const publishing = publisher.publish(others, names.map((name) => publisher.write(name, { description: "News." })));
  const count = () => page.evaluate(() => globalThis.announced.length);
  await until("some of them", async () => (await count()) >= ANNOUNCEMENTS / 5, ANNOUNCED_MS);
  await killed.kill();
  const atKill = await count();
  await publishing;
  await until("all of them", async () => (await count()) >= ANNOUNCEMENTS, ANNOUNCED_MS);
  await until("word that nothing is missed any more", () => page.evaluate(() => globalThis.caughtUp.length > 0));
  const [announced, caughtUp] = await page.evaluate(() => [globalThis.announced, globalThis.caughtUp]);
  console.log(`${atKill} had come when the relay was killed; ${caughtUp} were asked for afterwards`);
  assert.deepEqual(announced.toSorted(), names.toSorted());
});

test("what was announced while no relay could be reached is told once one is back", async (t) => {
  const near = await Relay.start(t, { epochSeconds: EPOCH_SECONDS });
  const far = await Relay.start(t, { bootstrap: [near], epochSeconds: EPOCH_SECONDS });
  const publisher = await Publisher.create(t, "carol");
  await publisher.publish([near], [publisher.write("before", { description: "Long known." })]);
  // Releases are dated by the second: in the one in which the client begins, what is known and what is news look alike.
  const second = () => Math.floor(Date.now() / 1000);
  const published = second();
  await until("another second", () => second() > published);
  const { page } = await openOwnPage(t, options([near], "websocket"));
  await hear(page);
  await near.kill();
  const names = ["first", "second", "third"];
  await publisher.publish([far], names.map((name) => publisher.write(name, { description: "Missed." })));
  await near.restart();
  await until("all of them", () => page.evaluate((count) => globalThis.announced.length >= count, names.length));
  const announced = await page.evaluate(() => globalThis.announced);
  assert.deepEqual(announced.toSorted(), names.toSorted(), "and nothing that is no news");
});

test("a page whose relay is gone at the next visit finds the network by a relay that served at the last one, and its own when that is back", async (t) => {
  const named = await Relay.start(t, { epochSeconds: EPOCH_SECONDS });
  const met = await Relay.start(t, { bootstrap: [named], epochSeconds: EPOCH_SECONDS });
  const publisher = await Publisher.create(t, "dave");
  await publisher.publish([met], [samplePackage("rest-api-axum")]);
  const visit = { relays: [new URL("/.well-known/ggen/relay.json", named.url).href], epochSeconds: EPOCH_SECONDS };
  const { page, ask } = await openOwnPage(t, visit, 2);
  await named.kill();
  await page.reload();
  await startClient(page, visit);
  const standing = () =>
    page.evaluate(() => globalThis.client.connections().map(({ peer, anchor, state }) => [peer, anchor, state]));
  assert.deepEqual(await standing(), [[met.peerId, false, "connected"]]);
  const { value } = await ask("search", "axum", {});
  assert.deepEqual(value.hits.map(({ release }) => release.name), ["rest-api-axum"]);
  await named.restart();
  const isBack = ([peer, anchor, state]) => peer === named.peerId && anchor && state === "connected";
  await until("the relay that the page names", async () => (await standing()).some(isBack), 60_000);

  await named.kill();
  await page.reload();
  await until("the npm package", () => page.evaluate(() => globalThis.MarketClient !== undefined));
  const start = (options) => globalThis.MarketClient.start(options).then(() => "started", ({ code }) => code);
  assert.equal(await page.evaluate(start, { ...visit, remember: false }), "network/unreachable");
});

test("a page that loses one of its relays says how many are left and raises no alarm", async (t) => {
  const relays = [await Relay.start(t)];
  for (const bootstrap of [[relays[0]], [relays[0]]]) relays.push(await Relay.start(t, { bootstrap }));
  const [first, ...others] = relays;
  const page = await openPage(t, others[0], { transport: "websocket" });
  await connected(page, "websocket");
  const text = () => page.getByTestId("connection").innerText();
  await until("three relays", async () => /\b3 relays/.test(await text()));
  await first.kill();
  await until("two relays", async () => /\b2 relays/.test(await text()));
  await page.getByTestId("caught-up").waitFor();
  assert.match(await page.getByTestId("caught-up").innerText(), /^A connection changed\. No announcement was missed\.$/);
  assert.equal(await page.locator('[data-testid="error"]').count(), 0);
  assert.equal(await page.getByTestId("connection").getAttribute("data-state"), "connected");
});

/** Three that know each other. */
async function threeRelays(t) {
  const first = await Relay.start(t, { epochSeconds: EPOCH_SECONDS });
  const others = [0, 1].map(() => Relay.start(t, { bootstrap: [first], epochSeconds: EPOCH_SECONDS }));
  return [first, ...(await Promise.all(others))];
}

function options(relays, transport) {
  const addresses = relays.map((relay) => relay.address(transport));
  return { relays: addresses, transports: [transport], discover: false, epochSeconds: EPOCH_SECONDS };
}

/** Notes the names of releases that are announced, and how many of them were asked for afterwards. */
function hear(page) {
  return page.evaluate(() => {
    globalThis.announced = [];
    globalThis.caughtUp = [];
    globalThis.client.subscribe((event) => {
      if (event.type === "announced") globalThis.announced.push(event.release.name);
      if (event.type === "caughtUp") globalThis.caughtUp.push(event.found);
    });
  });
}
