/** Keys that work on the whole page: `/` searches, arrows walk the results, Escape leads back to the search box. */

export const SEARCH_INPUT_ID = "search";
/** Marks the link of a result row, so that arrow keys find it. */
export const RESULT_LINK = "data-result-link";

export function handlePageKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
  const handled = actOn(event.key, document.activeElement);
  if (handled) event.preventDefault();
}

function actOn(key: string, active: Element | null): boolean {
  const input = document.getElementById(SEARCH_INPUT_ID);
  if (!(input instanceof HTMLInputElement)) return false;
  if (key === "/" && !isEditable(active)) {
    input.focus();
    input.select();
    return true;
  }
  if (key === "Escape" && active !== input && document.querySelector(":popover-open") === null) {
    input.focus();
    return true;
  }
  const step = key === "ArrowDown" ? 1 : key === "ArrowUp" ? -1 : 0;
  return step !== 0 && walkResults(step, active, input);
}

/** Above the first result is the search box; below the last there is nothing. */
function walkResults(step: number, active: Element | null, input: HTMLInputElement): boolean {
  const links = [...document.querySelectorAll<HTMLElement>(`[${RESULT_LINK}]`)];
  const at = active === input ? -1 : links.indexOf(active as HTMLElement);
  if (at === -1 && active !== input) return false;
  const target = at + step < 0 ? input : links[at + step];
  target?.focus();
  return target !== undefined;
}

function isEditable(element: Element | null): boolean {
  return (
    element instanceof HTMLInputElement ||
    element instanceof HTMLTextAreaElement ||
    (element instanceof HTMLElement && element.isContentEditable)
  );
}
