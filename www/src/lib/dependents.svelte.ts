import type { MarketClient, SearchAnswer } from "@ggen/market-client";
import { appendPage, uniqueHits } from "./hits.ts";

const PAGE_SIZE = 10;

/** The packages that depend on the one that a page shows. */
export class Dependents {
  #answer = $state.raw<SearchAnswer>();
  #busy = $state(false);
  #asked = 0;

  /** What was answered last; absent while nobody has answered. */
  get answer(): SearchAnswer | undefined {
    return this.#answer;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Asks for the first page. */
  async load(client: MarketClient, fullName: string): Promise<void> {
    this.#answer = undefined;
    await this.#ask(client, fullName, undefined);
  }

  /** Adds the next page. */
  async more(client: MarketClient, fullName: string): Promise<void> {
    if (!this.#busy) await this.#ask(client, fullName, this.#answer);
  }

  async #ask(client: MarketClient, fullName: string, shown: SearchAnswer | undefined): Promise<void> {
    const ticket = ++this.#asked;
    this.#busy = true;
    try {
      const cursor = shown?.cursor;
      const page = await client.dependents(fullName, { limit: PAGE_SIZE, ...(cursor !== undefined && { cursor }) });
      if (ticket !== this.#asked) return;
      this.#answer = shown ? appendPage(shown, page) : { ...page, hits: uniqueHits(page.hits) };
    } catch {
      // A package page is whole without this list; asking again when a relay is back brings it.
      if (ticket !== this.#asked) return;
    }
    this.#busy = false;
  }
}
