import assert from "node:assert/strict";
import { test } from "node:test";
import { dependencyRoute, effectiveOrder, formatUrl, fullNameOf, isSameSearch, packageRoute, parseUrl, searchRoute, withFilter, type Route } from "../src/lib/url-state.ts";

const parse = (path: string) => parseUrl(new URL(path, "https://relay.example"));
const NONE = { transports: [], relays: [] };
const OWNER = "ggen~abcdefghij234567";

test("every state survives the way through a URL", () => {
  const routes: Route[] = [
    searchRoute(),
    searchRoute("async io & 100% + ?#/ ü"),
    searchRoute("", { category: "web & more::http", license: "MIT OR Apache-2.0", publisher: OWNER, keyword: "c++" }, "name"),
    { page: "package", owner: OWNER, name: "serde_json" },
    { page: "package", owner: "~abcdefghij234567", name: "a.b-c", version: "1.0.0-rc.1" },
    { page: "package", owner: "ü/?~x", name: "#", version: "%2F" },
  ];
  const settings = { transports: ["webrtc-direct" as const], relays: ["/ip4/127.0.0.1/tcp/1/ws/p2p/12D3Koo", "https://r.example/r.json"] };
  for (const route of routes) {
    assert.deepEqual(parse(formatUrl({ route, settings: NONE })), { route, settings: NONE });
    assert.deepEqual(parse(formatUrl({ route, settings })), { route, settings });
  }
});

test("addresses stay short and readable", () => {
  assert.equal(formatUrl({ route: searchRoute(), settings: NONE }), "/");
  assert.equal(formatUrl({ route: searchRoute("async io"), settings: NONE }), "/?q=async+io");
  const narrowed = searchRoute("io", { license: "MIT" }, "newest");
  assert.equal(formatUrl({ route: narrowed, settings: NONE }), "/?q=io&license=MIT&order=newest");
  assert.equal(formatUrl({ route: packageRoute(`${OWNER}/tokio`, "1.2.3"), settings: NONE }), `/p/${OWNER}/tokio/1.2.3`);
});

test("a full name and its page name each other", () => {
  const route = packageRoute(`${OWNER}/tokio`);
  assert.deepEqual(route, { page: "package", owner: OWNER, name: "tokio" });
  assert.equal(route.page === "package" && fullNameOf(route), `${OWNER}/tokio`);
  const id = "abcdefghij234567".padEnd(52, "x");
  assert.deepEqual(dependencyRoute(id, "mio"), { page: "package", owner: "~abcdefghij234567", name: "mio" });
});

test("addresses that name no page are lost, not guessed", () => {
  for (const path of ["/p", "/p/", "/p/a", "/p//b", "/q/a/b", "/p/a/b/1/2", "/index"]) {
    assert.equal(parse(path).route.page, "lost", path);
  }
});

test("a trailing slash and a malformed escape do no harm", () => {
  assert.deepEqual(parse("/p/a~b/c/").route, { page: "package", owner: "a~b", name: "c" });
  assert.deepEqual(parse("/p/a~b/c/1.0.0/").route, { page: "package", owner: "a~b", name: "c", version: "1.0.0" });
  assert.deepEqual(parse("/p/a~b/%E0%A4%A").route, { page: "package", owner: "a~b", name: "%E0%A4%A" });
});

test("settings: unknown transports and empty relays are dropped, repetitions too", () => {
  const { settings } = parse("/?transport=websocket&transport=smoke&transport=websocket&relay=&relay=/a&relay=/a");
  assert.deepEqual(settings, { transports: ["websocket"], relays: ["/a"] });
});

test("a query is cut where no person types on", () => {
  const { route } = parse(`/?q=${"a".repeat(10_000)}`);
  assert.equal(route.page === "search" && route.query.length, 512);
});

test("a filter is set, changed and taken away, and is part of the question", () => {
  const plain = searchRoute("io");
  const mit = withFilter(plain, "license", "MIT");
  assert.deepEqual(withFilter(mit, "license", "ISC").filters, { license: "ISC" });
  assert.deepEqual(withFilter(mit, "license", undefined), plain);
  assert.ok(isSameSearch(mit, searchRoute("io", { license: "MIT" })) && !isSameSearch(mit, plain));
  assert.ok(!isSameSearch(plain, searchRoute("io", {}, "newest")));
});

test("orders and filters that there are not, and empty ones, are none", () => {
  assert.deepEqual(parse("/?q=io&order=best%20first&license=&maker=x").route, searchRoute("io"));
});

test("without words, best is what most depend on, and of everything the newest", () => {
  assert.equal(effectiveOrder(searchRoute()), "newest");
  assert.equal(effectiveOrder(searchRoute("", { license: "MIT" })), "dependents");
  assert.equal(effectiveOrder(searchRoute("io", { license: "MIT" })), "best");
  assert.equal(effectiveOrder(searchRoute("", {}, "name")), "name");
});
