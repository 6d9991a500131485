/** The first page: what the archive holds, and searches that can be tried at once. */

import { waterfallAddress } from "../address.js";
import { get, part } from "../api.js";
import { band, counted, date, fileName, hertz, seconds } from "../axes.js";
import { coverage } from "../coverage.js";
import { debounced, errorBox, fill, find, h } from "../dom.js";
import { exampleList, likeLink } from "../example_card.js";
import { exportsBox, pythonLines, tableLinks } from "../exports.js";
import { bindKeys } from "../keys.js";

const EXAMPLES = 6;
const state = { q: new URLSearchParams(location.search).get("q") || "", sources: [], next: null, total: 0 };

function headline(status) {
  const share = status.windows_seen ? (100 * status.windows_kept) / status.windows_seen : 0;
  const figure = (value, words) => h("div", { class: "figure" }, h("b", {}, value), h("span", {}, words));
  return h(
    "div",
    { class: "figures" },
    figure(status.sources.toLocaleString("en"), status.sources === 1 ? "scan" : "scans"),
    figure(status.windows_seen.toLocaleString("en"), "windows searched for signals"),
    figure(status.windows_kept.toLocaleString("en"), `kept: ${share.toFixed(share < 1 ? 2 : 1)} % hold a signal`),
    figure(String(Object.keys(status.resolutions).length), "resolutions and views"),
  );
}

/** Say why the archive is empty, and how that can be changed. */
function emptyArchive(status) {
  const failed = status.files.failed || 0;
  const command = (text) => h("pre", { tabindex: "0" }, `${text} --corpus ${status.corpus}`);
  return h(
    "div",
    { class: "empty" },
    h("h2", {}, status.removed ? "All scans were removed" : "Nothing has been read yet"),
    h("p", {}, `The corpus “${status.corpus}” holds no scan.`),
    status.removed
      ? [
          h("p", {}, `${counted(status.removed, "scan")} can be taken back, each by its id or file name:`),
          command("lookalike remove SOURCE --undo"),
        ]
      : null,
    failed
      ? [
          h("p", {}, `${counted(failed, "file")} could not be read. This command says why:`),
          command("lookalike status"),
        ]
      : null,
    h("p", {}, "Read a folder of filterbank files, then show the new generation or start the server again:"),
    command("lookalike ingest DATA"),
  );
}

/** Return the strongest kept window of some scans that point at different things, and why one could not be read. */
async function examples(sources) {
  const chosen = [];
  const seen = new Set();
  for (const source of [...sources].sort((a, b) => b.kept - a.kept)) {
    if (source.kept && !seen.has(source.target)) chosen.push(source);
    seen.add(source.target);
  }
  for (const source of sources) if (source.kept && !chosen.includes(source)) chosen.push(source);
  const answers = await Promise.allSettled(
    chosen.slice(0, EXAMPLES).map(async (source, i) => {
      const width = (source.f_stop_mhz - source.f_start_mhz) / EXAMPLES;
      const start = source.f_start_mhz + i * width;
      let found = await get(`sources/${part(source.id)}/windows`, {
        f_start_mhz: start,
        f_stop_mhz: start + width,
        limit: 1,
      });
      if (!found.windows.length) found = await get(`sources/${part(source.id)}/windows`, { limit: 1 });
      return found.windows.length ? { source, window: found.windows[0] } : null;
    }),
  );
  const found = answers.map((one) => one.value).filter(Boolean);
  return { found, lacks: answers.map((one) => one.reason).find(Boolean) };
}

const exampleLines = (window, source) => [
  h(
    "p",
    {},
    h("b", {}, source.target || fileName(source.file)),
    ` SNR ${window.snr.toFixed(0)}`,
    window.view ? h("span", { class: "chip" }, `view ${window.view}`) : null,
  ),
  likeLink(window),
];

async function showExamples() {
  const place = find("#examples");
  const { found, lacks } = await examples(state.sources.slice(0, 60));
  if (!found.length && !lacks) {
    fill(
      place,
      h("p", { class: "quiet" }, "No window of these scans was kept, so there is no example to search for."),
    );
    return;
  }
  const windows = found.map((one) => one.window);
  fill(
    place,
    exampleList(windows, (window, i) => exampleLines(window, found[i].source)),
    lacks ? errorBox(lacks) : null,
  );
}

/** Open the scan of a row, wherever in the row the click was; but not at the end of a selection of text. */
function openRow(event) {
  if (event.target.closest("a") || String(getSelection())) return;
  find("th a", event.currentTarget).click();
}

