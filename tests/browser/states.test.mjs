// What a publisher says of a version after its release, as the page shows it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, connected, mark, openPage, search, useBrowser } from "./support/browser.mjs";
import { Publisher } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

useBrowser();

test("deprecated, yanked and retracted versions are marked, and what to use instead is a link", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "mallory");
  const write = (name, version) => publisher.write(name, { version, description: "Boils water." });
  const versions = ["1.0.0", "1.1.0", "2.0.0", "3.0.0"].map((version) => write("kettle", version));
  await publisher.publish([relay], [...versions, write("samovar", "1.0.0")]);
  await publisher.say(relay, "kettle", "3.0.0", "retracted", "never meant to be out");
  await publisher.say(relay, "kettle", "2.0.0", "yanked", "burns");
  await publisher.say(relay, "kettle", "1.1.0", "deprecated", "samovars keep warm", "samovar");

  const page = await openPage(t, relay);
  await connected(page);
  assert.equal(await search(page, "kettle"), 1);
  await page.getByTestId("result").getByRole("link", { name: "kettle" }).press("Enter");
  await mark(page, "verified");
  // The newest version that was not withdrawn is the one that is shown.
  const state = page.getByTestId("state");
  assert.match(await state.innerText(), /Deprecated: .*\s+samovars keep warm\s+Use samovar instead/);
  const marked = await page.getByTestId("version").evaluateAll((rows) => rows.map(({ dataset }) => [dataset.version, dataset.state]));
  const expected = [["3.0.0", "retracted"], ["2.0.0", "yanked"], ["1.1.0", "deprecated"], ["1.0.0", "active"]];
  assert.deepEqual(marked, expected);
  assert.equal(await page.getByTestId("version").first().getByRole("link").count(), 0, "a retracted version leads nowhere");

  await page.getByTestId("version").nth(1).getByRole("link").press("Enter");
  await until("the yanked version", async () => /Yanked: .*\s+burns/.test(await state.innerText()));
  await page.goBack();
  await page.getByTestId("instead").press("Enter");
  await until("the other package", async () => (await page.getByTestId("package-title").innerText()) === "samovar");
  assert.equal(await state.count(), 0, "nothing was said of it");
});

test("a package of which all versions were withdrawn is out of search, and its page says so", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "niaj");
  const [{ fullName }] = await publisher.publish([relay], [publisher.write("kettle", { description: "Boils water." })]);
  const page = await openPage(t, relay);
  await connected(page);
  assert.equal(await search(page, "kettle"), 1);
  await publisher.say(relay, "kettle", "1.0.0", "retracted", "");
  await page.reload();
  await answered(page, "kettle");
  // Search stands on the relay's last checkpoint: one that was made between publishing and retracting lists the release until the next.
  const rows = page.getByTestId("result");
  const checkpoints = await rows.evaluateAll((rows) => rows.map(({ dataset }) => dataset.checkpoint));
  assert.ok(checkpoints.length === 0 || checkpoints[0] === "in", `listed though no checkpoint has it: ${checkpoints}`);
  await page.goto(new URL(`/p/${fullName}`, relay.url).href);
  await page.locator('[data-testid="error"][data-code="package/withdrawn"]').waitFor();
  await page.goto(new URL(`/p/${fullName}/1.0.0`, relay.url).href);
  await page.locator('[data-testid="error"][data-code="version/retracted"]').waitFor();
});
