// Waiting, always with an end: a slow machine is no failure, silence is.

export const DEADLINE_MS = 30_000;
const POLL_MS = 20;

/** What `promise` gives, or an error that names what did not come. */
export async function deadline(what, promise, milliseconds = DEADLINE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks until there is an answer: for what another process makes true without telling us. */
export async function until(what, probe, milliseconds = DEADLINE_MS) {
  const end = Date.now() + milliseconds;
  let failure;
  while (Date.now() < end) {
    try {
      const found = await probe();
      if (found) return found;
      failure = undefined;
    } catch (thrown) {
      failure = thrown;
    }
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
  throw new Error(`${what}: not within ${milliseconds} ms`, { cause: failure });
}
