import { MarketClient, type Connection, type Fault, type MarketEvent, type Refusal, type Release } from "@ggen/market-client";
import type { Change } from "./changes.ts";
import { describeProblem, type Problem } from "./problems.ts";
import type { Settings } from "./url-state.ts";

declare global {
  /** The running client, for browser tests and for anyone curious at the console. */
  var ggenMarket: MarketClient | undefined;
}

/** More than a reader looks back on; keeps a busy network from filling the page. */
const MAX_ANNOUNCEMENTS = 50;
const MAX_CHANGES = 50;
/** As many as the client itself keeps. */
const MAX_FAULTS = 64;

/** Waits between attempts to start; the last one repeats. */
const START_RETRY_MS = [1_000, 2_000, 4_000, 8_000, 15_000] as const;

/** The page's one client and what it has told: connections and announcements. */
class Market {
  #client = $state.raw<MarketClient>();
  #problem = $state.raw<Problem>();
  #connections = $state.raw<readonly Connection[]>([]);
  #announced = $state.raw<readonly Release[]>([]);
  #changes = $state.raw<readonly Change[]>([]);
  #faults = $state.raw<readonly Fault[]>([]);
  #lastRefusal = $state.raw<Refusal>();
  #refusedCount = $state(0);
  #caughtUp = $state.raw<number>();

  /** Set once the client runs. */
  get client(): MarketClient | undefined {
    return this.#client;
  }

  /** Why the client does not run yet; it is being tried again when `passing`. */
  get problem(): Problem | undefined {
    return this.#problem;
  }

  get connections(): readonly Connection[] {
    return this.#connections;
  }

  get isConnected(): boolean {
    return this.#connections.some((connection) => connection.state === "connected");
  }

  /** Verified announcements, newest first, each release once. */
  get announced(): readonly Release[] {
    return this.#announced;
  }

  /** Verified, newest first. */
  get changes(): readonly Change[] {
    return this.#changes;
  }

  /** How many announcements were missed and are told now, since a relay was lost or too much came at once; `undefined` if none ever was. */
  get caughtUp(): number | undefined {
    return this.#caughtUp;
  }

  get refusedCount(): number {
    return this.#refusedCount;
  }

  /** Relays that are proven to break the rules, the last one first. */
  get faults(): readonly Fault[] {
    return this.#faults;
  }

  get lastRefusal(): Refusal | undefined {
    return this.#lastRefusal;
  }

  async start(settings: Settings): Promise<void> {
    for (let attempt = 0; this.#client === undefined; attempt += 1) {
      try {
        this.#adopt(await MarketClient.start(toOptions(settings)));
      } catch (thrown) {
        this.#problem = describeProblem(thrown);
        if (!this.#problem.passing) return;
        await sleep(START_RETRY_MS[Math.min(attempt, START_RETRY_MS.length - 1)] ?? 0);
      }
    }
  }

  #adopt(client: MarketClient): void {
    client.subscribe((event) => this.#hear(event));
    this.#connections = client.connections();
    this.#client = client;
    this.#problem = undefined;
    globalThis.ggenMarket = client;
  }

  #hear(event: MarketEvent): void {
    if (event.type === "connections") this.#connections = event.connections;
    if (event.type === "announced") this.#announce(event.release);
    if (event.type === "rotated" || event.type === "stated") {
      this.#changes = [event, ...this.#changes].slice(0, MAX_CHANGES);
    }
    if (event.type === "accused") this.#faults = [event.fault, ...this.#faults].slice(0, MAX_FAULTS);
    if (event.type === "caughtUp") this.#caughtUp = (this.#caughtUp ?? 0) + event.found;
    if (event.type === "refused") {
      this.#lastRefusal = event.refusal;
      this.#refusedCount += 1;
    }
  }

  #announce(release: Release): void {
    const others = this.#announced.filter((known) => known.id !== release.id);
    this.#announced = [release, ...others].slice(0, MAX_ANNOUNCEMENTS);
  }
}

function toOptions({ relays, transports }: Settings) {
  return { ...(relays.length > 0 && { relays }), ...(transports.length > 0 && { transports }) };
}

const sleep = (ms: number) => new Promise<void>((wake) => setTimeout(wake, ms));

export const market = new Market();
