/** From codes of cells to dots of a picture. Several cells in a dot become their maximum, or mean: no line is lost. */

import { MASKED } from "./colours.js";

/** Fill one column of dots from some columns of a tile. */
function reduce(tile, first, stop, isMean, dots, column, width) {
  const { codes, columns, rows } = tile;
  for (let row = 0; row < rows; row += 1) {
    let best = -1;
    let sum = 0;
    let count = 0;
    for (let i = row * columns + first, end = row * columns + stop; i < end; i += 1) {
      const code = codes[i];
      if (code === MASKED) continue;
      if (code > best) best = code;
      sum += code;
      count += 1;
    }
    dots[row * width + column] = best < 0 ? MASKED : isMean ? Math.round(sum / count) : best;
  }
}

/**
 * Put what tiles hold into columns of dots.
 *
 * @param {object[]} tiles with `start` and `stop`, their channels, and `codes`, `rows`, `columns`
 * @param {number} channelsPerCell
 * @param {{start: number, stop: number}} view channels at the left and the right edge, with fractions
 * @param {number} width number of columns of dots
 * @param {boolean} isMean
 * @param {Uint8Array} dots (rows, width), row by row; columns without a tile stay as they are
 * @param {Uint8Array} filled (width): 1 for each column that is filled
 */
export function fillDots(tiles, channelsPerCell, view, width, isMean, dots, filled) {
  const channels = (view.stop - view.start) / width;
  for (const tile of tiles) {
    const from = Math.max(0, Math.floor((tile.start - view.start) / channels));
    const to = Math.min(width, Math.ceil((tile.stop - view.start) / channels));
    for (let column = from; column < to; column += 1) {
      const left = view.start + column * channels;
      const first = Math.floor((left - tile.start) / channelsPerCell + 1e-6);
      const stop = Math.ceil((left + channels - tile.start) / channelsPerCell - 1e-6);
      // a dot narrower than a cell shows the cell at its middle
      const middle = Math.floor((left + channels / 2 - tile.start) / channelsPerCell);
      const [a, b] = channels < channelsPerCell ? [middle, middle + 1] : [first, Math.max(stop, first + 1)];
      if (b <= 0 || a >= tile.columns) continue;
      reduce(tile, Math.max(a, 0), Math.min(b, tile.columns), isMean, dots, column, width);
      filled[column] = 1;
    }
  }
}

let sheet = null;

/**
 * Paint rows of codes into a rectangle of a canvas, the first row at its bottom.
 *
 * @param {CanvasRenderingContext2D} context
 * @param {Uint8Array} codes (rows, width), row by row
 * @param {Uint32Array} table from a code to a pixel
 * @param {{x: number, y: number, width: number, height: number}} place in dots of the canvas
 * @param {Uint8Array} [filled] columns that have a value; others stay transparent
 */
export function paintCodes(context, codes, rows, width, table, place, filled) {
  if (!rows || !width) return;
  sheet ??= document.createElement("canvas");
  sheet.width = width;
  sheet.height = rows;
  const drawing = sheet.getContext("2d");
  const image = drawing.createImageData(width, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let row = 0; row < rows; row += 1) {
    const to = (rows - 1 - row) * width;
    for (let i = 0, from = row * width; i < width; i += 1) pixels[to + i] = table[codes[from + i]];
  }
  if (filled) {
    for (let column = 0; column < width; column += 1) {
      if (!filled[column]) for (let i = column; i < pixels.length; i += width) pixels[i] = 0;
    }
  }
  drawing.putImageData(image, 0, 0);
  context.imageSmoothingEnabled = false;
  context.drawImage(sheet, 0, 0, width, rows, place.x, place.y, place.width, place.height);
}

/** Give a canvas as many dots as the screen has in its place; return dots per unit of the style sheet. */
export function fitCanvas(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const [across, down] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== across || canvas.height !== down) {
    canvas.width = across;
    canvas.height = down;
  }
  return ratio;
}

const inks = new Map();
addEventListener("themechange", () => inks.clear()); // canvases are painted again in the next frame

/** Return a colour of the style sheet. Asked for each picture, the browser would work out the styles each time. */
export function inkOf(name) {
  if (!inks.has(name)) inks.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim());
  return inks.get(name);
}
