/** What can be taken away from a page: files, the address, and the commands that give the same. */

import { addressOf, part } from "./api.js";
import { counted } from "./axes.js";
import { announce, find, h } from "./dom.js";

const TABLE_FORMS = [
  ["csv", "CSV"],
  ["vot", "VOTable"],
  ["json", "JSON"],
  ["html", "HTML"],
  ["parquet", "Parquet"],
];
const RESULT_FORMS = [...TABLE_FORMS, ["png", "PNG"], ["pdf", "PDF"], ["svg", "SVG"]];
const FLAGS = {
  f_start_mhz: "--f-start",
  f_stop_mhz: "--f-stop",
  t_start_s: "--t-start",
  t_stop_s: "--t-stop",
  after_mjd: "--after",
  before_mjd: "--before",
  only_label: "--label",
  k: "-k",
};

const UNSEEN = /[\0-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g; // controls, and marks that turn text
const escaped = (letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;

/**
 * Return a word as a shell reads it. Control characters are escaped: a terminal into which they are pasted takes them
 * for keys, of which one deletes the quote before them.
 */
export const quoted = (text) => {
  if (/^[\w./:@+-]+$/.test(text)) return text;
  if (text.search(UNSEEN) < 0) return `'${text.replaceAll("'", "'\\''")}'`;
  return `$'${text.replace(/[\\']/g, "\\$&").replace(UNSEEN, escaped)}'`;
};

/** What stands for an array, which the page does not keep: the command and the Python read it from a file. */
const ARRAY = "ARRAY.npy";
const ARRAYS = new Set(["power", "power_shape", "upload", "vector"]);
/** Properties of a signal that have options of their own. */
const OF_SIGNAL = ["drift_hz_per_s", "width_hz", "lines", "spacing_hz", "snr"];

/** Return options that describe a signal: one for each property; or a description that the shell gives as input. */
function signalOptions(signal) {
  const given = Object.entries(signal);
  if (given.length && given.every(([name, value]) => OF_SIGNAL.includes(name) && Number.isFinite(value)))
    return given.map(([name, value]) => `--${name.replaceAll("_", "-")} ${value}`);
  return [`--signal - <<< ${quoted(JSON.stringify(signal))}`];
}

/** Return one option of the command line for each value of a field. */
function optionsOf(name, value) {
  if (ARRAYS.has(name)) return [`--${name === "vector" ? name : "npy"} ${ARRAY}`];
  if (name === "signal" && typeof value === "object") return signalOptions(value);
  const flag = FLAGS[name] || `--${name.replaceAll("_", "-")}`;
  if (value === true) return [flag];
  if (!Array.isArray(value)) return [`${flag} ${quoted(String(value))}`];
  const text = (one) => (Array.isArray(one) ? one.map((end) => end ?? "").join(":") : String(one));
  return value.map((one) => `${flag} ${quoted(text(one))}`);
}

/** Return the command that gives the same hits. */
export function commandOf(request, corpus = "CORPUS") {
  const { filters, ...plain } = request;
  const options = Object.entries({ ...plain, ...filters }).filter(
    ([, value]) => value !== null && value !== undefined && value !== false,
  );
  return [
    "lookalike search",
    `--corpus ${quoted(corpus)}`,
    ...options.flatMap(([name, value]) => optionsOf(name, value)),
  ].join(" ");
}

const pythonValue = (value) => {
  if (value === true) return "True";
  if (value === false || value === null) return value === null ? "None" : "False";
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(", ")}]`;
  if (typeof value === "object")
    return `{${Object.entries(value).map(([name, one]) => `${pythonValue(name)}: ${pythonValue(one)}`).join(", ")}}`;
  if (Math.abs(value) === Infinity) return value > 0 ? 'float("inf")' : 'float("-inf")';
  return typeof value === "number" ? String(value) : JSON.stringify(value).replace(UNSEEN, escaped);
};

/** Return the value of a filter; an open end of a range, which JSON has as null, is infinite. */
const withEnds = (value) => {
  const ends = (range) => range.map((end, i) => end ?? (i ? Infinity : -Infinity));
  return Array.isArray(value) ? value.map((one) => (Array.isArray(one) ? ends(one) : one)) : value;
};

/** Return the Python that gives the same hits. */
export function pythonOf(request, corpus = "CORPUS") {
  const { filters, ...plain } = request;
  const isOfArray = Object.keys(plain).some((name) => ARRAYS.has(name));
  const given = Object.entries(plain)
    .filter(([, value]) => value !== null && value !== undefined && value !== false)
    .map(([name, value]) =>
      ARRAYS.has(name)
        ? `    ${name === "vector" ? name : "power"}=numpy.load("${ARRAY}"),`
        : `    ${name}=${pythonValue(value)},`,
    );
  if (filters)
    given.push(
      `    filters=lookalike.Filters(${Object.entries(filters)
        .map(([name, value]) => `${name}=${pythonValue(withEnds(value))}`)
        .join(", ")}),`,
    );
  return [
    "import lookalike",
    ...(isOfArray ? ["import numpy"] : []),
    "",
    `corpus = lookalike.open_corpus(${JSON.stringify(corpus)})`,
    "hits = corpus.search(",
    ...given,
    ")",
  ].join("\n");
}

/** Copy a text; say that it was done, or why not. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    announce(`${what} copied`);
  } catch {
    announce(`${what} could not be copied: the browser does not allow it here. Select the text instead.`, "error");
  }
}

const snippet = (title, text) =>
  h(
    "div",
    { class: "snippet" },
    h(
      "div",
      { class: "snippet-head" },
      h("span", {}, title),
      h(
        "button",
        { type: "button", class: "small", "aria-label": `Copy: ${title}`, onclick: () => copy(text, title) },
        "Copy",
      ),
    ),
    h("pre", { tabindex: "0" }, text),
  );

/** Return a link to a file. */
export const fileLink = (address, name, words) => h("a", { class: "button", href: address, download: name }, words);

/** Return links to a list in each format of tables. `path` is that of the API, without a suffix. */
export const tableLinks = (path, name, parameters = {}) =>
  TABLE_FORMS.map(([suffix, words]) =>
    fileLink(addressOf(`${path}.${suffix}`, parameters), `lookalike-${name}.${suffix}`, words),
  );

/** Bring the box into sight once a click has opened it: below the lower edge of the window, it would open unseen. */
function bringIntoSight(event) {
  const box = event.target.parentElement;
  setTimeout(() => box.open && box.scrollIntoView({ block: "nearest" }));
}

/** Return a box with what can be taken away: links and buttons, then a pair of title and text for each command. */
export const exportsBox = (links, ...commands) =>
  h(
    "details",
    { class: "exports" },
    h("summary", { onclick: bringIntoSight }, "Share and export"),
    h(
      "p",
      { class: "buttons" },
      h("button", { type: "button", onclick: () => copy(location.href, "The address") }, "Copy the address"),
      links,
    ),
    commands.map(([title, text]) => snippet(title, text)),
  );

/** Return the box with everything that can be taken away from a result. */
export function resultExports(result, request) {
  const box = exportsBox(
    RESULT_FORMS.map(([suffix, name]) =>
      fileLink(addressOf(`searches/${part(result.id)}.${suffix}`), `lookalike-${result.id}.${suffix}`, name),
    ),
    ["Command line", commandOf(request)],
    ["Python", pythonOf(request)],
  );
  const held = `The files hold ${result.hits.length === 1 ? "the hit" : `the ${counted(result.hits.length, "hit")}`}.`;
  const marked = Boolean(request.like?.length || request.unlike?.length);
  const left = marked ? " The windows that you marked are examples, not hits, and are not in them." : "";
  box.querySelector(".buttons").after(h("p", { class: "quiet" }, held + left));
  return box;
}

/** Open the box with the files, which lies at the end of the column beside the hits. */
export function openExports() {
  const box = find(".exports");
  if (!box) return; // it comes with the pictures
  box.open = true;
  box.scrollIntoView({ block: "nearest" });
  find("summary", box).focus({ preventScroll: true });
}

/** Return Python that opens the corpus, then runs some lines. */
export const pythonLines = (...lines) =>
  ["import lookalike", "", 'corpus = lookalike.open_corpus("CORPUS")', ...lines].join("\n");
