/** Stored windows in a waterfall: what is known of the pixels where there is no file to read them from. */

import { lookup, suitableLimits } from "./colours.js";
import { keptWindow, windowName } from "./kept_windows.js";
import { paintCodes } from "./painting.js";
import { rectangle } from "./places.js";
import { windowScale } from "./scales.js";

const MOST = 40;
const LEAST_DOTS = 12;

/** Tell whether stored windows show more than tiles do: the finest tiles are coarser than dots, or there are none. */
export function areFiner(levels, channelsPerDot) {
  const finest = levels?.[0];
  return !finest || (finest.from !== "file" && finest.channels_per_cell > 2 * channelsPerDot);
}

/**
 * Paint the stored windows in view where they lie.
 *
 * @param {object[]} windows records of kept windows
 * @param {{x: number, y: number, width: number, height: number}} box of the picture, in dots
 * @param {{start: number, stop: number}} view in MHz
 * @param {{start: number, stop: number}} times in view, in seconds
 * @param {object} display colours
 * @param {Map<string, object>} known codes of windows that have come; those that lack are asked for
 * @param {() => void} changed called when codes have come
 */
export function paintStored(context, windows, box, view, times, display, known, changed) {
  const wide = windows.filter((one) => rectangle(box, view, times, one).width >= LEAST_DOTS).slice(0, MOST);
  for (const one of wide) {
    const name = windowName(one);
    const tile = known.get(name);
    if (tile) {
      const scale = windowScale(tile.noiseSpectra);
      const suited = suitableLimits(tile.codes, scale);
      const table = lookup(display.map, scale.db, display.lowDb ?? suited.low, display.highDb ?? suited.high);
      paintCodes(context, tile.codes, tile.rows, tile.columns, table, rectangle(box, view, times, one));
    } else if (tile === undefined) {
      known.set(name, null);
      keptWindow(name).then(
        (window) => {
          known.set(name, window.tile);
          changed();
        },
        () => {},
      ); // the outline stays empty
    }
  }
}
