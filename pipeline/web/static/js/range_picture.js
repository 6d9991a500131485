/** A small picture of a range of a source, from the tiles of its waterfall. */

import { get, part } from "./api.js";
import { drawOffsetAxis, drawTimeAxis, frame, inkFor } from "./axis_ink.js";
import { mhz } from "./axes.js";
import { lookup, MASKED, suitableLimits } from "./colours.js";
import { h, oncePerFrame } from "./dom.js";
import { fillDots, fitCanvas, paintCodes } from "./painting.js";
import { tileScale } from "./scales.js";
import { levelFor, Tiles, tilesFor } from "./tiles.js";
import { channelAt } from "./view.js";

const MARGIN = { left: 38, right: 10, top: 2, bottom: 34 };
const LEAST_CHANNELS = 64;

/** The picture. It has the same shape as that of a stored window. */
export class RangePicture {
  /**
   * @param {object} query with `source`, `f_start_mhz`, `f_stop_mhz`
   * @param {object} display colours
   * @param {number} height
   */
  constructor(query, display, height) {
    this.query = query;
    this.display = display;
    this.height = height;
    this.paint = oncePerFrame(() => this.paintNow());
    this.canvas = h("canvas", {
      class: "window-picture",
      role: "img",
      "aria-label": `Waterfall of the query: ${mhz(query.f_start_mhz)} to ${mhz(query.f_stop_mhz)} MHz`,
    });
    this.element = h(
      "div",
      { class: "window-stage", style: { height: `${height + MARGIN.top + MARGIN.bottom}px` } },
      this.canvas,
    );
    new ResizeObserver(() => this.paint()).observe(this.element);
    addEventListener("themechange", () => this.paint());
  }

  async load() {
    try {
      this.source = await get(`sources/${part(this.query.source.split("+")[0])}`);
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

  paintNow() {
    const width = Math.max(60, this.element.clientWidth);
    const ratio = fitCanvas(this.canvas, width, this.height + MARGIN.top + MARGIN.bottom);
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const box = { x: MARGIN.left, y: MARGIN.top, width: width - MARGIN.left - MARGIN.right, height: this.height };
    if (this.source?.levels?.length) this.paintTiles(context, box, ratio);
    const ink = inkFor(this.canvas, ratio, 10);
    frame(ink, box);
    drawOffsetAxis(ink, box, this.query.f_start_mhz, this.query.f_stop_mhz);
    if (this.source) drawTimeAxis(ink, box, 0, this.source.spectra * this.source.tsamp_s, 3, true);
  }

  paintTiles(context, box, ratio) {
    const view = {
      start: channelAt(this.source, this.query.f_start_mhz),
      stop: channelAt(this.source, this.query.f_stop_mhz),
    };
    const width = Math.round(box.width * ratio);
    const level = levelFor(this.source.levels, Math.max(view.stop - view.start, LEAST_CHANNELS), width);
    const tiles = tilesFor(level, view.start, view.stop)
      .map((number) => this.tiles.wanted(level, number, "max"))
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
    paintCodes(
      context,
      codes,
      level.rows,
      width,
      table,
      { x: Math.round(box.x * ratio), y: Math.round(box.y * ratio), width, height: Math.round(box.height * ratio) },
      filled,
    );
  }
}
