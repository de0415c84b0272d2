// Drives pages in Chromium: `drive.mjs CHROMIUM TASK SAMPLES`. Writes the milliseconds of each round, by what they are of and whose they are.
import { readFileSync, writeFileSync } from "node:fs";
import { startUnwatched } from "../unwatched.mjs";
import { answer } from "./channels.mjs";

const [executablePath, taskFile, samplesFile] = process.argv.slice(2);
const { origin, rounds, volume, pings, transports, socket } = JSON.parse(readFileSync(taskFile, "utf8"));
const browser = await startUnwatched(executablePath, origin, async (_, offer) => JSON.stringify(await answer(JSON.parse(offer))));

const samples = {};
const note = (of, whose, milliseconds) => ((samples[of] ??= {})[whose] ??= []).push(...[milliseconds].flat());
try {
  // The first round warms up. In turn, so that what else the machine does is shared by all.
  for (let round = 0; round <= rounds; round += 1) {
    const keep = round > 0 ? note : () => {};
    const perform = async (page, task, of, whose) => {
      const told = await browser.perform(`${page}: ${of}`, { page, ...task });
      for (const [what, milliseconds] of Object.entries(told)) keep(`${of}, ${what}`, whose, milliseconds);
    };
    for (const { name, transport, relay, peer } of transports) {
      const bare = name === "WebSocket" ? { socket } : {};
      await perform("client", { relay, transport }, name, "ours");
      await perform("libp2p", { relay }, name, "js-libp2p");
      await perform("perf", { peer, transport, volume }, name, "ours");
      await perform("libp2p", { peer, volume }, name, "js-libp2p");
      await perform("bare", { ...bare, volume }, name, "bare");
      await perform("perf", { peer, transport, pings }, name, "ours");
      await perform("bare", { socket, pings }, name, "bare");
    }
    console.log(`round ${round} of ${rounds}`);
    writeFileSync(samplesFile, JSON.stringify({ chromium: browser.version, samples }));
  }
} finally {
  await browser.end();
}
// Threads of libdatachannel keep Node alive otherwise.
process.exit();
