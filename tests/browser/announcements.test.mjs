// What is published while the page is open shows there by itself, and soon.
import assert from "node:assert/strict";
import { test } from "node:test";
import { TRANSPORTS, answered, ask, connected, firstSight, openPage, results, useBrowser } from "./support/browser.mjs";
import { Publisher, samplePackage } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

const SOON_MS = 2_000;

useBrowser();

for (const transport of TRANSPORTS) {
  test(`a publication shows in the open page within two seconds over ${transport}`, async (t) => {
    const near = await Relay.start(t);
    const far = await Relay.start(t, { bootstrap: [near] });
    const publisher = await Publisher.create(t, "bob");
    const page = await openPage(t, near, { path: "/?q=axum", transport });
    await connected(page, transport);
    assert.equal(await answered(page, "axum"), 0);

    // It is published at another relay than the one the page was loaded from.
    const started = Date.now();
    const [{ acknowledgedAt }] = await publisher.publish([far], [samplePackage("rest-api-axum")]);
    const shown = {
      announcement: await firstSight(page, "announcement", "rest-api-axum"),
      result: await firstSight(page, "result", "rest-api-axum"),
    };
    for (const [where, at] of Object.entries(shown)) {
      const [afterStart, afterAcknowledgement] = [at - started, at - acknowledgedAt];
      console.log(`${where}: ${afterStart} ms after publish was started, ${afterAcknowledgement} ms after it was acknowledged`);
      assert.ok(afterStart < SOON_MS, `the ${where} came ${afterStart} ms after publish was started`);
    }
    assert.deepEqual(await results(page), [{ testid: "result", status: "verified", name: "rest-api-axum" }]);
  });
}

test("a new version that is announced while the package page is open is offered, not forced on the reader", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "bob");
  const version = (version) => publisher.write("growing", { version, description: "It grows." });
  const [{ fullName }] = await publisher.publish([relay], [version("1.0.0")]);
  const page = await openPage(t, relay, { path: `/p/${fullName}` });
  const shown = (version) => page.getByText(version, { exact: true }).first().waitFor();
  await shown("1.0.0");
  await publisher.publish([relay], [version("1.1.0")]);
  await page.getByText("Version 1.1.0 was just announced").waitFor();
  await shown("1.0.0");
  await page.getByRole("button", { name: "Look again" }).click();
  await shown("1.1.0");
});

test("forty publications at once reach a page on webrtc-direct, and it ends connected and complete", async (t) => {
  const COUNT = 40;
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "carol");
  const page = await openPage(t, relay, { path: "/?q=burst", transport: "webrtc-direct" });
  await connected(page, "webrtc-direct");
  assert.equal(await answered(page, "burst"), 0);

  const filler = "Words that make a record as long as real ones are. ".repeat(9);
  const packages = Array.from({ length: COUNT }, (_, number) =>
    publisher.write(`burst-${number}`, { description: `${number}: ${filler}`, readme: filler.repeat(40) }),
  );
  const started = Date.now();
  await publisher.publish([relay], packages);
  const published = Date.now() - started;
  // More than an answer carries beside its proof are counted once the relay commits to them, at the turn of the minute.
  await until("all packages in the count", async () => (await answered(page, "burst")) === COUNT, 90_000);
  console.log(`published in ${published} ms, complete in the page after ${Date.now() - started} ms`);
  const announced = await page.getByTestId("announcement").count();
  console.log(`${announced} of ${COUNT} were announced to the page`);

  await connected(page, "webrtc-direct");
  const { value: answer } = await ask(page, "search", "burst", { limit: 50 });
  assert.deepEqual(
    [answer.total, answer.hits.length, answer.hits.every(({ status }) => status === "verified")],
    [COUNT, COUNT, true],
  );
});
