// What is likely typed next is asked for ahead: then it is there within the key press.
import assert from "node:assert/strict";
import { test } from "node:test";
import { openOwnPage } from "./support/own-page.mjs";
import { useBrowser } from "./support/browser.mjs";
import { Publisher } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

useBrowser();

/** Runs in the page: types a text and says what came, how many messages were sent meanwhile, and whether a task of the browser's could run before it came. */
async function type([text, options]) {
  let isLate = false;
  setTimeout(() => (isLate = true));
  const before = globalThis.sent;
  const { hits } = await globalThis.client.search(text, options);
  return { names: hits.map(({ release }) => release.name), sent: globalThis.sent - before, isLate };
}

function countMessages() {
  globalThis.sent = 0;
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (message) {
    globalThis.sent += 1;
    return send.call(this, message);
  };
}

async function typist(t, prepare) {
  const relay = await Relay.start(t);
  const options = { relays: [relay.address("websocket")] };
  const { page } = await openOwnPage(t, options, 1, async (page) => {
    await page.addInitScript(countMessages);
    await prepare?.(page);
  });
  // What is announced is forgotten for, so it is waited for.
  await page.evaluate(() => globalThis.client.subscribe(({ type }) => (globalThis.heard ||= type === "announced")));
  const publisher = await Publisher.create(t, "olivia");
  await publisher.publish([relay], [publisher.write("teapot", { description: "Pours tea." })]);
  await until("the announcement", () => page.evaluate(() => globalThis.heard));
  return (text, options) => page.evaluate(type, [text, options]);
}

test("a letter that was foreseen is answered within the key press, and any other by a relay", async (t) => {
  const press = await typist(t);
  const first = await press("tea", { typing: true });
  assert.deepEqual({ names: first.names, isLate: first.isLate }, { names: ["teapot"], isLate: true });
  assert.ok(first.sent > 0);
  // It may still be on its way: whoever types faster than relays answer waits for the rest of it.
  assert.deepEqual((await press("teap", { typing: true })).names, ["teapot"]);
  for (const text of ["teap", "TEAP", "teap ", "tea"]) {
    assert.deepEqual(await press(text, { typing: true }), { names: ["teapot"], sent: 0, isLate: false }, text);
  }
  const unforeseen = await press("teax", { typing: true });
  assert.deepEqual({ names: unforeseen.names, isLate: unforeseen.isLate }, { names: [], isLate: true });
  const asked = await press("tea", {});
  assert.ok(asked.isLate && asked.sent > 0, "whoever does not type asks");
});

test("nothing is asked for ahead where the browser is to save data", async (t) => {
  const press = await typist(t, (page) =>
    page.addInitScript(() => Object.defineProperty(navigator.connection, "saveData", { value: true })),
  );
  assert.deepEqual((await press("tea", { typing: true })).names, ["teapot"]);
  assert.ok((await press("tea", { typing: true })).isLate, "it is asked each time");
});
