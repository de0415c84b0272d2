import type { MarketErrorShape } from "./types.ts";

/** The one error class that {@link MarketClient} throws. */
export class MarketError extends Error implements MarketErrorShape {
  override readonly name = "MarketError";
  /** Stable, for programs; the codes are listed at {@link MarketErrorShape}. */
  readonly code: string;

  constructor(code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** Gives what was thrown across the wasm boundary the one public shape; the original stays as `cause`. */
export function toMarketError(thrown: unknown): MarketError {
  if (thrown instanceof MarketError) return thrown;
  if (thrown instanceof Error) {
    const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : "client/internal";
    return new MarketError(code, thrown.message, { cause: thrown });
  }
  return new MarketError("client/internal", String(thrown), { cause: thrown });
}
