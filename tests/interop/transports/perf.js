// The client's own streams, by a module that has two more methods than the one that is shipped.
import init, { Client } from "@ggen/perf/ggen_client_wasm.js";
import module_or_path from "@ggen/perf/ggen_client_wasm_bg.wasm?url";
import { transfers, turn } from "./turn.js";

await turn(async ({ peer, transport, volume, pings }) => {
  await init({ module_or_path });
  const told = () => {};
  const client = await Client.start({ relays: [peer], transports: [transport], discover: false }, told);
  const id = peer.slice(peer.lastIndexOf("/") + 1);
  if (pings !== undefined) return { pings: Array.from(await client.pings(id, pings)) };
  return transfers(volume, (up, down) => client.transfer(id, up, down));
});
