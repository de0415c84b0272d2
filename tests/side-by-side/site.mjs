// Builds the three pages with MiniSearch's index: `site.mjs DOCUMENTS SITE`. Text files are compressed as a server would keep them.
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import MiniSearch from "minisearch";
import { build } from "vite";
import { compress } from "../../www/compress.mjs";
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
    rollupOptions: { input: ["index", "minisearch", "plain"].map((name) => join(root, `${name}.html`)) },
  },
});

const index = new MiniSearch(INDEX);
index.addAll(JSON.parse(readFileSync(documents, "utf8")).map((document, id) => ({ id, ...document })));
writeFileSync(join(site, "minisearch-index.json"), JSON.stringify(index));

compress(site, (name) => (name.endsWith("index.json") ? QUALITY_OF_INDEX : QUALITY));
