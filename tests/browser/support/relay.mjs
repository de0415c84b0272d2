// Real relays, each a process of its own, on loopback, with ports that the system chose.
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { CONFORMANCE_WORLD, CONTENT_PROVIDER, LYING_RELAY, RELAY, WWW, kill, run, start, stop, temporaryDirectory } from "./programs.mjs";
import { deadline, until } from "./wait.mjs";

const ANY_PORT = ["tcp/0", "udp/0/quic-v1", "tcp/0/ws", "udp/0/webrtc-direct"].map((end) => `/ip4/127.0.0.1/${end}`);

export class Relay {
  #child;
  #log = [];
  #onLine = () => {};
  #environment = {};
  /** Where it keeps everything, and what it was started with besides. */
  dataDir;
  options;

  /** Where it serves the page. */
  url;
  peerId;
  /** Multiaddrs that end in its peer id. */
  addresses;
  /** What whoever asks it at a terminal has to say of its network. */
  network = [];

  /** Starts a relay that serves the page; it is stopped at the end of the test. */
  static async start(t, { bootstrap = [], sync = true, epochSeconds, log } = {}) {
    const relay = new Relay();
    if (log) relay.#environment = { RUST_LOG: log };
    // Hooks run in this order: the relay ends before its directory goes.
    t.after(() => relay.stop());
    relay.dataDir = join(temporaryDirectory(t), "data");
    relay.options = bootstrap.flatMap((other) => ["--bootstrap", other.address("tcp")]);
    if (!sync) relay.options.push("--no-sync");
    if (epochSeconds) relay.network = ["--epoch-seconds", String(epochSeconds)];
    relay.options.push(...relay.network);
    await relay.#run(ANY_PORT, "127.0.0.1:0");
    if (bootstrap.length > 0) {
      await until("relays that know each other", async () => (await relay.routingTable()).length >= bootstrap.length);
    }
    return relay;
  }

  /** A relay that lies when told to, see tests/src/bin/lying-relay.rs. */
  static async startLiar(t, { epochSeconds } = {}) {
    const relay = new Relay();
    t.after(() => relay.stop());
    const epoch = epochSeconds ? [String(epochSeconds)] : [];
    if (epochSeconds) relay.network = ["--epoch-seconds", ...epoch];
    await relay.#spawn(LYING_RELAY, [join(temporaryDirectory(t), "data"), WWW, ...epoch]);
    return relay;
  }

  /** A relay that holds the world of tests/conformance.json, and what it says of it: see tests/src/bin/conformance-world.rs. */
  static async startWorld(t) {
    const relay = new Relay();
    t.after(() => relay.stop());
    await relay.#spawn(CONFORMANCE_WORLD, [join(temporaryDirectory(t), "data")]);
    const [about, prepared] = relay.#log.map((line) => line.startsWith("{") && JSON.parse(line)).filter(Boolean);
    return { relay, ...about, prepared };
  }

  /**
   * A relay that holds one package of `size` bytes and serves its blocks in a way of tests/src/bin/content-provider.rs; `content` says what is
   * in the package.
   */
  static async startProvider(t, size, serving) {
    const relay = new Relay();
    t.after(() => relay.stop());
    await relay.#spawn(CONTENT_PROVIDER, [join(temporaryDirectory(t), "data"), String(size), serving]);
    relay.content = JSON.parse(relay.#log.find((line) => line.startsWith("{")));
    return relay;
  }

  /** How many blocks a provider has read to send them. */
  async served() {
    const answer = new Promise((done) => (this.#onLine = (line) => line.startsWith("served ") && done(line)));
    this.#child.stdin.write("\n");
    return Number((await deadline("the provider's count", answer)).split(" ")[1]);
  }

  /** Starts again, after `stop`, with the same data on the same ports. */
  async restart() {
    const listen = this.addresses.map((address) => address.replace(/(\/certhash\/[^/]+)*\/p2p\/[^/]+$/, ""));
    await this.#run(listen, new URL(this.url).host);
  }

  /** Sends an order to a lying relay and waits until it holds. */
  async order(order) {
    const obeyed = new Promise((done) => (this.#onLine = (line) => line === order && done()));
    this.#child.stdin.write(`${order}\n`);
    await deadline(`the relay's answer to ${order}`, obeyed);
  }

  /** Its address over a transport, in the words of `?transport=`, or TCP. */
  address(transport) {
    const is = {
      tcp: (address) => /\/tcp\/\d+\/p2p\//.test(address),
      websocket: (address) => address.includes("/ws/"),
      "webrtc-direct": (address) => address.includes("/webrtc-direct/"),
    }[transport];
    const found = this.addresses.find(is);
    if (!found) throw new Error(`no ${transport} among ${this.addresses}`);
    return found;
  }

  /** The peers in its routing table. */
  routingTable() {
    return this.#json("routing.json");
  }

  async stop() {
    await stop(this.#child);
  }

  /** Ends it without a word. */
  async kill() {
    await kill(this.#child);
  }

  /** Has its operator exclude a record, and say why. */
  async exclude(id, reason) {
    await run(RELAY, ["exclude", id, "--reason", reason, "--data-dir", this.dataDir]);
  }

  /** The next line of its log in which a pattern is found; `log` of `start` says what is logged. */
  says(pattern) {
    return new Promise((done) => (this.#onLine = (line) => pattern.test(line) && done(line)));
  }

  /** Lets it take connections and questions, and answer nothing, until it is killed. It is told to stop first, and its threads do so one by one. */
  async silence() {
    this.#child.kill("SIGSTOP");
    const threads = `/proc/${this.#child.pid}/task`;
    // What follows the name, which may have anything in it, is the state: `T` for stopped.
    const stopped = async (thread) => /^T /.test((await readFile(`${threads}/${thread}/stat`, "utf8")).split(") ").at(-1));
    await until("a relay that stands still", async () => (await Promise.all((await readdir(threads)).map(stopped))).every(Boolean));
  }

  #run(listen, http) {
    const addresses = listen.flatMap((address) => ["--listen", address]);
    const fixed = ["run", "--data-dir", this.dataDir, "--http", http, "--www", WWW, "--network", "ggen"];
    return this.#spawn(RELAY, [...fixed, ...addresses, ...this.options]);
  }

  async #spawn(program, args) {
    const serving = new Promise((done, fail) => {
      this.#child = start(program, args, (line) => {
        this.#log.push(line);
        this.#onLine(line);
        const url = /http at (http:\/\/\S+)/.exec(line)?.[1];
        if (url) done(url);
      }, this.#environment);
      this.#child.once("exit", () => fail(new Error(`the relay ended:\n${this.#log.slice(-20).join("\n")}`)));
    });
    this.url = await deadline("a relay that serves HTTP", serving);
    ({ peer_id: this.peerId, addresses: this.addresses } = await this.#json("relay.json"));
  }

  async #json(name) {
    const response = await fetch(`${this.url}/.well-known/ggen/${name}`);
    if (!response.ok) throw new Error(`${response.url} answered ${response.status}`);
    return response.json();
  }
}
