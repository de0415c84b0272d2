/**
 * The part of the wasm-bindgen module that is used here, of which no other declarations are made.
 *
 * By hand so that the package type-checks before the module is built; the bindings' own declarations know option and event objects only as `any`.
 */
declare module "*/ggen_client_wasm.js" {
  // A relative name can't be imported from here.
  type MarketEvent = import("./types.ts").MarketEvent;
  type RawClient = import("./types.ts").RawClient;
  type RememberedRelay = import("./types.ts").RememberedRelay;
  type Transport = import("./types.ts").Transport;

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
}
