// Content larger than a window and larger than a block arrives whole, checked against its hash.
import assert from "node:assert/strict";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { TRANSPORTS, ask, mark, openPage, useBrowser } from "./support/browser.mjs";
import { Publisher, crateFile } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";

const BLOCK_BYTES = 256 * 1024;

useBrowser();

for (const transport of TRANSPORTS) {
  test(`an artifact of several blocks arrives and verifies over ${transport}`, async (t) => {
    const relay = await Relay.start(t);
    const publisher = await Publisher.create(t, "heidi");
    const [{ fullName, cid }] = await publisher.publish([relay], [crateFile("tokio")]);
    const page = await openPage(t, relay, { path: `/p/${fullName}`, transport });
    await mark(page, "verified");
    const { value: release } = await ask(page, "metadata", fullName);
    assert.equal(release.artifact.cid, cid);
    const { size } = release.artifact;
    assert.ok(size > 2 * BLOCK_BYTES, `${size} bytes are no more than two blocks`);

    const started = performance.now();
    const bytes = await download(page, cid, size);
    const seconds = (performance.now() - started) / 1000;
    console.log(`${size} bytes over ${transport} in ${seconds.toFixed(2)} s`);
    assert.equal(bytes.length, size);
    assert.match(gunzipSync(bytes).toString("latin1"), /Cargo\.toml/);

    for (const wrong of [size - 1, size + 1]) assert.equal((await ask(page, "content", cid, wrong)).code, "content/wrong-size");
    const absent = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy";
    assert.equal((await ask(page, "content", absent, 10)).code, "content/not-found");
  });

  test(`a README of more than a hundred kilobytes is shown whole over ${transport}`, async (t) => {
    const relay = await Relay.start(t);
    const publisher = await Publisher.create(t, "ivan");
    const lines = Array.from({ length: 2_000 }, (_, number) => `Line ${number}: ${"text ".repeat(14)}`);
    const readme = ["# Long", ...lines, "The very end."].join("\n\n");
    assert.ok(readme.length > 100 * 1024);
    const [{ fullName }] = await publisher.publish([relay], [publisher.write("long", { description: "Long.", readme })]);
    const page = await openPage(t, relay, { path: `/p/${fullName}`, transport });
    await mark(page, "verified");
    const text = await page.getByTestId("readme").innerText();
    const shown = text.split("\n").filter((line) => line.startsWith("Line "));
    assert.equal(shown.length, lines.length);
    assert.ok(text.trimEnd().endsWith("The very end."));
    await mark(page, "verified");
  });
}

/** Content through the page's client, as bytes here. */
async function download(page, cid, size) {
  const base64 = await page.evaluate(
    async ([cid, size]) => {
      const bytes = await globalThis.ggenMarket.content(cid, size);
      const url = await new Promise((done) => {
        const reader = new FileReader();
        reader.onload = () => done(reader.result);
        reader.readAsDataURL(new Blob([bytes]));
      });
      return url.slice(url.indexOf(",") + 1);
    },
    [cid, size],
  );
  return Buffer.from(base64, "base64");
}
