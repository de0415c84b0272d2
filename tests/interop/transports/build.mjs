// Builds the pages: `build.mjs SITE MODULE`, of which the latter is the directory of the client's module that moves bytes, too.
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { preloadModule } from "../../../www/preload-module.mjs";

const [outDir, perf] = process.argv.slice(2);
const root = fileURLToPath(new URL(".", import.meta.url));
await build({
  root,
  base: "/",
  configFile: false,
  logLevel: "warn",
  plugins: [preloadModule()],
  resolve: { alias: { "@ggen/perf": perf } },
  build: {
    outDir,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4096,
    rollupOptions: { input: ["index", "client", "libp2p", "perf", "bare"].map((page) => join(root, `${page}.html`)) },
  },
});
