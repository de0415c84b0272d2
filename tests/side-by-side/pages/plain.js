// A plain endpoint: the relay's word, in JSON.
import { present } from "./present.js";

const endpoint = new URLSearchParams(location.search).get("endpoint");

present(async () => async (text) => {
  const response = await fetch(`${endpoint}/search/${encodeURIComponent(text)}`);
  return { rows: (await response.json()).results };
});
