// What does not verify is refused and said to be, whoever sent it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { TRANSPORTS, answered, ask, mark, openPage, results, search, useBrowser } from "./support/browser.mjs";
import { ROOT } from "./support/programs.mjs";
import { Publisher, samplePackage } from "./support/publisher.mjs";
import { Relay } from "./support/relay.mjs";

const DESCRIPTION = /A REST service in Rust/;

useBrowser();

for (const transport of TRANSPORTS) {
  test(`one flipped bit of a record turns the mark from verified to refused over ${transport}`, async (t) => {
    const relay = await Relay.startLiar(t);
    const publisher = await Publisher.create(t, "dora");
    const [{ fullName }] = await publisher.publish([relay], [samplePackage("rest-api-axum")]);
    const page = await openPage(t, relay, { path: `/p/${fullName}`, transport });
    const body = () => page.locator("main").innerText();
    await mark(page, "verified");
    assert.match(await body(), DESCRIPTION);

    await relay.order("lie");
    await page.reload();
    assert.match(await mark(page, "refused"), /Refused: .*signature/i);
    await page.locator('[data-testid="error"][data-code="record/bad-signature"]').waitFor();
    assert.equal(await page.locator('[data-testid="mark"][data-status="verified"]').count(), 0);
    // The lie differs in one letter: neither it nor the truth may stand there.
    assert.doesNotMatch(await body(), /service in Rust/);
    assert.equal(await page.getByTestId("license").count(), 0);

    assert.equal((await ask(page, "getPackage", fullName)).code, "record/bad-signature");
    await search(page, "axum");
    const [row, ...rest] = await results(page);
    assert.deepEqual([row.status, row.code, row.name, rest.length], ["refused", "record/bad-signature", "", 0]);
    assert.doesNotMatch(await body(), /service in Rust/);

    await relay.order("honest");
    assert.equal(await search(page, "rest"), 1);
    assert.deepEqual(await results(page), [{ testid: "result", status: "verified", name: "rest-api-axum" }]);
    await page.getByTestId("result").getByRole("link", { name: "rest-api-axum" }).click();
    await mark(page, "verified");
    assert.match(await body(), DESCRIPTION);
  });
}

test("a hostile README runs nothing, loads nothing and passes for nothing", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "mallory");
  const readme = readFileSync(join(ROOT, "www/test/fixtures/hostile-readme.md"), "utf8");
  const directory = publisher.write("hostile", { description: "Tries everything.", readme });
  const [{ fullName }] = await publisher.publish([relay], [directory]);
  // Requests to other places are faults, see openPage.
  const page = await openPage(t, relay, { path: `/p/${fullName}` });
  const shown = page.getByTestId("readme");
  await shown.getByText("The end.").waitFor();

  // What could run later gets its chance: a click on every link that leads nowhere else, and a while.
  for (const link of await shown.locator("a:not([href])").all()) await link.click();
  await page.mouse.move(300, 300);
  await page.evaluate(() => new Promise((idle) => requestIdleCallback(idle)));
  assert.equal(await page.evaluate(() => typeof globalThis.pwned), "undefined");

  const found = await shown.evaluate((element) => {
    const all = [...element.querySelectorAll("*")];
    const attributes = all.flatMap((one) => [...one.attributes].map(({ name }) => name));
    return {
      tags: [...new Set(all.map(({ localName }) => localName))],
      attributes: [...new Set(attributes)],
      classes: [...new Set(all.flatMap((one) => [...one.classList]))],
      links: all.filter((one) => one.localName === "a" && one.href).map(({ protocol, target, rel }) => ({ protocol, target, rel })),
    };
  });
  const active = ["script", "iframe", "object", "embed", "img", "image", "svg", "math", "video", "audio", "link", "base", "meta"];
  const controls = ["style", "form", "input", "button", "dialog", "template", "slot"];
  assert.deepEqual(found.tags.filter((tag) => [...active, ...controls].includes(tag)), []);
  assert.deepEqual(found.attributes.filter((name) => /^on|^style$|^id$|^src|^data-|^ping$|^background$/.test(name)), []);
  assert.deepEqual(found.classes, ["readme-image"], "classes are the page's own");
  assert.ok(found.links.length > 0);
  for (const { protocol, target, rel } of found.links) {
    assert.match(protocol, /^https?:$/);
    assert.equal(target, "_blank");
    assert.match(rel, /noopener/);
  }
  assert.equal(await page.locator('[data-testid="mark"]').count(), 1);
});

test("odd and oversized queries get an answer or an error with a code, and the client works on", async (t) => {
  const relay = await Relay.start(t);
  const publisher = await Publisher.create(t, "erin");
  await publisher.publish([relay], [samplePackage("rest-api-axum")]);
  const page = await openPage(t, relay);
  const expected = {
    "🦀📦👩‍👩‍👧‍👦": "answer",
    "مرحبا بالعالم": "answer",
    "\u202Eevil\u202C \u2066x\u2069": "answer",
    [`a${"\u0301".repeat(100)}`]: "answer",
    "!@#$%^&*()[]{}<>?/\\|'\"`~": "answer",
    "\u0000\u0001\u001B[31m": "answer",
    "\uFEFF\u200B\u200D": "answer",
    "\uD800 lone surrogate": "answer",
    " \t\r\n ": "answer",
    "İſßﬀ ＦＵＬＬｗｉｄｔｈ": "answer",
    "__proto__ constructor toString": "answer",
    "日本語のパッケージ": "answer",
    [Array.from({ length: 60 }, (_, i) => i).join(" ")]: "query/too-many-words",
    ["x".repeat(300)]: "query/too-long",
    ["é".repeat(200)]: "query/too-long",
    ["word ".repeat(2048)]: "query/too-long",
  };
  for (const [query, wanted] of Object.entries(expected)) {
    const { value, code, name } = await ask(page, "search", query);
    const got = value ? "answer" : code;
    assert.equal(got, wanted, JSON.stringify(query.slice(0, 40)));
    if (value) assert.ok(value.hits.every(({ status }) => status === "verified") && value.hits.length <= value.total);
    else assert.equal(name, "MarketError");
  }
  const wrong = [
    ["search", ["axum", { limit: 0 }], "client/bad-options"],
    ["search", ["axum", { limit: 1e9 }], "client/bad-options"],
    ["search", ["axum", { cursor: "not a cursor" }], "query/bad-cursor"],
    ["getPackage", ["../../etc/passwd"], "name/invalid"],
    ["getPackage", ["🦀"], "name/invalid"],
    ["getPackageVersion", [`${publisher.name}/rest-api-axum`, "not a version"], "name/invalid"],
    ["getPackageVersion", [`${publisher.name}/rest-api-axum`, "9.9.9"], "version/not-found"],
    ["head", ["x".repeat(10_000)], "name/invalid"],
    ["content", ["bafynonsense", 10], "name/invalid"],
    ["content", ["bafynonsense", Number.NaN], "name/invalid"],
  ];
  for (const [method, args, code] of wrong) {
    assert.equal((await ask(page, method, ...args)).code, code, `${method}(${JSON.stringify(args).slice(0, 60)})`);
  }
  assert.equal((await ask(page, "search", "axum")).value.total, 1);
  // What was typed into the address is text in the page, whatever it is.
  const markup = '<img src=x onerror="globalThis.pwned=1">';
  await page.goto(`${relay.url}/?q=${encodeURIComponent(markup)}`);
  await answered(page, markup);
  assert.equal(await page.evaluate(() => typeof globalThis.pwned), "undefined");
});
