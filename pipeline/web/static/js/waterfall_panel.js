/** The waterfall of one source: a canvas with axes that can be zoomed, moved and dragged over. */

import { fileName, mhz } from "./axes.js";
import { drawFrequencyAxis, drawTimeAxis, frame, inkFor, nameTimeAxis } from "./axis_ink.js";
import { lookup, MASKED, suitableLimits } from "./colours.js";
import { h, oncePerFrame } from "./dom.js";
import { codeAt, codesOf, layersOf } from "./layers.js";
import { drawKnown, drawLabels, drawSelection, drawWindows, placeOfSelection } from "./overlays.js";
import { fitCanvas, paintCodes } from "./painting.js";
import { across, clipped, up } from "./places.js";
import { tileScale } from "./scales.js";
import { areFiner, paintStored } from "./stored_windows.js";
import { Tiles } from "./tiles.js";
import { channelAt, timesOf, whole } from "./view.js";

const SIDE = { left: 58, right: 14 };
const ABOVE = 20;
const AXIS = 40;
const NO_AXIS = 8;
/** Codes of errors that will come for each tile of the file, or of the overview. */
const UNREADABLE = ["file_unusable", "corpus_damaged"];

/** One panel of the stack. The board holds what all panels share: the view, the colours, the overlays. */
export class WaterfallPanel {
  /**
   * @param {object} board with `view`, `times` (null for all), `display`, `overlays`, `selection`
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
      (error, level) => this.goWithout(error, level),
    );
    this.windows = [];
    this.labels = [];
    this.layers = [];
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
    this.words = h("p", { class: "note", role: "status" });
    const data = { source: source.id };
    this.element = h("div", { class: "panel", "aria-busy": "true", dataset: data }, this.stage, this.words);
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

  /** Times in view, in seconds from the begin of the scan. */
  get times() {
    return this.board.times || whole(timesOf(this.source));
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
    const [x, y, width, height] = [box.x, box.y, box.width, box.height].map((one) => Math.round(one * ratio));
    const place = { x, y, width, height };
    this.layers = this.layersNow(width);
    const { times } = this;
    const { tsamp_s: tsampS, spectra } = this.source;
    const end = { ...place, y: Math.max(place.y, up(place, times, spectra * tsampS)) };
    end.height = Math.max(0, place.y + place.height - end.y); // the last row may have fewer spectra than the others
    clipped(context, end, () => {
      if (!this.layers.length) return;
      const table = lookup(this.board.display.map, ...this.limits());
      for (const { block, codes, rows, filled } of this.layers) {
        const top = up(place, times, (block.start + rows * block.step) * tsampS);
        const high = up(place, times, block.start * tsampS) - top;
        paintCodes(context, codes, rows, width, table, { x, y: top, width, height: high }, filled);
      }
    });
    const perDot = (this.channels.stop - this.channels.start) / width;
    if (!areFiner(this.source.levels, perDot)) return;
    const { view, display } = this.board;
    clipped(context, place, () =>
      paintStored(context, this.windows, place, view, times, display, this.stored, () => this.paint()),
    );
  }

  /** Return the layers of the view, from the tiles that have come. */
  layersNow(width) {
    const { levels, tsamp_s: tsampS } = this.source;
    if (!levels?.length) return [];
    const spectra = { start: this.times.start / tsampS, stop: this.times.stop / tsampS };
    const layers = layersOf(this.tiles, this.source, this.channels, spectra, width, this.board.display.kind);
    this.isTooWide = !layers;
    return layers || [];
  }

  /** Tell whether any tile of the view has come. */
  get isFilled() {
    return this.layers.some((one) => one.filled.includes(1));
  }

  /** Return the power of the first and the last colour: what the user chose, or what suits the picture. */
  limits() {
    const { lowDb, highDb } = this.board.display;
    const own = suitableLimits(codesOf(this.layers), this.scale);
    const suited = this.board.together(this, this.isFilled ? own : null) || own;
    this.shownDb = { low: lowDb ?? suited.low, high: highDb ?? suited.high };
    this.board.colours(this);
    return [this.scale.db, this.shownDb.low, this.shownDb.high];
  }

  drawAxes(context, box) {
    frame(context, box);
    if (this.place.last) drawFrequencyAxis(context, box, this.board.view);
    drawTimeAxis(context, box, this.times);
    nameTimeAxis(context, box);
    const isWaiting = this.tiles.isWaiting && !this.isFilled;
    context.textAlign = "center";
    if (isWaiting) context.fillText("Reading …", box.x + box.width / 2, box.y + box.height / 2);
    const words = isWaiting ? "" : this.wordsOfLack();
    this.words.hidden = !words;
    if (this.words.textContent !== words) this.words.textContent = words;
  }

