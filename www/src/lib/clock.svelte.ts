/** The time of day as the page shows it: "just now" must not stay for an hour. */
class Clock {
  #seconds = $state(Date.now() / 1000);

  constructor() {
    setInterval(() => (this.#seconds = Date.now() / 1000), 20_000);
  }

  /** Seconds since 1970. */
  get now(): number {
    return this.#seconds;
  }
}

export const clock = new Clock();
