import { existsSync } from "node:fs";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";
import { preloadModule } from "./preload-module.mjs";

const WASM_MODULE = new URL("../client-wasm/js/wasm/ggen_client_wasm.js", import.meta.url);

export default defineConfig(({ command }) => {
  if (command === "build" && !existsSync(WASM_MODULE)) {
    throw new Error("The client's wasm module is not built yet. `cargo xtask build` builds it, and then the page.");
  }
  return {
    plugins: [svelte(), preloadModule()],
    // Package pages have nested paths, so assets are named from the root.
    base: "/",
    build: {
      target: "es2022",
      // The relay's content security policy allows no `data:` but for images: every asset stays a file.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
    },
    // The client finds its wasm module relative to its own script: pre-bundling would move the script away.
    optimizeDeps: { exclude: ["@ggen/market-client"] },
  };
});
