import type { Hit, SearchAnswer } from "@ggen/market-client";

/** A release is shown once, however often a relay lists it: rows are keyed by its id. */
export function uniqueHits(hits: readonly Hit[]): Hit[] {
  const seen = new Set<string>();
  return hits.filter((hit) => {
    if (hit.status === "refused") return true;
    const isNew = !seen.has(hit.release.id);
    seen.add(hit.release.id);
    return isNew;
  });
}

/** Stable across refreshes, so that focus stays on its row; refused rows have no id that could be believed. */
export function hitKey(hit: Hit, index: number): string {
  return hit.status === "verified" ? hit.release.id : `refused ${index}`;
}

/** Adds the next page below what is shown. */
export function appendPage(shown: SearchAnswer, page: SearchAnswer): SearchAnswer {
  return { ...page, hits: uniqueHits([...shown.hits, ...page.hits]) };
}

/**
 * Renews the first page without taking away pages that the reader had asked for.
 *
 * The older rows verified as well; only their order may be out of date.
 */
export function renewFirstPage(shown: SearchAnswer, fresh: SearchAnswer): SearchAnswer {
  const { cursor: _, ...renewed } = fresh;
  const hits = uniqueHits([...fresh.hits, ...shown.hits.filter((hit) => hit.status === "verified")]);
  return { ...renewed, hits, ...(shown.cursor !== undefined && { cursor: shown.cursor }) };
}

/** Fewer rows than these may be due to a misspelled word. */
const FEW_HITS = 3;

/** Other spellings, where little was found by the one that was typed. */
export function suggestionsFor({ hits, suggestions }: SearchAnswer): string[] {
  return hits.length < FEW_HITS ? [...new Set(suggestions)] : [];
}

/** What the count line says: how many match, and how many of them are shown as long as there are more. */
export function countText(answer: SearchAnswer): string {
  const { total, totalIsExact, hits, cursor } = answer;
  const count = `${totalIsExact ? "" : "at least "}${total.toLocaleString("en")} package${total === 1 ? "" : "s"}`;
  return cursor === undefined ? count : `first ${hits.length.toLocaleString("en")} of ${count}`;
}
