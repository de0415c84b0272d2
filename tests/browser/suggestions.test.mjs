// A misspelled word: the relay guesses what was meant, and what the guess finds is proven as always.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, connected, openPage, proofState, results, search, useBrowser } from "./support/browser.mjs";
import { Publisher } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

useBrowser();

const names = async (page) => (await results(page)).map(({ name }) => name);

test("a search that finds nothing asks whether another spelling was meant, and follows it to proven results", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "olivia");
  const described = (name, description) => publisher.write(name, { description });
  await publisher.publish([relay], [described("teapot", "Pours tea."), described("kettle", "Boils water for teapots.")]);
  // A relay that starts commits to all it holds; otherwise that would take until the next minute.
  await relay.stop();
  await relay.restart();

  const page = await openPage(t, relay);
  await connected(page);
  await search(page, "taepot");
  await answered(page, "taepot");
  const suggestions = page.getByTestId("suggestions");
  await suggestions.waitFor();
  assert.match(await suggestions.innerText(), /^Did you mean teapot\?/);
  assert.match(await suggestions.innerText(), /guess/, "nobody takes it for proven");
  assert.deepEqual(await names(page), []);

  await suggestions.getByRole("link", { name: "teapot" }).click();
  await until("what the other spelling finds", async () => (await names(page)).join() === "teapot,kettle");
  assert.equal(new URL(page.url()).searchParams.get("q"), "teapot");
  assert.equal(await page.getByTestId("search-input").inputValue(), "teapot");
  assert.equal(await suggestions.count(), 0, "that is a word which packages have");
  await proofState(page, "one-word");

  await search(page, "teapot zzzz");
  await answered(page, "teapot zzzz");
  assert.equal(await suggestions.count(), 0, "nothing is like zzzz");
});
