import { MarketError, type MarketClient, type SearchAnswer } from "@ggen/market-client";
import { appendPage, renewFirstPage, uniqueHits } from "./hits.ts";
import { describeProblem, type Problem } from "./problems.ts";
import { isSameSearch, searchRoute, type SearchRoute } from "./url-state.ts";

const PAGE_SIZE = 20;

/** The current search: what was answered last stays until the next answer is there. */
class Search {
  #answer = $state.raw<SearchAnswer>();
  #answered = $state.raw<SearchRoute>(searchRoute());
  #problem = $state.raw<Problem>();
  #busy = $state(false);
  #loadingMore = $state(false);
  /** Counts questions; an answer to any but the last is stale and dropped. */
  #asked = 0;
  #route: SearchRoute = searchRoute();
  #pages = 1;
  #renewAgain = false;
  #running: Promise<void> = Promise.resolve();

  get answer(): SearchAnswer | undefined {
    return this.#answer;
  }

  /** What the answer is an answer to. */
  get answered(): SearchRoute {
    return this.#answered;
  }

  get problem(): Problem | undefined {
    return this.#problem;
  }

  get busy(): boolean {
    return this.#busy;
  }

  get loadingMore(): boolean {
    return this.#loadingMore;
  }

  /** Asks a new question, whatever is under way. */
  async ask(client: MarketClient, route: SearchRoute): Promise<void> {
    const typing = this.#answer !== undefined && route.query !== this.#route.query;
    this.#route = route;
    this.#pages = 1;
    await this.#request(client, (fresh) => ({ ...fresh, hits: uniqueHits(fresh.hits) }), typing);
  }

  /** Asks the same question again; never cuts short a question under way, so that a slow relay gets to answer. */
  async renew(client: MarketClient): Promise<void> {
    if (this.#busy || this.#loadingMore) {
      this.#renewAgain = true;
      return;
    }
    const shown = this.#answer;
    const keepsPages = shown !== undefined && isSameSearch(this.#answered, this.#route) && this.#pages > 1;
    await this.#request(client, (fresh) =>
      keepsPages ? renewFirstPage(shown, fresh) : { ...fresh, hits: uniqueHits(fresh.hits) },
    );
  }

  /** Adds the next page; waits for a renewal under way, and holds the next one back. */
  async more(client: MarketClient): Promise<void> {
    if (this.#loadingMore) return;
    this.#loadingMore = true;
    await this.#running;
    await this.#addPage(client);
    this.#loadingMore = false;
    this.#renewIfAsked(client);
  }

  async #addPage(client: MarketClient): Promise<void> {
    const shown = this.#answer;
    if (shown?.cursor === undefined || !isSameSearch(this.#answered, this.#route)) return;
    const ticket = this.#asked;
    try {
      const page = await client.search(this.#route.query, { ...options(this.#route), cursor: shown.cursor });
      if (ticket === this.#asked) {
        this.#pages += 1;
        this.#answer = appendPage(shown, page);
      }
    } catch (thrown) {
      if (ticket !== this.#asked) return;
      // The relay no longer keeps the checkpoint that the pages stand on: begin anew.
      if (thrown instanceof MarketError && thrown.code === "query/old-cursor") await this.ask(client, this.#route);
      else this.#problem = describeProblem(thrown);
    }
  }

  #request(client: MarketClient, accept: (fresh: SearchAnswer) => SearchAnswer, typing = false): Promise<void> {
    return (this.#running = this.#run(client, accept, typing));
  }

  async #run(client: MarketClient, accept: (fresh: SearchAnswer) => SearchAnswer, typing: boolean): Promise<void> {
    const ticket = ++this.#asked;
    const route = this.#route;
    this.#busy = true;
    this.#renewAgain = false;
    try {
      const fresh = await client.search(route.query, { ...options(route), typing });
      if (ticket !== this.#asked) return;
      this.#answer = accept({ ...fresh, query: route.query });
      this.#answered = route;
      this.#problem = undefined;
    } catch (thrown) {
      if (ticket !== this.#asked) return;
      this.#problem = describeProblem(thrown);
      if (!isSameSearch(this.#answered, route)) this.#answer = undefined;
    }
    this.#busy = false;
    this.#renewIfAsked(client);
  }

  #renewIfAsked(client: MarketClient): void {
    if (!this.#renewAgain || this.#busy || this.#loadingMore) return;
    this.#renewAgain = false;
    void this.renew(client);
  }
}

function options({ filters, order }: SearchRoute) {
  return { limit: PAGE_SIZE, filters, order };
}

export const search = new Search();
