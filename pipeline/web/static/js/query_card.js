/** The query, pinned beside its hits. */

import { scanOf, waterfallAddress } from "./address.js";
import { fileName, hertz, mhz } from "./axes.js";
import { h } from "./dom.js";
import { RangePicture } from "./range_picture.js";
import { WindowPicture } from "./window_picture.js";

/** Put into words what was searched for. */
export function wordsOf(query) {
  if (query.kind === "array") return `array of ${query.shape?.join(" × ")} pixels`;
  if (query.f_start_mhz === undefined || query.f_start_mhz === null) return query.kind;
  return `${mhz(query.f_start_mhz)}–${mhz(query.f_stop_mhz)} MHz`;
}

const place = (query) => ({
  f_start_mhz: query.f_start_mhz,
  f_stop_mhz: query.f_stop_mhz,
  t_start_s: query.t_start_s ?? 0,
  t_stop_s: query.t_stop_s,
});

/**
 * Return the card of the query.
 *
 * @returns {{element: HTMLElement, picture: object|null, words: string}}
 */
export function queryCard(result, request, display) {
  const { query } = result;
  const words = wordsOf(query);
  let picture = null;
  if (query.kind === "window")
    picture = new WindowPicture(`${query.source}/${query.window}`, place(query), display, 110);
  else if (query.kind === "file" && query.source) picture = new RangePicture(query, display, 110);
  const scan = scanOf(query.source || "");
  const width = query.f_stop_mhz - query.f_start_mhz;
  const element = h(
    "section",
    { class: "query", "aria-label": "Query" },
    h("h2", {}, "Query"),
    picture?.element,
    h(
      "p",
      { class: "query-words" },
      h("b", {}, query.target || fileName(query.file) || words),
      query.f_start_mhz ? h("span", {}, `${words}, ${hertz(width * 1e6)} wide`) : null,
      query.windows > 1
        ? h("span", {}, `${query.windows} windows${query.arranged ? ", their arrangement counts" : ""}`)
        : null,
      request.like?.length || request.unlike?.length
        ? h("span", {}, `refined with ${request.like?.length || 0} yes and ${request.unlike?.length || 0} no`)
        : null,
    ),
    scan && query.f_start_mhz
      ? h(
          "p",
          { class: "hit-links" },
          h(
            "a",
            { href: waterfallAddress(scan, query.f_start_mhz - 2 * width, query.f_stop_mhz + 2 * width) },
            "In the waterfall",
          ),
        )
      : null,
  );
  return { element, picture, words };
}
