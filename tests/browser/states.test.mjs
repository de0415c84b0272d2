// What a publisher says of a version after its release, as the page shows it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, connected, mark, openPage, results, search, useBrowser } from "./support/browser.mjs";
import { Publisher } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

useBrowser();

/** How long an epoch of the page's network is. */
const EPOCH_MS = 60_000;

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
  // A checkpoint that was made between publishing and retracting lists it until the next one, marked.
  const rows = await results(page);
  assert.ok(rows.length === 0 || rows[0].state === "retracted", JSON.stringify(rows));
  await page.goto(new URL(`/p/${fullName}`, relay.url).href);
  await page.locator('[data-testid="error"][data-code="package/withdrawn"]').waitFor();
  await page.goto(new URL(`/p/${fullName}/1.0.0`, relay.url).href);
  await page.locator('[data-testid="error"][data-code="version/retracted"]').waitFor();
});

test("what was withdrawn since the checkpoint is marked in search at once, and counts until the next one", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "judy");
  const write = (name) => publisher.write(name, { description: "Boils water." });
  await publisher.publish([relay], ["kettle", "samovar", "urn", "teapot"].map(write));
  // A relay that starts commits to all it holds, and to nothing more until the minute turns: half of one is time enough for what follows.
  await until("the first half of a minute", () => Date.now() % EPOCH_MS < EPOCH_MS / 2, EPOCH_MS);
  await relay.stop();
  await relay.restart();
  const page = await openPage(t, relay);
  await connected(page);
  assert.equal(await search(page, "water"), 4);
  const said = async () => {
    const rows = await results(page);
    const marks = await page.getByTestId("said").allInnerTexts();
    return JSON.stringify([rows.map(({ name, state }) => `${name} ${state ?? "good"}`).sort(), marks.sort()]);
  };
  const nothing = JSON.stringify([["kettle good", "samovar good", "teapot good", "urn good"], []]);
  assert.equal(await said(), nothing);
  const inCheckpoint = () => page.getByTestId("result").evaluateAll((rows) => rows.every(({ dataset }) => dataset.checkpoint === "in"));
  assert.ok(await inCheckpoint());

  await publisher.say(relay, "kettle", "1.0.0", "yanked", "burns");
  await publisher.say(relay, "samovar", "1.0.0", "retracted", "");
  await publisher.say(relay, "urn", "1.0.0", "deprecated", "samovars keep warm");
  const marked = JSON.stringify([
    ["kettle yanked", "samovar retracted", "teapot good", "urn deprecated"],
    ["Deprecated: samovars keep warm", "Retracted since the last checkpoint", "Yanked since the last checkpoint: burns"],
  ]);
  await page.reload();
  assert.equal(await answered(page, "water"), 4, "one relay's word takes nothing off the count");
  assert.equal(await said(), marked);
  assert.ok(await inCheckpoint());
});