  /** Return why not all of the view can be shown; empty if all can. */
  wordsOfLack() {
    const { levels, lacks } = this.source;
    if (lacks) return `${lacks}. ${levels.length ? "The rest is shown." : "Only kept windows are shown."}`;
    if (this.isTooWide) return "The corpus has no overview of this scan. Zoom in until the file itself can be shown.";
    if (!levels?.length) return "The file is not there, and the corpus has no overview. Only kept windows are shown.";
    return "";
  }

  /** Go on without the file or the overview, whichever cannot be read. */
  goWithout(error, level) {
    if (!UNREADABLE.includes(error.code)) {
      this.board.failed(error);
      return;
    }
    this.source.levels = this.source.levels.filter((one) => one.from !== level.from);
    this.source.lacks = error.message;
  }

  paintInkNow() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const context = inkFor(this.ink, ratio);
    const box = this.box;
    context.clearRect(0, 0, this.ink.width, this.ink.height);
    const { overlays, view, selection } = this.board;
    const { times } = this;
    if (overlays.known && this.place.first) drawKnown(context, box, view, this.board.known);
    if (overlays.windows) drawWindows(context, box, view, times, this.windows);
    if (overlays.labels) drawLabels(context, box, view, times, this.source, this.labels);
    if (selection) drawSelection(context, box, view, times, this.source, selection);
    this.placeButton(box);
    if (this.board.cross !== null) this.drawCross(context, box);
  }

  /** Put the button that searches at the selected range, if that was dragged over in this panel. */
  placeButton(box) {
    const { selection, view } = this.board;
    const isHere = selection?.source.id === this.source.id;
    const place = isHere ? placeOfSelection(box, view, this.times, this.source, selection) : null;
    const isAside = (near, far, start, length) => far < start || near > start + length;
    this.go.hidden =
      !place ||
      isAside(place.left, place.right, box.x, box.width) ||
      isAside(place.top, place.bottom, box.y, box.height);
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
    const { fMhz, tS, panel } = this.board.cross;
    const x = across(box, this.board.view, fMhz);
    context.save();
    context.strokeStyle = "rgba(255, 255, 255, 0.75)";
    context.setLineDash([4, 3]);
    context.beginPath();
    context.moveTo(x, box.y);
    context.lineTo(x, box.y + box.height);
    if (panel === this) {
      const y = up(box, this.times, tS);
      context.moveTo(box.x, y);
      context.lineTo(box.x + box.width, y);
    }
    context.stroke();
    context.restore();
  }

  /** Return what lies at a place of the panel, such as under the cursor. Shares are from 0 to 1 within the picture. */
  read(event) {
    const place = this.ink.getBoundingClientRect();
    const box = this.box;
    const share = (event.clientX - place.left - box.x) / box.width;
    const later = 1 - (event.clientY - place.top - box.y) / box.height;
    const { times } = this;
    const tS = times.start + later * (times.stop - times.start);
    const inside = share >= 0 && share < 1 && later > 0 && later <= 1;
    if (!inside) return { share, later, tS, inside };
    const { view } = this.board;
    const fMhz = view.start + share * (view.stop - view.start);
    const channel = Math.min(Math.floor(channelAt(this.source, fMhz)), this.source.channels - 1);
    const code = codeAt(this.layers, share, Math.min(tS / this.source.tsamp_s, this.source.spectra - 1e-6));
    const db = code === null || code === MASKED ? null : this.scale.db[code];
    return { share, later, inside, fMhz, channel, tS, mjd: this.source.mjd + tS / 86400, db };
  }

  /** Return a canvas with all that the panel shows: the picture, its axes, and what is marked. */
  joined() {
    const one = document.createElement("canvas");
    one.width = this.canvas.width;
    one.height = this.canvas.height;
    const context = one.getContext("2d");
    context.fillStyle = getComputedStyle(document.body).backgroundColor;
    context.fillRect(0, 0, one.width, one.height);
    for (const layer of [this.canvas, this.ink]) context.drawImage(layer, 0, 0);
    return one;
  }

  /** Put what is shown into words, for those who do not see the picture. */
  describe() {
    const { view } = this.board;
    const width = (view.stop - view.start) * 1e6;
    const name = this.source.target || fileName(this.source.file);
    const { times } = this.board;
    const when = times ? `, ${times.start.toFixed(1)} to ${times.stop.toFixed(1)} s` : "";
    this.ink.setAttribute(
      "aria-label",
      `Waterfall of ${name}, ${mhz(view.start, width / 400)} to ` +
        `${mhz(view.stop, width / 400)} MHz${when}, of ${this.source.spectra} spectra. ` +
        `${this.windows.length} kept windows in view; ` +
        "the table below lists them.",
    );
  }
}
