/** Which frequencies the archive covers, and how much of them holds signals. */

import { get } from "./api.js";
import { counted, mhz, ticks } from "./axes.js";
import { fill, h, oncePerFrame, svg, table } from "./dom.js";

const LEAST_WIDTH = 200;
const MARGIN = 8;
/** Border and padding of a picture on both sides, as the style sheet gives them, in dots. */
const FRAME = 22;
const LABEL_SPACING = 110;
const BAR = 14;
const BINS = 200;
const MOST_PARTS = 12;

/** Return the bands that scans cover, those with the same ends together, by frequency. */
export function bandsOf(sources) {
  const bands = new Map();
  for (const one of sources) {
    const key = `${mhz(one.f_start_mhz, 1e3)}/${mhz(one.f_stop_mhz, 1e3)}`;
    const band = bands.get(key) || { start: one.f_start_mhz, stop: one.f_stop_mhz, scans: 0, windows: 0, kept: 0 };
    bands.set(key, {
      ...band,
      scans: band.scans + 1,
      windows: band.windows + one.windows,
      kept: band.kept + one.kept,
    });
  }
  return [...bands.values()].sort((a, b) => a.start - b.start);
}

/** Return the parts of the axis: ranges of frequency with scans, each as wide as its band, without the gaps between. */
export function partsOf(bands) {
  const parts = [];
  for (const band of bands) {
    const last = parts[parts.length - 1];
    if (last && band.start <= last.stop + 0.02 * (last.stop - last.start)) last.stop = Math.max(last.stop, band.stop);
    else parts.push({ start: band.start, stop: band.stop });
  }
  return parts;
}

/** Return the picture and its table. */
export function coverage(sources, total) {
  const bands = bandsOf(sources);
  const all = partsOf(bands);
  const parts = all.slice(0, MOST_PARTS);
  const place = h("div", { class: "coverage" });
  const pictures = h("div", {});
  const words =
    sources.length < total
      ? h("p", { class: "quiet" }, `Of the first ${counted(sources.length, "scan")} of the list.`)
      : null;
  const left =
    all.length > parts.length
      ? h("p", { class: "quiet" }, `${all.length - parts.length} more ranges are in the table.`)
      : null;
  let occupancy = null;
  let lacks = null;
  const draw = () => {
    const width = Math.max(place.clientWidth - FRAME - 2 * MARGIN, LEAST_WIDTH);
    fill(
      pictures,
      lacks ? h("p", { class: "bad" }, `The share of windows kept is not known: ${lacks.message}`) : null,
      parts.map((part) =>
        picture(
          part,
          bands.filter((band) => band.start < part.stop && band.stop > part.start),
          occupancy,
          width,
        ),
      ),
    );
  };
  fill(place, words, pictures, left, tableOf(bands));
  new ResizeObserver(oncePerFrame(draw)).observe(place); // in dots of the screen, so that labels keep their size
  Promise.all(parts.map((part) => get("occupancy", { f_start_mhz: part.start, f_stop_mhz: part.stop, bins: BINS })))
    .then((found) => {
      occupancy = new Map(parts.map((part, i) => [part, found[i]]));
    })
    .catch((error) => {
      lacks = error;
    })
    .finally(draw);
  return place;
}

const tableOf = (bands) =>
  h(
    "details",
    {},
    h("summary", {}, "Coverage as a table"),
    table(
      "Bands",
      ["from MHz", "to MHz", "scans", "windows searched", "kept", "share kept"],
      bands.map((band) => [
        mhz(band.start, 1e3),
        mhz(band.stop, 1e3),
        band.scans,
        band.windows.toLocaleString("en"),
        band.kept.toLocaleString("en"),
        band.windows ? `${((100 * band.kept) / band.windows).toFixed(2)} %` : "–",
      ]),
      [0, 1, 2, 3, 4, 5],
    ),
  );

/** Return the picture of a part of the axis. `width` is that of its axis, in dots. */
function picture(part, bands, occupancy, width) {
  const at = (fMhz) => ((fMhz - part.start) / (part.stop - part.start)) * width;
  const found = occupancy?.get(part);
  const bars = found ? occupancyBars(found, at) : null;
  const top = bars ? 76 : 4;
  const rows = bands.slice(0, 4).map((band, i) =>
    svg(
      "rect",
      {
        class: "band",
        x: at(band.start),
        y: top + i * (BAR + 3),
        width: Math.max(at(band.stop) - at(band.start), 2),
        height: BAR,
        rx: 3,
      },
      svg("title", {}, `${mhz(band.start, 1e3)}–${mhz(band.stop, 1e3)} MHz, ${counted(band.scans, "scan")}`),
    ),
  );
  const bottom = top + rows.length * (BAR + 3);
  const axis = ticks(part.start, part.stop, Math.min(6, Math.max(2, Math.floor(width / LABEL_SPACING))));
  return svg(
    "svg",
    {
      class: "coverage-picture",
      viewBox: `${-MARGIN} 0 ${width + 2 * MARGIN} ${bottom + 24}`,
      role: "img",
      "aria-label":
        `Coverage from ${mhz(part.start, 1e3)} to ${mhz(part.stop, 1e3)} MHz by ${counted(bands.length, "band")}; ` +
        "the table below has the numbers",
    },
    bars,
    rows,
    axis.values.map((value) =>
      svg(
        "g",
        {},
        svg("line", { class: "grid", x1: at(value), x2: at(value), y1: bottom, y2: bottom + 4 }),
        svg(
          "text",
          { x: Math.min(Math.max(at(value), 24), width - 40), y: bottom + 18, "text-anchor": "middle" },
          `${value.toFixed(axis.decimals)}${value === axis.values[axis.values.length - 1] ? " MHz" : ""}`,
        ),
      ),
    ),
  );
}

/** Return a bar for each range of frequency: the share of searched windows that was kept. */
function occupancyBars(found, at) {
  const shares = found.kept.map((kept, i) => (found.searched[i] ? Math.min(kept / found.searched[i], 1) : 0));
  const most = Math.max(...shares, 1e-9);
  const isPart = found.scans_counted < found.scans;
  const words = shares.some(Boolean)
    ? `Share of windows kept, up to ${(100 * most).toFixed(1)} %`
    : "No window was kept here";
  const ofScans = isPart ? ` (${found.scans_counted} of ${found.scans.toLocaleString("en")} scans)` : "";
  return svg(
    "g",
    { class: "occupancy" },
    svg("text", { x: 0, y: 10 }, `${words}${ofScans}`),
    shares.map((share, i) =>
      share
        ? svg(
            "rect",
            {
              x: at(found.edges[i]),
              width: Math.max(at(found.edges[i + 1]) - at(found.edges[i]) - 0.5, 1),
              y: 70 - (share / most) * 54,
              height: (share / most) * 54,
            },
            svg(
              "title",
              {},
              `${mhz(found.edges[i], 1e3)}–${mhz(found.edges[i + 1], 1e3)} MHz: ` +
                `${(100 * share).toFixed(1)} % of the windows kept`,
            ),
          )
        : null,
    ),
  );
}
