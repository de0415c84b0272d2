import createPurifier, { type Config, type WindowLike } from "dompurify";
import { Marked } from "marked";
import { OUTBOUND_REL, webUrl } from "./links.ts";

/**
 * Turns a stranger's Markdown into nodes that are safe to show.
 *
 * Nothing in it loads by itself: a remote image would tell its host who reads about which package.
 */
export function renderReadme(markdown: string, window: WindowLike & { document: Document }): DocumentFragment {
  const html = markdownParser.parse(withoutByteOrderMark(markdown), { async: false });
  const purifier = createPurifier(window);
  purifier.addHook("uponSanitizeElement", (node) => {
    if (node.nodeName === "IMG") keepSourceAsTitle(node as Element);
  });
  // Nodes, not text: what was sanitised is what is shown, and no second parser reads it differently.
  const fragment = purifier.sanitize(html, { ...ALLOWED, RETURN_DOM_FRAGMENT: true });
  for (const image of fragment.querySelectorAll("img")) standInForImage(image);
  for (const link of fragment.querySelectorAll("a")) tameLink(link);
  for (const heading of fragment.querySelectorAll("h1, h2, h3, h4, h5, h6")) lowerHeading(heading);
  return fragment;
}

/** Larger README files are shown only when asked for. */
export const MAX_README_BYTES = 512 * 1024;

/** The class of the text that stands for an image; given after sanitising, for READMEs bring no classes of their own. */
const IMAGE_CLASS = "readme-image";

const ALLOWED: Config = {
  ALLOWED_TAGS: [
    "#text",
    ...["h1", "h2", "h3", "h4", "h5", "h6", "p", "div", "br", "hr", "blockquote", "pre", "details", "summary"],
    ...["ul", "ol", "li", "dl", "dt", "dd", "table", "thead", "tbody", "tfoot", "tr", "th", "td", "caption"],
    ...["a", "span", "b", "i", "strong", "em", "u", "s", "del", "ins", "code", "kbd", "samp", "var", "sub", "sup"],
    ...["small", "q", "abbr", "mark", "figure", "figcaption", "img"],
  ],
  ALLOWED_ATTR: ["href", "title", "alt", "align", "start", "reversed", "colspan", "rowspan", "open", "lang", "dir"],
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  ALLOW_UNKNOWN_PROTOCOLS: false,
};

const markdownParser = new Marked({
  gfm: true,
  renderer: {
    // A form control in a README does nothing; the sign says the same.
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});

const withoutByteOrderMark = (text: string) => text.replace(/^\uFEFF/, "");

/** `src` is not among the allowed attributes, so that no image in the result can load. */
function keepSourceAsTitle(image: Element): void {
  image.setAttribute("title", image.getAttribute("src") ?? "");
}

/** Puts an image's alternative text in its place; where no link surrounds it, the text leads to the image. */
function standInForImage(image: HTMLImageElement): void {
  const source = webUrl(image.title);
  const isLink = source !== undefined && image.closest("a") === null;
  const standIn = image.ownerDocument.createElement(isLink ? "a" : "span");
  if (isLink) standIn.setAttribute("href", source.href);
  standIn.className = IMAGE_CLASS;
  standIn.textContent = image.alt.trim();
  if (standIn.textContent === "") image.remove();
  else image.replaceWith(standIn);
}

/** Only whole web addresses lead anywhere: what a relative one meant, the publisher's own site knows. */
function tameLink(link: HTMLAnchorElement): void {
  const url = webUrl(link.getAttribute("href") ?? undefined);
  if (!url) {
    link.removeAttribute("href");
    return;
  }
  link.href = url.href;
  link.target = "_blank";
  link.rel = OUTBOUND_REL;
  link.title = url.href;
}

/** The page has its own first and second headings. */
function lowerHeading(heading: Element): void {
  const level = Math.min(Number(heading.localName.slice(1)) + 2, 6);
  const lowered = heading.ownerDocument.createElement(`h${level}`);
  lowered.append(...heading.childNodes);
  heading.replaceWith(lowered);
}
