// How MiniSearch is set up, here and in the page: every word has to match, the last one may be a beginning.
export const INDEX = {
  fields: ["name", "title", "tags", "description"],
  storeFields: ["name", "title"],
};

export const SEARCH = {
  boost: { name: 4, title: 2, tags: 2 },
  combineWith: "AND",
  prefix: (_term, at, terms) => at + 1 === terms.length,
};
