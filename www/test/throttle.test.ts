import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { throttleWithEcho } from "../src/lib/throttle.ts";

test("runs at once, never more often than the interval, and once more after the last call", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  let runs = 0;
  const throttled = throttleWithEcho(() => (runs += 1), 500);
  throttled.trigger();
  assert.equal(runs, 1);
  for (let i = 0; i < 100; i += 1) throttled.trigger();
  assert.equal(runs, 1);
  mock.timers.tick(500);
  assert.equal(runs, 2);
  mock.timers.tick(500);
  assert.equal(runs, 3);
  mock.timers.tick(5_000);
  assert.equal(runs, 3);

  throttled.trigger();
  assert.equal(runs, 4);
  throttled.cancel();
  mock.timers.tick(5_000);
  assert.equal(runs, 4);
  mock.timers.reset();
});
