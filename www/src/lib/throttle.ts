/**
 * Calls `action` at once, and then at most every `intervalMs`.
 *
 * The last call is followed by one more after the interval: what triggered it may show elsewhere a moment later.
 */
export function throttleWithEcho(action: () => void, intervalMs: number): { trigger: () => void; cancel: () => void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let runsLeft = 0;

  function step(): void {
    timer = undefined;
    if (runsLeft === 0) return;
    runsLeft -= 1;
    timer = setTimeout(step, intervalMs);
    action();
  }
  return {
    trigger() {
      runsLeft = 2;
      if (timer === undefined) step();
    },
    cancel() {
      runsLeft = 0;
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
