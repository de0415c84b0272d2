// Relays that lie, against the npm client in a page of its own: each lie is caught and named, and with one honest relay among those
// asked the answer is complete all the same. `cargo xtask hostile` runs these beside the native ones.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { useBrowser } from "./support/browser.mjs";
import { openOwnPage } from "./support/own-page.mjs";
import { Publisher } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";
import { DEADLINE_MS, until } from "./support/wait.mjs";

useBrowser();

const EPOCH_SECONDS = 2;
const BOTH = ["hidden", "plain"];

/** Two liars and an honest relay that hold the same, and a page whose client is a new one for each test. */
let liars, honest, page;
/** Who released the package that lies are about, and the record ids of its versions. */
let publisher;
const released = {};
const cleanups = [];

before(async () => {
  const t = { after: (cleanup) => cleanups.unshift(cleanup) };
  liars = await Promise.all([1, 2].map(() => Relay.startLiar(t, { epochSeconds: EPOCH_SECONDS })));
  honest = await Relay.start(t, { epochSeconds: EPOCH_SECONDS });
  const relays = [...liars, honest];
  const [one, two] = [await Publisher.create(t, "plain-one"), await Publisher.create(t, "hidden-one")];
  const plain = one.write("plain", { description: "the same word" });
  await one.publish(relays, [plain]);
  const hidden = ["0.9.0", "1.0.0"].map((version) =>
    two.write("hidden", { version, description: "the same word", fields: '[dependencies]\nplain = "1"' }),
  );
  publisher = two;
  for (const { version, id } of await two.publish(relays, hidden, { plain: one.id })) released[version] = id;
  ({ page } = await openOwnPage(t, options(relays)));
  await page.evaluate(() => {
    // Bytes as a list, so that they come out of the page whatever carries them.
    const list = (_, value) => (value instanceof Uint8Array ? [...value] : value);
    globalThis.plain = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value, list)));
  });
  for (const relay of relays) {
    await newClient([relay]);
    await until("a checkpoint of all", async () => {
      const { hits } = await call("search", "same word");
      return hits.length === 2 && hits.every(({ inCheckpoint }) => inCheckpoint);
    });
  }
});
after(async () => {
  for (const cleanup of cleanups) await cleanup();
});

const options = (relays) => ({
  relays: relays.map((relay) => relay.address("websocket")),
  transports: ["websocket"],
  discover: false,
  epochSeconds: EPOCH_SECONDS,
});

/** Starts a client that knows these relays and nothing else, and waits until it is connected to all. */
async function newClient(relays) {
  await page.evaluate(async (options) => {
    globalThis.client.close();
    globalThis.client = await globalThis.MarketClient.start(options);
  }, options(relays));
  await until("all relays", async () => {
    const connections = await call("connections");
    return connections.filter(({ state }) => state === "connected").length === relays.length;
  });
}

async function call(method, ...args) {
  const { value, code } = await attempt(method, ...args);
  if (code) throw new Error(`${method}: ${code}`);
  return value;
}

function attempt(method, ...args) {
  return page.evaluate(
    async ([method, args]) => {
      try {
        return { value: globalThis.plain(await globalThis.client[method](...args)) };
      } catch (error) {
        return { code: error.code ?? String(error) };
      }
    },
    [method, args],
  );
}

const orderAll = (order) => Promise.all(liars.map((liar) => liar.order(order)));
const isLiar = (relay) => liars.some(({ peerId }) => peerId === relay);

/** The answer and the comparison of a client that knows two relays with the same lie and an honest one. */
async function compared(lie, query, searchOptions = {}) {
  await orderAll(lie);
  await newClient([...liars, honest]);
  return page.evaluate(
    async ([query, options]) => {
      const answer = await globalThis.client.search(query, options);
      return globalThis.plain({ answer, comparison: await globalThis.client.compare(answer) });
    },
    [query, searchOptions],
  );
}

/** The names that are shown in the end. */
function shown({ answer, comparison }) {
  const verified = answer.hits.filter(({ status }) => status === "verified").map(({ release }) => release.name);
  const more = comparison.differ.flatMap(({ more }) => more.map(({ name }) => name));
  return [...new Set([...verified, ...more])].sort();
}

/** Somebody who was not there is shown the evidence, whole and broken. */
async function convinces({ relay, code, release, evidence }) {
  await newClient([honest]);
  const shown = await page.evaluate((evidence) => {
    const fault = globalThis.client.checkEvidence(new Uint8Array(evidence));
    if (!(fault.evidence instanceof Uint8Array)) throw new Error("evidence is bytes");
    return { ...fault, evidence: [...fault.evidence] };
  }, evidence);
  assert.deepEqual(shown, { relay, code, evidence, ...(release && { release }) });
  const refused = await page.evaluate((evidence) => {
    const broken = new Uint8Array(evidence);
    broken[300] ^= 1;
    try {
      return globalThis.client.checkEvidence(broken);
    } catch ({ code }) {
      return code;
    }
  }, evidence);
  assert.equal(refused, "evidence/refused");
}

