// Pictures of the page for looking at: node tests/browser/screenshots.mjs [URL] [DIRECTORY]
// They show search and a package page, light, dark and at a phone's width. GGEN_CHROMIUM is used if it is set.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { FLAGS } from "./support/flags.mjs";

const [url = "http://127.0.0.1:8080", directory = "target/screenshots"] = process.argv.slice(2);

const LOOKS = {
  light: { colorScheme: "light", viewport: { width: 1280, height: 900 } },
  dark: { colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  phone: { colorScheme: "light", viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
};

mkdirSync(directory, { recursive: true });
const executablePath = process.env.GGEN_CHROMIUM ?? "/usr/bin/chromium";
const browser = await chromium.launch({ executablePath, args: FLAGS });
for (const [look, options] of Object.entries(LOOKS)) {
  const page = await browser.newPage(options);
  const take = (name) => page.screenshot({ path: join(directory, `${name}-${look}.png`) });

  await page.goto(url);
  await page.locator('[data-testid="connection"][data-state="connected"]').waitFor();
  await page.getByTestId("result").first().waitFor();
  await take("newest");

  await page.getByTestId("search-input").pressSequentially("async io");
  await page.locator('[data-testid="result-count"][data-query="async io"]').waitFor();
  await take("search");

  await page.getByTestId("search-input").fill("serdee");
  await page.getByTestId("suggestions").waitFor();
  await take("misspelled");

  await page.getByTestId("search-input").fill("async io");
  await page.locator('[data-testid="result-count"][data-query="async io"]').waitFor();
  await page.getByTestId("result").getByRole("link").first().click();
  await page.getByTestId("readme").waitFor();
  await take("package");
  await page.getByText("What was checked").click();
  await page.screenshot({ path: join(directory, `package-whole-${look}.png`), fullPage: true, clip: undefined });

  await page.goto(`${url}/p/nobody~aaaaaaaaaaaaaaaa/nothing`);
  await page.getByTestId("error").waitFor();
  await take("not-found");
  await page.close();
}
await browser.close();
console.log(`pictures are in ${directory}`);
