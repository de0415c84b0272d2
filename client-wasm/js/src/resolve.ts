import { MarketError } from "./error.ts";
import { fetchRelayJson } from "./relay-json.ts";
import { isUnspecified } from "./multiaddr.ts";

/** Where every relay says who it is. */
export const RELAY_JSON_PATH = "/.well-known/ggen/relay.json";

/** More starting points than this add nothing: further relays come from the DHT. */
export const MAX_RELAYS = 32;

/** Where to begin. */
export interface Resolved {
  /** Multiaddrs. */
  addresses: string[];
  /** By peer id, the URL of each gateway: it ends in a slash. */
  gateways: Map<string, string>;
}

/**
 * Turns the `relays` option into multiaddrs: URLs are fetched, multiaddrs pass as they are.
 *
 * A relay that serves the page names the relays to compare it with, too: the page's code comes from there, so nothing is trusted that
 * was not. Relays that are given as options stand for themselves.
 *
 * One answer is enough: a starting point that fails matters only when all do, and then the first failure is told.
 *
 * @throws {@link MarketError} `client/bad-options`, or what {@link fetchRelayJson} throws when every entry failed.
 */
export async function resolveRelays(relays: string[] | undefined, pageOrigin: string | undefined): Promise<Resolved> {
  const isDefault = !relays || relays.length === 0;
  const entries = isDefault ? [defaultRelay(pageOrigin)] : relays;
  if (entries.length > MAX_RELAYS) throw badOptions(`relays has more than ${MAX_RELAYS} entries.`);
  const sources = entries.map(parseEntry);
  const gateways = new Map<string, string>();
  const settled = await Promise.allSettled(
    sources.map(async (source) => {
      if (typeof source === "string") return [source];
      const { peerId, addresses, anchors, gateway } = await fetchRelayJson(source);
      if (gateway) gateways.set(peerId, new URL(gateway, source).href);
      return isDefault ? [...addresses, ...anchors] : addresses;
    }),
  );
  const addresses = settled.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
  const failure = settled.find((result) => result.status === "rejected");
  if (addresses.length === 0 && failure) throw failure.reason;
  return { addresses: [...new Set(addresses)], gateways };
}

function defaultRelay(pageOrigin: string | undefined): string {
  if (pageOrigin && /^https?:/.test(pageOrigin)) return new URL(RELAY_JSON_PATH, pageOrigin).href;
  throw badOptions("relays must be given where there is no page with an http(s) origin.");
}

function parseEntry(entry: string): URL | string {
  if (/^https?:\/\//i.test(entry)) {
    if (URL.canParse(entry)) return new URL(entry);
  } else if (/^\/.+\/p2p\/[^/]+$/.test(entry)) {
    if (isUnspecified(entry)) throw badOptions(`An unspecified address cannot be dialed: ${entry}`);
    return entry;
  }
  throw badOptions(`Neither an http(s) URL nor a multiaddr that ends in /p2p/<peer id>: ${entry}`);
}

function badOptions(message: string): MarketError {
  return new MarketError("client/bad-options", message);
}