for (const [lie, query, code, claim] of [
  ["hide", "same word", "relay/missing-entry", "a package that is kept off all lists is shown, its relay named"],
  ["terms", "same word", "relay/missing-entry", "a wrong derivation of words is proven"],
  ["beginnings", "word", "relay/missing-entry", "a wrong derivation of beginnings is proven"],
  ["newest", "", "relay/missing-entry", "a wrong derivation of the newest is proven"],
  ["rank", "word", "relay/missing-entry", "a wrong rank is proven"],
  ["filter", "same word", "relay/false-filter", "a false filter is proven"],
]) {
  test(`in the browser, ${claim}`, async () => {
    const found = await compared(lie, query);
    assert.deepEqual(shown(found), BOTH);
    assert.equal(found.comparison.complete, false);
    const faults = found.comparison.differ.flatMap(({ faults }) => faults);
    assert.ok(faults.length > 0 && faults.every(({ relay }) => isLiar(relay)), JSON.stringify(found.comparison));
    const fault = faults.find((fault) => fault.code === code);
    await convinces(fault);
  });
}

for (const [lie, code, claim] of [
  ["dependents", "relay/missing-entry", "a wrong derivation of dependents is found by an audit"],
  ["version", "relay/missing-version", "a version that is left out is found by an audit"],
]) {
  test(`in the browser, ${claim}`, async () => {
    await orderAll(lie);
    await newClient(liars);
    const fault = await until("an audit that hits upon it", () => call("audit", liars[0].peerId));
    assert.deepEqual([fault.relay, fault.code], [liars[0].peerId, code]);
    assert.equal((await call("audits")).failed, 1);
    assert.deepEqual(await call("evidence"), [fault]);
    await convinces(fault);
    assert.equal(await call("audit", honest.peerId), undefined, "an honest relay passes");
  });
}

test("in the browser, a record that is withheld is shown, and is no fault", async () => {
  const found = await compared("withhold", "same word");
  assert.deepEqual(shown(found), BOTH);
  assert.deepEqual(found.comparison.differ.flatMap(({ faults }) => faults), []);
});

test("in the browser, an old release is replaced by the newer one, and is no fault", async () => {
  const found = await compared("old", "same word");
  assert.deepEqual(shown(found), BOTH);
  const replaced = found.comparison.differ.flatMap(({ outdated, lacks }) => [...outdated, ...lacks]);
  assert.ok(replaced.length > 0, JSON.stringify(found.comparison));
  assert.deepEqual(found.comparison.differ.flatMap(({ faults }) => faults), []);
});

test("in the browser, a count of more than there is is seen", async () => {
  const found = await compared("inflate", "word", { limit: 2 });
  assert.deepEqual(shown(found), BOTH);
  assert.equal(found.comparison.complete, false);
  const silent = found.comparison.silent.filter(({ code }) => code === "relay/withheld");
  assert.ok(silent.length > 0 && silent.every(({ relay }) => isLiar(relay)), JSON.stringify(found.comparison));
});

test("in the browser, a relay that does not say what it commits to hides nothing", async () => {
  const found = await compared("refuse", "same word");
  assert.deepEqual(shown(found), BOTH);
  assert.ok(found.comparison.silent.some(({ relay, code }) => isLiar(relay) && code === "relay/refused"));
});

for (const [lie, code, claim] of [
  ["forge", "relay/bad-proof", "a forged proof is refused"],
  ["count", "relay/bad-proof", "a count that was not committed to is refused"],
  ["replay", "checkpoint/not-fresh", "an old checkpoint is refused"],
  ["silence", "network/timeout", "silence costs a timeout and no result"],
  ["stall", "network/timeout", "half an answer costs a timeout and no result"],
  ["endless", "network/timeout", "an answer without end costs a timeout and no result"],
]) {
  test(`in the browser, ${claim}`, async () => {
    await orderAll(lie);
    // At the same time, for silence takes as long as a client waits.
    const [alone, both] = await Promise.all([[liars[0]], [liars[0], honest]].map(askedBy));
    assert.equal(alone.code, code);
    assert.deepEqual(both.value.hits.map(({ release }) => release.name).sort(), BOTH);
    assert.equal(both.value.relay, honest.peerId);
  });
}

/** The answer that a client of its own gets from these relays, once it is connected to all. */
function askedBy(relays) {
  return page.evaluate(
    async ([options, deadline]) => {
      const client = await globalThis.MarketClient.start(options);
      const isConnected = () => client.connections().filter(({ state }) => state === "connected").length;
      const end = Date.now() + deadline;
      while (isConnected() < options.relays.length && Date.now() < end) await new Promise((wake) => setTimeout(wake, 20));
      try {
        return { value: await client.search("same word") };
      } catch ({ code }) {
        return { code };
      } finally {
        client.close();
      }
    },
    [options(relays), DEADLINE_MS],
  );
}

