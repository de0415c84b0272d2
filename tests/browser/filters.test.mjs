// Searches that are narrowed and ordered, and what depends on a package: proven and counted like words.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, connected, mark, openPage, proofState, results, search, useBrowser } from "./support/browser.mjs";
import { Publisher } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

useBrowser();

/** A relay that commits to three packages of one publisher: a kettle that depends on a teapot, and a lamp. */
async function kitchen(t) {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "olivia");
  const write = (name, fields) => publisher.write(name, { description: "Of use at home.", fields });
  // One after the other: whose package a dependency means is known once it is published.
  await publisher.publish([relay], [write("teapot", `license = "MIT OR Apache-2.0"\ntags = ["tea"]\ncategories = ["kitchen"]`)]);
  await publisher.publish([relay], [
    write("kettle", `license = "MIT"\ntags = ["tea"]\n[dependencies]\nteapot = "1"`),
    write("lamp", `license = "ISC"`),
  ]);
  // A relay that starts commits to all it holds; otherwise that would take until the next minute.
  await relay.stop();
  await relay.restart();
  return { relay, publisher };
}

const names = async (page) => (await results(page)).map(({ name }) => name);
const lists = (page, ...wanted) =>
  until(`a list of ${wanted}`, async () => JSON.stringify(await names(page)) === JSON.stringify(wanted));

test("license, category, tags and publisher of a package lead to all that have them, and the address keeps it", async (t) => {
  const { relay, publisher } = await kitchen(t);
  const page = await openPage(t, relay);
  await connected(page);
  const params = () => Object.fromEntries(new URL(page.url()).searchParams);
  const openTeapot = async () => {
    await page.goto(new URL(`/p/${publisher.name}/teapot`, relay.url).href);
    await mark(page, "verified");
  };

  await openTeapot();
  await page.getByRole("link", { name: "kitchen" }).press("Enter");
  await lists(page, "teapot");
  assert.deepEqual(params(), { category: "kitchen" });
  await openTeapot();
  await page.getByRole("link", { name: "#tea", exact: true }).press("Enter");
  await until("both for tea", async () => (await names(page)).toSorted().join() === "kettle,teapot");
  assert.deepEqual(params(), { keyword: "tea" });
  await openTeapot();
  await page.getByTitle("All packages of this publisher").press("Enter");
  await until("all of the publisher", async () => (await names(page)).length === 3);
  assert.deepEqual(params(), { publisher: publisher.id });
  assert.match(await page.getByTestId("filter").innerText(), new RegExp(`Publisher: ${publisher.name}`));
  assert.equal(await page.getByTestId("result-count").innerText(), "3 packages");

  await page.goto(new URL("/?license=MIT&order=name", relay.url).href);
  await lists(page, "kettle", "teapot");
  await page.getByRole("link", { name: "Remove the filter license MIT" }).press("Enter");
  await lists(page, "kettle", "lamp", "teapot");
  assert.deepEqual(params(), { order: "name" });
});

test("words, filters and orders go together, and the proof is of them all", async (t) => {
  const { relay } = await kitchen(t);
  const page = await openPage(t, relay, { path: "/?license=ISC" });
  await connected(page);
  assert.equal(await search(page, "home"), 1);
  assert.deepEqual(await names(page), ["lamp"]);
  assert.match(await proofState(page, "one-word"), /one relay’s word/i);
  await page.getByRole("link", { name: "Remove the filter license ISC" }).press("Enter");
  await until("all three", async () => (await names(page)).length === 3);
  await page.getByTestId("order").getByText("Name").press("Enter");
  await lists(page, "kettle", "lamp", "teapot");
  await page.goBack();
  await page.goBack();
  await lists(page, "lamp");
  await search(page, "nothing-of-this-kind");
  await page.getByText("No package matches “nothing-of-this-kind” with these filters.").waitFor();
  await answered(page, "nothing-of-this-kind");
});

test("the package page lists what depends on it, with a proven count", async (t) => {
  const { relay, publisher } = await kitchen(t);
  const page = await openPage(t, relay, { path: `/p/${publisher.name}/teapot` });
  const dependents = page.getByTestId("dependents");
  await until("the dependents", async () => (await dependents.getAttribute("data-total")) === "1");
  await page.getByText("The one entry of the relay’s catalogue that can match was gone through").waitFor();
  await page.getByTestId("dependent").getByRole("link", { name: "kettle" }).press("Enter");
  await until("the kettle’s page", async () => (await page.getByTestId("package-title").innerText()) === "kettle");
  await until("none", async () => (await dependents.getAttribute("data-total")) === "0");
});
