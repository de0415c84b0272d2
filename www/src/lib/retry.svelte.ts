import { untrack } from "svelte";
import { market } from "./market.svelte.ts";
import type { Problem } from "./problems.ts";

const RETRY_MS = 3_000;

/** Tries again by itself what failed for want of a relay: as soon as one is reached, else now and then. */
export function retryWhilePassing(problem: () => Problem | undefined, retry: () => void): void {
  $effect(() => {
    if (market.isConnected) untrack(() => problem()?.passing && retry());
  });
  $effect(() => {
    if (!problem()?.passing) return;
    const timer = setTimeout(retry, RETRY_MS);
    return () => clearTimeout(timer);
  });
}
