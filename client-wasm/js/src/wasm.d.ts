/**
 * The part of the wasm-bindgen module that `index.ts` uses; `paths` in tsconfig.json maps `#wasm` here.
 *
 * Declared by hand so that the package type-checks before the module is built; the bindings' own declarations
 * know option and event objects only as `any`.
 */
import type { MarketEvent, RawClient, RememberedRelay, Transport } from "./types.ts";

export interface RawOptions {
  /** Multiaddrs only: URLs were resolved before. None where relays are remembered, and the named ones are not known yet. */
  relays: string[];
  transports: Transport[];
  discover: boolean;
  epochSeconds?: number | undefined;
  network?: string | undefined;
}

export class Client {
  static start(options: RawOptions, remembered: RememberedRelay[], onEvent: (event: MarketEvent) => void): Promise<RawClient>;
}

export default function init(input: { module_or_path: string | URL | BufferSource }): Promise<unknown>;
