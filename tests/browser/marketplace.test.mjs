// From publishing to reading, over each transport that a browser has.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TRANSPORTS, ask, connected, mark, openPage, results, search, useBrowser } from "./support/browser.mjs";
import { Publisher, crateFile, samplePackage } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

useBrowser();

for (const transport of TRANSPORTS) {
  test(`published packages are found, opened and verified over ${transport}`, async (t) => {
    const relay = await Relay.start(t);
    const publisher = await Publisher.create(t, "alice");
    const samples = ["event-sourcing-pack", "invoice-ontology", "rest-api-axum"].map(samplePackage);
    const published = await publisher.publish([relay], [...samples, ...["serde", "tokio"].map(crateFile)]);

    const opened = performance.now();
    const page = await openPage(t, relay, { transport });
    await connected(page, transport);
    console.log(`from loading the page to connected over ${transport}: ${Math.round(performance.now() - opened)} ms`);

    await t.test(`the newest packages are listed before anything is typed (${transport})`, async () => {
      await until("the newest packages", async () => (await results(page)).length === 5);
      assert.ok((await results(page)).every(({ status }) => status === "verified"));
    });

    await t.test(`search finds words in any field, while they are being typed (${transport})`, async () => {
      const names = async () => (await results(page)).map(({ name }) => name);
      assert.equal(await search(page, "async io"), 1);
      assert.deepEqual(await names(), ["tokio"]);
      assert.ok((await search(page, "serialization")) >= 1);
      assert.ok((await names()).slice(0, 5).includes("serde"));
      assert.equal(await search(page, "axu"), 1);
      assert.deepEqual(await results(page), [{ testid: "result", status: "verified", name: "rest-api-axum" }]);
      assert.equal(await search(page, "nothing-of-this-name"), 0);
      assert.match(page.url(), /q=nothing-of-this-name/);
    });

    await t.test(`the package page shows what the publisher signed, verified in the browser (${transport})`, async () => {
      await search(page, "axum");
      await page.getByTestId("result").getByRole("link", { name: "rest-api-axum" }).click();
      assert.match(await mark(page, "verified"), /verified in this browser/i);
      const text = (testid) => page.getByTestId(testid).innerText();
      assert.equal(await text("package-title"), "rest-api-axum");
      assert.equal(await text("license"), "MIT OR Apache-2.0");
      assert.equal(await text("publisher-fingerprint"), publisher.name.split("~")[1]);
      assert.equal(await text("cid"), published.find(({ name }) => name === "rest-api-axum").cid);
      const dependencies = await page.getByTestId("dependency").evaluateAll((rows) => rows.map((row) => row.dataset.name));
      assert.deepEqual(dependencies.sort(), ["invoice-ontology", "rdf-vocabularies"]);
      assert.match(await text("readme"), /\S/);
      assert.equal(new URL(page.url()).pathname, `/p/${encodeURIComponent(publisher.name)}/rest-api-axum`);
    });

    await t.test(`a link to a package page leads there, and back leads to the search (${transport})`, async () => {
      await page.reload();
      await mark(page, "verified");
      await page.goBack();
      await page.locator('[data-testid="result"][data-name="rest-api-axum"]').waitFor();
      assert.equal(await page.getByTestId("search-input").inputValue(), "axum");
    });

    await t.test(`no other transport was used than ${transport}`, async () => {
      const { value: connections } = await ask(page, "connections");
      assert.deepEqual([...new Set(connections.map((connection) => connection.transport))], [transport]);
      assert.equal(page.sockets.length > 0, transport === "websocket");
    });
  });
}

test("a list says how much of it is shown, and the proof's details say what was gone through", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "many");
  const write = (_, index) => publisher.write(`teapot-${index}`, { description: "Pours tea." });
  await publisher.publish([relay], Array.from({ length: 25 }, write));
  // A relay that starts commits to all it holds; otherwise that would take until the next minute.
  await relay.stop();
  await relay.restart();

  const page = await openPage(t, relay);
  await connected(page);
  const says = async (text) => until(text, async () => (await page.getByTestId("result-count").innerText()) === text);
  await search(page, "teapot");
  await says("first 20 of 25 packages");
  await page.getByTestId("proof-state").locator("summary").press("Enter");
  await page.getByText("The first 20 of 25 entries that can match were gone through").waitFor();
  await page.getByRole("button", { name: "Show more" }).press("Enter");
  await says("25 packages");
  assert.equal((await results(page)).length, 25);
  await page.getByText("All 25 entries of the relay’s catalogue that can match were gone through").waitFor();
});

test("the module comes compressed, which is a third of its bytes", async (t) => {
  const relay = await Relay.start(t);
  const page = await openPage(t, relay);
  // Of the page that is there, and not of one that is left while it comes: nobody has the bytes of that.
  await connected(page);
  const module = page.waitForResponse((response) => new URL(response.url()).pathname.endsWith(".wasm"));
  await page.reload();
  const response = await module;
  const headers = await response.allHeaders();
  assert.equal(headers["content-encoding"], "br");
  assert.equal(headers["content-type"], "application/wasm");
  // How many they may be, `cargo xtask ci` says.
  const [sent, whole] = [Number(headers["content-length"]), (await response.body()).length];
  assert.ok(sent > 0 && 3 * sent < whole, `${sent} of ${whole}`);
});

test("the page itself asks for the module, before its scripts have come, and they take what it got", async (t) => {
  const relay = await Relay.start(t);
  const page = await openPage(t, relay);
  await connected(page);
  const asked = await page.evaluate(() =>
    performance.getEntriesByType("resource").filter(({ name }) => name.endsWith(".wasm")).map(({ initiatorType }) => initiatorType),
  );
  assert.deepEqual(asked, ["link"]);
});
