// Content that no relay has, but a peer behind one: a page gets it through the relay.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { connected, openPage, useBrowser } from "./support/browser.mjs";
import { MARKET, start, stop, temporaryDirectory } from "./support/programs.mjs";
import { Relay } from "./support/relay.mjs";
import { deadline } from "./support/wait.mjs";

useBrowser();

test("a page fetches a package that only a peer has to which nothing but a relay leads", async (t) => {
  const relay = await Relay.start(t);
  const { cid, size, sha256 } = await served(t, relay, 1_500_000);
  const page = await openPage(t, relay);
  await connected(page);
  const fetched = await page.evaluate(
    async ([cid, size]) => {
      const bytes = await globalThis.ggenMarket.content(cid, size);
      const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      return { size: bytes.length, sha256: hash.toHex() };
    },
    [cid, size],
  );
  assert.deepEqual(fetched, { size, sha256 });
});

/** Serves a package of about this size from a machine that listens nowhere, until the end of the test: the archive's CID, size and hash. */
async function served(t, relay, bytes) {
  const directory = temporaryDirectory(t);
  const packageDirectory = join(directory, "kettle");
  mkdirSync(packageDirectory);
  writeFileSync(join(packageDirectory, "package.toml"), '[package]\nname = "kettle"\nversion = "1.0.0"\ndescription = "Boils water."\n');
  writeFileSync(join(packageDirectory, "noise"), noise(bytes));
  let child;
  t.after(() => child && stop(child));
  const lines = [];
  const known = new Promise((done) => {
    const args = [`GGEN_HOME=${directory}`, MARKET, "serve", packageDirectory, "--relays-only", "--relay", relay.address("tcp")];
    child = start("env", args, (line) => {
      lines.push(line);
      if (line.includes("the DHT knows of them")) done();
    });
  });
  await deadline("a package that is served", known);
  const [, cid, size] = /^serving kettle 1\.0\.0 (\S+) (\d+)$/.exec(lines.find((line) => line.startsWith("serving kettle")));
  assert.ok(lines.some((line) => line.startsWith("reachable ") && line.includes("/ws/p2p/")), "by a way that browsers can go");
  const archive = readFileSync(join(directory, "cache/content", cid));
  return { cid, size: Number(size), sha256: createHash("sha256").update(archive).digest("hex") };
}

/** Bytes that nothing compresses, and that are the same each time. */
function noise(length) {
  const parts = [];
  for (let at = 0; at < length; at += 32) parts.push(createHash("sha256").update(String(at)).digest());
  return Buffer.concat(parts).subarray(0, length);
}
