/** The reports of the nights. */

import { idOfPage } from "../address.js";
import { addressOf, get, part } from "../api.js";
import { counted } from "../axes.js";
import { errorBox, fill, find, h, table } from "../dom.js";
import { bindKeys } from "../keys.js";

function list(nights) {
  if (!nights.length) {
    return h("div", { class: "empty" }, h("p", {}, "No night has been reported yet. The nightly run writes a report beside the corpus:"),
      h("pre", { tabindex: "0" }, "lookalike nightly DATA --corpus CORPUS"));
  }
  return table(counted(nights.length, "night"), ["Night", "Outcome", "Began", "Ended"], nights.map((night) => [
    h("a", { href: `/nights/${part(night.name)}` }, night.name), h("span", { class: night.exit_code ? "bad" : null }, night.headline),
    moment(night.began), moment(night.ended)]));
}

const moment = (text) => text.slice(0, 16).replace("T", " ");

/** Show what a report holds, whatever its parts are called: objects as terms, lists of objects as tables. */
function shown(value, title, depth = 2) {
  if (Array.isArray(value) && value.length && typeof value[0] === "object" && value[0] !== null) {
    const names = [...new Set(value.flatMap((one) => Object.keys(one)))].slice(0, 8);
    return h("section", {}, title ? h(`h${Math.min(depth, 5)}`, {}, title) : null, table(title || "List", names.map(words), value.slice(0, 200).map((one) => names.map((name) => plain(one[name])))));
  }
  if (value && typeof value === "object" && !Array.isArray(value)) {
    const simple = Object.entries(value).filter(([, one]) => isSimple(one));
    const other = Object.entries(value).filter(([, one]) => !isSimple(one));
    return h("section", {}, title ? h(`h${Math.min(depth, 5)}`, {}, title) : null,
      simple.length ? h("dl", { class: "terms" }, simple.map(([name, one]) => [h("dt", {}, words(name)), h("dd", {}, plain(one))])) : null,
      other.map(([name, one]) => shown(one, words(name), depth + 1)));
  }
  return h("p", {}, title ? h("b", {}, `${title}: `) : null, plain(value));
}

const isSimple = (value) => value === null || typeof value !== "object" || (Array.isArray(value) && (!value.length || typeof value[0] !== "object"));
const words = (name) => name.replaceAll("_", " ").replace(/ (mhz|hz|s|db)$/, (_, unit) => `, ${{ mhz: "MHz", hz: "Hz", s: "s", db: "dB" }[unit]}`);

function plain(value) {
  if (value === null || value === undefined || value === "") return "–";
  if (Array.isArray(value)) return value.length ? value.join(", ") : "–";
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value === "number") return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(6)));
  return String(value);
}

async function start() {
  const main = find("#content");
  const name = idOfPage();
  try {
    if (name) {
      const night = await get(`nights/${part(name)}`);
      document.title = `Night of ${night.date || name} · Lookalike`;
      const { headline, ...rest } = night;
      fill(main, h("p", {}, h("a", { href: "/nights" }, "All nights")), h("h1", {}, `Night of ${night.date || name}`), headline ? h("p", { class: "lead" }, headline) : null,
        h("p", { class: "buttons" }, h("a", { class: "button", href: addressOf(`nights/${part(name)}.html`) }, "The whole report"),
          h("a", { class: "button", href: addressOf(`nights/${part(name)}`), download: `${name}.json` }, "JSON")), shown(rest));
    } else {
      const { nights } = await get("nights");
      fill(main, h("h1", {}, "Nights"), h("p", { class: "lead" }, "What each nightly run read, and what resembles nothing seen before."), list(nights));
    }
  } catch (error) {
    fill(main, h("h1", {}, "Nights"), errorBox(error));
  }
  bindKeys([]);
}

start();
