/** The waterfall of one source: a canvas with axes that can be zoomed, moved and dragged over. */

import { fileName, mhz } from "./axes.js";
import { drawFrequencyAxis, drawTimeAxis, frame, inkFor, nameTimeAxis } from "./axis_ink.js";
import { lookup, MASKED, suitableLimits } from "./colours.js";
import { h, oncePerFrame } from "./dom.js";
import { drawKnown, drawLabels, drawSelection, drawWindows, placeOfSelection } from "./overlays.js";
import { fillDots, fitCanvas, paintCodes } from "./painting.js";
import { tileScale } from "./scales.js";
import { areFiner, paintStored } from "./stored_windows.js";
import { levelFor, Tiles, tilesFor } from "./tiles.js";
import { channelAt } from "./view.js";

/** A file without an overview is decoded for each tile, so only so many are asked for. */
const MAX_TILES_AT_ONCE = 40;
const SIDE = { left: 58, right: 14 };
const ABOVE = 20;
const AXIS = 40;
const NO_AXIS = 8;

/** One panel of the stack. The board holds what all panels share: the view, the colours, the overlays. */
export class WaterfallPanel {
  /**
   * @param {object} board with `view`, `display`, `overlays`, `selection`
   * @param {object} source record of the source, with its levels
   * @param {number} height of the picture, without its axes
   * @param {{first: boolean, last: boolean}} place in the stack: the last one has the axis of frequency for all
   */
  constructor(board, source, height, place) {
    this.place = place;
    this.board = board;
    this.source = source;
    this.height = height;
    this.paint = oncePerFrame(() => this.paintNow());
    this.paintInk = oncePerFrame(() => this.paintInkNow());
    this.tiles = new Tiles(
      source,
      () => this.paint(),
      (error) => board.failed(error),
    );
    this.windows = [];
    this.labels = [];
    this.stored = new Map();
    this.scale = source.scale ? tileScale(source.scale.noise_spectra) : null;
    this.canvas = h("canvas", { class: "picture", "aria-hidden": "true" });
    this.ink = h("canvas", {
      class: "ink",
      tabindex: "0",
      role: "img",
      "aria-describedby": "waterfall-help",
      "aria-label": `Waterfall of ${source.target || fileName(source.file)}`,
    });
    this.go = h(
      "button",
      { type: "button", class: "primary go", hidden: true, onclick: () => board.search() },
      "Find look-alikes",
    );
    this.stage = h("div", { class: "stage" }, this.canvas, this.ink, this.go);
    this.element = h("div", { class: "panel", "aria-busy": "true", dataset: { source: source.id } }, this.stage);
    this.cross = null;
    new ResizeObserver(() => this.paint()).observe(this.stage);
  }

  /** Place of the picture within the canvas, in units of the style sheet. */
  get box() {
    return {
      x: SIDE.left,
      y: this.place.first ? ABOVE : 2,
      height: this.height,
      width: Math.max(50, this.stage.clientWidth - SIDE.left - SIDE.right),
    };
  }

  get channels() {
    return {
      start: channelAt(this.source, this.board.view.start),
      stop: channelAt(this.source, this.board.view.stop),
    };
  }

  /** Ask for the tiles of the view, and paint those that are there; where one lacks, a coarser one that has come. */
  paintNow() {
    const box = this.box;
    const full = {
      width: box.width + SIDE.left + SIDE.right,
      height: box.y + box.height + (this.place.last ? AXIS : NO_AXIS),
    };
    this.stage.style.setProperty("height", `${full.height}px`);
    const ratio = fitCanvas(this.canvas, full.width, full.height);
    fitCanvas(this.ink, full.width, full.height);
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.paintPicture(context, box, ratio);
    this.drawAxes(inkFor(this.canvas, ratio), box);
    this.element.setAttribute("aria-busy", String(this.tiles.isWaiting));
    this.describe();
    this.paintInkNow();
  }

  /** Paint tiles; and stored windows where these show more. */
  paintPicture(context, box, ratio) {
    const dots = this.dots(Math.round(box.width * ratio));
    const [x, y, width, height] = [box.x, box.y, box.width, box.height].map((one) => Math.round(one * ratio));
    const place = { x, y, width, height };
    if (dots) {
      const table = lookup(this.board.display.map, ...this.limits(dots));
      paintCodes(context, dots.codes, dots.rows, dots.width, table, place, dots.filled);
    }
    const { view, display } = this.board;
    const perDot = (this.channels.stop - this.channels.start) / width;
    if (areFiner(this.source.levels, perDot)) {
      paintStored(context, this.windows, place, view, this.source, display, this.stored, () => this.paint());
    }
  }

  /** Return the codes of the dots of the view, from the tiles that have come. */
  dots(width) {
    const { levels } = this.source;
    this.shown = null;
    if (!levels || !levels.length) return null;
    const view = this.channels;
    const kind = this.board.display.kind;
    const level = levelFor(levels, view.stop - view.start, width);
    const rows = level.rows;
    const codes = new Uint8Array(rows * width).fill(MASKED);
    const filled = new Uint8Array(width);
    const numbers = tilesFor(level, view.start, view.stop);
    this.isTooWide = numbers.length > MAX_TILES_AT_ONCE;
    if (this.isTooWide) return null;
    this.tiles.forget(new Set(numbers.map((number) => this.tiles.key(level, number, kind))));
    const found = numbers.map((number) => this.tiles.wanted(level, number, kind));
    if (found.some((tile) => !tile)) this.fillCoarser(levels, level, view, width, kind, codes, filled);
    fillDots(found.filter(Boolean), level.channels_per_cell, view, width, kind === "mean", codes, filled);
    this.level = level;
    this.shown = { codes, rows, width, filled };
    return this.shown;
  }