test("in the browser, a record that is left out of its own proof is missed", async () => {
  await orderAll("drop");
  await newClient([liars[0]]);
  const { hits } = await call("search", "same word");
  assert.deepEqual(hits.filter(({ status }) => status === "refused").map(({ refusal }) => refusal.code), ["relay/withheld"]);
});

test("in the browser, two roots for one epoch are seen", async () => {
  await orderAll("two-roots");
  await newClient([liars[0]]);
  await until("two answers within one epoch", async () => (await attempt("search", "same word")).code === "relay/two-roots");
  const [fault] = await call("evidence");
  assert.deepEqual([fault.relay, fault.code], [liars[0].peerId, "relay/two-roots"]);
  await convinces(fault);
});

test("in the browser, evidence that somebody else found is heard of", async (t) => {
  await orderAll("honest");
  // One that knows the liar passes on what is said against it.
  const near = await Relay.start(t, { epochSeconds: EPOCH_SECONDS, bootstrap: [liars[0]] });
  const relays = [liars[0], near];
  await newClient(relays);
  await page.evaluate(async (options) => {
    globalThis.heard = new Promise((resolve) =>
      globalThis.client.subscribe((event) => event.type === "accused" && resolve(globalThis.plain(event.fault))),
    );
    globalThis.finder = await globalThis.MarketClient.start(options);
  }, options(relays));
  await until("both clients are heard by both relays", () =>
    page.evaluate(() =>
      [globalThis.client, globalThis.finder].every((client) => client.connections().every(({ rttMs }) => rttMs !== undefined)),
    ),
  );
  await orderAll("two-roots");
  const found = await until("two roots", () =>
    page.evaluate(async () => {
      // Whichever of both it asks, it compares with the other one.
      await globalThis.finder.search("same word").then((answer) => globalThis.finder.compare(answer)).catch(() => {});
      const found = globalThis.plain(globalThis.finder.evidence());
      return found.length > 0 && found;
    }),
  );
  assert.deepEqual(found.map(({ code }) => code), ["relay/two-roots"]);
  assert.deepEqual([await page.evaluate(() => globalThis.heard)], found);
  assert.deepEqual(await call("evidence"), found);
  await page.evaluate(() => globalThis.finder.close());
});

/** What is to be chosen in the end: what is shown, but for what is known to be void. */
function chosen({ answer, comparison }) {
  const verified = answer.hits.filter(({ status }) => status === "verified").map(({ release }) => release);
  const outdated = comparison.differ.flatMap(({ outdated }) => outdated);
  const all = [...verified, ...comparison.differ.flatMap(({ more }) => more)];
  const left = all.filter(({ id }) => !outdated.includes(id)).map(({ name, version }) => `${name} ${version}`);
  return [...new Set(left)].sort();
}

/** Makes the newest release void at all relays, and waits until the honest one has committed to that. */
const voided = {};
function once(what, voids) {
  voided[what] ??= (async () => {
    await orderAll("honest");
    await voids([...liars, honest]);
    await newClient([honest]);
    await until("a checkpoint with it", async () => {
      const { hits } = await call("search", "hidden");
      return hits.some(({ release, inCheckpoint }) => release?.version === "0.9.0" && inCheckpoint);
    });
  })();
  return voided[what];
}

// The last ones of this file: what they publish changes what the relays hold.
for (const [what, lie, code, claim] of [
  ["yank", "yank", undefined, "a yank that relays hide is known from an honest one"],
  ["yank", "unheeded", "relay/unheeded-status", "a yank that relays hold and do not heed is proven"],
  ["rotation", "rotation", undefined, "a rotation that relays hide is known from an honest one"],
  ["rotation", "void", "relay/void-release", "a release that relays keep although they hold the rotation that voids it is proven"],
]) {
  test(`in the browser, ${claim}`, async () => {
    await once(what, (relays) =>
      what === "yank"
        ? publisher.say(relays, "hidden", "1.0.0", "yanked", "burns")
        : publisher.rotate(relays, ["hidden@1.0.0"]),
    );
    const found = await compared(lie, "same word");
    assert.deepEqual(chosen(found), ["hidden 0.9.0", "plain 1.0.0"], JSON.stringify(found));
    assert.equal(found.comparison.complete, false);
    const faults = found.comparison.differ.flatMap(({ faults }) => faults);
    assert.deepEqual([...new Set(faults.map((fault) => fault.code))], code ? [code] : []);
    assert.ok(faults.every(({ relay, release }) => isLiar(relay) && release === released["1.0.0"]));
    if (code) await convinces(faults[0]);
  });
}
