// What the three pages have in common: a field, a list, and a clock that runs from a key press to the list that answers it.
const input = document.querySelector("input");
const list = document.querySelector("ol");

function row({ name, title }) {
  const item = document.createElement("li");
  item.textContent = `${name}: ${title ?? ""}`;
  return item;
}

/**
 * `begin` gives a function from what is typed to rows, and what more there is to say of how they came; the page's own query, if it has one,
 * is asked as soon as it does.
 */
export async function present(begin) {
  const asked = new URLSearchParams(location.search).get("q") ?? "";
  input.value = asked;
  const search = await begin();
  const show = async (text, pressed) => {
    const { rows, ...more } = await search(text);
    if (input.value !== text) return;
    list.replaceChildren(...rows.map(row));
    globalThis.shown = { text, took: performance.now() - pressed, rows: rows.length, ...more };
    dispatchEvent(new Event("shown"));
  };
  input.addEventListener("input", (event) => show(input.value, event.timeStamp));
  // The clock of a page begins when it is gone to.
  await show(asked, 0);
}
