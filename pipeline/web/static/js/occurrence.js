/** How often, when and where a pattern occurs: counts divided by what was searched, with their intervals. */

import { get, part } from "./api.js";
import { short } from "./axes.js";
import { errorBox, fill, h, table } from "./dom.js";

const NAMES = { frequency: "By frequency", date: "By date", hour: "By hour (UTC)", target: "By target" };
const TITLES = ["range", "scans with it", "share of scans", "emitters", "per MHz h"];

const percent = (share) => `${(100 * share).toFixed(0)} %`;

/** Return the cells of a bin that was observed. One without exposure was not, which is not the same as none. */
function cells(bin) {
  const interval = `${percent(bin.share)} (${percent(bin.share_low)}–${percent(bin.share_high)})`;
  const rate = `${short(bin.rate_per_mhz_h)} (${short(bin.rate_low)}–${short(bin.rate_high)})`;
  return [bin.bin, `${bin.scans_with} of ${bin.scans}`, interval, bin.emitters, rate];
}

/** Return an occurrence in words and tables. Intervals are those of 95 %. */
export function occurrenceTables(found) {
  const tables = Object.entries(found.by || {}).map(([name, bins]) => {
    const observed = bins.filter((bin) => bin.observed);
    const others = bins.length - observed.length;
    const more = others ? ` · ${others} further ranges were not observed` : "";
    return table((NAMES[name] || `By ${name}`) + more, TITLES, observed.map(cells), [1, 2, 3, 4]);
  });
  return h(
    "div",
    {},
    h("p", {}, h("b", {}, found.statement)),
    h("p", { class: "quiet" }, `A window counts if ${found.counts_if}. In brackets: intervals of 95 %.`),
    (found.notes || []).map((note) => h("p", { class: "quiet" }, note)),
    tables,
  );
}

/** Return the box for a search. It is counted when somebody opens the box. */
export function occurrenceBox(id) {
  const place = h("div", {}, h("p", { class: "waiting" }, "Counting …"));
  let isAsked = false;
  const ask = async () => {
    if (isAsked) return;
    isAsked = true;
    try {
      fill(place, occurrenceTables(await get(`searches/${part(id)}/occurrence`)));
    } catch (error) {
      fill(place, errorBox(error));
    }
  };
  return h("details", { ontoggle: ask }, h("summary", {}, "How often, when and where it occurs"), place);
}
