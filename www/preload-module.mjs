/**
 * Has a page ask for its wasm module at once, and not only when its scripts have come and run: that is a round trip later.
 *
 * @returns {import("vite").Plugin}
 */
export function preloadModule() {
  let base = "/";
  return {
    name: "preload-module",
    apply: "build",
    configResolved: (config) => void (base = config.base),
    transformIndexHtml: {
      order: "post",
      handler: (_, { bundle, chunk }) =>
        modules(chunk, bundle ?? {}).map((file) => ({
          tag: "link",
          // As `fetch` asks for it, or it would be asked for twice.
          attrs: { rel: "preload", as: "fetch", type: "application/wasm", crossorigin: "anonymous", href: base + file },
          injectTo: "head",
        })),
    },
  };
}

/** The wasm modules that a chunk, or one that it imports, has the addresses of. */
function modules(chunk, bundle, seen = new Set()) {
  if (chunk?.type !== "chunk" || seen.has(chunk)) return [];
  seen.add(chunk);
  const own = [...(chunk.viteMetadata?.importedAssets ?? [])].filter((file) => file.endsWith(".wasm"));
  return [...new Set([...own, ...chunk.imports.flatMap((file) => modules(bundle[file], bundle, seen))])];
}
