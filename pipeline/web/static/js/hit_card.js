/** One hit: its picture, what it is worth, and what can be done with it. */

import { likeAddress, waterfallAddress } from "./address.js";
import { fileName, mhz, short } from "./axes.js";
import { h, table } from "./dom.js";
import { windowName } from "./kept_windows.js";
import { WindowPicture } from "./window_picture.js";

const STATES = {
  "in OFF": "seen at another pointing, too: probably interference",
  "ON only": "not seen at other pointings",
  undecided: "the scans at other pointings do not tell",
  "no OFF": "no scan at another pointing to compare with",
};

/** Return what the states of ON/OFF mean that some hits have; null if none has one. */
export function onOffLegend(hits) {
  const states = Object.keys(STATES).filter((name) => hits.some((hit) => hit.on_off === name));
  if (!states.length) return null;
  return h(
    "details",
    { class: "on-off-legend" },
    h("summary", {}, "What ON and OFF mean"),
    h(
      "dl",
      { class: "terms" },
      states.map((name) => [
        h("dt", {}, h("span", { class: `on-off ${name.replace(" ", "-")}` }, name)),
        h("dd", {}, STATES[name]),
      ]),
      h("dt", {}, h("span", { class: "scans" }, scanField("on here"), scanField("off"))),
      h(
        "dd",
        {},
        "the scans of the session in their order: high fields point where the hit's scan does, low ones elsewhere; " +
          "filled ones hold the signal",
      ),
    ),
  );
}

const scanField = (kind, pointing) => h("span", { title: pointing, class: `scan ${kind}` });

/** Return how many windows are expected to score so well by chance, in words. */
export const expectedWords = (hit) =>
  hit.expected === null ? "unknown" : `${hit.extrapolated ? "~" : ""}${short(hit.expected)}`;

/**
 * Return a strip with one field for each scan of the session: where the signal is, and where it is not.
 *
 * @param {object} hit
 * @param {Map<string, {scans: object[]}>} sessions id of a scan → its session
 */
function onOffStrip(hit, sessions) {
  if (!hit.on_off) return null;
  const words = `${hit.on_off}: ${STATES[hit.on_off] || ""}`;
  const scan = hit.source.split("+")[0];
  const seen = new Set(hit.in_off.map((one) => one.slice(0, one.lastIndexOf("/")).split("+")[0]));
  const own = sessions.get(scan);
  const pointing = own?.scans.find((one) => one.scan_id === scan)?.pointing;
  const fields = (own?.scans || []).map((one) =>
    scanField(
      [
        one.pointing === pointing ? "on" : "off",
        one.scan_id === scan ? "here" : seen.has(one.scan_id) ? "seen" : "not-seen",
      ].join(" "),
      one.pointing,
    ),
  );
  return h(
    "span",
    { class: `on-off ${hit.on_off.replace(" ", "-")}`, title: words },
    fields.length > 1 ? h("span", { class: "scans", "aria-hidden": "true" }, fields) : null,
    hit.on_off,
  );
}

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
      this.facts(sessions),
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
        hit.expected === null ? "chance unknown" : `${expectedWords(hit)} by chance`,
      ),
    ];
  }

  facts(sessions) {
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
      onOffStrip(hit, sessions),
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
          href: waterfallAddress(hit.source.split("+")[0], hit.f_start_mhz - 2 * width, hit.f_stop_mhz + 2 * width),
          class: "open",
        },
        "In the waterfall",
      ),
    );
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

/** Return a table of hits. */
export const hitTable = (caption, hits) => table(caption, TITLES, hits.map(cells), NUMERIC);