  fillCoarser(levels, wanted, view, width, kind, codes, filled) {
    for (const level of levels.filter((one) => one.level !== wanted.level && one.rows === wanted.rows).reverse()) {
      const tiles = tilesFor(level, view.start, view.stop)
        .map((number) => this.tiles.tiles.get(this.tiles.key(level, number, kind)))
        .filter(Boolean);
      fillDots(tiles, level.channels_per_cell, view, width, kind === "mean", codes, filled);
    }
  }

  /** Return the power of the first and the last colour: what the user chose, or what suits the picture. */
  limits(dots) {
    const { lowDb, highDb } = this.board.display;
    const own = suitableLimits(dots.codes, this.scale);
    const suited = this.board.together(this, dots.filled.includes(1) ? own : null) || own;
    this.shownDb = { low: lowDb ?? suited.low, high: highDb ?? suited.high };
    this.board.colours(this);
    return [this.scale.db, this.shownDb.low, this.shownDb.high];
  }

  drawAxes(context, box) {
    frame(context, box);
    if (this.place.last) drawFrequencyAxis(context, box, this.board.view);
    const stop = this.source.spectra * this.source.tsamp_s;
    drawTimeAxis(context, box, 0, stop);
    nameTimeAxis(context, box);
    const isWaiting = this.tiles.isWaiting && !this.shown?.filled.includes(1);
    const words = isWaiting
      ? "Reading …"
      : this.isTooWide
        ? "The corpus has no overview of this scan. Zoom in until the file itself can be shown."
        : !this.source.levels?.length
          ? "The file is not there, and the corpus has no overview. Only kept windows are known."
          : "";
    context.textAlign = "center";
    context.fillText(words, box.x + box.width / 2, box.y + box.height / 2);
  }

  paintInkNow() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const context = inkFor(this.ink, ratio);
    const box = this.box;
    context.clearRect(0, 0, this.ink.width, this.ink.height);
    const { overlays, view, selection } = this.board;
    if (overlays.known && this.place.first) drawKnown(context, box, view, this.board.known, this.ink);
    if (overlays.windows) drawWindows(context, box, view, this.source, this.windows, this.ink);
    if (overlays.labels) drawLabels(context, box, view, this.source, this.labels, this.ink);
    if (selection) drawSelection(context, box, view, this.source, selection, this.ink);
    this.placeButton(box);
    if (this.board.cross !== null) this.drawCross(context, box);
  }

  /** Put the button that searches at the selected range, if that was dragged over in this panel. */
  placeButton(box) {
    const { selection, view } = this.board;
    const isHere = selection?.source.id === this.source.id;
    const place = isHere ? placeOfSelection(box, view, this.source, selection) : null;
    this.go.hidden = !place || place.right < box.x || place.left > box.x + box.width;
    if (this.go.hidden) return;
    const middle = Math.min(Math.max((place.left + place.right) / 2, box.x + 70), box.x + box.width - 70);
    this.go.style.setProperty("left", `${middle}px`);
    this.go.style.setProperty("top", `${Math.min(place.bottom, box.y + box.height) - 12}px`);
  }

  /** Let Enter search at once after a drag. */
  offerSearch() {
    this.paintInkNow();
    this.go.focus({ preventScroll: true });
  }

  drawCross(context, box) {
    const { fMhz, share, panel } = this.board.cross;
    const { view } = this.board;
    const x = box.x + ((fMhz - view.start) / (view.stop - view.start)) * box.width;
    context.save();
    context.strokeStyle = "rgba(255, 255, 255, 0.75)";
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(x, box.y);
    context.lineTo(x, box.y + box.height);
    if (panel === this) {
      const y = box.y + share * box.height;
      context.moveTo(box.x, y);
      context.lineTo(box.x + box.width, y);
    }
    context.stroke();
    context.restore();
  }

  /** Return what lies at a place of the panel, such as under the cursor; null outside of the picture. */
  read(event) {
    const place = this.ink.getBoundingClientRect();
    const box = this.box;
    const across = (event.clientX - place.left - box.x) / box.width;
    const down = (event.clientY - place.top - box.y) / box.height;
    if (across < 0 || across >= 1 || down < 0 || down >= 1) return { across, down, inside: false };
    const { view } = this.board;
    const fMhz = view.start + across * (view.stop - view.start);
    const channel = Math.min(Math.floor(channelAt(this.source, fMhz)), this.source.channels - 1);
    const tS = down * this.source.spectra * this.source.tsamp_s;
    return {
      across,
      down,
      inside: true,
      fMhz,
      channel,
      tS,
      mjd: this.source.mjd + tS / 86400,
      db: this.powerAt(across, down),
    };
  }

  powerAt(across, down) {
    const { shown } = this;
    if (!shown) return null;
    const column = Math.floor(across * shown.width);
    const code = shown.codes[Math.floor(down * shown.rows) * shown.width + column];
    return code === MASKED || !shown.filled[column] ? null : this.scale.db[code];
  }

  /** Put what is shown into words, for those who do not see the picture. */
  describe() {
    const { view } = this.board;
    const width = (view.stop - view.start) * 1e6;
    const name = this.source.target || fileName(this.source.file);
    this.ink.setAttribute(
      "aria-label",
      `Waterfall of ${name}, ${mhz(view.start, width / 400)} to ` +
        `${mhz(view.stop, width / 400)} MHz, ${this.source.spectra} spectra. ` +
        `${this.windows.length} kept windows in view; ` +
        "the table below lists them.",
    );
  }
}
