// The real page in a real browser. Nothing reaches it over HTTP but its own files, relay.json and blocks.
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before } from "node:test";
import { chromium } from "playwright-core";
import { FLAGS } from "./flags.mjs";
import { CHROMIUM, WWW } from "./programs.mjs";
import { DEADLINE_MS, until } from "./wait.mjs";

export const TRANSPORTS = ["websocket", "webrtc-direct"];

/** The browser as a promise: Node starts the hooks of a file beside each other, and one that is cold starts slowly. */
let browser;

/** Starts one browser for the tests of a file, with these flags besides; each page gets a profile of its own. */
export function useBrowser(...flags) {
  before(() => (browser = chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...flags] })));
  after(async () => (await browser)?.close());
}

/** An empty profile whose every page is watched: its errors, and the requests it was not allowed. */
export async function openContext(t, { isAllowed, ...options } = {}) {
  const context = await (await browser).newContext(options);
  context.setDefaultTimeout(DEADLINE_MS);
  const faults = [];
  context.on("weberror", (error) => faults.push(`uncaught in the page: ${error.error().stack ?? error.error()}`));
  await context.route("**/*", (route) => {
    if (isAllowed(route.request())) return route.continue();
    faults.push(`requested ${route.request().method()} ${route.request().url()}`);
    return route.abort("blockedbyclient");
  });
  t.after(async () => {
    await context.close();
    assert.deepEqual(faults, [], "no error in the page, and no request but for its files, relay.json and blocks");
  });
  return context;
}

const PAGE_FILES = new Set(
  readdirSync(WWW, { recursive: true }).map((file) => `/${file.replaceAll("\\", "/")}`),
);

/** A page that a relay serves. `path` is what follows the origin; `transport` is the only one that may be used. */
export async function openPage(t, relay, { path = "/", transport, ...options } = {}) {
  const context = await openContext(t, { isAllowed: (request) => isPartOfPage(request, relay), ...options });
  const page = await context.newPage();
  page.sockets = [];
  page.on("websocket", (socket) => page.sockets.push(socket.url()));
  await page.addInitScript(noteFirstSight);
  const url = new URL(path, relay.url);
  if (transport) url.searchParams.set("transport", transport);
  await page.goto(url.href);
  return page;
}

function isPartOfPage(request, relay) {
  const { origin, pathname } = new URL(request.url());
  if (origin !== relay.url || request.method() !== "GET") return false;
  const isDocument = request.isNavigationRequest() && request.frame().parentFrame() === null;
  const isContent = pathname.startsWith("/ipfs/");
  return isDocument || isContent || PAGE_FILES.has(pathname) || pathname === "/.well-known/ggen/relay.json";
}

/** Runs in the page: remembers when an element of a kind (`data-testid`) and name (`data-name`) first stood there. */
function noteFirstSight() {
  globalThis.firstSight = {};
  new MutationObserver(() => {
    for (const { dataset } of document.querySelectorAll("[data-testid][data-name]")) {
      globalThis.firstSight[`${dataset.testid} ${dataset.name}`] ??= Date.now();
    }
  }).observe(document, { subtree: true, childList: true, attributes: true });
}

/** When the page first showed something, by the clock of this machine. */
export function firstSight(page, testid, name) {
  return until(`${testid} ${name}`, () => page.evaluate((key) => globalThis.firstSight[key], `${testid} ${name}`));
}

/** Waits until the page is connected over this transport. */
export async function connected(page, transport) {
  const wanted = transport ? `[data-transport="${transport}"]` : "";
  await page.waitForSelector(`[data-testid="connection"][data-state="connected"]${wanted}`);
}

/** Types a query letter by letter and waits for its answer: what the count says. */
export async function search(page, query) {
  const input = page.getByTestId("search-input");
  await input.fill("");
  await input.pressSequentially(query);
  return answered(page, query);
}

/** Waits for the answer to a query that the page was asked. */
export async function answered(page, query) {
  const count = page.locator(`[data-testid="result-count"][data-query=${JSON.stringify(query)}]`);
  await count.waitFor();
  return Number(/(\d+) package/.exec(await count.innerText())[1]);
}

/** The rows of results: name and status of each. */
export function results(page) {
  const rows = page.getByTestId("result");
  return rows.evaluateAll((rows) => rows.map(({ dataset: { checkpoint: _, ...rest } }) => rest));
}

/** Waits until the list of results is in this proof state. */
export async function proofState(page, state) {
  await page.waitForSelector(`[data-testid="proof-state"][data-state="${state}"]`);
  return page.getByTestId("proof-state").locator("summary").innerText();
}

/** Waits for the mark of a package page: `verified` or `refused`. */
export async function mark(page, status) {
  await page.waitForSelector(`[data-testid="mark"][data-status="${status}"]`);
  return page.getByTestId("mark").innerText();
}

/** Calls a method of the page's client: what it gives, or the code of what it throws. */
export async function ask(page, method, ...args) {
  await until("the page's client", () => page.evaluate(() => globalThis.ggenMarket !== undefined));
  return page.evaluate(
    async ([method, args]) => {
      try {
        return { value: await globalThis.ggenMarket[method](...args) };
      } catch (error) {
        return { code: error.code, message: error.message, name: error.name };
      }
    },
    [method, args],
  );
}
