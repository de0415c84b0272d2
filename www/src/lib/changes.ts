import type { MarketEvent, Release, VersionState } from "@ggen/market-client";
import { plural } from "./format.ts";

/** What a publisher says of what it released before: no news to list, but what is shown may be out of date. */
export type Change = Extract<MarketEvent, { type: "rotated" | "stated" }>;

const SAID: Record<VersionState, string> = {
  active: "may be chosen again",
  deprecated: "is deprecated",
  yanked: "is yanked",
  retracted: "is retracted",
};

/** The last change that is about what is shown, in a sentence. `changes` has the newest first; `known` and those behind it were there before. */
export function changeOf(shown: Release, changes: readonly Change[], known: Change | undefined): string | undefined {
  const end = known === undefined ? -1 : changes.indexOf(known);
  const since = end < 0 ? changes : changes.slice(0, end);
  const change = since.find((change) =>
    change.type === "stated" ? change.fullName === shown.fullName : change.publisher === shown.publisher.id,
  );
  if (change === undefined) return undefined;
  if (change.type === "stated") return `The publisher just said that version ${change.version} ${SAID[change.state]}.`;
  return change.isFrozen
    ? "Two different keys were just announced for this publisher: nothing of it is new from now on."
    : "The publisher just changed its key.";
}

/** What became of announcements that may have been missed, because a relay was lost or too much came at once. */
export function caughtUp(found: number): string {
  if (found === 0) return "A connection changed. No announcement was missed.";
  return `${plural(found, "announcement")} had been missed, and ${found === 1 ? "is" : "are"} listed now.`;
}
