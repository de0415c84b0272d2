// A step of `cargo xtask nat`, run in a network namespace: a page fetches content, and leaves what came in a file.
import { Buffer } from "node:buffer";
import { writeFileSync } from "node:fs";
import { chromium } from "playwright-core";
import { FLAGS } from "./support/flags.mjs";
import { DEADLINE_MS, deadline } from "./support/wait.mjs";

const [url, cid, size, path] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.GGEN_CHROMIUM, args: FLAGS });
try {
  const page = await browser.newPage();
  await page.goto(url);
  await page.waitForSelector('[data-testid="connection"][data-state="connected"]', { timeout: DEADLINE_MS });
  const fetched = page.evaluate(
    async ([cid, size]) => {
      const began = performance.now();
      const bytes = await globalThis.ggenMarket.content(cid, size);
      const seconds = (performance.now() - began) / 1000;
      // What comes out of a page is text.
      let base64 = "";
      for (let at = 0; at < bytes.length; at += 30_000) base64 += btoa(String.fromCharCode(...bytes.subarray(at, at + 30_000)));
      return { seconds, base64 };
    },
    [cid, Number(size)],
  );
  const { seconds, base64 } = await deadline("the content", fetched);
  writeFileSync(path, Buffer.from(base64, "base64"));
  console.log(JSON.stringify({ seconds }));
} finally {
  await browser.close();
}
