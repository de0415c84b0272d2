// A page that is not the relays': the npm package as it is built, served from another origin, with a client of its own.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import { extname, join, normalize } from "node:path";
import { openContext } from "./browser.mjs";
import { ROOT } from "./programs.mjs";
import { until } from "./wait.mjs";

const PACKAGE = join(ROOT, "client-wasm/js");
const TYPES = { ".js": "text/javascript", ".wasm": "application/wasm" };

const PAGE = `<!doctype html>
<title>A page of one's own</title>
<link rel="icon" href="data:,">
<script type="module">
  import { MarketClient } from "/dist/index.js";
  globalThis.MarketClient = MarketClient;
</script>`;

/** Opens the page and starts a client in it with these options, connected to so many relays at least. `before` prepares the page, which is empty. */
export async function openOwnPage(t, options, relays = 1, before) {
  const origin = await serveOwnPage(t);
  const isOfRelay = (url) => /^\/(\.well-known\/ggen\/relay\.json$|ipfs\/)/.test(new URL(url).pathname);
  const isAllowed = (request) => new URL(request.url()).origin === origin || isOfRelay(request.url());
  const context = await openContext(t, { isAllowed });
  const page = await context.newPage();
  await before?.(page);
  await page.goto(origin);
  await startClient(page, options, relays);
  return { page, ask: (method, ...args) => ask(page, method, args) };
}

/** Starts a client in a page that was loaded or reloaded, connected to so many relays at least. */
export async function startClient(page, options, relays = 1) {
  await until("the npm package", () => page.evaluate(() => globalThis.MarketClient !== undefined));
  await page.evaluate(async (options) => {
    globalThis.client = await globalThis.MarketClient.start(options);
  }, options);
  const connected = () =>
    page.evaluate(() => globalThis.client.connections().filter(({ state }) => state === "connected").length);
  await until(`${relays} connected relays`, async () => (await connected()) >= relays);
}

/** Calls a method of the client: what it gives, or the code of what it throws. A publication comes in base64, as no bytes come into a page. */
function ask(page, method, args) {
  return page.evaluate(
    async ([method, args]) => {
      const bytes = (base64) => Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const publication = ({ records, blocks }) => ({
        records: records.map(bytes),
        blocks: blocks.map(({ cid, data }) => ({ cid, data: bytes(data) })),
      });
      const given = args.map((arg) => (arg?.records ? publication(arg) : arg));
      try {
        return { value: await globalThis.client[method](...given) };
      } catch (error) {
        return { code: error.code, message: error.message };
      }
    },
    [method, args],
  );
}

/** Serves the page: its origin. */
export async function serveOwnPage(t) {
  const server = createServer(async (request, response) => {
    const path = normalize(new URL(request.url, "http://own.page").pathname);
    if (path === "/") return response.setHeader("content-type", "text/html").end(PAGE);
    try {
      const body = await readFile(join(PACKAGE, path));
      response.setHeader("content-type", TYPES[extname(path)] ?? "text/plain").end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}
