/** Numbers, sizes and times as people read them. What comes in may be any number a stranger signed. */

export function formatBytes(bytes: number): string {
  const units = ["bytes", "kB", "MB", "GB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${bytes === 1 ? "byte" : units[unit]}`;
}

export interface FormattedTime {
  /** For `datetime` attributes and tooltips; absent when no calendar has such a date. */
  iso?: string;
  text: string;
}

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** A publisher's clock is the publisher's: a time to come is shown as a date, never as "in 3 years". */
export function formatTime(seconds: number, nowSeconds: number): FormattedTime {
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return { text: "date unknown" };
  const iso = date.toISOString();
  const age = nowSeconds - seconds;
  if (age < -HOUR || age > 30 * DAY) return { iso, text: iso.slice(0, 10) };
  if (age < MINUTE) return { iso, text: "just now" };
  if (age < HOUR) return { iso, text: ago(age / MINUTE, "minute") };
  if (age < DAY) return { iso, text: ago(age / HOUR, "hour") };
  return { iso, text: ago(age / DAY, "day") };
}

function ago(amount: number, unit: string): string {
  const whole = Math.floor(amount);
  return `${whole} ${unit}${whole === 1 ? "" : "s"} ago`;
}

/** The end of a peer id tells peers apart; all of them begin alike. */
export function shortPeer(peer: string): string {
  return peer.length <= 10 ? peer : `…${peer.slice(-8)}`;
}

/** "1 package", "7 packages". */
export function plural(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
