/** After a refined search: windows that the library proposes to label next, borderline and random ones. */

import { get, part, windowPath } from "./api.js";
import { counted } from "./axes.js";
import { HitCard } from "./hit_card.js";
import { loadInSight } from "./window_picture.js";

/** What a refined search can show: name → words, and what they mean. */
export const ORDERS = {
  best: ["Best", "Hits, the best first"],
  borderline: ["Borderline", "Windows near the border between yes and no: marking these teaches most"],
  random: ["Random", "Windows drawn at random from the corpus: marking these tells what is missed"],
};

/** Tell whether examples refined a search. */
export const isRefined = (request) => Boolean(request.like?.length || request.unlike?.length);

const asHit = (one) => ({ ...one, expected: null });

const MOST_EXAMPLES = 48;

/** Return the windows that a search took for alike, as hits without a score. Those that are gone are left out. */
export async function examplesOf(request) {
  const names = (request.like || []).filter((one) => typeof one === "string" && /\/\d+$/.test(one));
  const found = await Promise.allSettled(names.slice(0, MOST_EXAMPLES).map((one) => get(windowPath(one, "json"))));
  return found
    .filter((one) => one.status === "fulfilled")
    .map(({ value }) => ({ ...value, rank: 0, score: null, expected: null, merged: [], on_off: null }));
}

/** The windows of one result, fetched once. */
export class ToLabel {
  constructor(result, makeCard) {
    this.id = result.id;
    this.makeCard = makeCard;
    this.fetched = null;
  }

  /** Return the cards of `borderline` or `random` windows. */
  async cards(why) {
    this.fetched ||= get(`searches/${part(this.id)}/to-label`).then(({ to_label: list }) =>
      list.map((one) => ({ why: one.why, card: this.makeCard(asHit(one)) })),
    );
    const chosen = (await this.fetched).filter((one) => one.why === why).map((one) => one.card);
    loadInSight(chosen.map((card) => card.picture));
    return chosen;
  }
}

/** Return what the proposed windows are, in words. */
export const proposed = (count, why) =>
  `${counted(count, "window")} to label next, ${
    why === "random" ? "drawn at random from the corpus" : "near the border between yes and no"
  }. None is an example of this search, or has a label.`;

/** Make the maker of cards for hits that look and act alike. */
export const cardMaker = (display, mark, focus, sessions) => (hit) =>
  new HitCard(hit, display, { mark, focus }, sessions);
