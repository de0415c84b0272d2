// The claims of tests/conformance.json, which all implementations of the registry keep: here the npm package, in a page of its own.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { useBrowser } from "./support/browser.mjs";
import { openOwnPage } from "./support/own-page.mjs";
import { ROOT } from "./support/programs.mjs";
import { Relay } from "./support/relay.mjs";
import { until } from "./support/wait.mjs";

useBrowser();

const { claims } = JSON.parse(readFileSync(join(ROOT, "tests/conformance.json"), "utf8"));

/** What each call asks of the client, and what it gives in the words of the claims. */
const CALLS = {
  search: ({ text }) => ["search", [text, {}], found],
  get_package: ({ name }) => ["getPackage", [name], shown],
  get_package_version: ({ name, version }) => ["getPackageVersion", [name, version], shown],
  list_versions: ({ name }) => ["listVersions", [name], listed],
  exists: ({ name }) => ["exists", [name], (exists) => ({ exists })],
  metadata: ({ name }) => ["metadata", [name], ({ version }) => ({ version })],
  publish: ({ publication }) => ["publish", [publication], taken],
  delete: ({ publication }) => ["delete", [publication], taken],
};

const shown = ({ release, state, offline }) => ({ version: release.version, state, offline });
const listed = ({ versions, missing, offline }) => ({
  length: versions.length,
  list: versions.map(({ version, state }) => `${version} ${state}`),
  missing,
  offline,
});
const found = ({ total, totalIsExact, hits, offline }) => ({
  total,
  exact: totalIsExact,
  hits: hits.map(({ release }) => `${release.name} ${release.version}`),
  offline,
});
const taken = ({ durableAt }) => ({ taken: durableAt.length > 0 });

for (const [claim, steps] of Object.entries(claims)) {
  test(`npm package: ${claim.replaceAll("_", " ")}`, async (t) => {
    const world = await Relay.startWorld(t);
    const { ask } = await openOwnPage(t, { relays: [world.relay.address("websocket")], epochSeconds: world.epochSeconds });
    for (const step of steps) {
      if (step.call === "cut_off") {
        await world.relay.stop();
        await until("lost relays", async () => (await ask("connections")).value.every(({ state }) => state !== "connected"));
        continue;
      }
      const name = step.package && world.kettle.replace("kettle", step.package);
      const publication = world.prepared[step.publication];
      const [method, args, read] = CALLS[step.call]({ ...step, name, publication });
      const { value, code } = await ask(method, ...args);
      const outcome = code ? { error: code } : read(value);
      for (const [key, expected] of Object.entries(step.expect)) {
        assert.deepEqual(outcome[key], expected, `${key} of ${JSON.stringify(outcome)} after ${JSON.stringify(step)}`);
      }
    }
  });
}
