// MiniSearch's answers: `minisearch.mjs DOCUMENTS QUERIES ANSWERS`, the names of the best 20 for each query.
import { readFileSync, writeFileSync } from "node:fs";
import MiniSearch from "minisearch";
import { INDEX, SEARCH } from "./pages/minisearch-options.js";

const [documents, queries, answers] = process.argv.slice(2);
const index = new MiniSearch(INDEX);
index.addAll(JSON.parse(readFileSync(documents, "utf8")).map((document, id) => ({ id, ...document })));
const answer = (text) => index.search(text, SEARCH).slice(0, 20).map(({ name }) => name);
writeFileSync(answers, JSON.stringify(JSON.parse(readFileSync(queries, "utf8")).map(answer)));
