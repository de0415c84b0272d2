import assert from "node:assert/strict";
import { test } from "node:test";
import { KeptDownload, tooMany } from "../src/kept.ts";

const MIB = 1024 * 1024;
const download = (cid: string, mebibytes: number, at: number) => ({ cid, bytes: mebibytes * MIB, at });
const gone = (others: Parameters<typeof tooMany>[0], mebibytes: number) =>
  tooMany(others, mebibytes * MIB).map(({ cid }) => cid);

test("the oldest of other downloads go when all together would be more than 64 MiB", () => {
  const others = [download("middle", 20, 2), download("oldest", 20, 1), download("newest", 20, 3)];
  assert.deepEqual(gone(others, 4), []);
  assert.deepEqual(gone(others, 5), ["oldest"]);
  assert.deepEqual(gone(others, 30), ["oldest", "middle"]);
  assert.deepEqual(gone(others, 64), ["oldest", "middle", "newest"]);
});

test("no more than sixteen downloads are kept, however small", () => {
  const others = Array.from({ length: 16 }, (_, at) => download(String(at), 0, at));
  assert.deepEqual(gone(others, 1), ["0"]);
  assert.deepEqual(gone(others.slice(1), 1), []);
});

test("content comes together where there is no IndexedDB, and nothing of it is kept", async () => {
  const kept = await KeptDownload.open("cid", 5);
  // What is lent is gone afterwards, as the module's memory is.
  const lent = Uint8Array.of(1, 2);
  kept.put("leaf", 0, lent);
  lent.fill(9);
  kept.put("node", undefined, lent);
  kept.found(2, Uint8Array.of(3));
  kept.repeat(0, 3, 2);
  assert.deepEqual([...kept.content], [1, 2, 3, 1, 2]);
  assert.equal(await kept.get("leaf"), undefined);
  await kept.end(false);
});
