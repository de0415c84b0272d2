import { MarketError } from "./error.ts";
import { endsInPeer, isUnspecified } from "./multiaddr.ts";

/** What a relay says of itself at `/.well-known/ggen/relay.json`. */
export interface RelayInfo {
  peerId: string;
  /** Multiaddrs that end in `/p2p/<peerId>`; never an unspecified address. */
  addresses: string[];
  /** Where relays are that its operator joined the network through: multiaddrs that end in a peer id. What is none is left out. */
  anchors: string[];
  /** The path of its gateway, on the server that the file comes from; absent if it has none. */
  gateway?: string;
}

/** A relay lists a handful of addresses; the bounds leave room and keep a hostile file harmless. */
export const MAX_RELAY_JSON_BYTES = 64 * 1024;
export const MAX_RELAY_ADDRESSES = 32;
export const MAX_ADDRESS_CHARS = 512;
export const RELAY_JSON_TIMEOUT_MS = 10_000;

const GATEWAY = /^\/(?!\/)[\w\-./~%]*\/$/;
const ANCHOR = /^\/[^\s]+\/p2p\/[1-9A-HJ-NP-Za-km-z]{32,128}$/;
const PEER_ID = /^[1-9A-HJ-NP-Za-km-z]{32,128}$/;

/**
 * Checks the shape and bounds of a parsed `relay.json`; unknown fields are left alone, for relays newer than this code.
 *
 * @throws {@link MarketError} `relay/broke-protocol`, with the field that is wrong.
 */
export function validateRelayJson(json: unknown): RelayInfo {
  if (!isObject(json)) throw broken("it is not an object");
  const { peer_id: peerId, addresses, anchors, gateway, versions } = json;
  if (typeof peerId !== "string" || !PEER_ID.test(peerId)) throw broken("peer_id is not a peer id");
  if (!Array.isArray(addresses)) throw broken("addresses is not a list");
  if (addresses.length > MAX_RELAY_ADDRESSES) throw broken(`addresses has more than ${MAX_RELAY_ADDRESSES} entries`);
  if (versions !== undefined && !isObject(versions)) throw broken("versions is not an object");
  const dialable = addresses
    .map((address: unknown, index) => validateAddress(address, index, peerId))
    .filter((address) => !isUnspecified(address));
  if (dialable.length === 0) throw broken("addresses has none that can be dialed");
  const info: RelayInfo = { peerId, addresses: [...new Set(dialable)], anchors: validAnchors(anchors) };
  // On its own server only: what visitors ask of another one is not for a relay to say.
  if (typeof gateway === "string" && gateway.length <= MAX_ADDRESS_CHARS && GATEWAY.test(gateway)) info.gateway = gateway;
  return info;
}

/**
 * Fetches and validates one relay's `relay.json`.
 *
 * @throws {@link MarketError} `network/unreachable`, `network/timeout` or `relay/broke-protocol`.
 */
export async function fetchRelayJson(url: URL): Promise<RelayInfo> {
  const signal = AbortSignal.timeout(RELAY_JSON_TIMEOUT_MS);
  try {
    const response = await fetch(url, { signal, credentials: "omit", referrerPolicy: "no-referrer", cache: "no-cache" });
    if (!response.ok) {
      throw new MarketError("network/unreachable", `${url.href} answered with HTTP status ${response.status}.`);
    }
    const text = await readBounded(response, MAX_RELAY_JSON_BYTES);
    return validateRelayJson(parseJson(text));
  } catch (thrown) {
    if (thrown instanceof MarketError) throw thrown;
    if (signal.aborted) throw new MarketError("network/timeout", `${url.href} did not answer in time.`, { cause: thrown });
    throw new MarketError("network/unreachable", `${url.href} could not be fetched.`, { cause: thrown });
  }
}

/** Reads no further than the bound, whatever `Content-Length` says. */
async function readBounded(response: Response, maxBytes: number): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return "";
  const decoder = new TextDecoder();
  let text = "";
  let received = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    received += value.byteLength;
    if (received > maxBytes) {
      await reader.cancel();
      throw broken(`it is larger than ${maxBytes} bytes`);
    }
    text += decoder.decode(value, { stream: true });
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw broken("it is not JSON", cause);
  }
}

function validateAddress(address: unknown, index: number, peerId: string): string {
  if (typeof address !== "string" || address.length > MAX_ADDRESS_CHARS || !endsInPeer(address, peerId)) {
    throw broken(`addresses[${index}] does not end in /p2p/${peerId}`);
  }
  return address;
}

/** Anchors only add to what is compared: what is wrong with them is no reason to do without the relay. */
function validAnchors(anchors: unknown): string[] {
  if (!Array.isArray(anchors)) return [];
  const listed = anchors.slice(0, MAX_RELAY_ADDRESSES).filter((address): address is string => typeof address === "string");
  const dialable = listed.filter((address) => address.length <= MAX_ADDRESS_CHARS && ANCHOR.test(address));
  return [...new Set(dialable.filter((address) => !isUnspecified(address)))];
}

function broken(what: string, cause?: unknown): MarketError {
  return new MarketError("relay/broke-protocol", `The relay's relay.json is not valid: ${what}.`, { cause });
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
