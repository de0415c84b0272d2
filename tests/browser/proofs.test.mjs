// What relays commit to is proven in the browser, and compared between relays.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TRANSPORTS, ask, connected, firstSight, openPage, proofState, results, search, useBrowser } from "./support/browser.mjs";
import { openOwnPage } from "./support/own-page.mjs";
import { Publisher, samplePackage } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

useBrowser();

for (const transport of TRANSPORTS) {
  test(`an answer stands on its relay's checkpoint within two epochs, and another relay agrees, over ${transport}`, async (t) => {
    const epochSeconds = 2;
    const one = await Relay.start(t, { epochSeconds });
    const two = await Relay.start(t, { epochSeconds, bootstrap: [one] });
    const publisher = await Publisher.create(t, "heidi");
    await publisher.publish([one], ["invoice-ontology", "rest-api-axum"].map(samplePackage));

    const relays = [one, two].map((relay) => relay.address(transport));
    const client = await openOwnPage(t, { relays, transports: [transport], discover: false, epochSeconds });
    await until("both relays", async () => {
      const { value } = await client.ask("connections");
      return value.filter(({ state, anchor }) => state === "connected" && anchor).length === 2;
    });
    const answer = await until("an answer that a checkpoint has", async () => {
      const { value } = await client.ask("search", "axum");
      return value?.hits.length === 1 && value.hits[0].inCheckpoint && value;
    });
    const { proof, total, totalIsExact } = answer;
    assert.deepEqual([total, totalIsExact, proof.entries, proof.walked], [1, true, 1, 1]);
    assert.match(proof.root, /^[0-9a-f]{64}$/);
    assert.ok(proof.bytes > 0 && proof.bytes < 4096, `${proof.bytes} bytes`);
    assert.ok(Math.abs(proof.epoch - Date.now() / 1000 / epochSeconds) < 4);

    const { page } = client;
    const compared = await until("agreement", () =>
      page.evaluate(async () => {
        const comparison = await globalThis.client.compare(await globalThis.client.search("axum"));
        return comparison.complete && comparison;
      }),
    );
    assert.deepEqual([compared.agree.length, compared.differ, compared.silent], [1, [], []]);
    const stale = await page.evaluate(async () => {
      const first = await globalThis.client.search("axum");
      await globalThis.client.search("invoice");
      return globalThis.client.compare(first).catch((error) => error.code);
    });
    assert.equal(stale, "client/bad-options", "only the last answer can be compared");
  });
}

test("the page says what it knows: one relay's word, or that another relay agrees", async (t) => {
  const one = await Relay.start(t);
  const two = await Relay.start(t, { bootstrap: [one] });
  const publisher = await Publisher.create(t, "ivan");
  await publisher.publish([one, two], [samplePackage("rest-api-axum")]);

  const alone = await openPage(t, one);
  await connected(alone);
  assert.match(await proofState(alone, "one-word"), /one relay’s word/i);
  const page = await openPage(t, two);
  await connected(page);
  assert.match(await proofState(page, "complete"), /2 relays agree/);
  await page.getByTestId("proof-state").locator("summary").click();
  const details = await page.getByTestId("proof-details").innerText();
  assert.match(details, /[0-9a-f]{64}/);
  assert.match(details, /1 other relay that you or this page chose commits to the same list/);
  assert.match(details, /1 the same/);
});

test("what one relay lacks and another shows is disputed, shown, and handed over", async (t) => {
  const rich = await Relay.start(t);
  const publisher = await Publisher.create(t, "judy");
  await publisher.publish([rich], [samplePackage("rest-api-axum")]);
  // A relay that starts commits to all it holds; otherwise that would take until the next minute.
  await rich.stop();
  await rich.restart();
  const poor = await Relay.start(t, { bootstrap: [rich], sync: false });

  const page = await openPage(t, poor);
  await connected(page);
  // Whichever of both the page asked: once the record is handed over and announced, there is nothing to dispute any more.
  await firstSight(page, "proof-state", "disputed");
  await until("the records at the relay that lacked them", async () => {
    const ready = await (await fetch(`${poor.url}/readyz`)).text();
    return ready.includes("ready: 2 records");
  });
  assert.equal(await search(page, "axum"), 1);
  assert.deepEqual(await results(page), [{ testid: "result", status: "verified", name: "rest-api-axum" }]);
});

test("what an operator excludes is left out with a word, found all the same, and disputed by nobody", async (t) => {
  const other = await Relay.start(t);
  const one = await Relay.start(t, { bootstrap: [other] });
  const publisher = await Publisher.create(t, "kim");
  const [{ id }] = await publisher.publish([other, one], [samplePackage("rest-api-axum")]);
  await one.exclude(id, "it is not what it says");
  // A relay that starts commits to all it holds, but for what it excludes; otherwise that would take until the next minute.
  for (const relay of [other, one]) {
    await relay.stop();
    await relay.restart();
  }

  const page = await openPage(t, one);
  await connected(page);
  await search(page, "axum");
  const proof = page.getByTestId("proof-state");
  const said = await until("what is known of the answer", async () => {
    const state = await proof.getAttribute("data-state");
    return ["left-out", "complete", "disputed"].includes(state) && state;
  });
  await proof.locator("summary").click();
  const details = await page.getByTestId("proof-details").innerText();
  assert.match(details, /^The operator of relay \S+ keeps rest-api-axum \S+ off its lists, and says why: “it is not what it says”\.$/m);
  // Whichever of both the page asked.
  const shown = said === "left-out" ? page.getByTestId("excluded-release") : page.getByTestId("result");
  assert.equal(await shown.getAttribute("data-name"), "rest-api-axum");
  assert.match(await proof.locator("summary").innerText(), said === "left-out" ? /1 package left out by the relay’s operator/i : /complete: 2 relays agree/i);
  assert.notEqual(said, "disputed");
});

test("a relay that is proven to break the rules is named in the list of relays", async (t) => {
  const liar = await Relay.startLiar(t);
  const honest = await Relay.start(t, { bootstrap: [liar] });
  const publisher = await Publisher.create(t, "mallory");
  await publisher.publish([liar, honest], [publisher.write("hidden", { description: "the same word" })]);
  // It commits to what it holds now, as the liar does when it is asked.
  await honest.stop();
  await honest.restart();
  await liar.order("hide");
  const page = await openPage(t, honest);
  await connected(page);
  const fault = page.getByTestId("connection-fault");
  // Somebody types once, and stops: then the page compares.
  await until("both relays", async () => (await ask(page, "connections")).value.filter(({ state }) => state === "connected").length === 2);
  await search(page, "same");
  await until("the fault", async () => (await fault.count()) > 0);
  await page.getByTestId("connection").click();
  const row = page.getByTestId("connection-row").filter({ has: fault });
  assert.match(await row.innerText(), /^It (leaves out a package that it holds|signed two different states .*): proven by what it signed\.$/m);
  assert.equal(await row.count(), 1);
});
