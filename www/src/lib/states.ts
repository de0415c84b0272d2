import type { Hit, VersionState } from "@ggen/market-client";

/** What a publisher says of a version, in a sentence; nothing of most. */
export const SAID: Record<Exclude<VersionState, "active">, string> = {
  deprecated: "Deprecated: the publisher says that there is something better.",
  yanked: "Yanked: the publisher says not to choose this version any more.",
  retracted: "Retracted by the publisher.",
};

/** Whether a version is not to be chosen any more: relays list it until their next checkpoint. */
export function isWithdrawn(state: VersionState): boolean {
  return state === "yanked" || state === "retracted";
}

const MARKS = { deprecated: "Deprecated", yanked: "Yanked", retracted: "Retracted" };

/** The mark of a result, without the reason; none where nothing was said. */
export function markOf({ state, inCheckpoint }: Pick<Hit & { status: "verified" }, "state" | "inCheckpoint">): string | undefined {
  if (state === "active") return undefined;
  return isWithdrawn(state) && inCheckpoint ? `${MARKS[state]} since the last checkpoint` : MARKS[state];
}

/** Whether a result is one that the relays' next checkpoint says more about: it came since the last one, or is to go. */
export function isPassing(hit: Hit): boolean {
  return hit.status === "verified" && (!hit.inCheckpoint || isWithdrawn(hit.state));
}
