/** What the hits of a search are worth together. */

import { counted, shortChance } from "./axes.js";
import { h } from "./dom.js";

const sentence = (words) => words.charAt(0).toUpperCase() + words.slice(1);

/** Return the words of the program, with the number as those of the hits are written: 1.4·10⁻⁵, not 1.4e-05. */
const wordsOf = (result) =>
  (result.verdict?.words || result.words_of_verdict || "").replace(/(?<=by chance )[<\d.]+e-\d+$/, (number) =>
    result.verdict ? shortChance(result.verdict.expected) : number,
  );

/** Return what the hits of a search are worth, in words. */
export const verdict = (result) =>
  h(
    "p",
    { class: "verdict" },
    h("b", {}, sentence(wordsOf(result) || "No verdict")),
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
