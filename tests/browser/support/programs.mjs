// What the runner (`cargo xtask test`) built and where it put it, and the processes that a test starts.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { deadline } from "./wait.mjs";

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

export const CHROMIUM = fromRunner("GGEN_CHROMIUM");
export const RELAY = fromRunner("GGEN_RELAY_BIN");
export const MARKET = fromRunner("GGEN_MARKET_BIN");
export const LYING_RELAY = join(fromRunner("GGEN_TEST_BINS"), "lying-relay");
export const CONFORMANCE_WORLD = join(fromRunner("GGEN_TEST_BINS"), "conformance-world");
export const CONTENT_PROVIDER = join(fromRunner("GGEN_TEST_BINS"), "content-provider");
export const WWW = fromRunner("GGEN_WWW");
export const VECTORS = fromRunner("GGEN_WASM_VECTORS");

function fromRunner(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run the browser tests with cargo xtask test`);
  return value;
}

/** How long a process may take to end by itself before it is killed. */
const GRACE_MS = 8_000;

const running = new Set();
// Whatever happens to a test, nothing that it started stays behind.
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit(1));

/** Starts a program; `onLine` hears every line that it writes. */
export function start(program, args, onLine, environment = {}) {
  // Colours would stand between the words that are looked for.
  const env = { ...process.env, NO_COLOR: "1", ...environment };
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"], env });
  running.add(child);
  child.once("exit", () => running.delete(child));
  // Writing to a program that has ended is reported by its exit code.
  child.stdin.on("error", () => {});
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => onLine(line, stream === child.stdout ? "stdout" : "stderr"));
  }
  return child;
}

/** Asks a process to end, and makes sure that it does. */
export async function stop(child) {
  if (!running.has(child)) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const killer = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
  await ended;
  clearTimeout(killer);
}

/** Ends a process without a word, as a power cut does. */
export async function kill(child) {
  if (!running.has(child)) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

/** Runs a program to its end and gives its output lines, each with the time at which it came. */
export async function run(program, args) {
  const lines = [];
  const errors = [];
  const child = start(program, args, (text, stream) => {
    if (stream === "stdout") lines.push({ text, at: Date.now() });
    else errors.push(text);
  });
  const [code] = await deadline(`the end of ${program}`, once(child, "close"));
  if (code !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${code}:\n${errors.join("\n")}`);
  return lines;
}

/** A directory that is removed at the end of the test. */
export function temporaryDirectory(t) {
  const directory = mkdtempSync(join(tmpdir(), "ggen-browser-test-"));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
