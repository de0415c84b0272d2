// MiniSearch with an index that was built before: no round trip for a key press.
import MiniSearch from "minisearch";
import { INDEX, SEARCH } from "./minisearch-options.js";
import { present } from "./present.js";

present(async () => {
  const response = await fetch("/minisearch-index.json");
  const index = MiniSearch.loadJSON(await response.text(), INDEX);
  return async (text) => ({ rows: index.search(text, SEARCH).slice(0, 20) });
});
