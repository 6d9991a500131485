/**
 * Tiles of the waterfall of a source, addressed by whole channels in ascending frequency.
 *
 * A level has cells of `channels_per_cell` channels, and tiles of `columns_per_tile` cells. Each tile says which
 * channels it holds. A tile that holds others than were asked for is refused, so nothing is painted at the wrong place.
 */

import { getBytes, part } from "./api.js";
import { noiseSpectraOf } from "./scales.js";

const MAX_TILES = 160;
/** A view of fewer rows asks for finer ones, where there are any. */
const LEAST_ROWS = 32;

/** Return the level for some channels on some dots: the coarsest one with a cell, or more, in each dot. */
export function levelFor(levels, channels, dots) {
  const fine = levels.filter((one) => one.channels_per_cell * dots <= channels * 1.001);
  return fine.length ? fine[fine.length - 1] : levels[0];
}

/** Return the number of spectra in a row for some spectra in view: as many as leave enough rows. */
export const spectraOfRow = (level, spectra) =>
  level.row_spectra.find((one) => spectra / one >= LEAST_ROWS) || level.row_spectra.at(-1);

/** Return the blocks of rows that hold spectra from `start` up to, but not including, `stop`. */
export function blocksFor(level, step, start, stop, spectra) {
  const span = level.rows_per_block * step;
  const [first, end] = [Math.floor(Math.max(start, 0) / span), Math.ceil(Math.min(stop, spectra) / span)];
  return Array.from({ length: Math.max(0, end - first) }, (_, i) => ({
    number: first + i,
    step,
    start: (first + i) * span,
    stop: Math.min((first + i + 1) * span, spectra),
    rows: Math.ceil((Math.min((first + i + 1) * span, spectra) - (first + i) * span) / step),
  }));
}

/** Return the numbers of the tiles of a level that hold channels from `start` up to, but not including, `stop`. */
export function tilesFor(level, start, stop) {
  const span = level.channels_per_cell * level.columns_per_tile;
  const last = Math.ceil(level.columns / level.columns_per_tile) - 1;
  const first = Math.max(0, Math.floor(start / span));
  const end = Math.min(last, Math.ceil(stop / span) - 1);
  return Array.from({ length: Math.max(0, end - first + 1) }, (_, i) => first + i);
}

/** Return the channels of a tile, the last one not included. */
export function channelsOf(level, number, channels) {
  const span = level.channels_per_cell * level.columns_per_tile;
  return { start: number * span, stop: Math.min((number + 1) * span, channels) };
}

/** Read codes and what the headers say about them. */
export async function readCodes(response) {
  const number = (name) => Number(response.headers.get(name));
  const codes = new Uint8Array(await response.arrayBuffer());
  const tile = {
    start: number("X-Channel-Start"),
    stop: number("X-Channel-Stop"),
    firstSpectrum: number("X-Spectrum-Start"),
    stopSpectrum: number("X-Spectrum-Stop"),
    rows: number("X-Rows"),
    columns: number("X-Columns"),
    noiseSpectra: noiseSpectraOf(response.headers.get("X-Scale") || ""),
    codes,
  };
  if (codes.length !== tile.rows * tile.columns) {
    throw new Error(`${codes.length} codes came for ${tile.rows} rows and ${tile.columns} columns`);
  }
  return tile;
}

/** The tiles of one source that have come, and requests for those that are wanted. */
export class Tiles {
  /**
   * @param {object} source record of the source, with `levels`
   * @param {() => void} changed called when a tile has come
   * @param {(error: Error, level: object) => void} failed called once for each tile that does not come
   */
  constructor(source, changed, failed) {
    this.source = source;
    this.changed = changed;
    this.failed = failed;
    this.tiles = new Map();
    this.waiting = new Map();
    this.refused = new Set();
  }

  key(level, number, block, kind) {
    return `${level.level}/${number}/${block.step}/${block.number}/${kind}`;
  }

  /** Return a tile that has come; else ask for it, and return null. */
  wanted(level, number, block, kind) {
    const key = this.key(level, number, block, kind);
    const tile = this.tiles.get(key);
    if (tile) {
      this.tiles.delete(key); // the last ones in the map are those used last
      this.tiles.set(key, tile);
      return tile;
    }
    if (!this.waiting.has(key) && !this.refused.has(key)) this.request(level, number, block, kind, key);
    return null;
  }

  /** Drop the requests for tiles that are not among some keys any more. */
  forget(keys) {
    for (const [key, controller] of this.waiting) if (!keys.has(key)) controller.abort();
  }

  get isWaiting() {
    return this.waiting.size > 0;
  }

  async request(level, number, block, kind, key) {
    const controller = new AbortController();
    this.waiting.set(key, controller);
    try {
      const path = `sources/${part(this.source.id)}/tiles/${level.level}/${number}`;
      const rows = block.step === level.spectra_per_row ? {} : { spectra: block.step, block: block.number };
      const response = await getBytes(path, { kind, ...rows }, { signal: controller.signal });
      this.keep(key, await readCodes(response), channelsOf(level, number, this.source.channels), block);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.refused.add(key);
      this.failed(error, level);
    } finally {
      this.waiting.delete(key);
    }
    this.changed();
  }

  keep(key, tile, expected, block) {
    if (tile.firstSpectrum !== block.start || tile.stopSpectrum !== block.stop) {
      throw new Error(
        `a tile of spectra ${tile.firstSpectrum} to ${tile.stopSpectrum} came where ${block.start} to ${block.stop} ` +
          "were asked for; it is not shown",
      );
    }
    if (tile.start !== expected.start || tile.stop !== expected.stop) {
      throw new Error(
        `a tile of channels ${tile.start} to ${tile.stop} came where ${expected.start} to ${expected.stop} ` +
          "were asked for; it is not shown",
      );
    }
    this.tiles.set(key, tile);
    if (this.tiles.size > MAX_TILES) this.tiles.delete(this.tiles.keys().next().value);
  }
}
