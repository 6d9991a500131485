/** What the hits of a search are worth together. */

import { counted } from "./axes.js";
import { h } from "./dom.js";

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** Return what the hits of a search are worth, in words. */
export const verdict = (result) =>
  h(
    "p",
    { class: "verdict" },
    h("b", {}, sentence(result.verdict?.words || result.words_of_verdict || "No verdict")),
    h(
      "span",
      { class: "quiet" },
      ` among ${counted(result.corpus.searched, "window")} searched, ${counted(result.corpus.sources, "source")}, ` +
        `generation ${result.corpus.generation}, by ${result.query.encoder}`,
    ),
    result.query.note ? h("span", { class: "note" }, result.query.note) : null,
  );

/** Return what to do if nothing was found. */
export const nothingFound = () =>
  h(
    "div",
    { class: "empty" },
    h("p", {}, "Nothing in this corpus passes the filters and limits of this search."),
    h(
      "p",
      { class: "quiet" },
      "Take filters away, or allow more by chance. A search compares only windows of the query's resolution.",
    ),
  );
