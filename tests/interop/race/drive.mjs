// Downloads in Chromium: `drive.mjs CHROMIUM TASK SAMPLES`. Writes the seconds that each way took for each content.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { startUnwatched } from "../unwatched.mjs";

const WAYS = ["ours", "unkept", "gateway", "bare", "plain", "helia"];

const [executablePath, taskFile, samplesFile] = process.argv.slice(2);
const { contents, ...places } = JSON.parse(readFileSync(taskFile, "utf8"));
const browser = await startUnwatched(executablePath, places.origin);
try {
  const samples = {};
  for (const content of contents) {
    const of = (samples[content.name] = Object.fromEntries(WAYS.map((way) => [way, []])));
    // The first round warms up. In turn, so that what else the machine does is shared by all.
    for (let round = 0; round <= content.rounds; round += 1) {
      for (const way of WAYS) {
        // One download in a page of its own, which is loaded anew, so that nobody works with what another one left in memory.
        const { seconds, sha256 } = await browser.perform(`${content.name} by ${way}`, { way, places, content });
        assert.equal(sha256, content.sha256, `${way} gave other bytes`);
        if (round > 0) of[way].push(seconds);
      }
    }
  }
  writeFileSync(samplesFile, JSON.stringify({ chromium: browser.version, samples }));
} finally {
  await browser.end();
}