function sourceRow(source) {
  const name = source.target || fileName(source.file);
  return h(
    "tr",
    { onclick: openRow },
    h(
      "th",
      { scope: "row" },
      h("a", { href: `/waterfall/${part(source.id)}` }, name),
      source.target ? h("span", { class: "file-name" }, fileName(source.file)) : null,
    ),
    h("td", { class: "n" }, source.mjd.toFixed(5), h("br"), h("span", { class: "quiet" }, date(source.mjd))),
    h("td", { class: "n" }, band(source.f_start_mhz, source.f_stop_mhz)),
    h("td", { class: "n" }, hertz(source.channel_width_hz)),
    h("td", { class: "n" }, `${source.spectra} × ${seconds(source.tsamp_s)}`),
    h(
      "td",
      { class: "n" },
      h(
        "a",
        { href: waterfallAddress(source.id, source.f_start_mhz, source.f_stop_mhz) },
        source.kept.toLocaleString("en"),
      ),
      h("span", { class: "quiet" }, ` of ${source.windows.toLocaleString("en")}`),
    ),
    h("td", {}, source.telescope),
    h(
      "td",
      {},
      source.overview ? "overview" : "",
      source.overview && source.file_there ? ", " : "",
      source.file_there ? "file" : source.overview ? "" : "windows only",
    ),
  );
}

function showSources() {
  const titles = ["Target", "MJD", "Band, MHz", "Channels", "Spectra", "Windows kept", "Telescope", "Can be shown"];
  fill(
    find("#sources"),
    state.sources.length
      ? h(
          "div",
          { class: "table-scroll", tabindex: "0", role: "region", "aria-label": "Table of scans" },
          h(
            "table",
            { class: "sources" },
            h("caption", { class: "visually-hidden" }, "Scans of the archive"),
            h(
              "thead",
              {},
              h(
                "tr",
                {},
                titles.map((one, i) => h("th", { scope: "col", class: i > 0 && i < 6 ? "n" : null }, one)),
              ),
            ),
            h("tbody", {}, state.sources.map(sourceRow)),
          ),
        )
      : h("p", { class: "quiet" }, `No scan has “${state.q}” in its id, target or file name.`),
    state.next
      ? h(
          "button",
          { type: "button", onclick: () => more() },
          `Show more: ${(state.total - state.sources.length).toLocaleString("en")} scans are left`,
        )
      : null,
    exportsBox(
      tableLinks("sources", "scans", { q: state.q }),
      ["Command line", "lookalike scans --corpus CORPUS --csv"],
      ["Python", pythonLines("scans = corpus.scans()")],
    ),
  );
  fill(find("#coverage"), state.sources.length ? coverage(state.sources, state.total) : "");
}

async function more(isNew = false) {
  const q = state.q;
  const page = await get("sources", { cursor: isNew ? "" : state.next, limit: 100, q });
  if (q !== state.q) return; // something else was typed meanwhile
  state.sources = isNew ? page.sources : [...state.sources, ...page.sources];
  state.next = page.next;
  state.total = page.total ?? state.sources.length;
  showSources();
}

const findScans = debounced(async (text) => {
  state.q = text;
  history.replaceState(history.state, "", text ? `/?q=${encodeURIComponent(text)}` : "/");
  await more(true);
}, 200);

async function start() {
  const main = find("#content");
  try {
    const status = await get("status");
    document.title = `${status.corpus} · Lookalike`;
    if (!status.sources) {
      fill(main, h("h1", {}, "Archive"), emptyArchive(status));
      return;
    }
    const search = h("input", {
      type: "search",
      id: "q",
      value: state.q,
      placeholder: "Target, file or id",
      oninput: (event) => findScans(event.target.value.trim()),
    });
    fill(
      main,
      h("h1", {}, "Where else does this occur?"),
      h(
        "p",
        { class: "lead" },
        h("a", { href: "#scans" }, "Open a scan"),
        " and drag over a pattern in its waterfall. All windows that look like it are found, with the number that " +
          "would score so well by chance.",
      ),
      headline(status),
      h(
        "section",
        { "aria-labelledby": "try" },
        h("h2", { id: "try" }, "Try one of these"),
        h("div", { id: "examples" }, h("p", { class: "waiting" }, "Reading windows …")),
      ),
      h(
        "section",
        { "aria-labelledby": "covered" },
        h("h2", { id: "covered" }, "Coverage and occupancy"),
        h("div", { id: "coverage" }),
      ),
      h(
        "section",
        { "aria-labelledby": "scans" },
        h(
          "div",
          { class: "section-head" },
          h("h2", { id: "scans" }, "Scans"),
          h("label", { class: "field inline" }, h("span", {}, "Find"), search),
        ),
        h("div", { id: "sources" }),
      ),
    );
    await more(true);
    await showExamples();
  } catch (error) {
    fill(main, h("h1", {}, "Archive"), errorBox(error));
  }
  bindKeys([
    { keys: ["/"], does: "Find a scan", run: () => find("#q")?.focus() },
    { keys: ["j", "ArrowDown"], does: "Next scan", run: () => step(1) },
    { keys: ["k", "ArrowUp"], does: "Scan before", run: () => step(-1) },
  ]);
}

/** Move the focus among the scans and the examples. */
function step(by) {
  const links = [...document.querySelectorAll(".example a, .sources th a")];
  const at = links.indexOf(document.activeElement);
  links[Math.min(Math.max(at + by, 0), links.length - 1)]?.focus();
}

start();
