// Types queries into the three pages: `drive.mjs CHROMIUM ORIGIN ENDPOINT QUERIES SAMPLES`. Writes what each page took: milliseconds for each
// key press, milliseconds and bytes for the first answer; and how long the client works on what came before it has verified rows.
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium } from "playwright-core";
import { FLAGS } from "../browser/support/flags.mjs";
import { deadline } from "../browser/support/wait.mjs";

const PAGES = ["ours", "MiniSearch", "plain JSON"];
const FILES = { ours: "index", MiniSearch: "minisearch", "plain JSON": "plain" };
const FIRST_QUERY = "web server";
const FIRST_ANSWERS = 9;
const DEADLINE_MS = 60_000;
/** Somebody who types fast. */
const BETWEEN_KEYS_MS = 100;

const [executablePath, origin, endpoint, queriesFile, samplesFile] = process.argv.slice(2);
const queries = JSON.parse(readFileSync(queriesFile, "utf8"));
const browser = await chromium.launch({ executablePath, args: FLAGS });

/** Opens a page with an empty cache, counts what comes over the wire, and waits for the first answer. */
async function open(kind, query, whole) {
  const context = await browser.newContext();
  const page = await context.newPage();
  const faults = [];
  page.on("pageerror", (error) => faults.push(error));
  const session = await context.newCDPSession(page);
  let bytes = 0;
  session.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
  session.on("Network.webSocketFrameReceived", ({ response }) => {
    bytes += response.opcode === 2 ? Buffer.from(response.payloadData, "base64").length : response.payloadData.length;
  });
  await session.send("Network.enable");
  const url = new URL(`/${FILES[kind]}.html`, origin);
  url.searchParams.set("endpoint", endpoint);
  if (query) url.searchParams.set("q", query);
  if (whole) url.searchParams.set("whole", "");
  await page.goto(url.href);
  const shown = await answered(page, query ?? "");
  if (faults.length > 0) throw faults[0];
  // To be told of each frame is work that no visitor's browser has.
  await session.detach();
  return { context, page, bytes, took: shown.took, rows: shown.rows };
}

/** Waits for the page's own word. To look again at every frame would make it draw frames, and answers would wait for less. */
async function answered(page, text) {
  const shown = page.evaluate(
    (text) =>
      new Promise((done) => {
        const look = () => {
          if (globalThis.shown?.text !== text) return;
          removeEventListener("shown", look);
          done(globalThis.shown);
        };
        addEventListener("shown", look);
        look();
      }),
    text,
  );
  return deadline(`an answer to "${text}"`, shown, DEADLINE_MS);
}

async function typed(kind) {
  const { context, page } = await open(kind);
  const input = page.locator("input");
  const took = [];
  for (const query of queries) {
    await input.fill("");
    await answered(page, "");
    for (let end = 1; end <= query.length; end += 1) {
      await input.press(query[end - 1] === " " ? "Space" : query[end - 1]);
      const shown = await answered(page, query.slice(0, end));
      took.push(shown.took);
      await sleep(BETWEEN_KEYS_MS);
    }
  }
  await context.close();
  return took;
}

/** What the client takes from the last byte of an answer to its verified rows. Each query is asked once, whole, in one visit. */
async function worked() {
  const { context, page } = await open("ours", undefined, true);
  const took = [];
  for (const query of queries) {
    await page.locator("input").fill(query);
    const shown = await answered(page, query);
    took.push(shown.worked);
  }
  await context.close();
  return took;
}

const samples = Object.fromEntries(PAGES.map((kind) => [kind, { keys: [], first: [], bytes: [], worked: [], rows: 0 }]));
// In turn, so that what else the machine does is shared by all.
for (let run = 0; run < FIRST_ANSWERS; run += 1) {
  for (const kind of PAGES) {
    const { context, bytes, took, rows } = await open(kind, FIRST_QUERY);
    samples[kind].first.push(took);
    samples[kind].bytes.push(bytes);
    samples[kind].rows = rows;
    await context.close();
  }
}
// What is typed takes minutes, and the machine has better and worse ones: our answers are timed by themselves in three visits, behind each page.
for (const kind of PAGES) {
  samples[kind].keys = await typed(kind);
  samples.ours.worked.push(...(await worked()));
}
await browser.close();
writeFileSync(samplesFile, JSON.stringify(samples));
