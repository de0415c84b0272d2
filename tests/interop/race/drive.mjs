// Downloads in Chromium: `drive.mjs CHROMIUM TASK SAMPLES`. Writes the seconds that each way took for each content. Nobody watches the browser: to be
// told of each frame of a WebSocket, as tools for developers are, costs its page more than to receive it. The page asks here what is next.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FLAGS } from "../../browser/support/flags.mjs";
import { deadline } from "../../browser/support/wait.mjs";

const WAYS = ["ours", "unkept", "gateway", "bare", "plain", "helia"];
const DEADLINE_MS = 120_000;

const [executablePath, taskFile, samplesFile] = process.argv.slice(2);
const { contents, ...places } = JSON.parse(readFileSync(taskFile, "utf8"));

let [result, task] = [pending(), pending()];
const server = createServer(async (request, response) => {
  response.setHeader("Access-Control-Allow-Origin", "*");
  if (request.method === "POST") {
    const body = Buffer.concat(await request.toArray()).toString();
    task = pending();
    result.resolve(JSON.parse(body));
    response.end();
  } else {
    response.end(JSON.stringify(await task.promise));
  }
});
await once(server.listen(0, "127.0.0.1"), "listening");

// A profile on the disk, as people have: what is kept is written there.
const profile = mkdtempSync(join(tmpdir(), "ggen-race-"));
const page = new URL(places.origin);
page.searchParams.set("driver", `http://127.0.0.1:${server.address().port}`);
const browser = spawn(executablePath, [...FLAGS, "--headless", `--user-data-dir=${profile}`, page.href], { stdio: "ignore" });
const ended = once(browser, "exit").then(([code]) => assert.fail(`the browser ended with ${code}`));
ended.catch(() => {});
try {
  const samples = {};
  for (const content of contents) {
    const of = (samples[content.name] = Object.fromEntries(WAYS.map((way) => [way, []])));
    // The first round warms up. In turn, so that what else the machine does is shared by all.
    for (let round = 0; round <= content.rounds; round += 1) {
      for (const way of WAYS) {
        const seconds = await run(way, content);
        if (round > 0) of[way].push(seconds);
      }
    }
  }
  writeFileSync(samplesFile, JSON.stringify({ chromium: execFileSync(executablePath, ["--version"]).toString().trim(), samples }));
} finally {
  browser.kill();
  await ended.catch(() => {});
  server.close();
  server.closeAllConnections();
  rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
}

/** One download in a page of its own, which is loaded anew, so that nobody works with what another one left in memory. */
async function run(way, content) {
  result = pending();
  task.resolve({ way, places, content });
  const told = Promise.race([result.promise, ended]);
  const { seconds, sha256, fault } = await deadline(`${content.name} by ${way}`, told, DEADLINE_MS);
  assert.equal(fault, undefined, `${content.name} by ${way}`);
  assert.equal(sha256, content.sha256, `${way} gave other bytes`);
  return seconds;
}

/** A promise that is kept from outside. */
function pending() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
