import type { MarketClient, PackageView } from "@ggen/market-client";
import { describeProblem, type Problem } from "./problems.ts";

/** The package that a page shows. */
export class PackageLoader {
  #view = $state.raw<PackageView>();
  #problem = $state.raw<Problem>();
  #busy = $state(false);
  #asked = 0;
  #shownName = "";

  get view(): PackageView | undefined {
    return this.#view;
  }

  get problem(): Problem | undefined {
    return this.#problem;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Loads a package; one version of it stays visible while another one loads. */
  async load(client: MarketClient, fullName: string, version: string | undefined): Promise<void> {
    const ticket = ++this.#asked;
    if (fullName !== this.#shownName) this.#view = undefined;
    this.#shownName = fullName;
    this.#busy = true;
    try {
      const view = await (version === undefined
        ? client.getPackage(fullName)
        : client.getPackageVersion(fullName, version));
      if (ticket !== this.#asked) return;
      this.#view = view;
      this.#problem = undefined;
    } catch (thrown) {
      if (ticket !== this.#asked) return;
      this.#view = undefined;
      this.#problem = describeProblem(thrown);
    }
    this.#busy = false;
  }
}
