/** Orders of hits: the best, those at the border, or by chance. */

/** Name of an order → words for it. */
export const ORDERS = { best: "Best", borderline: "Borderline", random: "Random" };

/** Return a number from 0 to 1 that belongs to a text: the same each time. */
function numberOf(text) {
  let hash = 2166136261;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619);
  hash = Math.imul(hash ^ (hash >>> 15), 2246822507);
  return ((hash ^ (hash >>> 13)) >>> 0) / 2 ** 32;
}

/** Return the score at which hits stop being more than chance, or else the middle of the scores. */
export function border(hits, threshold) {
  if (threshold > -1) return threshold;
  const good = hits.filter((hit) => hit.expected !== null && hit.expected <= 0.5);
  if (good.length && good.length < hits.length) return good[good.length - 1].score;
  return hits.length ? (hits[0].score + hits[hits.length - 1].score) / 2 : 0;
}

/**
 * Return hits in an order.
 *
 * @param {object[]} hits best first
 * @param {string} order
 * @param {number} threshold lowest score that is shown; −1 for none
 */
export function arranged(hits, order, threshold) {
  const named = hits.map((hit) => ({ hit, at: numberOf(`${hit.source}/${hit.window}`) }));
  if (order === "random") return named.sort((a, b) => a.at - b.at).map((one) => one.hit);
  if (order !== "borderline") return [...hits];
  const middle = border(hits, threshold);
  return [...hits].sort((a, b) => Math.abs(a.score - middle) - Math.abs(b.score - middle));
}
