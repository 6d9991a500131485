/** The codes of the dots of a view, from the tiles that have come: a layer for each block of rows. */

import { MASKED } from "./colours.js";
import { fillDots } from "./painting.js";
import { blocksFor, levelFor, spectraOfRow, tilesFor } from "./tiles.js";

/** A file without an overview is decoded for each tile, so only so many are asked for. */
const MAX_TILES_AT_ONCE = 40;

/**
 * Ask for the tiles of a view; return layers of those that are there, where one lacks of coarser ones that have come.
 *
 * @param {import("./tiles.js").Tiles} tiles
 * @param {object} source record of the source, with its levels
 * @param {{start: number, stop: number}} view channels at the left and the right edge, with fractions
 * @param {{start: number, stop: number}} spectra at the lower and the upper edge, with fractions
 * @param {number} width number of columns of dots
 * @param {string} kind "max" or "mean"
 * @returns {object[]|null} layers with `block`, `codes` (rows, width), `rows`, `width` and `filled` (width), the lowest
 * first; null if they would need too many tiles
 */
export function layersOf(tiles, source, view, spectra, width, kind) {
  const level = levelFor(source.levels, view.stop - view.start, width);
  const numbers = tilesFor(level, view.start, view.stop);
  const step = spectraOfRow(level, spectra.stop - spectra.start);
  const blocks = blocksFor(level, step, spectra.start, spectra.stop, source.spectra);
  if (numbers.length * blocks.length > MAX_TILES_AT_ONCE) return null;
  tiles.forget(new Set(blocks.flatMap((block) => numbers.map((number) => tiles.key(level, number, block, kind)))));
  const layers = blocks.map((block) => {
    const layer = emptyLayer(block, width);
    const found = numbers.map((number) => tiles.wanted(level, number, block, kind));
    if (found.some((one) => !one)) fillKept(layer, tiles, source.levels, view, kind);
    fill(layer, found, level, view, kind);
    return layer;
  });
  if (step === level.spectra_per_row || !layers.some((one) => one.filled.includes(0))) return layers;
  const [coarse] = blocksFor(level, level.spectra_per_row, 0, source.spectra, source.spectra);
  const below = emptyLayer(coarse, width); // is seen until finer rows come
  fillKept(below, tiles, source.levels, view, kind);
  return [below, ...layers];
}

const emptyLayer = (block, width) => ({
  block,
  rows: block.rows,
  width,
  codes: new Uint8Array(block.rows * width).fill(MASKED),
  filled: new Uint8Array(width),
});

function fill({ codes, filled, width }, found, level, view, kind) {
  fillDots(found.filter(Boolean), level.channels_per_cell, view, width, kind === "mean", codes, filled);
}

/** Fill a layer with tiles of any level that have come, the coarsest first. */
function fillKept(layer, tiles, levels, view, kind) {
  for (const level of [...levels].reverse()) {
    const kept = tilesFor(level, view.start, view.stop).map((number) =>
      tiles.tiles.get(tiles.key(level, number, layer.block, kind)),
    );
    fill(layer, kept, level, view, kind);
  }
}

/** Return the codes of some layers together. */
export function codesOf(layers) {
  if (layers.length === 1) return layers[0].codes;
  const all = new Uint8Array(layers.reduce((sum, one) => sum + one.codes.length, 0));
  let at = 0;
  for (const one of layers) {
    all.set(one.codes, at);
    at += one.codes.length;
  }
  return all;
}

/** Return the code of a dot: at a share of the width, in a spectrum. Null if no tile of it has come. */
export function codeAt(layers, share, spectrum) {
  const layer = layers.findLast(
    (one) => spectrum >= one.block.start && spectrum < one.block.stop && one.filled[Math.floor(share * one.width)],
  );
  if (!layer) return null;
  const row = Math.floor((spectrum - layer.block.start) / layer.block.step);
  return layer.codes[row * layer.width + Math.floor(share * layer.width)];
}
