/** How the frequencies of a family differ within scans: a regular spacing, or none. */

import { h, table } from "./dom.js";

const khz = (mhz) => `${(1000 * mhz).toPrecision(5)} kHz`;

/** Return the spacing in words, and the counts of differences as a table. */
export function spacingBox(spacing) {
  const { spacing_mhz: best, p, is_comb: isComb, edges_mhz: edges, counts, expected } = spacing;
  const words = best === null
    ? "There are too few windows to look for a regular spacing of their frequencies."
    : isComb
      ? `The frequencies are a multiple of ${khz(best)} apart (p = ${p.toPrecision(2)}): a comb.`
      : `No regular spacing stands out. The best, ${khz(best)}, fits as well by chance (p = ${p.toPrecision(2)}).`;
  return h(
    "section",
    {},
    h("h2", {}, "Differences of frequency within scans"),
    h("p", {}, words),
    counts.length
      ? h(
          "details",
          {},
          h("summary", {}, "Differences as a table"),
          table(
            "Differences of frequency, and how many any signals would give",
            ["MHz from", "to", "counted", "expected"],
            counts.map((count, i) => [edges[i].toFixed(4), edges[i + 1].toFixed(4), count, expected[i].toFixed(1)]),
            [0, 1, 2, 3],
          ),
        )
      : null,
  );
}
