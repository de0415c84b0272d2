/** A link out of the page, from text that a stranger wrote: only a plain web address is one. */
export function webUrl(text: string | undefined): URL | undefined {
  if (text === undefined || !URL.canParse(text)) return undefined;
  const url = new URL(text);
  const isPlain = (url.protocol === "https:" || url.protocol === "http:") && url.username === "" && url.password === "";
  return isPlain ? url : undefined;
}

/** Neither tells the other side where the reader came from, nor lends it the page's window or standing. */
export const OUTBOUND_REL = "noopener noreferrer nofollow";

/** What to show for a web address: its host and path say where it leads. */
export function describeUrl(url: URL): string {
  const path = url.pathname.replace(/\/$/, "");
  return url.host.replace(/^www\./, "") + path;
}
