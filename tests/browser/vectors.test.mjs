// What native code encodes, hashes and signs, the browser's WebAssembly encodes, hashes and signs to the same bytes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { openContext, useBrowser } from "./support/browser.mjs";
import { VECTORS } from "./support/programs.mjs";

useBrowser();

test("the golden vectors hold in the browser's WebAssembly, without a single import", async (t) => {
  const context = await openContext(t, { isAllowed: () => false });
  const page = await context.newPage();
  const { imports, count, message } = await page.evaluate(checkVectors, readFileSync(VECTORS).toString("base64"));
  assert.deepEqual(imports, []);
  assert.ok(count > 0, `check() gave ${count}: ${message}`);
  console.log(`${count} vectors hold`);
});

/** Runs in the page. */
async function checkVectors(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const module = await WebAssembly.compile(bytes);
  const imports = WebAssembly.Module.imports(module).map(({ module, name }) => `${module}.${name}`);
  const { exports } = await WebAssembly.instantiate(module, {});
  const count = exports.check();
  const text = new Uint8Array(exports.memory.buffer, exports.message_ptr(), exports.message_len());
  return { imports, count, message: new TextDecoder().decode(text) };
}
