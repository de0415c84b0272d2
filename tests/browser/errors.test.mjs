// Errors have stable codes, the page says them calmly, and what can pass by itself does.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TRANSPORTS, answered, ask, connected, openPage, useBrowser } from "./support/browser.mjs";
import { Publisher, samplePackage } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";

useBrowser();

const error = (page, code) => page.locator(`[data-testid="error"][data-code="${code}"]`);

test("a query that is too long, and a package that is not there, are said by their codes", async (t) => {
  const relay = await Relay.start(t);
  const page = await openPage(t, relay, { path: `/?q=${"a".repeat(300)}` });
  await error(page, "query/too-long").waitFor();
  assert.equal((await ask(page, "search", "a".repeat(300))).code, "query/too-long");

  const nobody = `nobody~${"a".repeat(16)}/nothing`;
  await page.goto(`${relay.url}/p/${nobody}`);
  await error(page, "package/not-found").waitFor();
  assert.equal((await ask(page, "getPackage", nobody)).code, "package/not-found");
  assert.equal((await ask(page, "exists", nobody)).value, false);
  await page.goto(`${relay.url}/p/Not%20a%20Name/x`);
  await error(page, "name/invalid").waitFor();
});

for (const transport of TRANSPORTS) {
  test(`a page whose relays are gone says so, and recovers by itself when one is back, over ${transport}`, async (t) => {
    const relay = await Relay.start(t);
    const publisher = await Publisher.create(t, "frank");
    const [{ fullName }] = await publisher.publish([relay], [samplePackage("rest-api-axum")]);
    const page = await openPage(t, relay, { path: "/?q=axum", transport });
    assert.equal(await answered(page, "axum"), 1);

    await relay.stop();
    const stopped = Date.now();
    await page.waitForSelector('[data-testid="connection"]:not([data-state="connected"])');
    console.log(`the loss was noticed after ${Date.now() - stopped} ms`);
    await page.getByTestId("search-input").fill("axu");
    const unreachable = error(page, "network/unreachable");
    await unreachable.waitFor();
    assert.match(await unreachable.innerText(), /trying again by itself/i);
    assert.match(await page.getByTestId("connection").innerText(), /connecting/i);
    assert.equal((await ask(page, "getPackage", fullName)).code, "network/unreachable");

    await relay.restart();
    const restarted = Date.now();
    await connected(page, transport);
    assert.equal(await answered(page, "axu"), 1);
    await unreachable.waitFor({ state: "detached" });
    console.log(`recovered ${Date.now() - restarted} ms after the relay was back`);
  });
}
