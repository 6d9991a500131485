/** A picture of a plot: how it was understood, and what a person may say of it before it is read again. */

import { addressOf, part, send } from "./api.js";
import { keepRows } from "./drop.js";
import { complain, h } from "./dom.js";
import { PLOT_LABELS } from "./labels_of_fields.js";

const NUMBERS = ["hz", "seconds", "bar_low", "bar_high"];
const NAMES = ["colormap", "view"];
const CHOICES = [
  ["scale", { db: "decibels", linear: "linear power" }],
  ["time_runs", { up: "up", down: "down", right: "to the right" }],
  ["frequency_descends", { false: "ascends", true: "descends" }],
];

const field = (name, input) => h("label", { class: "field" }, h("span", {}, PLOT_LABELS[name]), input);

/** Return what was read from a picture beside the picture, and a form to correct it. */
export function plotBox({ name, answer }) {
  const told = answer.told || {};
  const form = h(
    "form",
    { class: "range-form", onsubmit: (event) => readAgain(event, name, answer.picture) },
    NUMBERS.map((key) => field(key, h("input", { type: "number", step: "any", name: key, value: told[key] ?? "" }))),
    NAMES.map((key) => field(key, h("input", { name: key, value: told[key] ?? "", autocomplete: "off" }))),
    CHOICES.map(([key, options]) =>
      field(
        key,
        h(
          "select",
          { name: key },
          Object.entries(options).map(([value, one]) => h("option", { value, selected: told[key] === value }, one)),
        ),
      ),
    ),
    h("button", { type: "submit" }, "Read it again"),
  );
  return h(
    "section",
    {},
    h("h3", {}, "How the picture was understood"),
    answer.is_drawn
      ? h("img", {
          class: "understood",
          src: addressOf(`pictures/${part(answer.picture)}.png`, { at: Date.now() }),
          alt: `${name}, with the axes that were found, beside the power that was read: ${answer.rows[0].words}`,
        })
      : h("p", {}, "Nothing could be read from it."),
    h("p", { class: "quiet" }, "Compare both. If they differ, or the size is missing, say more and read it again."),
    form,
  );
}

async function readAgain(event, name, picture) {
  event.preventDefault();
  const told = Object.fromEntries([...new FormData(event.target)].filter(([, value]) => value !== ""));
  try {
    const answer = await send("POST", `pictures/${part(picture)}`, undefined, told);
    keepRows(name, { ...answer, told });
    dispatchEvent(new Event("rowsread"));
  } catch (error) {
    complain(error);
  }
}
