/** Pictures of stored windows, drawn from their 8-bit codes, with axes. Other colours need no request. */

import { mhz } from "./axes.js";
import { lookup, MASKED, suitableLimits } from "./colours.js";
import { h } from "./dom.js";
import { keptWindow } from "./kept_windows.js";
import { fillDots, paintCodes } from "./painting.js";
import { windowScale } from "./scales.js";
import { SmallPicture } from "./small_picture.js";

/** A picture of one window. */
export class WindowPicture extends SmallPicture {
  /**
   * @param {string} name of the window: SOURCE/NUMBER
   * @param {object|null} place `f_start_mhz`, `f_stop_mhz`, `t_start_s`, `t_stop_s`; null to ask the server
   * @param {object} display `map`, and `lowDb` and `highDb`, null for what suits the window
   * @param {number} height of the picture, without its axes
   */
  constructor(name, place, display, height = 96) {
    super(display, height);
    this.name = name;
    this.place = place;
    this.tile = null;
    this.element.setAttribute("aria-busy", "true");
    this.canvas.setAttribute("aria-label", this.words());
  }

  words() {
    if (!this.place) return `Waterfall of window ${this.name}`;
    const { f_start_mhz: start, f_stop_mhz: stop, t_start_s: begin, t_stop_s: end } = this.place;
    const range = `${mhz(start)} to ${mhz(stop)} MHz, ${begin.toFixed(1)} to ${end.toFixed(1)} s`;
    return `Waterfall of window ${this.name}: ${range}`;
  }

  /** Fetch the codes and draw them. A window that cannot be read says so in its place. */
  async load() {
    try {
      const window = await keptWindow(this.name);
      this.place ??= window;
      this.canvas.setAttribute("aria-label", this.words());
      this.tile = window.tile;
    } catch (error) {
      this.element.setAttribute("aria-busy", "false");
      this.element.replaceChildren(h("p", { class: "quiet" }, `No picture: ${error.message}`));
      return;
    }
    this.paintNow();
    this.element.setAttribute("aria-busy", "false");
  }

  get axes() {
    return this.place;
  }

  paintInside(context, box, ratio) {
    if (!this.tile) return;
    const { tile, display } = this;
    const scale = windowScale(tile.noiseSpectra);
    const suited = suitableLimits(tile.codes, scale);
    const [low, high] = [display.lowDb ?? suited.low, display.highDb ?? suited.high];
    this.shownDb = { low, high };
    const width = Math.round(box.width * ratio);
    const codes = new Uint8Array(tile.rows * width).fill(MASKED);
    const filled = new Uint8Array(width);
    const whole = { ...tile, start: 0, stop: tile.columns };
    fillDots([whole], 1, { start: 0, stop: tile.columns }, width, false, codes, filled);
    paintCodes(context, codes, tile.rows, width, lookup(display.map, scale.db, low, high), {
      x: Math.round(box.x * ratio),
      y: Math.round(box.y * ratio),
      width,
      height: Math.round(box.height * ratio),
    });
  }
}

/** Return about how many hits a window of the browser shows before it is scrolled: rows times columns of the grid. */
export const hitsInSight = () => Math.ceil(innerHeight / 300) * Math.max(1, Math.floor(innerWidth / 400));

/** Load pictures that are in the page and in sight. All are measured before any is painted: one layout is enough. */
export function loadNow(pictures) {
  for (const picture of pictures) picture.fit(picture.element.clientWidth);
  return Promise.all(pictures.map((picture) => picture.load()));
}

/** Load pictures when they come into sight, so that a long page asks only for what is looked at. */
export function loadInSight(pictures) {
  const of = new Map(pictures.map((picture) => [picture.element, picture]));
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        observer.unobserve(entry.target);
        of.get(entry.target).load();
      }
    },
    { rootMargin: "400px" },
  );
  for (const picture of pictures) observer.observe(picture.element);
}
