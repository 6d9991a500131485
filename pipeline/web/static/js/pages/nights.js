/** The reports of the nights. */

import { idOfPage } from "../address.js";
import { addressOf, get, part } from "../api.js";
import { counted } from "../axes.js";
import { errorBox, fill, find, h, table } from "../dom.js";
import { recordBox } from "../records.js";
import { bindKeys } from "../keys.js";

function list(nights) {
  if (!nights.length) {
    return h(
      "div",
      { class: "empty" },
      h("p", {}, "No night has been reported yet. The nightly run writes a report beside the corpus:"),
      h("pre", { tabindex: "0" }, "lookalike nightly DATA --corpus CORPUS"),
    );
  }
  return table(
    counted(nights.length, "night"),
    ["Night", "Outcome", "Began", "Ended"],
    nights.map((night) => [
      h("a", { href: `/nights/${part(night.name)}` }, night.name),
      h("span", { class: night.exit_code ? "bad" : null }, night.headline),
      moment(night.began),
      moment(night.ended),
    ]),
  );
}

const moment = (text) => text.slice(0, 16).replace("T", " ");

async function start() {
  const main = find("#content");
  const name = idOfPage();
  try {
    if (name) {
      const night = await get(`nights/${part(name)}`);
      document.title = `Night of ${night.date || name} · Lookalike`;
      const { headline, ...rest } = night;
      fill(
        main,
        h("p", {}, h("a", { href: "/nights" }, "All nights")),
        h("h1", {}, `Night of ${night.date || name}`),
        headline ? h("p", { class: "lead" }, headline) : null,
        h(
          "p",
          { class: "buttons" },
          h("a", { class: "button", href: addressOf(`nights/${part(name)}.html`) }, "The whole report"),
          h("a", { class: "button", href: addressOf(`nights/${part(name)}`), download: `${name}.json` }, "JSON"),
        ),
        recordBox(rest),
      );
    } else {
      const { nights } = await get("nights");
      fill(
        main,
        h("h1", {}, "Nights"),
        h("p", { class: "lead" }, "What each nightly run read, and what resembles nothing seen before."),
        list(nights),
      );
    }
  } catch (error) {
    fill(main, h("h1", {}, "Nights"), errorBox(error));
  }
  bindKeys([]);
}

start();
