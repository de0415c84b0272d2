// Builds the three pages with MiniSearch's index: `site.mjs DOCUMENTS SITE`. Text files are compressed as a server would keep them.
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";
import MiniSearch from "minisearch";
import { build } from "vite";
import { INDEX } from "./pages/minisearch-options.js";

// Each quality above costs a multiple of the time, and the index is some ten megabytes.
const QUALITY_OF_INDEX = 9;
const QUALITY = 11;

const [documents, site] = process.argv.slice(2);
const root = fileURLToPath(new URL("./pages", import.meta.url));

rmSync(site, { recursive: true, force: true });
await build({
  root,
  base: "/",
  configFile: false,
  logLevel: "warn",
  build: {
    outDir: site,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rollupOptions: { input: ["index", "ours", "minisearch", "plain"].map((name) => join(root, `${name}.html`)) },
  },
});

const index = new MiniSearch(INDEX);
index.addAll(JSON.parse(readFileSync(documents, "utf8")).map((document, id) => ({ id, ...document })));
writeFileSync(join(site, "minisearch-index.json"), JSON.stringify(index));

for (const file of readdirSync(site, { recursive: true }).filter((file) => /\.(html|js|json|wasm)$/.test(file))) {
  const bytes = readFileSync(join(site, file));
  const quality = file.endsWith("index.json") ? QUALITY_OF_INDEX : QUALITY;
  const params = { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: 24 };
  writeFileSync(join(site, `${file}.br`), brotliCompressSync(bytes, { params }));
}
