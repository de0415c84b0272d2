import assert from "node:assert/strict";
import { test } from "node:test";
import type { Hit, Release, VersionState } from "@ggen/market-client";
import { isPassing, markOf } from "../src/lib/states.ts";

const hit = (state: VersionState, inCheckpoint: boolean) => ({ status: "verified", state, inCheckpoint, release: {} as Release }) as const;

test("a result is marked by what its publisher says, and as since the checkpoint only if the checkpoint lists it", () => {
  const marks = (inCheckpoint: boolean) =>
    (["active", "deprecated", "yanked", "retracted"] as const).map((state) => markOf(hit(state, inCheckpoint)));
  assert.deepEqual(marks(true), [undefined, "Deprecated", "Yanked since the last checkpoint", "Retracted since the last checkpoint"]);
  assert.deepEqual(marks(false), [undefined, "Deprecated", "Yanked", "Retracted"]);
});

test("results are renewed at the next checkpoint if it will say something else of one of them", () => {
  const refused: Hit = { status: "refused", refusal: { code: "", message: "", relay: "" } };
  const passing = [hit("active", false), hit("yanked", true), hit("retracted", true), hit("deprecated", false)];
  assert.ok(passing.every(isPassing));
  assert.ok(![hit("active", true), hit("deprecated", true), refused].some(isPassing));
});
