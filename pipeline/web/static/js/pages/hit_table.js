/** Rows of a hit table, or an array: what each asks, and a search for each. */

import { queryOf } from "../address.js";
import { send } from "../api.js";
import { counted, mhz } from "../axes.js";
import { lastRows, openFile } from "../drop.js";
import { announce, complain, fill, find, h } from "../dom.js";
import { bindKeys } from "../keys.js";
import { worded } from "../labels_of_fields.js";
import { plotBox } from "../plot_form.js";
import { answersButton } from "../row_answers.js";

/** Search for a row, and open its results. */
async function search(row) {
  const { request } = row;
  if (!request.power && !request.signal) {
    location.assign(`/results/new?${queryOf({ on_off: true, k: 24, ...request })}`);
    return;
  }
  announce("Searching");
  try {
    const result = await send("POST", "searches", { k: 24, ...request });
    location.assign(`/results/${encodeURIComponent(result.id)}`);
  } catch (error) {
    complain(error);
  }
}

/** Return the range of frequencies that a row asks for. */
function rangeOf({ request }) {
  return Number.isFinite(request?.f_start_mhz) ? `${mhz(request.f_start_mhz)}–${mhz(request.f_stop_mhz)}` : "–";
}

function rowOf(row) {
  const ask =
    row.request && !row.reason
      ? h("button", { type: "button", class: "primary small", onclick: () => search(row) }, "Find look-alikes")
      : h("span", { class: "bad" }, worded(row.reason, row.parameters) || "It cannot be searched for.");
  return h(
    "tr",
    {},
    h("th", { scope: "row", class: "n" }, row.row),
    h("td", {}, row.words),
    h("td", { class: "n" }, rangeOf(row)),
    h("td", { id: `verdict-${row.row}` }),
    h("td", {}, ask),
  );
}

function showRows() {
  const last = lastRows();
  if (!last) {
    fill(find("#rows"), "");
    return;
  }
  const rows = last.answer.rows || [];
  const usable = rows.filter((row) => row.request && !row.reason).length;
  fill(
    find("#rows"),
    h("h2", {}, last.name),
    h("p", { role: "status" }, `${counted(rows.length, "row")}, of which ${usable} can be searched for.`),
    last.answer.left_out ? h("p", {}, `${counted(last.answer.left_out, "further row")} of the file left out.`) : null,
    last.answer.picture ? plotBox(last) : null,
    last.answer.table && usable
      ? answersButton(
          last.answer.table,
          last.name,
          rows.filter((row) => row.request && !row.reason).map((row) => row.row),
          (number) => find(`#verdict-${number}`),
        )
      : null,
    rows.length
      ? h(
          "div",
          { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Rows" },
          h(
            "table",
            {},
            h("caption", { class: "visually-hidden" }, `Rows of ${last.name}`),
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                ["Row", "What it holds", "MHz", "Verdict", "Search"].map((one, i) =>
                  h("th", { scope: "col", class: i === 0 || i === 2 ? "n" : null }, one),
                ),
              ),
            ),
            h("tbody", {}, rows.map(rowOf)),
          ),
        )
      : null,
  );
}

function start() {
  const input = h("input", {
    type: "file",
    id: "choose-rows",
    accept: ".dat,.hits,.csv,.npy",
    onchange: (event) => event.target.files[0] && openFile(event.target.files[0]),
  });
  fill(
    find("#content"),
    h("h1", {}, "Hit table or array"),
    h(
      "p",
      { class: "lead" },
      "Drop a file here, or on any other page. Each row of a hit table becomes a query. " +
        "An array is one query.",
    ),
    h(
      "label",
      { class: "drop-zone" },
      h("b", {}, "Drop a file, or choose one"),
      h(
        "span",
        { class: "quiet" },
        ".dat of turboSETI, seticore and bliss, .hits of seticore, CSV, .npy of linear power, PNG or JPEG; " +
          "at most 8 MiB. " +
          "An array is deleted with its search, a table or a picture after an hour.",
      ),
      input,
    ),
    h("div", { id: "rows" }),
  );
  showRows();
  addEventListener("rowsread", showRows);
  bindKeys([{ keys: ["/"], does: "Choose a file", run: () => input.click() }]);
}

start();
