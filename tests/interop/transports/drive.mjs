// Drives pages in Chromium: `drive.mjs CHROMIUM TASK SAMPLES`. Writes the milliseconds of each round, by what they are of and whose they are.
import { readFileSync, writeFileSync } from "node:fs";
import { startUnwatched } from "../unwatched.mjs";
import { answer } from "./channels.mjs";

const [executablePath, taskFile, samplesFile] = process.argv.slice(2);
const { origin, rounds, volume, pings, transports, socket } = JSON.parse(readFileSync(taskFile, "utf8"));
const browser = await startUnwatched(executablePath, origin, async (_, offer) => JSON.stringify(await answer(JSON.parse(offer))));

const samples = {};
const perform = async (round, page, task, of, whose) => {
  const told = await browser.perform(`${page}: ${of}`, { page, ...task });
  if (round === 0) return;
  for (const [what, milliseconds] of Object.entries(told)) ((samples[`${of}, ${what}`] ??= {})[whose] ??= []).push(...[milliseconds].flat());
};
try {
  // The first round warms up. In turn, so that what else the machine does is shared by all. A page has to wait for what the one before has left behind: so connections
  // come first, because pages that have moved hundreds of megabytes leave much, each behind one that leaves nothing; and who begins takes turns.
  for (let round = 0; round <= rounds; round += 1) {
    for (const { name, transport, relay } of transports) {
      const pages = [
        () => perform(round, "client", { relay, transport }, name, "ours"),
        () => perform(round, "libp2p", { relay }, name, "js-libp2p"),
      ];
      for (const page of round % 2 === 0 ? pages : pages.reverse()) {
        await browser.perform("a page between", { page: "bare", socket, pings: 1 });
        await page();
      }
    }
  }
  for (let round = 0; round <= rounds; round += 1) {
    for (const { name, transport, peer } of transports) {
      const bare = name === "WebSocket" ? { socket } : {};
      const pages = [
        () => perform(round, "perf", { peer, transport, volume }, name, "ours"),
        () => perform(round, "libp2p", { peer, volume }, name, "js-libp2p"),
      ];
      for (const page of round % 2 === 0 ? pages : pages.reverse()) await page();
      await perform(round, "bare", { ...bare, volume }, name, "bare");
      await perform(round, "perf", { peer, transport, pings }, name, "ours");
      await perform(round, "bare", { socket, pings }, name, "bare");
    }
    console.log(`round ${round} of ${rounds}`);
    writeFileSync(samplesFile, JSON.stringify({ chromium: browser.version, samples }));
  }
} finally {
  await browser.end();
}
// Threads of libdatachannel keep Node alive otherwise.
process.exit();
