/** The stored windows that pictures show. Those that are wanted at the same moment come in one answer. */

import { get } from "./api.js";

/** The server gives no more at once. */
const TOGETHER = 64;
const MAX_KEPT = 400;
const DAMAGED = "what is stored of this window is damaged. Tell whoever runs the server: lookalike verify says more.";
const kept = new Map();
let wanted = [];

/** Return the name of a window, or of that of a hit: SOURCE/NUMBER. */
export const windowName = ({ source, window }) => `${source}/${window}`;

/**
 * Return a window that is called SOURCE/NUMBER. It is fetched once.
 *
 * @returns {Promise<object>} its record, and `tile`: its codes, as those of a tile of a waterfall
 */
export function keptWindow(name) {
  if (!kept.has(name)) {
    if (kept.size >= MAX_KEPT) kept.delete(kept.keys().next().value);
    const coming = new Promise((resolve, reject) => {
      if (!wanted.length) queueMicrotask(fetchWanted); // once all that want some now have said so
      wanted.push({ name, resolve, reject });
    });
    kept.set(name, coming);
    coming.catch(() => kept.delete(name));
  }
  return kept.get(name);
}

function fetchWanted() {
  const all = wanted;
  wanted = [];
  for (let at = 0; at < all.length; at += TOGETHER) fetchTogether(all.slice(at, at + TOGETHER));
}

async function fetchTogether(group) {
  try {
    const names = group.map((one) => `name=${encodeURIComponent(one.name)}`);
    const { windows, damaged } = await get(`windows?${names.join("&")}`);
    const found = new Map(windows.map((one) => [windowName(one), one]));
    for (const { name, resolve, reject } of group) {
      if (found.has(name)) resolve({ ...found.get(name), tile: tileOf(found.get(name)) });
      else reject(new Error(damaged.includes(name) ? DAMAGED : "the corpus has not kept this window"));
    }
  } catch (error) {
    for (const { reject } of group) reject(error);
  }
}

function tileOf({ spectra: rows, channels: columns, noise_spectra: noiseSpectra, codes: text }) {
  const codes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
  if (codes.length !== rows * columns) {
    throw new Error(`${codes.length} codes came for ${rows} rows and ${columns} columns`);
  }
  return { rows, columns, noiseSpectra, codes };
}
