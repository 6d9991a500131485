/** The background of a search: how many windows score how well, with a threshold that can be dragged. */

import { counted, shortChance } from "./axes.js";
import { fill, h, svg, table } from "./dom.js";

const WIDTH = 320;
const HEIGHT = 132;
const LEFT = 34;
const BASE = HEIGHT - 24;
const TOP = 12;

const xOf = (score) => LEFT + ((score + 1) / 2) * (WIDTH - LEFT - 8);

/** Return the height of a bar: the logarithm of a count, so that one hit is seen beside thousands. */
const yOf = (count, most) => BASE - (count > 0 ? (Math.log10(1 + count) / Math.log10(1 + most)) * (BASE - TOP) : 0);

/** Return the outline of a histogram as a path. */
function outline(edges, counts, most) {
  let path = `M${xOf(edges[0])},${BASE}`;
  counts.forEach((count, i) => {
    path += `V${yOf(count, most).toFixed(1)}H${xOf(edges[i + 1]).toFixed(1)}`;
  });
  return `${path}V${BASE}Z`;
}

/** Return how many of the hits are at or above a score. */
export const hitsAbove = (hits, threshold) => hits.filter((hit) => hit.score >= threshold).length;

/**
 * Show the histogram.
 *
 * @param {object} result of a search
 * @param {number} threshold lowest score that is shown
 * @param {(threshold: number) => void} changed
 */
export function histogram(result, threshold, changed) {
  const { background } = result;
  if (background.reason) return null; // the verdict says why
  const { edges } = background;
  const most = Math.max(1, ...background.counts, ...background.unrelated_counts);
  const line = svg("line", { class: "threshold", y1: TOP - 6, y2: BASE });
  const knob = svg("path", { class: "threshold-knob", d: "M0,0l-5,-7h10z" });
  const words = h("p", { class: "threshold-words", role: "status" });
  const decimals = (n) => [1, 10, 100, 1000, 1e4, 1e5, 1e6].filter((one) => one <= n);
  const drawing = svg(
    "svg",
    {
      class: "histogram",
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "img",
      "aria-label":
        "Histogram of scores: unrelated signals, windows of this corpus, and hits. The table below has the counts.",
    },
    decimals(most).map((n) =>
      svg(
        "g",
        {},
        svg("line", { class: "grid", x1: LEFT, x2: WIDTH - 8, y1: yOf(n, most), y2: yOf(n, most) }),
        svg(
          "text",
          { x: LEFT - 4, y: yOf(n, most) + 3, "text-anchor": "end" },
          n >= 1000 ? `${n / 1000}k` : String(n),
        ),
      ),
    ),
    svg("path", { class: "of-corpus", d: outline(edges, background.counts, most) }),
    svg("path", { class: "of-unrelated", d: outline(edges, background.unrelated_counts, most) }),
    result.hits.map((hit) =>
      svg("line", { class: "of-hit", x1: xOf(hit.score), x2: xOf(hit.score), y1: BASE + 1, y2: BASE + 7 }),
    ),
    [-1, -0.5, 0, 0.5, 1].map((one) =>
      svg("text", { x: xOf(one), y: HEIGHT - 4, "text-anchor": "middle" }, String(one).replace("-", "−")),
    ),
    line,
    knob,
  );
  const slider = h("input", {
    type: "range",
    min: "-1",
    max: "1",
    step: "0.005",
    value: String(threshold),
    "aria-label": "Lowest score that is shown",
    class: "threshold-slider",
  });
  const place = (score) => {
    line.setAttribute("x1", xOf(score));
    line.setAttribute("x2", xOf(score));
    knob.setAttribute("transform", `translate(${xOf(score)},${TOP})`);
    fill(words, wordsFor(result, score));
  };
  slider.addEventListener("input", () => {
    place(Number(slider.value));
    changed(Number(slider.value));
  });
  place(threshold);
  return h(
    "div",
    { class: "histogram-box" },
    h("div", { class: "histogram-stage" }, drawing, slider),
    words,
    legend(background),
    twin(background),
  );
}

function wordsFor(result, score) {
  const above = hitsAbove(result.hits, score);
  const worst = result.hits.filter((hit) => hit.score >= score && hit.expected !== null).pop();
  const start =
    score <= -1
      ? `All ${counted(result.hits.length, "hit")}`
      : `Score ≥ ${score.toFixed(3).replace("-", "−")}: ${above} of ${counted(result.hits.length, "hit")}`;
  return worst ? `${start}; ${shortChance(worst.expected, worst.extrapolated)} expected by chance` : start;
}

const legend = (background) =>
  h(
    "ul",
    { class: "legend" },
    h("li", { class: "key-corpus" }, `${background.sampled.toLocaleString("en")} windows of this corpus`),
    h("li", { class: "key-unrelated" }, `${background.unrelated.toLocaleString("en")} unrelated simulated signals`),
    h("li", { class: "key-hit" }, "hits"),
  );

/** The same counts as a table. Empty bins are left out. */
function twin(background) {
  const rows = background.unrelated_counts
    .map((count, i) => [
      `${background.edges[i].toFixed(2)} to ${background.edges[i + 1].toFixed(2)}`,
      background.counts[i],
      count,
    ])
    .filter((row) => row[1] || row[2]);
  return h(
    "details",
    {},
    h("summary", {}, "Counts as a table"),
    table("Scores of this query", ["score", "corpus", "unrelated"], rows, [1, 2]),
  );
}
