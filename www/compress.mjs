// Puts a compressed copy beside each text and module of a built page, where relays look for them: `compress.mjs DIRECTORY`.
// Browsers take brotli from https and from this machine only, and gzip from everywhere.
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const COMPRESSIBLE = /\.(css|html|js|json|svg|wasm)$/;
const BEST = constants.BROTLI_MAX_QUALITY;

/** `quality`: brotli's, by the file's name; each above costs a multiple of the time. */
export function compress(directory, quality = () => BEST) {
  for (const name of readdirSync(directory, { recursive: true }).filter((name) => COMPRESSIBLE.test(name))) {
    const file = join(directory, name);
    const bytes = readFileSync(file);
    const params = { [constants.BROTLI_PARAM_QUALITY]: quality(name), [constants.BROTLI_PARAM_LGWIN]: 24 };
    writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params }));
    writeFileSync(`${file}.gz`, gzipSync(bytes, { level: 9 }));
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) compress(process.argv[2]);
