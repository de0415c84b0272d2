import assert from "node:assert/strict";
import { test } from "node:test";
import type { Comparison, Difference, Hit, Proof, Release, SearchAnswer } from "@ggen/market-client";
import { comparedWith, differences, headline, leftOut, meaning, reach, sinceCheckpoint, stateOf } from "../src/lib/proof-words.ts";

const hit = (inCheckpoint: boolean): Hit => ({ status: "verified", state: "active", inCheckpoint, release: {} as Release });
const proof = (rest: Partial<Proof> = {}): Proof => ({ epoch: 1, root: "00", entries: 2, walked: 2, bytes: 1400, ...rest });
const answer = (rest: Partial<SearchAnswer> = {}): SearchAnswer => ({
  query: "q",
  hits: [hit(true), hit(true)],
  total: 2,
  totalIsExact: true,
  relay: "r",
  proof: proof(),
  suggestions: [], offline: false,
  ...rest,
});
const comparison = (rest: Partial<Comparison> = {}): Comparison => ({ complete: false, agree: [], differ: [], silent: [], ...rest });
const agreed = comparison({ complete: true, agree: ["a", "b"] });
const difference: Difference = { relay: "d", more: [], explained: false, hidden: [], excluded: [], lacks: ["x"], outdated: [], unbacked: 0, faults: [] };

test("a list is complete only when a relay that counts agrees and none differs", () => {
  assert.equal(stateOf(undefined), "comparing");
  assert.equal(stateOf(comparison()), "one-word");
  assert.equal(stateOf(agreed), "complete");
  assert.equal(stateOf({ ...agreed, complete: false, differ: [difference] }), "disputed");
  assert.equal(stateOf({ ...agreed, differ: [difference] }), "disputed", "whatever else is said");
});

test("the headline counts the relay that answered among those that agree", () => {
  assert.equal(headline(answer(), agreed), "complete: 3 relays agree");
  assert.equal(headline(answer(), undefined), "one relay’s word so far");
  assert.equal(headline(answer(), comparison()), "one relay’s word");
  assert.equal(headline(answer({ hits: [hit(true), hit(false)] }), comparison()), "one relay’s word; 1 not yet in a checkpoint");
  assert.match(meaning(answer(), agreed), /^2 other relays .* commit /);
  assert.match(meaning(answer(), comparison()), /word of one relay/);
});

test("what is not yet in a checkpoint is not called complete", () => {
  const recent = answer({ hits: [hit(true), hit(false)] });
  assert.equal(headline(recent, agreed), "3 relays agree on all that is in their checkpoints; 1 not yet in a checkpoint");
  assert.match(meaning(recent, agreed), /not part of that list: .* one relay’s word\.$/);
  assert.doesNotMatch(meaning(answer(), agreed), /not yet in a checkpoint/);
});

test("the proof's reach is not overstated", () => {
  assert.match(reach(answer()), /^All 2 entries .* proven in 1\.4 kB/);
  assert.match(reach(answer({ proof: proof({ entries: 4000, walked: 300 }) })), /^The first 300 of 4,000 entries/);
  assert.match(reach(answer({ proof: proof({ entries: 1, walked: 1 }) })), /^The one entry .* was/);
  assert.match(reach(answer({ proof: proof({ entries: 0, walked: 0 }) })), /no entry/);
  const { proof: _, ...unproven } = answer();
  assert.equal(reach(unproven), "Nothing can match this.");
});

test("who was compared with, and what is newer than the checkpoint", () => {
  assert.equal(comparedWith(comparison()), "No other relay that counts is connected.");
  const silent = [{ code: "network/timeout", message: "late", relay: "s" }];
  assert.match(comparedWith({ ...agreed, silent }), /^Asked 3 other relays .*: 2 the same, 1 did not say\.$/);
  assert.match(comparedWith(comparison({ differ: [difference] })), /1 another/);
  assert.equal(sinceCheckpoint(answer()), undefined);
  assert.match(sinceCheckpoint(answer({ hits: [hit(false)] })) ?? "", /^1 package came since/);
});

test("what an operator leaves out and says so is no dispute, and is named", () => {
  const release = { id: "x", name: "coins", version: "1.1.0" } as Release;
  const by = (relay: string, reason = "it is malware") => ({ ...difference, lacks: [], explained: true, excluded: [{ relay, release, reason }] });
  assert.equal(stateOf({ ...agreed, differ: [by("d")] }), "complete", "another relay leaves it out");
  assert.equal(stateOf({ ...agreed, differ: [by("d"), difference] }), "disputed");
  assert.deepEqual(differences(by("d"), "asked"), ["The operator of relay d keeps coins 1.1.0 off its lists, and says why: “it is malware”."]);
  assert.match(differences(by("d", ""), "asked")[0] ?? "", /gives no reason/);

  const others = { ...agreed, agree: ["a", "d"], differ: [by("d")] };
  assert.match(comparedWith(others), /^Asked 2 other relays .*: 2 the same, but for what they leave out\.$/, "who leaves out something agrees on the rest");

  assert.match(meaning(answer(), others), /same list, except for what their operators exclude, which is listed below\./);
  assert.doesNotMatch(meaning(answer(), agreed), /leave out/);

  const own = comparison({ differ: [by("asked"), { ...by("asked"), relay: "e" }] });
  assert.equal(stateOf(own), "left-out");
  assert.equal(leftOut(own).length, 1, "whoever else has it");
  assert.deepEqual(own.differ.map((one) => differences(one, "asked")), [[], []], "and it is said once");
  assert.equal(headline(answer(), own), "1 package left out by the relay’s operator");
  assert.match(meaning(answer(), own), /keeps something off its lists, and the relay says so/);
});

test("a difference names who lacks what, and whose fault is proven", () => {
  assert.deepEqual(differences(difference, "asked"), ["Relay d lacks 1 package of this list."]);
  const fault = { relay: "asked", code: "relay/stale-entry", release: "x", evidence: new Uint8Array() };
  const faulty = { ...difference, lacks: [], outdated: ["y"], hidden: ["z"], unbacked: 2, faults: [fault, { ...fault, code: "relay/new" }] };
  const said = differences(faulty, "asked");
  assert.equal(said.length, 5);
  assert.match(said[1] ?? "", /relay asked holds too, and keeps off/);
  assert.match(said[3] ?? "", /Relay asked lists another version .* proven/);
  assert.match(said[4] ?? "", /relay\/new/);
});
