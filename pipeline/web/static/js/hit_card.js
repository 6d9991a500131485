/** One hit: its picture, what it is worth, and what can be done with it. */

import { likeAddress, scanOf, waterfallAddress } from "./address.js";
import { fileName, mhz, shortChance } from "./axes.js";
import { h, table } from "./dom.js";
import { windowName } from "./kept_windows.js";
import { onOffStrip } from "./on_off.js";
import { WindowPicture } from "./window_picture.js";

/** Return how many windows are expected to score so well by chance, in words. */
export const expectedWords = (hit) =>
  hit.expected === null ? "unknown" : shortChance(hit.expected, hit.extrapolated);

/** The card of a hit in the grid. */
export class HitCard {
  /**
   * @param {object} hit without a score if it is an example that the user gave
   * @param {object} display colours
   * @param {{mark: (name: string, mark: string) => void, focus: (card: HitCard) => void}} act
   * @param {Map<string, object>} sessions
   */
  constructor(hit, display, act, sessions) {
    this.hit = hit;
    this.name = windowName(hit);
    this.words = hit.score === null ? `example ${this.name}` : `hit ${hit.rank}`;
    this.picture = new WindowPicture(this.name, hit, display);
    const button = (mark, sign, label) =>
      h(
        "button",
        {
          type: "button",
          class: `mark ${mark}`,
          "aria-pressed": "false",
          "aria-label": `${label}: ${this.words}`,
          title: `${label} (${mark[0]})`,
          onclick: () => act.mark(this.name, mark),
        },
        sign,
      );
    this.buttons = { yes: button("yes", "✓", "Yes, alike"), no: button("no", "✗", "No, different") };
    this.strip = onOffStrip(hit, sessions);
    this.element = h(
      "li",
      {
        class: "hit",
        tabindex: "-1",
        dataset: { window: this.name, rank: String(hit.rank) },
        onfocusin: () => act.focus(this),
        "aria-label": this.words,
      },
      h(
        "div",
        { class: "hit-head" },
        hit.score === null ? h("span", { class: "score" }, "Your example") : this.worth(),
        h("span", { class: "marks" }, this.buttons.yes, this.buttons.no),
      ),
      this.picture.element,
      this.facts(),
      this.links(),
    );
  }

  worth() {
    const { hit } = this;
    return [
      h("span", { class: "rank" }, String(hit.rank)),
      h("span", { class: "score", title: "Cosine of the vectors; 1 is the same direction" }, hit.score.toFixed(3)),
      h(
        "span",
        { class: "expected", title: "Unrelated windows that score so well by chance, of all that were searched" },
        hit.expected === null ? "chance unknown" : [`${expectedWords(hit)} `, h("span", {}, "by chance")],
      ),
    ];
  }

  facts() {
    const { hit } = this;
    const merged = hit.merged.length
      ? h(
          "span",
          { class: "chip", title: `With windows ${hit.merged.join(", ")}` },
          `${hit.merged.length + 1} windows merged`,
        )
      : null;
    const known = hit.known.length
      ? h("span", { class: "chip known", title: hit.known.join("; ") }, hit.known[0])
      : null;
    return h(
      "p",
      { class: "hit-facts" },
      h("b", {}, hit.target || fileName(hit.file)),
      ` MJD ${hit.mjd.toFixed(5)} · SNR ${hit.snr.toFixed(1)}`,
      hit.view ? h("span", { class: "chip" }, `view ${hit.view}`) : null,
      this.strip,
      merged,
      known,
      (hit.labels || []).map((one) => h("span", { class: "chip label" }, one)),
    );
  }

  links() {
    const { hit } = this;
    const width = hit.f_stop_mhz - hit.f_start_mhz;
    return h(
      "p",
      { class: "hit-links" },
      h("a", { href: likeAddress(this.name), class: "more" }, "More like this"),
      h(
        "a",
        {
          href: waterfallAddress(scanOf(hit.source), hit.f_start_mhz - 2 * width, hit.f_stop_mhz + 2 * width),
          class: "open",
        },
        "In the waterfall",
      ),
    );
  }

  /** Show what is now known of the hit at other pointings. */
  showOnOff(hit, sessions) {
    this.hit = hit;
    const strip = onOffStrip(hit, sessions);
    this.strip?.replaceWith(strip);
    this.strip = strip;
  }

  /** Show whether the hit was marked. */
  showMark(mark) {
    for (const [name, button] of Object.entries(this.buttons))
      button.setAttribute("aria-pressed", String(name === mark));
    this.element.dataset.mark = mark || "";
  }

  focus() {
    this.element.focus({ preventScroll: true });
    this.element.scrollIntoView({
      block: "nearest",
      behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
    });
  }
}

const TITLES = [
  "#",
  "score",
  "by chance",
  "MHz from",
  "to",
  "s from",
  "to",
  "MJD",
  "SNR",
  "target",
  "ON/OFF",
  "merged",
  "window",
];
const cells = (hit) => [
  hit.rank,
  hit.score.toFixed(3),
  expectedWords(hit),
  mhz(hit.f_start_mhz),
  mhz(hit.f_stop_mhz),
  hit.t_start_s.toFixed(1),
  hit.t_stop_s.toFixed(1),
  hit.mjd.toFixed(5),
  hit.snr.toFixed(1),
  hit.target,
  hit.on_off,
  hit.merged.length + 1,
  windowName(hit),
];
const NUMERIC = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11];

/** Return a table of hits, folded. */
export const hitTable = (caption, hits) =>
  h(
    "details",
    { id: "hit-table" },
    h("summary", {}, "Hits as a table"),
    table(caption, TITLES, hits.map(cells), NUMERIC),
  );
