/** After a refined search: windows that the library proposes to label next, borderline and random ones. */

import { get, part } from "./api.js";
import { counted } from "./axes.js";
import { h } from "./dom.js";
import { HitCard } from "./hit_card.js";
import { keptWindow } from "./kept_windows.js";
import { loadInSight } from "./window_picture.js";

/** What a refined search can show: name → words, and what they mean. */
const ORDERS = {
  best: ["Best", "Hits, the best first"],
  borderline: ["Borderline", "Windows near the border between yes and no: marking these teaches most"],
  random: ["Random", "Windows drawn at random from the corpus: marking these tells what is missed"],
};

/** Return the choice among hits and windows to label. */
export const orderChoice = (order, choose) =>
  h(
    "div",
    { class: "segmented", role: "radiogroup", "aria-label": "What is shown" },
    Object.entries(ORDERS).map(([value, [words, title]]) =>
      h(
        "label",
        { title },
        h("input", { type: "radio", name: "order", value, checked: order === value, onchange: () => choose(value) }),
        words,
      ),
    ),
  );

/** Tell whether examples refined a search. */
export const isRefined = (request) => Boolean(request.like?.length || request.unlike?.length);

const asHit = (one) => ({ ...one, expected: null });

/** Windows that a search took for alike or for different. Their marks can be changed, so they stay in sight. */
export class Examples {
  /**
   * @param {object} request of the search
   * @param {(hit: object) => HitCard} makeCard
   */
  constructor(request, makeCard) {
    this.makeCard = makeCard;
    this.names = { like: windowsAmong(request.like), unlike: windowsAmong(request.unlike) };
    this.of = new Map();
    this.places = new Map(
      [...this.names.like, ...this.names.unlike].map((name) => [
        name,
        h("li", { class: "hit coming" }, h("p", { class: "quiet" }, "Your example")),
      ]),
    );
  }

  /** Return what shows the `like` or `unlike` windows: their cards, or what keeps the place of one until it comes. */
  elements(which) {
    return this.names[which].map((name) => this.of.get(name)?.element || this.places.get(name)).filter(Boolean);
  }

  /** Fetch the windows, in one request; return their cards. Those that the corpus does not hold lose their place. */
  async load() {
    await Promise.allSettled([...this.places.keys()].map((name) => this.fetch(name)));
    this.places.clear();
    return [...this.of.values()];
  }

  async fetch(name) {
    const window = await keptWindow(name);
    const hit = { ...window, rank: 0, score: null, expected: null, merged: [], on_off: null };
    this.of.set(name, this.makeCard(hit));
  }
}

/** Return the names of stored windows among examples. Others are ranges of files. */
const windowsAmong = (examples) => (examples || []).filter((one) => typeof one === "string" && /\/\d+$/.test(one));

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

/** Say above the best hits what else can be shown. */
export const otherOrders =
  "Borderline shows windows near the border between yes and no, whose marks teach most. Random shows windows drawn " +
  "from the whole corpus, whose marks tell what is missed.";

/** Return what the proposed windows are, in words. */
export const proposed = (count, why) =>
  `${counted(count, "window")} to label next, ${
    why === "random" ? "drawn at random from the corpus" : "near the border between yes and no"
  }. None is an example of this search, or has a label.`;

/** Make the maker of cards for hits that look and act alike. */
export const cardMaker = (display, mark, focus, sessions) => (hit) =>
  new HitCard(hit, display, { mark, focus }, sessions);
