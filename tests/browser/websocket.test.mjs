// Messages of a WebSocket that wait for the browser's turn.
import assert from "node:assert/strict";
import { test } from "node:test";
import { useBrowser } from "./support/browser.mjs";
import { openOwnPage } from "./support/own-page.mjs";
import { Relay } from "./support/relay.mjs";
import { deadline } from "./support/wait.mjs";

useBrowser();

/** As client-wasm/src/websocket/turns.rs has it. */
const LARGE_BYTES = 8 * 1024;
/** Of a block: two of Yamux's frames, each of which is large, however the relay puts them into messages. */
const SIZE = 30_000;
const TIMES = 10;
/** Less than it takes a peer to ping again: what it says would be looked for, and the rest found with it. */
const QUIET_MS = 10_000;

test("a large message is worked on when its turn comes, though nothing else happens", async (t) => {
  const relay = await Relay.startProvider(t, SIZE, "well");
  const came = [];
  const watch = (page) => page.on("websocket", (socket) => socket.on("framereceived", ({ payload }) => came.push(payload.length)));
  const { page } = await openOwnPage(t, { relays: [relay.address("websocket")], discover: false }, 1, watch);
  const sizes = page.evaluate(
    async ([{ cid, size }, times]) => {
      // No timer wakes anything from here on.
      globalThis.setTimeout = () => 0;
      const sizes = [];
      while (sizes.length < times) sizes.push((await globalThis.client.content(cid, size)).length);
      return sizes;
    },
    [relay.content, TIMES],
  );
  assert.deepEqual(await deadline("the content", sizes, QUIET_MS), Array(TIMES).fill(SIZE));
  assert.ok(came.filter((bytes) => bytes >= LARGE_BYTES).length >= TIMES, `messages of ${came}`);
});
