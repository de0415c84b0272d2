// Chromium that nobody watches: to be told of each frame of a WebSocket, as tools for developers are, costs its page more than to receive it. So pages
// ask here what is next.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FLAGS } from "../browser/support/flags.mjs";
import { deadline } from "../browser/support/wait.mjs";

const DEADLINE_MS = 120_000;

/**
 * Starts Chromium with a page, whose address tells it where its `driver` is: a GET there gives the next task, a POST takes what came of it. `perform`
 * gives that; `others` answers requests with a path.
 */
export async function startUnwatched(executablePath, origin, others) {
  let [result, task] = [pending(), pending()];
  const server = createServer(async (request, response) => {
    response.setHeader("Access-Control-Allow-Origin", "*");
    const body = Buffer.concat(await request.toArray()).toString();
    if (request.url !== "/") {
      response.end(await others(request.url, body));
    } else if (request.method === "POST") {
      task = pending();
      result.resolve(JSON.parse(body));
      response.end();
    } else {
      response.end(JSON.stringify(await task.promise));
    }
  });
  await once(server.listen(0, "127.0.0.1"), "listening");

  // A profile on the disk, as people have: what is kept is written there.
  const profile = mkdtempSync(join(tmpdir(), "ggen-unwatched-"));
  const page = new URL(origin);
  page.searchParams.set("driver", `http://127.0.0.1:${server.address().port}`);
  const browser = spawn(executablePath, [...FLAGS, "--headless", `--user-data-dir=${profile}`, page.href], { stdio: "ignore" });
  const ended = once(browser, "exit").then(([code]) => assert.fail(`the browser ended with ${code}`));
  ended.catch(() => {});

  return {
    version: execFileSync(executablePath, ["--version"]).toString().trim(),

    /** Has a page do something, and gives what it tells; a `fault` that it tells is an error. */
    async perform(what, next) {
      result = pending();
      task.resolve(next);
      const told = await deadline(what, Promise.race([result.promise, ended]), DEADLINE_MS);
      assert.equal(told.fault, undefined, what);
      return told;
    },

    async end() {
      browser.kill();
      await ended.catch(() => {});
      server.close();
      server.closeAllConnections();
      // Its helpers write a moment longer than it does.
      await rm(profile, { recursive: true, force: true, maxRetries: 10 });
    },
  };
}

/** A promise that is kept from outside. */
function pending() {
  let resolve;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}
