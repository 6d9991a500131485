/** What is drawn over a waterfall: kept windows, known interference, the selected range. */

import { inkOf } from "./painting.js";
import { across, clipped, rectangle, up } from "./places.js";
import { edgeMhz } from "./view.js";

const MANY = 100;

/** Outline the kept windows. Those that are narrower than some dots become marks at the top. */
export function drawWindows(context, box, view, times, windows) {
  const accent = inkOf("--mark");
  const alpha = windows.length > MANY ? 0.3 : 0.9; // else outlines of wide windows hide the picture
  clipped(context, box, () => {
    context.strokeStyle = accent;
    context.fillStyle = accent;
    for (const one of windows) {
      const { x, y, width, height } = rectangle(box, view, times, one);
      if (y > box.y + box.height || y + height < box.y) continue;
      context.globalAlpha = alpha;
      if (width < 4) context.fillRect(x, box.y, Math.max(width, 1), 5);
      else context.strokeRect(x + 0.5, y + 0.5, Math.max(width - 1, 2), Math.max(height - 1, 2));
    }
  });
}

/** Draw a strip above the picture for each band of known interference in view, with its name where there is space. */
export function drawKnown(context, box, view, bands) {
  const ink = inkOf("--known");
  context.save();
  context.beginPath();
  context.rect(box.x, 0, box.width, box.y + box.height);
  context.clip();
  context.textAlign = "left";
  context.textBaseline = "middle";
  let free = box.x;
  for (const band of bands) {
    const left = Math.max(across(box, view, band.f_start_mhz), box.x);
    const right = Math.min(across(box, view, band.f_stop_mhz), box.x + box.width);
    if (right < box.x || left > box.x + box.width) continue;
    context.fillStyle = ink;
    context.globalAlpha = 0.9;
    context.fillRect(left, box.y - 4, Math.max(right - left, 1.5), 3);
    const start = Math.max(left, free);
    if (right - start > context.measureText(band.name).width + 6) {
      context.globalAlpha = 1;
      context.fillStyle = inkOf("--quiet");
      context.fillText(band.name, start + 2, box.y - 12);
      free = start + context.measureText(band.name).width + 14;
    }
  }
  context.restore();
}

/** Write the labels of a scan where they belong, above the begin of what they name. */
export function drawLabels(context, box, view, times, source, labels) {
  clipped(context, box, () => {
    context.textAlign = "left";
    context.textBaseline = "top";
    for (const one of labels) {
      const left = across(box, view, one.f_start_mhz);
      const right = across(box, view, one.f_stop_mhz);
      if (right < box.x || left > box.x + box.width) continue;
      const top = up(box, times, (one.mjd - source.mjd) * 86400) - 16;
      const width = context.measureText(one.label).width + 8;
      context.fillStyle = inkOf("--known");
      context.fillRect(Math.max(left, box.x), top, width, 16);
      context.fillStyle = inkOf("--card");
      context.fillText(one.label, Math.max(left, box.x) + 4, top + 2);
    }
  });
}

/** Return where the selected range lies in a panel. Its times count only in the scan that was dragged over. */
export function placeOfSelection(box, view, times, source, selection) {
  const from = selection.source;
  const left = across(box, view, edgeMhz(from, selection.first));
  const right = across(box, view, edgeMhz(from, selection.stop));
  const isWhole = selection.firstSpectrum === undefined || from.id !== source.id;
  const at = (spectrum) => up(box, times, spectrum * from.tsamp_s);
  return {
    left,
    right,
    top: isWhole ? box.y : at(selection.stopSpectrum),
    bottom: isWhole ? box.y + box.height : at(selection.firstSpectrum),
  };
}

/** Draw the selected range, with its width above it. */
export function drawSelection(context, box, view, times, source, selection) {
  const { left, right, top, bottom } = placeOfSelection(box, view, times, source, selection);
  clipped(context, box, () => {
    context.fillStyle = "rgba(4, 8, 14, 0.45)";
    context.fillRect(box.x, box.y, left - box.x, box.height);
    context.fillRect(right, box.y, box.x + box.width - right, box.height);
    context.fillRect(left, box.y, right - left, top - box.y);
    context.fillRect(left, bottom, right - left, box.y + box.height - bottom);
    context.strokeStyle = inkOf("--accent-bright");
    context.lineWidth = 2;
    context.strokeRect(left, top + 1, Math.max(right - left, 2), bottom - top - 2);
  });
}
