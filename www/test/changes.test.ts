import assert from "node:assert/strict";
import { test } from "node:test";
import type { Release } from "@ggen/market-client";
import { caughtUp, changeOf, type Change } from "../src/lib/changes.ts";

const shown = { fullName: "ann~aaaaaaaaaaaaaaaa/kettle", publisher: { id: "ann" } } as Release;
const stated = (fullName: string): Change => ({ type: "stated", fullName, version: "1.0.0", state: "yanked", reason: "burns" });
const rotated = (publisher: string, isFrozen = false): Change => ({ type: "rotated", publisher, handle: publisher, isFrozen });

test("of what publishers say, that is told which is about what is shown, and new since", () => {
  const [yanked, old] = [stated(shown.fullName), rotated("ann")];
  assert.equal(changeOf(shown, [], undefined), undefined);
  assert.equal(changeOf(shown, [stated("bob~bbbbbbbbbbbbbbbb/kettle"), rotated("bob")], undefined), undefined);
  assert.equal(changeOf(shown, [yanked, old], undefined), "The publisher just said that version 1.0.0 is yanked.");
  assert.equal(changeOf(shown, [yanked, old], old), "The publisher just said that version 1.0.0 is yanked.");
  assert.equal(changeOf(shown, [yanked, old], yanked), undefined);
  assert.equal(changeOf(shown, [old], undefined), "The publisher just changed its key.");
  assert.match(changeOf(shown, [rotated("ann", true)], undefined) ?? "", /Two different keys/);
});

test("what became of announcements that may have been missed is said calmly", () => {
  assert.equal(caughtUp(0), "A connection changed. No announcement was missed.");
  assert.equal(caughtUp(1), "1 announcement had been missed, and is listed now.");
  assert.equal(caughtUp(1200), "1,200 announcements had been missed, and are listed now.");
});
