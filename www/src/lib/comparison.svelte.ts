import type { Comparison, MarketClient, SearchAnswer } from "@ggen/market-client";

/** How long after the last answer it is compared: while somebody types, each answer lives for a moment only. */
const SETTLED_MS = 400;

class Compared {
  #comparison = $state.raw<{ answer: SearchAnswer; comparison: Comparison }>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Compares an answer once no other has come for a moment. */
  settle(client: MarketClient, answer: SearchAnswer): void {
    clearTimeout(this.#timer);
    if (answer.proof === undefined) return;
    this.#timer = setTimeout(() => void this.#compare(client, answer), SETTLED_MS);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }

  /** What came of the comparison of this answer. */
  of(answer: SearchAnswer): Comparison | undefined {
    return this.#comparison?.answer === answer ? this.#comparison.comparison : undefined;
  }

  async #compare(client: MarketClient, answer: SearchAnswer): Promise<void> {
    try {
      this.#comparison = { answer, comparison: await client.compare(answer) };
    } catch {
      // A newer question took its place, or the client was closed: then this answer is not shown any more.
    }
  }
}

export const compared = new Compared();
