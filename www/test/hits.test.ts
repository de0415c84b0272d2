import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hit, Release, SearchAnswer } from "@ggen/market-client";
import { appendPage, countText, hitKey, renewFirstPage, suggestionsFor, uniqueHits } from "../src/lib/hits.ts";

const verified = (id: string): Hit => ({ status: "verified", state: "active", inCheckpoint: true, release: { id } as Release });
const refused: Hit = { status: "refused", refusal: { code: "record/bad-signature", message: "", relay: "r" } };
const answer = (hits: Hit[], rest: Partial<SearchAnswer> = {}): SearchAnswer => ({
  query: "q",
  hits,
  total: hits.length,
  totalIsExact: true,
  relay: "r",
  suggestions: [], offline: false,
  ...rest,
});
const ids = ({ hits }: SearchAnswer) => hits.map((hit) => (hit.status === "verified" ? hit.release.id : "refused"));

test("a release that a relay lists twice is one row, and row keys never repeat", () => {
  const hits = uniqueHits([verified("a"), refused, verified("a"), refused, verified("b")]);
  assert.equal(hits.length, 4);
  assert.equal(new Set(hits.map(hitKey)).size, hits.length);
});

test("the next page goes below, with its own cursor", () => {
  const both = appendPage(answer([verified("a")], { cursor: "1" }), answer([verified("a"), verified("b")]));
  assert.deepEqual(ids(both), ["a", "b"]);
  assert.equal(both.cursor, undefined);
});

test("renewing puts new releases first and keeps the pages that were asked for", () => {
  const shown = answer([verified("a"), refused, verified("b"), verified("c")], { cursor: "2" });
  const renewed = renewFirstPage(shown, answer([verified("new"), verified("a")], { cursor: "1", total: 9 }));
  assert.deepEqual(ids(renewed), ["new", "a", "b", "c"]);
  assert.equal(renewed.cursor, "2");
  assert.equal(renewed.total, 9);
});

test("renewing at the last page does not bring the button for more back", () => {
  const renewed = renewFirstPage(answer([verified("a")]), answer([verified("a")], { cursor: "1" }));
  assert.equal("cursor" in renewed, false);
});

test("the count says when it is only a lower bound, and when it is not all that is shown", () => {
  assert.equal(countText(answer([verified("a")])), "1 package");
  assert.equal(countText(answer([], { total: 1234 })), "1,234 packages");
  assert.equal(countText(answer([], { total: 3, totalIsExact: false })), "at least 3 packages");
  const first = { total: 40, cursor: "c" };
  assert.equal(countText(answer([verified("a")], first)), "first 1 of 40 packages");
  assert.equal(countText(answer([verified("a")], { ...first, totalIsExact: false })), "first 1 of at least 40 packages");
});

test("other spellings are shown where little was found, each once", () => {
  const suggestions = ["serde", "serde", "serve"];
  assert.deepEqual(suggestionsFor(answer([], { suggestions })), ["serde", "serve"]);
  assert.deepEqual(suggestionsFor(answer([verified("a"), verified("b")], { suggestions: ["serde"] })), ["serde"]);
  assert.deepEqual(suggestionsFor(answer(["a", "b", "c"].map(verified), { suggestions })), []);
});
