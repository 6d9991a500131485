/** The keys of the page of a waterfall. */

import { find } from "./dom.js";

/** Return the keys that are shown on the page, and what they do. Those for times are of use in high scans only. */
export const keyRowOf = (isHigh) => [
  ["ArrowLeft", ""],
  ["ArrowRight", "move"],
  ["+", ""],
  ["-", "zoom"],
  ...(isHigh
    ? [
        [".", ""],
        [",", "zoom in time"],
      ]
    : []),
  ["0", "show all"],
  ["o", "cadence"],
  ["s", "search"],
  ["z", "clear"],
  ["?", "all keys"],
];

/**
 * Return the table of keys.
 *
 * @param {import("./navigation.js").Navigation} go
 * @param {object} board what all panels share
 * @param {object} act what other keys do: `search`, `select`, `cadence`
 */
export const waterfallKeys = (go, board, act) => [
  { keys: ["ArrowLeft", "k"], does: "Move to lower frequencies", run: () => go.move(-0.15) },
  { keys: ["ArrowRight", "j"], does: "Move to higher frequencies", run: () => go.move(0.15) },
  { keys: ["+", "="], does: "Zoom in", run: () => go.zoom(0.5, board.cross?.share) },
  { keys: ["-"], does: "Zoom out", run: () => go.zoom(2) },
  { keys: ["."], does: "Zoom in in time", run: () => go.zoomTimes(0.5, board.cross?.later) },
  { keys: [","], does: "Zoom out in time", run: () => go.zoomTimes(2) },
  { keys: ["ArrowUp"], does: "Move to later times", run: () => go.moveTimes(0.15), when: () => board.times },
  { keys: ["ArrowDown"], does: "Move to earlier times", run: () => go.moveTimes(-0.15), when: () => board.times },
  { keys: ["0"], does: "Show the whole band and all times", run: () => go.showAll() },
  { keys: ["o"], does: "Stack the scans of this cadence, or only show this one", run: act.cadence },
  {
    keys: ["Enter", "s"],
    does: "Find look-alikes of the selected range",
    run: act.search,
    when: (event) => !event.target.closest("button, a, summary, input, select") || event.key === "s",
  },
  { keys: ["z", "Escape"], does: "Select nothing", run: () => act.select(null) },
  { keys: ["/"], does: "Type a range", run: () => find("#f-start").focus() },
];
