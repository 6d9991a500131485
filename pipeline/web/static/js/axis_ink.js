/** Axes of a canvas: lines, ticks and labels around a picture. */

import { mhz, offsetTicks, ticks } from "./axes.js";
import { inkOf } from "./painting.js";
import { across, up } from "./places.js";

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";

/** Get a context ready for lines and text in units of the style sheet. */
export function inkFor(canvas, ratio, size = 11) {
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.font = `${size}px ${FONT}`;
  context.fillStyle = inkOf("--quiet");
  context.strokeStyle = inkOf("--line-strong");
  context.lineWidth = 1;
  return context;
}

/** Return the left end of a text that is centred at a place, but stays between two others. */
export function between(context, text, x, left, right) {
  const half = context.measureText(text).width / 2;
  return Math.min(Math.max(x, left + half), right - half);
}

/**
 * Draw the axis of frequency below a picture, in MHz.
 *
 * @param {{x: number, y: number, width: number, height: number}} box of the picture
 * @param {{start: number, stop: number}} view in MHz
 */
export function drawFrequencyAxis(context, box, view) {
  const span = view.stop - view.start;
  const widest = context.measureText(mhz(view.stop, (span * 1e6) / 400)).width + 26;
  const { values, decimals } = ticks(view.start, view.stop, Math.max(2, Math.floor(box.width / widest)));
  context.textAlign = "center";
  context.textBaseline = "top";
  const bottom = box.y + box.height;
  for (const value of values) {
    const x = across(box, view, value);
    line(context, x, bottom, x, bottom + 5);
    const text = value.toFixed(decimals);
    context.fillText(text, between(context, text, x, box.x - 30, box.x + box.width + 12), bottom + 8);
  }
  context.textAlign = "right";
  context.fillText("MHz", box.x + box.width + 4, bottom + 22);
}

/** Draw offsets from the centre below a small picture; return the text of the centre. */
export function drawOffsetAxis(context, box, fStartMhz, fStopMhz) {
  const axis = offsetTicks(fStartMhz, fStopMhz, Math.max(2, Math.floor(box.width / 62)));
  context.textAlign = "center";
  context.textBaseline = "top";
  const bottom = box.y + box.height;
  for (const { at, label } of axis.ticks) {
    const x = box.x + at * box.width;
    line(context, x, bottom, x, bottom + 4);
    context.fillText(label, between(context, label, x, box.x - 14, box.x + box.width + 6), bottom + 6);
  }
  const long = `${axis.centre} MHz + offset in ${axis.unit}`;
  const text = context.measureText(long).width <= box.width + 20 ? long : `${axis.centre} MHz + ${axis.unit}`;
  context.fillText(text, between(context, text, box.x + box.width / 2, 0, box.x + box.width + 10), bottom + 20);
}

/** Draw the axis of time to the left of a picture, in seconds. The last label may name the unit. */
export function drawTimeAxis(context, box, times, count = Math.floor(box.height / 34), isNamed = false) {
  const { values, decimals } = ticks(times.start, times.stop, Math.max(2, count));
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const value of values) {
    const y = up(box, times, value);
    line(context, box.x - 4, y, box.x, y);
    const unit = isNamed && value === values[values.length - 1] ? " s" : "";
    context.fillText(
      value.toFixed(decimals) + unit,
      box.x - 7,
      Math.min(Math.max(y, box.y + 5), box.y + box.height - 5),
      box.x - 8, // a longer text is condensed, not cut
    );
  }
}

/** Write the name of the axis of time beside it, upwards. */
export function nameTimeAxis(context, box, text = "s") {
  context.save();
  context.translate(box.x - 42, box.y + box.height / 2);
  context.rotate(-Math.PI / 2);
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.fillText(text, 0, 0);
  context.restore();
}

/** Draw a line one dot wide, on whole dots. */
export function line(context, x1, y1, x2, y2) {
  context.beginPath();
  context.moveTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  context.lineTo(Math.round(x2) + 0.5, Math.round(y2) + 0.5);
  context.stroke();
}

/** Draw the frame of a picture. */
export function frame(context, box) {
  context.strokeRect(
    Math.round(box.x) - 0.5,
    Math.round(box.y) - 0.5,
    Math.round(box.width) + 1,
    Math.round(box.height) + 1,
  );
}
