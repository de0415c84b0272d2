// WebRTC-direct under load and when one end is gone: streams that wait, data channels that are closed, peers that are killed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { useBrowser } from "./support/browser.mjs";
import { openOwnPage } from "./support/own-page.mjs";
import { Relay } from "./support/relay.mjs";
import { watchRtc } from "./support/rtc.mjs";
import { deadline, until } from "./support/wait.mjs";

useBrowser();

const MEGABYTE = 1_000_000;
const EPOCH_SECONDS = 1;
const DOWNLOAD_MS = 180_000;
const PAUSE_MS = 5_000;

const STREAMS = 2_000;
const STREAMS_MS = 120_000;
/** Data channels of streams in use, and of those whose end is on its way. */
const MAX_CHANNELS = 64;

const RELAY_NOTICED_MS = 10_000;
const TAB_NOTICED_MS = 30_000;

test("a relay that does not answer to version 2 of webrtc-direct is reached by version 1, and so at once the next time", async (t) => {
  const relay = await Relay.start(t);
  const { page } = await openOwnPage(t, options(relay), 1, (page) => page.addInitScript(watchRtc, "v2"));
  const dialed = () => page.evaluate(() => globalThis.dialed);
  assert.deepEqual(await dialed(), ["v2", "v1"]);
  await relay.kill();
  await until("another attempt", async () => (await dialed()).length > 2);
  assert.equal((await dialed())[2], "v1");
});

test("64 MB come over one stream to a page that reads nothing for five seconds in the middle", async (t) => {
  const relay = await Relay.startProvider(t, 64 * MEGABYTE, "well");
  const { page } = await openOwnPage(t, options(relay), 1, (page) => page.addInitScript(watchRtc));
  const downloading = page.evaluate(
    async ({ cid, size, pause }) => {
      const before = globalThis.channels.opened;
      let paused = false;
      const begun = performance.now();
      const bytes = await globalThis.client.content(cid, size, ({ done }) => {
        if (paused || done < size / 2) return;
        paused = true;
        // Nothing of the page runs meanwhile, and what comes is kept for it.
        for (const end = performance.now() + pause; performance.now() < end; );
      });
      const seconds = (performance.now() - begun) / 1000;
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return { sha256, seconds, paused, opened: globalThis.channels.opened - before };
    },
    { ...relay.content, pause: PAUSE_MS },
  );
  const { sha256, seconds, paused, opened } = await deadline("the content", downloading, DOWNLOAD_MS);
  console.log(`64 MB in ${seconds.toFixed(1)} s, of which it paused for ${PAUSE_MS / 1000}, over ${opened} streams`);
  assert.ok(paused);
  assert.equal(sha256, relay.content.sha256);
});

test("two thousand streams one after the other leave few data channels open", async (t) => {
  const relay = await Relay.start(t, { epochSeconds: EPOCH_SECONDS });
  const { page } = await openOwnPage(t, options(relay), 1, (page) => page.addInitScript(watchRtc));
  const asking = page.evaluate(async (streams) => {
    const begun = performance.now();
    for (let asked = 0; globalThis.channels.opened < streams; asked += 1) await globalThis.client.search(`word${asked}`);
    return { ...globalThis.channels, seconds: (performance.now() - begun) / 1000 };
  }, STREAMS);
  const { opened, most, seconds } = await deadline("the answers", asking, STREAMS_MS);
  console.log(`${opened} streams in ${seconds.toFixed(1)} s, at most ${most} data channels at a time`);
  assert.ok(most <= MAX_CHANNELS, `${most} data channels at a time`);
});

test("a relay that is killed is noticed within ten seconds over webrtc-direct", async (t) => {
  const relay = await Relay.start(t);
  const { page } = await openOwnPage(t, options(relay));
  await relay.kill();
  const killed = Date.now();
  const states = () => page.evaluate(() => globalThis.client.connections().map(({ state }) => state));
  await until("the loss of the relay", async () => !(await states()).includes("connected"));
  const noticed = Date.now() - killed;
  console.log(`a killed relay was noticed after ${noticed} ms`);
  assert.ok(noticed < RELAY_NOTICED_MS, `${noticed} ms`);
});

test("a tab that is killed is noticed by its relay within thirty seconds over webrtc-direct", async (t) => {
  const relay = await Relay.start(t, { log: "info,libp2p_swarm=debug" });
  const { page } = await openOwnPage(t, options(relay));
  const closed = relay.says(/Connection closed.*webrtc-direct/);
  const killed = Date.now();
  const devtools = await page.context().newCDPSession(page);
  // It is answered by nobody.
  void devtools.send("Page.crash").catch(() => {});
  await deadline("the loss of the tab", closed, 2 * TAB_NOTICED_MS);
  const noticed = Date.now() - killed;
  console.log(`a killed tab was noticed after ${noticed} ms`);
  assert.ok(noticed < TAB_NOTICED_MS, `${noticed} ms`);
});

function options(relay) {
  return { relays: [relay.address("webrtc-direct")], discover: false, epochSeconds: EPOCH_SECONDS };
}
