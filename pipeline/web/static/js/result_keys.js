/** The keys of the page of results. */

import { find } from "./dom.js";

/** Keys that are shown on the page, and what they do. */
export const KEY_ROW = [
  ["j", ""],
  ["k", "move"],
  ["y", "yes"],
  ["n", "no"],
  ["u", "unmark"],
  ["z", "undo"],
  ["r", "refine"],
  ["s", "more like this"],
  ["Enter", "open"],
  ["?", "all keys"],
];

/**
 * Return the table of keys.
 *
 * @param {object} act what keys do: `step`, `columns`, `markCurrent`, `undo`, `refine`; and `current`, which returns
 * the card that has the focus, or null
 */
export const resultKeys = ({ step, columns, markCurrent, undo, refine, current }) => [
  { keys: ["ArrowRight", "j"], does: "Next hit", run: () => step(1) },
  { keys: ["ArrowLeft", "k"], does: "Hit before", run: () => step(-1) },
  { keys: ["ArrowDown"], does: "Hit below", run: () => step(current() ? columns() : 1) },
  { keys: ["ArrowUp"], does: "Hit above", run: () => step(-columns()) },
  { keys: ["y"], does: "Mark yes: alike", run: () => markCurrent("yes") },
  { keys: ["n"], does: "Mark no: different", run: () => markCurrent("no") },
  { keys: ["u"], does: "Take the mark of a hit away", run: () => markCurrent("") },
  { keys: ["z"], does: "Undo the last mark", run: undo },
  { keys: ["r"], does: "Refine: search again with the marks", run: refine },
  {
    keys: ["Enter"],
    does: "Open the hit in its waterfall",
    run: () => current() && location.assign(find("a.open", current().element).href),
    when: (event) => Boolean(current()) && event.target === current().element,
  },
  {
    keys: ["s"],
    does: "Search for more like the hit",
    run: () => current() && location.assign(find("a.more", current().element).href),
  },
  {
    keys: ["o"],
    does: "Show the scans of the hit's cadence",
    run: () => current() && location.assign(`${find("a.open", current().element).href}#cadence=1`),
  },
  {
    keys: ["/"],
    does: "Go to the filters",
    run: () => {
      find(".filters").open = true;
      find(".filters input").focus();
    },
  },
];
