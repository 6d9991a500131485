/** One verdict for each row of a hit table. Rows are searched for together, some at a time, to show the progress. */

import { part, send } from "./api.js";
import { complain, fill, h } from "./dom.js";
import { exportsBox, pythonLines, quoted, tableLinks } from "./exports.js";

const TOGETHER = 20;

const familyOf = (answer) => [answer.family, answer.family_name].filter(Boolean).join(" · ");

/** Return the verdict of a row, in words. */
const verdictOf = (answer) => [
  h("b", {}, answer.words),
  answer.words_of_best ? `, best ${answer.words_of_best}` : "",
  answer.best_target ? ` at ${answer.best_target}` : "",
  answer.family ? h("a", { class: "chip", href: `/families/${part(answer.family)}` }, familyOf(answer)) : "",
  answer.on_off ? h("span", { class: "chip" }, answer.on_off) : "",
  answer.known ? h("span", { class: "chip known" }, answer.known) : "",
];

/** Return the box of what can be taken away of the rows that were searched for. */
const exportsOf = (table, name) =>
  exportsBox(
    tableLinks(`query-rows/${part(table)}`, "rows"),
    ["Command line", `lookalike search --corpus CORPUS --hits ${quoted(name)} --csv`],
    ["Python", pythonLines(`answers = corpus.search_rows(lookalike.read_hit_table(${JSON.stringify(name)}))`)],
  );

/**
 * Return a button that searches for all rows, with its progress, and what can be taken away of the answers.
 * `placeOf` gives the place of a row's verdict.
 */
export function answersButton(table, name, numbers, placeOf) {
  const exported = h("div", {});
  const progress = h("progress", { max: String(numbers.length), value: "0", "aria-label": "Rows searched for" });
  const said = h("span", { role: "status" });
  const button = h("button", { type: "button", class: "primary" }, "Search for all rows");
  progress.hidden = true;
  const run = async () => {
    button.disabled = true;
    progress.hidden = false;
    try {
      for (let at = 0; at < numbers.length; at += TOGETHER) {
        fill(said, `${at} of ${numbers.length} rows`);
        const { answers } = await send("POST", `query-rows/${part(table)}/answers`, {
          rows: numbers.slice(at, at + TOGETHER),
        });
        for (const answer of answers) if (placeOf(answer.row)) fill(placeOf(answer.row), verdictOf(answer));
        progress.value = Math.min(at + TOGETHER, numbers.length);
        if (!exported.children.length) fill(exported, exportsOf(table, name));
      }
      fill(said, `${numbers.length} of ${numbers.length} rows`);
      button.textContent = "Search again";
    } catch (error) {
      complain(error);
    }
    button.disabled = false;
  };
  button.addEventListener("click", run);
  return [h("p", { class: "buttons" }, button, progress, said), exported];
}
