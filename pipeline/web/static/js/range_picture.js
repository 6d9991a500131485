/** A small picture of a range of a source, from the tiles of its waterfall. */

import { scanOf } from "./address.js";
import { get, part } from "./api.js";
import { mhz } from "./axes.js";
import { lookup, MASKED, suitableLimits } from "./colours.js";
import { h } from "./dom.js";
import { fillDots, paintCodes } from "./painting.js";
import { clipped, up } from "./places.js";
import { tileScale } from "./scales.js";
import { SmallPicture, timesOn } from "./small_picture.js";
import { blocksFor, levelFor, Tiles, tilesFor } from "./tiles.js";
import { channelAt } from "./view.js";

const LEAST_CHANNELS = 64;

/** The picture. It has the same shape as that of a stored window. */
export class RangePicture extends SmallPicture {
  /**
   * @param {object} query with `source`, `f_start_mhz`, `f_stop_mhz`
   * @param {object} display colours
   * @param {number} height
   */
  constructor(query, display, height) {
    super(display, height);
    this.query = query;
    const range = `${mhz(query.f_start_mhz)} to ${mhz(query.f_stop_mhz)} MHz`;
    this.canvas.setAttribute("aria-label", `Waterfall of the query: ${range}`);
  }

  async load() {
    try {
      this.source = await get(`sources/${part(scanOf(this.query.source))}`);
    } catch (error) {
      this.element.replaceChildren(h("p", { class: "quiet" }, `No picture: ${error.message}`));
      return;
    }
    this.tiles = new Tiles(
      this.source,
      () => this.paint(),
      () => this.paint(),
    );
    this.paintNow();
  }

  get axes() {
    const { source, query } = this;
    return { ...query, t_start_s: 0, t_stop_s: source ? source.spectra * source.tsamp_s : undefined };
  }

  paintInside(context, box, ratio) {
    if (!this.source?.levels?.length) return;
    const view = {
      start: channelAt(this.source, this.query.f_start_mhz),
      stop: channelAt(this.source, this.query.f_stop_mhz),
    };
    const width = Math.round(box.width * ratio);
    const level = levelFor(this.source.levels, Math.max(view.stop - view.start, LEAST_CHANNELS), width);
    const { spectra, tsamp_s: tsampS } = this.source;
    const [block] = blocksFor(level, level.spectra_per_row, 0, spectra, spectra);
    const tiles = tilesFor(level, view.start, view.stop)
      .map((number) => this.tiles.wanted(level, number, block, "max"))
      .filter(Boolean);
    const codes = new Uint8Array(level.rows * width).fill(MASKED);
    const filled = new Uint8Array(width);
    fillDots(tiles, level.channels_per_cell, view, width, false, codes, filled);
    const scale = tileScale(this.source.scale.noise_spectra);
    const suited = suitableLimits(codes, scale);
    const table = lookup(
      this.display.map,
      scale.db,
      this.display.lowDb ?? suited.low,
      this.display.highDb ?? suited.high,
    );
    const place = { x: box.x, y: box.y, width, height: box.height };
    for (const name of ["x", "y", "height"]) place[name] = Math.round(place[name] * ratio);
    const stopS = level.rows * block.step * tsampS; // the last row may have fewer spectra than the others
    const top = up(place, timesOn(this.axes), stopS);
    clipped(context, place, () =>
      paintCodes(
        context,
        codes,
        level.rows,
        width,
        table,
        { ...place, y: top, height: place.y + place.height - top },
        filled,
      ),
    );
  }
}
