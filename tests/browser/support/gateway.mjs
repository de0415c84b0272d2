// The HTTP server of a relay, with something in between that does not serve its gateway well.
import { once } from "node:events";
import { createServer } from "node:http";

/**
 * Passes on what a relay serves. `serve` is given the body of what its gateway answers, and the response to write to, whose head is written.
 * Gives where the relay's `relay.json` is then, and how many requests there were for blocks.
 */
export async function startGateway(t, relay, serve) {
  const gateway = { asked: 0 };
  const server = createServer(async (request, response) => {
    let from, body;
    try {
      from = await fetch(new URL(request.url, relay.url));
      body = Buffer.from(await from.arrayBuffer());
    } catch {
      // The relay ends before this does, and the page may be asking still.
      return response.destroy();
    }
    response.writeHead(from.status, { "access-control-allow-origin": "*", "content-type": from.headers.get("content-type") });
    if (!request.url.startsWith("/ipfs/")) return response.end(body);
    gateway.asked += 1;
    serve(body, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  gateway.relayJson = `http://127.0.0.1:${server.address().port}/.well-known/ggen/relay.json`;
  return gateway;
}
