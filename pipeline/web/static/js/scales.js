/**
 * What the 8-bit codes of tiles and of windows mean, in dB over the mean of the noise. Code 255 is masked.
 *
 * Both are inverse hyperbolic sines of power in standard deviations of the noise, so that faint and strong signals keep
 * their shape. The server gives the same tables (`scale` of a source and of a window); here none must be asked for.
 */

const LEAST_POWER = 1e-3;
const LEAST_RANGE_DB = 3;
const NOISE_SIGMAS = 8;

/** Return N from what a header says of the scale: noise has a standard deviation of its mean over the root of N. */
export function noiseSpectraOf(text) {
  const value = Number(/noise_spectra=([^;]+)/.exec(text)?.[1]);
  if (!(value > 0)) throw new Error(`the scale of the codes is not known: ${text}`);
  return value;
}

const decibels = (power) => (power > LEAST_POWER && Number.isFinite(power) ? 10 * Math.log10(power) : null);

/** Add to a table what is derived from it. The colours cover 3 dB, or less where the noise is much fainter. */
function scaleOf(db, noiseSpectra) {
  const given = db.filter((one) => one !== null);
  const leastRangeDb = Math.min(LEAST_RANGE_DB, 10 * Math.log10(1 + NOISE_SIGMAS / Math.sqrt(noiseSpectra)));
  return { db, lowDb: given[0], highDb: given[given.length - 1], leastRangeDb };
}

/** Return the scale of a tile of an overview, or of a file. */
export function tileScale(noiseSpectra) {
  const root = Math.sqrt(noiseSpectra);
  const db = Array.from({ length: 255 }, (_, code) => decibels(1 + Math.sinh((code - 60) / 11) / 16 / root));
  return scaleOf([...db, null], noiseSpectra);
}

/** Return the scale of a stored window. */
export function windowScale(noiseSpectra) {
  const spread = 1 / Math.sqrt(noiseSpectra);
  const db = Array.from({ length: 255 }, (_, code) => decibels(Math.exp(Math.sinh(-3 + (10 / 254) * code) * spread)));
  return scaleOf([...db, null], noiseSpectra);
}
