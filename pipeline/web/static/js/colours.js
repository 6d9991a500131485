/**
 * Colour maps, as tables from a code to a colour.
 *
 * In all of them lightness rises with power, so people who do not tell colours apart read the same order. viridis,
 * magma and inferno are by Stéfan van der Walt, Nathaniel Smith and Eric Firing, who gave them away (CC0); 24 of
 * their 256 colours are kept, and the rest lie on straight lines between them.
 */

const STOPS = {
  viridis:
    "440154471164482071472e7c443b843f48893a548c34608d2f6c8e2a768e26818e228b8d1f958b1fa08824aa832fb47c42be7158c76570" +
    "cf578bd646a8db34c5e021e2e418fde725",
  magma:
    "000004060518110c2f1e11492f1163420f7554137d651a807822818928819b2e7fad347cbf3a77d0416fe04c67ed5a5ff66e5cfb835ffd98" +
    "69feac76fec185fed597fde9aafcfdbf",
  inferno:
    "000004060419120a32230c4c360961490b6a5a116e6c186e7f1e6c902568a22b62b3325ac33b4fd24644df5337ea632af3761bf8890cf" +
    "b9d07fcb216f9c72ff4dd4ff1f179fcffa4",
  grey: "000000ffffff",
  "grey on white": "ffffff000000",
};

/** Names of the maps. */
export const MAPS = Object.keys(STOPS);
export const DEFAULT_MAP = "viridis";
/** Code of a masked pixel. */
export const MASKED = 255;
/** Largest code of a pixel with a value. */
export const TOP_CODE = 254;
const MASKED_COLOUR = [118, 124, 132];

const made = new Map();

/** Return the 256 colours of a map, as red, green, blue. */
export function colours(name) {
  if (!made.has(name)) made.set(name, makeColours(name));
  return made.get(name);
}

function makeColours(name) {
  const stops = (STOPS[name] || STOPS[DEFAULT_MAP]).match(/../g).map((two) => parseInt(two, 16));
  const last = stops.length / 3 - 1;
  return Array.from({ length: 256 }, (_, i) => {
    const place = (i / 255) * last;
    const lower = Math.min(Math.floor(place), last - 1);
    return [0, 1, 2].map((channel) => {
      const from = stops[3 * lower + channel];
      return Math.round(from + (place - lower) * (stops[3 * lower + 3 + channel] - from));
    });
  });
}

const packed = (red, green, blue) => ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;

/**
 * Return a table from a code to a pixel of an image.
 *
 * @param {string} name of the map
 * @param {(number|null)[]} db power of each code in dB; null for none
 * @param {number} lowDb power of the first colour, which all below it have, too
 * @param {number} highDb power of the last colour
 * @returns {Uint32Array} of length 256; the last entry is that of masked pixels
 */
export function lookup(name, db, lowDb, highDb) {
  const map = colours(name).map((rgb) => packed(...rgb));
  const table = new Uint32Array(256);
  const range = Math.max(highDb - lowDb, 1e-9);
  for (let code = 0; code <= TOP_CODE; code += 1) {
    const share = db[code] === null ? 0 : (db[code] - lowDb) / range;
    table[code] = map[Math.round(255 * Math.min(1, Math.max(0, share)))];
  }
  table[MASKED] = packed(...MASKED_COLOUR);
  return table;
}

/**
 * Return the power in dB for the first and the last colour that suits some pixels: nearly all of them lie between.
 *
 * @param {Uint8Array} codes
 * @param {{db: (number|null)[], leastRangeDb: number}} scale
 */
export function suitableLimits(codes, scale) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < codes.length; i += 1) counts[codes[i]] += 1;
  const valid = codes.length - counts[MASKED];
  const at = (share) => {
    let left = share * (valid - 1);
    for (let code = 0; code <= TOP_CODE; code += 1) {
      left -= counts[code];
      if (left < 0) return scale.db[code] ?? scale.lowDb;
    }
    return scale.highDb;
  };
  if (!valid) return { low: 0, high: scale.leastRangeDb };
  const low = at(0.01);
  return { low, high: Math.max(at(0.998), low + scale.leastRangeDb) };
}

/** Return a picture of a map for a legend: a canvas of one row. */
export function swatch(name) {
  const canvas = document.createElement("canvas");
  canvas.width = 256;
  canvas.height = 1;
  const context = canvas.getContext("2d");
  const image = context.createImageData(256, 1);
  new Uint32Array(image.data.buffer).set(Array.from(colours(name), (rgb) => packed(...rgb)));
  context.putImageData(image, 0, 0);
  return canvas;
}
