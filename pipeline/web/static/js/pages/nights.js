/** The reports of the nights. */

import { idOfPage } from "../address.js";
import { addressOf, get, part } from "../api.js";
import { counted } from "../axes.js";
import { errorBox, fill, find, h, table } from "../dom.js";
import { exportsBox, fileLink, tableLinks } from "../exports.js";
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
      h("span", { class: night.exit_code === 0 ? null : "bad" }, night.headline),
      moment(night.began),
      moment(night.ended),
    ]),
  );
}

const MESSAGES = {
  wrong: "Files that failed",
  missing: "Missing",
  left: "Left for the next night",
  warnings: "Warnings",
};
const wordsOf = (one) => (typeof one === "string" ? one : Object.values(one).filter(Boolean).join(" · "));

/** Return the steps of a night, its files, and what somebody should look at. */
const summary = (night) => [
  night.began ? h("p", { class: "quiet" }, `${moment(night.began)} to ${moment(night.ended || "")} UTC`) : null,
  night.files
    ? table(
        "Files",
        ["outcome", "files"],
        Object.entries(night.files).map(([name, count]) => [name, count]),
        [1],
      )
    : null,
  night.steps?.length
    ? table(
        "Steps",
        ["step", "outcome", "seconds", "message"],
        night.steps.map((one) => [one.name, one.status, one.elapsed_s?.toFixed(1), one.message]),
        [2],
      )
    : null,
  Object.entries(MESSAGES).map(([name, title]) =>
    night[name]?.length
      ? h(
          "section",
          {},
          h("h2", {}, title),
          h(
            "ul",
            {},
            night[name].map((one) => h("li", {}, wordsOf(one))),
          ),
        )
      : null,
  ),
];

const wholeReport = (name) =>
  h("a", { class: "button", href: addressOf(`nights/${part(name)}.html`) }, "The whole report");

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
          wholeReport(name),
          fileLink(addressOf(`nights/${part(name)}`), `${name}.json`, "JSON"),
        ),
        summary(rest),
        h("details", {}, h("summary", {}, "All that the report holds"), recordBox(rest)),
      );
    } else {
      const { nights } = await get("nights");
      fill(
        main,
        h("h1", {}, "Nights"),
        h("p", { class: "lead" }, "What each nightly run read, and what resembles nothing seen before."),
        list(nights),
        nights.length
          ? exportsBox(tableLinks("nights", "nights"), ["Command line", "ls CORPUS-reports/*.html"])
          : null,
      );
    }
  } catch (error) {
    const back = name ? h("p", {}, h("a", { href: "/nights" }, "All nights")) : null;
    const whole = error.code === "damaged_report" ? h("p", {}, wholeReport(name)) : null;
    fill(main, back, h("h1", {}, name ? `Night of ${name}` : "Nights"), errorBox(error), whole);
  }
  bindKeys([]);
}

start();
