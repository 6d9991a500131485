/** Filters of a search: where hits may lie, and how good they must be. */

import { requestOf, resultsAddress } from "./address.js";
import { counted } from "./axes.js";
import { errorBox, h } from "./dom.js";
import { FILTER_LABELS } from "./labels_of_fields.js";

const LISTS = ["only_target", "not_target", "only_file", "only_telescope", "only_label", "not_label"];
const WHOLE = { only_label: "whole label", not_label: "whole label" };
const NUMBERS = [
  ["k", "1", "1000"],
  ["per_file", "1", ""],
  ["per_mhz", "1", ""],
];

/** What stays of a request without filters. */
const KEPT = [
  ...["file", "window", "power", "upload", "signal", "vector", "f_start_mhz", "f_stop_mhz", "t_start_s", "t_stop_s"],
  ...["like", "unlike", "k", "on_off"],
];

/** Return how many filters a request has. */
export const countFilters = (request) =>
  Object.keys(request.filters || {}).length +
  ["per_file", "per_mhz", "min_score", "expected_below", "on_only", "all_views"].filter((name) => request[name])
    .length;

const first = (value) => (Array.isArray(value) ? value[0] : value);

/**
 * Return the form.
 *
 * @param {object} request of the search that is shown
 * @param {(request: object) => void} submit called with the changed request
 */
export function filtersForm(request, submit) {
  const filters = request.filters || {};
  const inputs = {};
  const field = (name, value, more, label = FILTER_LABELS[name]) => {
    inputs[name] = h("input", { id: `filter-${name}`, autocomplete: "off", value: value ?? "", ...more });
    return h("label", { class: "field" }, h("span", {}, label), inputs[name]);
  };
  const tick = (name) => {
    inputs[name] = h("input", { type: "checkbox", checked: Boolean(request[name]) });
    return h("label", { class: "tick" }, inputs[name], FILTER_LABELS[name]);
  };
  const range = first(filters.only_mhz) || [];
  const notKnown = h("input", { type: "checkbox", checked: Boolean(filters.not_known) });
  const form = h(
    "form",
    {
      onsubmit: (event) => {
        event.preventDefault();
        submit(changed(request, inputs, notKnown));
      },
    },
    LISTS.map((name) =>
      field(name, first(filters[name]), { placeholder: WHOLE[name] || "name, * and ? allowed" }),
    ),
    h(
      "div",
      { class: "pair" },
      field("mhz_from", range[0], { type: "number", step: "any" }, "From MHz"),
      field("mhz_to", range[1], { type: "number", step: "any" }, "to MHz"),
    ),
    h(
      "div",
      { class: "pair" },
      NUMBERS.map(([name, min, max]) => field(name, request[name], { type: "number", min, max: max || null })),
    ),
    field("expected_below", request.expected_below, { type: "number", step: "any", min: "0" }),
    tick("on_only"),
    tick("all_views"),
    h("label", { class: "tick" }, notKnown, FILTER_LABELS.not_known),
    h(
      "div",
      { class: "buttons" },
      h("button", { type: "submit", class: "primary" }, "Search with these"),
      h("button", { type: "button", onclick: () => submit(cleared(request)) }, "Without filters"),
    ),
  );
  const count = countFilters(request);
  return h(
    "details",
    { class: "filters", open: count > 0 },
    h("summary", {}, count ? `Filters: ${counted(count, "filter")} set` : "Filters"),
    form,
  );
}

const cleared = (request) => Object.fromEntries(KEPT.map((name) => [name, request[name]]));

function changed(request, inputs, notKnown) {
  const next = { ...request, filters: { ...request.filters } };
  for (const name of LISTS)
    setOrDrop(next.filters, name, inputs[name].value.trim() ? [inputs[name].value.trim()] : null);
  const [from, to] = [inputs.mhz_from.value, inputs.mhz_to.value];
  setOrDrop(next.filters, "only_mhz", from !== "" && to !== "" ? [[Number(from), Number(to)]] : null);
  setOrDrop(next.filters, "not_known", notKnown.checked ? ["*"] : null);
  if (!Object.keys(next.filters).length) delete next.filters;
  for (const name of [...NUMBERS.map((one) => one[0]), "expected_below"]) {
    setOrDrop(next, name, inputs[name].value === "" ? null : Number(inputs[name].value));
  }
  setOrDrop(next, "on_only", inputs.on_only.checked || null);
  setOrDrop(next, "all_views", inputs.all_views.checked || null);
  if (next.all_views) delete next.view;
  return next;
}

function setOrDrop(record, name, value) {
  if (value === null) delete record[name];
  else record[name] = value;
}

/** Return a link to the same search without its filters, which may be why it fails; null if it has none. */
function withoutFilters() {
  let asked = {};
  try {
    asked = requestOf(location.search);
  } catch {
    return null; // the address holds no request at all
  }
  const { filters, ...rest } = asked;
  if (!filters) return null;
  return h("p", {}, h("a", { href: resultsAddress(rest) }, "Search without filters"));
}

/** Return why a search failed, and where to go from there. */
export const whyFailed = (error) => [
  errorBox(error),
  withoutFilters(),
  h("p", {}, h("a", { href: "/" }, "Back to the archive")),
];
