import type { SearchFilters, SearchOrder, Transport } from "@ggen/market-client";

/** What the page shows: nothing of it is held anywhere but in the URL. */
export type Route =
  | SearchRoute
  | { page: "package"; owner: string; name: string; version?: string }
  | { page: "lost" };

/** A search: what to look for, what to leave out, and what comes first. */
export interface SearchRoute {
  page: "search";
  query: string;
  filters: SearchFilters;
  order: SearchOrder;
}

/** How to connect; a link that carries it keeps it from page to page. */
export interface Settings {
  /** Empty: the client's default. */
  transports: Transport[];
  /** Multiaddrs or URLs of `relay.json`. Empty: the relay that served the page. */
  relays: string[];
}

export interface UrlState {
  route: Route;
  settings: Settings;
}

/** Longer text in a URL is no query that a person typed; the client has its own, smaller bound. */
const MAX_QUERY_CHARS = 512;

const ORDERS: readonly SearchOrder[] = ["best", "newest", "name", "dependents"];
export const FILTERS: readonly (keyof SearchFilters)[] = ["category", "license", "publisher", "keyword"];

const TRANSPORTS: readonly Transport[] = ["websocket", "webrtc-direct"];
const isTransport = (value: string): value is Transport => (TRANSPORTS as readonly string[]).includes(value);

export function parseUrl(url: URL): UrlState {
  const params = url.searchParams;
  return {
    route: parseRoute(url.pathname, params),
    settings: {
      transports: [...new Set(params.getAll("transport").filter(isTransport))],
      relays: [...new Set(params.getAll("relay").filter((relay) => relay !== ""))],
    },
  };
}

/** The path and query of a state; `parseUrl` gives the state back. */
export function formatUrl({ route, settings }: UrlState): string {
  const params = new URLSearchParams();
  if (route.page === "search") {
    if (route.query !== "") params.set("q", route.query);
    for (const filter of FILTERS) {
      const value = route.filters[filter];
      if (value !== undefined) params.set(filter, value);
    }
    if (route.order !== "best") params.set("order", route.order);
  }
  for (const transport of settings.transports) params.append("transport", transport);
  for (const relay of settings.relays) params.append("relay", relay);
  const search = params.toString();
  return formatPath(route) + (search && `?${search}`);
}

/** The search for a text, narrowed and ordered or not. */
export function searchRoute(query = "", filters: SearchFilters = {}, order: SearchOrder = "best"): SearchRoute {
  return { page: "search", query, filters, order };
}

/** The same search with another value of a filter, or without that filter. */
export function withFilter(route: SearchRoute, filter: keyof SearchFilters, value: string | undefined): SearchRoute {
  const { [filter]: _, ...others } = route.filters;
  return { ...route, filters: value === undefined ? others : { ...others, [filter]: value } };
}

/** Whether a search is narrowed by anything but words. */
export function isNarrowed(route: SearchRoute): boolean {
  return FILTERS.some((filter) => route.filters[filter] !== undefined);
}

/** The order that `best` is, where there are no words to match: what most depend on, and of everything the newest. */
export function effectiveOrder(route: SearchRoute): SearchOrder {
  if (route.order !== "best" || route.query.trim() !== "") return route.order;
  return isNarrowed(route) ? "dependents" : "newest";
}

/** Whether two routes are the same question. */
export function isSameSearch(one: SearchRoute, other: SearchRoute): boolean {
  const settings = { transports: [], relays: [] };
  return formatUrl({ route: one, settings }) === formatUrl({ route: other, settings });
}

/** `handle~fingerprint/name`, as the client takes it. */
export function fullNameOf(route: { owner: string; name: string }): string {
  return `${route.owner}/${route.name}`;
}

/** The page of a release's package; with `version`, of exactly this release. */
export function packageRoute(fullName: string, version?: string): Route {
  const slash = fullName.lastIndexOf("/");
  const route = { page: "package" as const, owner: fullName.slice(0, slash), name: fullName.slice(slash + 1) };
  return version === undefined ? route : { ...route, version };
}

/** The page of a package whose publisher is known by id only: a full name with an empty handle. */
export function dependencyRoute(publisherId: string, name: string): Route {
  return { page: "package", owner: `~${publisherId.slice(0, FINGERPRINT_CHARS)}`, name };
}

/** 80 bits in base32. */
const FINGERPRINT_CHARS = 16;

function parseRoute(pathname: string, params: URLSearchParams): Route {
  const segments = pathname.split("/").slice(1).map(decode);
  if (segments.length === 1 && segments[0] === "") return parseSearch(params);
  if (segments.at(-1) === "") segments.pop();
  const [root, owner, name, version, ...rest] = segments;
  if (root !== "p" || !owner || !name || rest.length > 0) return { page: "lost" };
  return version ? { page: "package", owner, name, version } : { page: "package", owner, name };
}

function parseSearch(params: URLSearchParams): SearchRoute {
  const value = (name: string) => params.get(name)?.slice(0, MAX_QUERY_CHARS) || undefined;
  const filters: SearchFilters = {};
  for (const filter of FILTERS) {
    const given = value(filter);
    if (given !== undefined) filters[filter] = given;
  }
  return searchRoute(value("q"), filters, ORDERS.find((order) => order === params.get("order")));
}

function formatPath(route: Route): string {
  if (route.page !== "package") return "/";
  const segments = ["p", route.owner, route.name, ...(route.version ? [route.version] : [])];
  return "/" + segments.map(encodeURIComponent).join("/");
}

/** A malformed escape is no reason to show nothing: the text stands as it is, and will name no package. */
function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
