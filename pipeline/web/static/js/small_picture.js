/** What small pictures share: a canvas with axes, painted again when its size, its colours or the theme change. */

import { drawOffsetAxis, drawTimeAxis, frame, inkFor } from "./axis_ink.js";
import { h, oncePerFrame } from "./dom.js";
import { fitCanvas } from "./painting.js";

const MARGIN = { left: 46, right: 10, top: 2, bottom: 34 };

/**
 * A small picture. Its kinds have `axes`, which are `f_start_mhz`, `f_stop_mhz`, `t_start_s` and `t_stop_s` or null if
 * the place is not known yet, and `paintInside(context, box, ratio)`.
 */
export class SmallPicture {
  /**
   * @param {object} display `map`, and `lowDb` and `highDb`, null for what suits the picture
   * @param {number} height of the picture, without its axes
   */
  constructor(display, height) {
    this.display = display;
    this.height = height;
    this.paint = oncePerFrame(() => this.paintNow());
    this.canvas = h("canvas", { class: "window-picture", role: "img" });
    this.element = h(
      "div",
      { class: "window-stage", style: { height: `${height + MARGIN.top + MARGIN.bottom}px` } },
      this.canvas,
    );
    this.width = 0;
    this.isPainted = false;
    new ResizeObserver(([entry]) => this.fit(entry.contentRect.width)).observe(this.element);
    addEventListener("themechange", () => this.paint());
  }

  /** Remember the width; paint again if it is another one. */
  fit(width) {
    const rounded = Math.round(width);
    if (rounded === this.width) return;
    this.width = rounded;
    if (this.isPainted) this.paint();
  }

  paintNow() {
    this.isPainted = true;
    this.width ||= this.element.clientWidth; // asking for it after each picture would lay the page out each time
    const width = Math.max(60, this.width);
    const ratio = fitCanvas(this.canvas, width, this.height + MARGIN.top + MARGIN.bottom);
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    const box = { x: MARGIN.left, y: MARGIN.top, width: width - MARGIN.left - MARGIN.right, height: this.height };
    const { axes } = this;
    if (!axes) return;
    this.paintInside(context, box, ratio);
    const ink = inkFor(this.canvas, ratio, 10);
    frame(ink, box);
    drawOffsetAxis(ink, box, axes.f_start_mhz, axes.f_stop_mhz);
    if (axes.t_stop_s !== undefined) drawTimeAxis(ink, box, timesOn(axes), 3, true);
  }
}

/** Return the times between the ends of the axes, in seconds. */
export const timesOn = (axes) => ({ start: axes.t_start_s, stop: axes.t_stop_s });
