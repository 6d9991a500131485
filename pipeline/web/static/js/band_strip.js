/** The whole band as a thin strip, with the part that is looked at. */

import { inkFor } from "./axis_ink.js";
import { h } from "./dom.js";
import { fitCanvas, inkOf } from "./painting.js";

const HEIGHT = 14;
const SIDE = { left: 58, right: 14 };

/** The strip. A click moves the view there. */
export class BandStrip {
  constructor(source, board, look) {
    this.source = source;
    this.board = board;
    this.canvas = h("canvas", { class: "strip", "aria-hidden": "true" });
    this.element = h("div", { class: "strip-stage" }, this.canvas);
    let held = false;
    const move = (event) => {
      const place = this.canvas.getBoundingClientRect();
      const share = (event.clientX - place.left - SIDE.left) / (place.width - SIDE.left - SIDE.right);
      const { view } = board;
      const middle = source.f_start_mhz + share * (source.f_stop_mhz - source.f_start_mhz);
      const half = (view.stop - view.start) / 2;
      const start = Math.min(Math.max(middle - half, source.f_start_mhz), source.f_stop_mhz - 2 * half);
      look({ start, stop: start + 2 * half });
    };
    this.canvas.addEventListener("pointerdown", (event) => {
      held = true;
      this.canvas.setPointerCapture(event.pointerId);
      move(event);
    });
    this.canvas.addEventListener("pointermove", (event) => held && move(event));
    this.canvas.addEventListener("pointerup", () => {
      held = false;
    });
    new ResizeObserver(() => this.show(board.view)).observe(this.element);
  }

  /** Mark the part of the band that is looked at. */
  show(view) {
    if (!view) return;
    const width = this.element.clientWidth;
    const ratio = fitCanvas(this.canvas, width, HEIGHT);
    const context = inkFor(this.canvas, ratio);
    const box = { x: SIDE.left, y: 2, width: width - SIDE.left - SIDE.right, height: HEIGHT - 4 };
    context.clearRect(0, 0, width, HEIGHT);
    context.fillStyle = inkOf("--line");
    context.fillRect(box.x, box.y, box.width, box.height);
    const band = this.source.f_stop_mhz - this.source.f_start_mhz;
    const at = (fMhz) => box.x + ((fMhz - this.source.f_start_mhz) / band) * box.width;
    context.fillStyle = inkOf("--accent");
    context.fillRect(
      Math.min(at(view.start), box.x + box.width - 3),
      box.y - 2,
      Math.max(3, at(view.stop) - at(view.start)),
      box.height + 4,
    );
  }
}
