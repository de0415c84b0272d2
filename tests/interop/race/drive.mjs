// Downloads in Chromium: `drive.mjs CHROMIUM TASK SAMPLES`. Writes the seconds that each way took for each content.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { FLAGS } from "../../browser/support/flags.mjs";
import { deadline, until } from "../../browser/support/wait.mjs";

const WAYS = ["ours", "unkept", "gateway", "bare", "plain", "helia"];
const DEADLINE_MS = 120_000;

const [executablePath, taskFile, samplesFile] = process.argv.slice(2);
const task = JSON.parse(readFileSync(taskFile, "utf8"));

// A profile on the disk, as people have: what is kept is written there.
const profile = mkdtempSync(join(tmpdir(), "ggen-race-"));
const context = await chromium.launchPersistentContext(profile, { executablePath, args: FLAGS });
try {
  const samples = {};
  for (const content of task.contents) {
    const of = (samples[content.name] = Object.fromEntries(WAYS.map((way) => [way, []])));
    // The first round warms up. In turn, so that what else the machine does is shared by all.
    for (let round = 0; round <= content.rounds; round += 1) {
      for (const way of WAYS) {
        const seconds = await run(way, content);
        if (round > 0) of[way].push(seconds);
      }
    }
  }
  writeFileSync(samplesFile, JSON.stringify({ chromium: `Chromium ${context.browser()?.version() ?? ""}`, samples }));
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}

/** One download in a page of its own, so that nobody works with what another one left in memory. */
async function run(way, content) {
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(error));
  await page.goto(task.origin);
  await until("the page", () => page.evaluate(() => globalThis.race !== undefined));
  const racing = page.evaluate(([way, task, content]) => globalThis.race(way, task, content), [way, task, content]);
  const { seconds, sha256 } = await deadline(`${content.name} by ${way}`, racing, DEADLINE_MS);
  if (faults.length > 0) throw faults[0];
  assert.equal(sha256, content.sha256, `${way} gave other bytes`);
  await page.close();
  return seconds;
}
