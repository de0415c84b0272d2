import assert from "node:assert/strict";
import { test } from "node:test";
import type { Connection } from "@ggen/market-client";
import { standing, summarize } from "../src/lib/connection-summary.ts";
import { formatBytes, formatTime, plural, shortPeer } from "../src/lib/format.ts";
import { describeUrl, webUrl } from "../src/lib/links.ts";
import { describeProblem, isRefusal } from "../src/lib/problems.ts";

test("sizes", () => {
  assert.deepEqual([0, 1, 999, 1000, 12_345, 123_456, 5_000_000].map(formatBytes), [
    "0 bytes",
    "1 byte",
    "999 bytes",
    "1.0 kB",
    "12.3 kB",
    "123 kB",
    "5.0 MB",
  ]);
});

test("times: recent ones in words, older ones as dates, and no number breaks the page", () => {
  const now = 1_800_000_000;
  const text = (seconds: number) => formatTime(seconds, now).text;
  assert.equal(text(now - 5), "just now");
  assert.equal(text(now + 30), "just now");
  assert.equal(text(now - 60), "1 minute ago");
  assert.equal(text(now - 7_200), "2 hours ago");
  assert.equal(text(now - 3 * 86_400), "3 days ago");
  assert.equal(text(0), "1970-01-01");
  assert.equal(text(now + 86_400 * 400), "2028-02-19");
  for (const absurd of [Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER, NaN, Infinity]) {
    assert.deepEqual(formatTime(absurd, now), { text: "date unknown" });
  }
});

test("counts and peers", () => {
  assert.deepEqual([plural(1, "package"), plural(2000, "package")], ["1 package", "2,000 packages"]);
  assert.deepEqual([shortPeer("short"), shortPeer("12D3KooWabcdefgh")], ["short", "…abcdefgh"]);
});

test("only plain web addresses become links", () => {
  const bad = ["javascript:alert(1)", "data:text/html,x", "//host/x", "/path", "ftp://h/", "https://user:pw@h/", "", " "];
  for (const text of bad) assert.equal(webUrl(text), undefined, text);
  assert.equal(webUrl(undefined), undefined);
  const url = webUrl("https://www.example.org/a/b/?c#d");
  assert.equal(url && describeUrl(url), "example.org/a/b");
});

test("problems: a refusal is told from a network that is away for a while", () => {
  const coded = (code: string) => describeProblem(Object.assign(new Error("why"), { code }));
  assert.equal(coded("network/unreachable").passing, true);
  assert.equal(coded("record/bad-signature").passing, false);
  assert.equal(isRefusal(coded("record/bad-signature").code), true);
  assert.match(coded("record/bad-signature").title, /Refused/);
  assert.deepEqual(describeProblem("text"), {
    code: "client/internal",
    title: "Something went wrong",
    detail: "text",
    passing: false,
  });
});

test("the connection summary names the connection that answers fastest, and is calm when there is none", () => {
  const connection = (state: Connection["state"], rest: Partial<Connection> = {}): Connection => ({
    peer: "p",
    address: "/a",
    transport: "websocket",
    anchor: true,
    state,
    ...rest,
  });
  const slow = connection("connected", { rttMs: 90 });
  const fast = connection("connected", { peer: "q", transport: "webrtc-direct", rttMs: 9 });
  assert.deepEqual(summarize([slow, fast, connection("waiting")], true), {
    state: "connected",
    transport: "webrtc-direct",
    text: "2 relays",
    detail: "WebRTC",
  });
  assert.equal(summarize([slow, slow], true).text, "1 relay");
  assert.equal(summarize([connection("waiting"), connection("connecting")], true).state, "connecting");
  assert.equal(summarize([connection("waiting")], true).text, "Reconnecting shortly");
  assert.equal(summarize([], true).text, "Looking for relays");
  assert.equal(summarize([], false).text, "Starting");
});

test("what is thought of a relay has a word that says why, and its number", () => {
  const stranger = { score: 0.5, successes: 0, failures: 0, faults: 0 };
  assert.equal(standing(stranger), "not asked for anything yet · reputation 0.50");
  assert.equal(standing({ ...stranger, score: 0.876, successes: 3 }), "serves well · reputation 0.88");
  assert.equal(standing({ ...stranger, score: 0.3, successes: 1, failures: 4 }), "failed of late · reputation 0.30");
  assert.equal(standing({ ...stranger, score: 0.09, successes: 90, faults: 1 }), "sent what does not verify · reputation 0.09");
});

test("a checkpoint that is refused is told in words of its own", () => {
  const problem = describeProblem(Object.assign(new Error("from the future"), { code: "checkpoint/future" }));
  assert.equal(problem.title, "Refused: what the relay signed does not hold now");
});
