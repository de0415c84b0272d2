import type { Connection, Reputation, Transport } from "@ggen/market-client";

/** The state of all connections in one glance. */
export interface ConnectionSummary {
  state: Connection["state"];
  /** Of the connection that answers fastest. */
  transport?: Connection["transport"];
  text: string;
  /** Said where there is room. */
  detail?: string;
}

const TRANSPORT_NAMES: Record<Transport | "other", string> = {
  websocket: "WebSocket",
  "webrtc-direct": "WebRTC",
  other: "other transport",
};

export const transportName = (transport: Connection["transport"]): string => TRANSPORT_NAMES[transport];

/** Half of one fault that does not verify: none, or one that is weeks ago, is no more worth a word. */
const A_FAULT = 0.5;

/** What is thought of a relay, in a few words and as a number from 0 to 1. */
export function standing({ score, faults, successes, failures }: Reputation): string {
  const number = score.toFixed(2);
  if (faults >= A_FAULT) return `sent what does not verify · reputation ${number}`;
  if (successes + failures === 0) return `not asked for anything yet · reputation ${number}`;
  // As the number shows it.
  return `${Number(number) >= 0.5 ? "serves well" : "failed of late"} · reputation ${number}`;
}

export function summarize(connections: readonly Connection[], started: boolean): ConnectionSummary {
  const connected = connections.filter((connection) => connection.state === "connected");
  const best = connected.toSorted((a, b) => (a.rttMs ?? Infinity) - (b.rttMs ?? Infinity))[0];
  if (best) {
    const relays = new Set(connected.map((connection) => connection.peer)).size;
    return {
      state: "connected",
      transport: best.transport,
      text: `${relays} ${relays === 1 ? "relay" : "relays"}`,
      detail: transportName(best.transport),
    };
  }
  if (!started) return { state: "connecting", text: "Starting" };
  const trying = connections.find((connection) => connection.state === "connecting");
  if (trying) return { state: "connecting", transport: trying.transport, text: "Connecting" };
  return connections.length === 0
    ? { state: "connecting", text: "Looking for relays" }
    : { state: "waiting", text: "Reconnecting shortly" };
}
