// The client as pages have it.
import { MarketClient } from "@ggen/market-client";
import { timed, turn } from "./turn.js";

await turn(async ({ relay, transport }) => {
  const connect = async () => {
    const client = await MarketClient.start({ relays: [relay], transports: [transport], discover: false });
    await connected(client);
    client.close();
  };
  await connect();
  const page = performance.now();
  return { page, dial: await timed(connect) };
});

function connected(client) {
  const is = (connections) => connections.some(({ state }) => state === "connected");
  return new Promise((done) => {
    client.subscribe((event) => event.type === "connections" && is(event.connections) && done());
    if (is(client.connections())) done();
  });
}
