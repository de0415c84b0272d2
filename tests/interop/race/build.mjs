// Builds the page with the client and Helia in it: `build.mjs SITE`.
import { fileURLToPath } from "node:url";
import { build } from "vite";

const [outDir] = process.argv.slice(2);
await build({
  root: fileURLToPath(new URL(".", import.meta.url)),
  base: "/",
  configFile: false,
  logLevel: "warn",
  build: { outDir, emptyOutDir: true, target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 4096 },
});
