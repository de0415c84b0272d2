// The client as pages have it.
import { MarketClient } from "@ggen/market-client";
import { timed, turn } from "./turn.js";

await turn(async ({ relay, transport }) => {
  const connect = async () => {
    const client = await MarketClient.start({ relays: [relay], transports: [transport], discover: false });
    await connected(client);
    return client;
  };
  const clients = [await connect()];
  const page = performance.now();
  // The first one stays: its end would be part of the time.
  const dial = await timed(async () => clients.push(await connect()));
  for (const client of clients) client.close();
  return { page, dial };
});

function connected(client) {
  const is = (connections) => connections.some(({ state }) => state === "connected");
  return new Promise((done) => {
    client.subscribe((event) => event.type === "connections" && is(event.connections) && done());
    if (is(client.connections())) done();
  });
}
