import type { Transport } from "@ggen/market-client";

/** What the page shows: nothing of it is held anywhere but in the URL. */
export type Route =
  | { page: "search"; query: string }
  | { page: "package"; owner: string; name: string; version?: string }
  | { page: "lost" };

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

const TRANSPORTS: readonly Transport[] = ["websocket", "webrtc-direct"];
const isTransport = (value: string): value is Transport => (TRANSPORTS as readonly string[]).includes(value);

export function parseUrl(url: URL): UrlState {
  const params = url.searchParams;
  return {
    route: parseRoute(url.pathname, params.get("q") ?? ""),
    settings: {
      transports: [...new Set(params.getAll("transport").filter(isTransport))],
      relays: [...new Set(params.getAll("relay").filter((relay) => relay !== ""))],
    },
  };
}

/** The path and query of a state; `parseUrl` gives the state back. */
export function formatUrl({ route, settings }: UrlState): string {
  const params = new URLSearchParams();
  if (route.page === "search" && route.query !== "") params.set("q", route.query);
  for (const transport of settings.transports) params.append("transport", transport);
  for (const relay of settings.relays) params.append("relay", relay);
  const search = params.toString();
  return formatPath(route) + (search && `?${search}`);
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

function parseRoute(pathname: string, query: string): Route {
  const segments = pathname.split("/").slice(1).map(decode);
  if (segments.length === 1 && segments[0] === "") return { page: "search", query: query.slice(0, MAX_QUERY_CHARS) };
  if (segments.at(-1) === "") segments.pop();
  const [root, owner, name, version, ...rest] = segments;
  if (root !== "p" || !owner || !name || rest.length > 0) return { page: "lost" };
  return version ? { page: "package", owner, name, version } : { page: "package", owner, name };
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
