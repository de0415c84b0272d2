import { MediaQuery } from "svelte/reactivity";

/** Where one column stands below the other; the style sheets of the pages say the same width. */
export const isNarrow = new MediaQuery("max-width: 56rem");
