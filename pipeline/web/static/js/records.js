/** Records of the API that have no picture of their own: objects as terms, lists of objects as tables. */

import { h, table } from "./dom.js";

/** Show what a report holds, whatever its parts are called: objects as terms, lists of objects as tables. */
export function recordBox(value, title, depth = 2) {
  if (Array.isArray(value) && value.length && typeof value[0] === "object" && value[0] !== null) {
    const names = [...new Set(value.flatMap((one) => Object.keys(one)))].slice(0, 8);
    return h(
      "section",
      {},
      title ? h(`h${Math.min(depth, 5)}`, {}, title) : null,
      table(
        title || "List",
        names.map(words),
        value.slice(0, 200).map((one) => names.map((name) => plain(one[name]))),
      ),
    );
  }
  if (value && typeof value === "object" && !Array.isArray(value)) {
    const simple = Object.entries(value).filter(([, one]) => isSimple(one));
    const other = Object.entries(value).filter(([, one]) => !isSimple(one));
    return h(
      "section",
      {},
      title ? h(`h${Math.min(depth, 5)}`, {}, title) : null,
      simple.length
        ? h(
            "dl",
            { class: "terms" },
            simple.map(([name, one]) => [h("dt", {}, words(name)), h("dd", {}, plain(one))]),
          )
        : null,
      other.map(([name, one]) => recordBox(one, words(name), depth + 1)),
    );
  }
  return h("p", {}, title ? h("b", {}, `${title}: `) : null, plain(value));
}

const isSimple = (value) =>
  value === null ||
  typeof value !== "object" ||
  (Array.isArray(value) && (!value.length || typeof value[0] !== "object"));
const words = (name) =>
  name
    .replaceAll("_", " ")
    .replace(/ (mhz|hz|s|db)$/, (_, unit) => `, ${{ mhz: "MHz", hz: "Hz", s: "s", db: "dB" }[unit]}`);

function plain(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (Array.isArray(value)) return value.length ? value.join(", ") : "–";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value === "number")
    return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(6)));
  return String(value);
}
