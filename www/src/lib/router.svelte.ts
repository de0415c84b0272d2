import { tick } from "svelte";
import { formatUrl, parseUrl, type Route, type Settings, type UrlState } from "./url-state.ts";

/** The URL as reactive state; the one place that touches the History API. */
class Router {
  #state = $state.raw<UrlState>(parseUrl(new URL(location.href)));

  get route(): Route {
    return this.#state.route;
  }

  get settings(): Settings {
    return this.#state.settings;
  }

  /** Where a link to `route` leads: the connection settings travel along. */
  href(route: Route): string {
    return formatUrl({ route, settings: this.settings });
  }

  /** Goes to another page, and remembers where on this one the reader was. */
  push(route: Route): void {
    history.replaceState({ scrollY }, "");
    history.pushState(null, "", this.href(route));
    this.#read();
    scrollTo(0, 0);
  }

  /** The same page with other state: typing a query must not fill the history with every letter. */
  replace(route: Route): void {
    history.replaceState(history.state, "", this.href(route));
    this.#read();
  }

  /** Listens for back and forward. */
  start(): void {
    history.scrollRestoration = "manual";
    addEventListener("popstate", async (event) => {
      this.#read();
      await tick();
      scrollTo(0, savedScroll(event.state));
    });
  }

  #read(): void {
    this.#state = parseUrl(new URL(location.href));
  }
}

function savedScroll(state: unknown): number {
  const saved = typeof state === "object" && state !== null && "scrollY" in state ? state.scrollY : 0;
  return typeof saved === "number" ? saved : 0;
}

export const router = new Router();

/** Whether the browser should follow a click itself: new tab, new window, download. */
export function isPlainClick(event: MouseEvent): boolean {
  return event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
}
