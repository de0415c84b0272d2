// A publisher at a terminal: a key, packages, and `ggen-market publish`.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { MARKET, ROOT, run, temporaryDirectory } from "./programs.mjs";

export class Publisher {
  /** Makes a key that is removed at the end of the test. */
  static async create(t, handle) {
    const publisher = new Publisher();
    publisher.directory = temporaryDirectory(t);
    publisher.key = join(publisher.directory, "keys", "market.key");
    /** How many next keys were made. */
    publisher.nextKeys = 1;
    const made = ["key", "new", "--handle", handle, "--key", publisher.key, "--next-key", publisher.nextKey(1), "--no-passphrase"];
    const shown = await run(MARKET, [...made, "--network", "ggen", "--quota", "1024"]);
    const field = (name) => shown.find(({ text }) => text.startsWith(`${name} `)).text.slice(name.length + 1);
    publisher.id = field("publisher");
    /** `handle~fingerprint`. */
    publisher.name = field("full-name");
    return publisher;
  }

  /** Where a next key is: apart from the key. */
  nextKey(number) {
    return join(this.directory, `next-${number}`);
  }

  /** Publishes directories and .crate files to relays: what was acknowledged, and when. `publishers`: whose packages dependencies mean. */
  async publish(relays, paths, publishers = {}) {
    const to = relays.flatMap((relay) => ["--relay", relay.address("tcp")]);
    const meant = join(this.directory, "publishers");
    writeFileSync(meant, Object.entries(publishers).map(([name, id]) => `${name} ${id}\n`).join(""));
    const lines = await run(MARKET, ["publish", "--key", this.key, "--publishers", meant, ...to, ...paths]);
    return lines.map(({ text, at }) => {
      const [, name, version, id, cid] = /^published (\S+) (\S+) (\S+) (\S+)$/.exec(text);
      return { name, version, id, cid, fullName: `${this.name}/${name}`, acknowledgedAt: at };
    });
  }

  /** Says to one relay, or the same to some, of a version that it is deprecated, yanked or retracted, why, and what other package to use. */
  async say(relays, name, version, state, reason, ...instead) {
    const command = { deprecated: "deprecate", yanked: "yank", retracted: "retract" }[state];
    const said = [command, `${name}@${version}`, "--reason", reason, ...instead.flatMap((name) => ["--use", name])];
    for (const relay of [relays].flat()) {
      await run(MARKET, [...said, "--key", this.key, "--relay", relay.address("tcp"), ...relay.network]);
    }
  }

  /** Rotates to the next key, which leaves out these versions, and hands the rotation to some relays. */
  async rotate(relays, dropped) {
    const to = relays.flatMap((relay) => ["--relay", relay.address("tcp")]);
    const but = dropped.flatMap((version) => ["--drop", version]);
    const keys = ["--key", this.key, "--with", this.nextKey(this.nextKeys), "--next-key", this.nextKey(++this.nextKeys)];
    await run(MARKET, ["key", "rotate", ...keys, ...but, ...to, ...relays[0].network]);
  }

  /** Writes a ggen package directory and gives its path. */
  write(name, { version = "1.0.0", description, readme, fields = "" }) {
    const directory = join(this.directory, "packages", `${name}-${version}`);
    mkdirSync(directory, { recursive: true });
    const manifest = ["[package]", `name = "${name}"`, `version = "${version}"`, `description = "${description}"`, fields];
    writeFileSync(join(directory, "package.toml"), manifest.join("\n"));
    if (readme !== undefined) writeFileSync(join(directory, "README.md"), readme);
    return directory;
  }
}

/** One of the sample packages in tests/packages. */
export const samplePackage = (name) => join(ROOT, "tests/packages", name);

/** The .crate file in Cargo's cache that this workspace was built with. */
export function crateFile(name) {
  const lock = readFileSync(join(ROOT, "Cargo.lock"), "utf8");
  const version = new RegExp(`^name = "${name}"\\nversion = "([^"]+)"`, "m").exec(lock)?.[1];
  const cache = join(process.env.CARGO_HOME ?? join(homedir(), ".cargo"), "registry/cache");
  const paths = readdirSync(cache).map((registry) => join(cache, registry, `${name}-${version}.crate`));
  const path = paths.find(existsSync);
  if (!path) throw new Error(`${name} ${version} is not in Cargo's cache at ${cache}`);
  return path;
}
