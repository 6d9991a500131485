/** The page of one source: its waterfall, the scans of its cadence, and a range to search for. */

import { idOfPage, resultsAddress, Shown } from "../address.js";
import { get, part } from "../api.js";
import { band, counted, date, fileName, hertz, mhz, seconds } from "../axes.js";
import { displayControls, displayOf } from "../display_controls.js";
import { announce, complain, debounced, errorBox, fill, find, h, oncePerFrame, swap, table } from "../dom.js";
import { DEFAULT_MAP } from "../colours.js";
import { bindGestures } from "../gestures.js";
import { bindKeys, keyRow } from "../keys.js";
import { Navigation } from "../navigation.js";
import { RangeForm } from "../range_form.js";
import { LEAST_SPECTRA, searchOf } from "../view.js";
import { keyRowOf, waterfallKeys } from "../waterfall_keys.js";
import { waterfallExports } from "../waterfall_exports.js";
import { WaterfallPanel } from "../waterfall_panel.js";
import { WindowLists } from "../window_lists.js";
import { BandStrip } from "../band_strip.js";

const PICTURE_HEIGHT = 380;
const STACKED_HEIGHT = 130;

const shown = new Shown({
  map: DEFAULT_MAP,
  kind: "max",
  low: "",
  high: "",
  windows: "1",
  known: "1",
  labels: "1",
  cadence: "",
});
const board = {
  view: null,
  times: null,
  display: displayOf(shown),
  overlays: {},
  selection: null,
  cross: null,
  panels: [],
  known: [],
  search: () => search(),
  together,
  failed: debounced(complain, 300),
  colours: () => {},
};
let source;
let go;
let form;
let lists;
let strip;

/** Return colour limits that suit all panels, so that equal colours mean equal power in the scans of a cadence. */
function together(panel, own) {
  panel.own = own;
  const all = board.panels.map((one) => one.own).filter(Boolean);
  if (!all.length) return null;
  const shared = { low: Math.min(...all.map((one) => one.low)), high: Math.max(...all.map((one) => one.high)) };
  const changed = shared.low !== board.shared?.low || shared.high !== board.shared?.high;
  board.shared = shared;
  if (changed) for (const one of board.panels) if (one !== panel) one.paint();
  return shared;
}

/** Draw everything again, and put what is looked at into the address. */
const redraw = oncePerFrame(() => {
  for (const panel of board.panels) panel.paint();
  strip.show(board.view);
  rememberView();
  lists.wanted(board.view);
});

function remember() {
  const query = new URLSearchParams();
  go.write(query);
  if (board.selection?.source.id === source.id)
    query.set("selected", `${board.selection.first}-${board.selection.stop}`);
  if (query.has("selected") && board.selection.firstSpectrum !== undefined)
    query.set("spectra", `${board.selection.firstSpectrum}-${board.selection.stopSpectrum}`);
  history.replaceState(history.state, "", `${location.pathname}?${query}${location.hash}`);
}

const rememberView = debounced(() => {
  remember();
  swap(find(".exports"), waterfallExports(board, source));
}, 250);

function select(selection) {
  board.selection = selection;
  form.show(selection);
  redraw();
}

/** Select nothing, and leave what is typed. */
function drop() {
  board.selection = null;
  redraw();
}

/** Search for what is selected. The results have an address of their own, so "back" returns here. */
function search() {
  if (!board.selection) {
    announce("Drag over a pattern first, or type its range in MHz.");
    find("#f-start").focus();
    return;
  }
  remember();
  location.assign(resultsAddress({ ...searchOf(board.selection), on_off: true, k: 24 }));
}

function readOut(place) {
  board.cross = place.inside ? place : null;
  for (const panel of board.panels) panel.paintInk();
  const cells = place.inside
    ? [
        ["Frequency", `${mhz(place.fMhz, source.channel_width_hz)} MHz`],
        ["Channel", place.channel.toLocaleString("en")],
        ["Time", `${place.tS.toFixed(2)} s`],
        ["MJD", place.mjd.toFixed(6)],
        ["Power", place.db === null ? "masked" : `${place.db.toFixed(1)} dB`],
      ]
    : [];
  fill(
    find("#readout"),
    cells.length
      ? cells.map(([name, value]) => h("span", {}, h("b", {}, name), ` ${value}`))
      : h("span", { class: "quiet" }, "Point at the waterfall to read frequency, time and power"),
  );
}

/** Show or hide the scans of the same cadence with the one that was opened. */
async function stackCadence(wanted) {
  shown.set({ cadence: wanted ? "1" : "" });
  find("#cadence").setAttribute("aria-pressed", String(wanted));
  const ids = wanted ? source.session || [] : [];
  const others = await Promise.all(ids.filter((id) => id !== source.id).map((id) => get(`sources/${part(id)}`)));
  // time runs upwards in a scan, and so it does from scan to scan: a line that drifts goes on in the panel above
  const records = [source, ...others].sort((a, b) => b.mjd - a.mjd);
  const height = records.length > 1 ? STACKED_HEIGHT : PICTURE_HEIGHT;
  board.panels = records.map(
    (record, i) => new WaterfallPanel(board, record, height, { first: i === 0, last: i === records.length - 1 }),
  );
  fill(
    find("#panels"),
    board.panels.map((panel) => h("div", {}, records.length > 1 ? panelTitle(panel.source) : null, panel.element)),
  );
  const act = { go, select, readOut, say: (words) => form.say(words) };
  for (const panel of board.panels) bindGestures(panel, board, act);
  lists.follow(board.panels);
  redraw();
}

const panelTitle = (record) =>
  h(
    "h2",
    { class: "panel-title" },
    record.target || fileName(record.file),
    h("span", { class: "quiet" }, ` MJD ${record.mjd.toFixed(5)}${record.id === source.id ? ", opened here" : ""}`),
  );

function facts() {
  const words = [
    source.telescope,
    date(source.mjd),
    `${band(source.f_start_mhz, source.f_stop_mhz)} MHz`,
    `${counted(source.channels, "channel")} of ${hertz(source.channel_width_hz)}`,
    `${counted(source.spectra, "spectrum").replace("spectrums", "spectra")} of ${seconds(source.tsamp_s)}`,
    `${counted(source.kept, "window")} kept of ${source.windows.toLocaleString("en")}`,
  ];
  return words.filter(Boolean).join(" · ");
}

/** Look at what the address says, and select what it says. */
function fromAddress() {
  const query = new URLSearchParams(location.search);
  go.start(query);
  const [first, end] = (query.get("selected") || "").split("-").map(Number);
  if (!(end > first)) return;
  board.selection = { source, first, stop: end };
  const [firstSpectrum, stopSpectrum] = (query.get("spectra") || "").split("-").map(Number);
  if (stopSpectrum > firstSpectrum) Object.assign(board.selection, { firstSpectrum, stopSpectrum });
}

function toolbar() {
  const button = (label, text, run, more = {}) =>
    h("button", { type: "button", "aria-label": label, title: label, onclick: run, ...more }, text);
  return h(
    "div",
    { class: "toolbar", role: "toolbar", "aria-label": "View" },
    button("Zoom in (+)", "+", () => go.zoom(0.5)),
    button("Zoom out (−)", "−", () => go.zoom(2)),
    button("Move to lower frequencies (←)", "←", () => go.move(-0.25)),
    button("Move to higher frequencies (→)", "→", () => go.move(0.25)),
    source.spectra > LEAST_SPECTRA
      ? [
          button("Zoom in in time (.)", "Time +", () => go.zoomTimes(0.5)),
          button("Zoom out in time (,)", "Time −", () => go.zoomTimes(2)),
          button("Move to earlier times (↓)", "↓", () => go.moveTimes(-0.25)),
          button("Move to later times (↑)", "↑", () => go.moveTimes(0.25)),
        ]
      : null,
    button("Show the whole band and all times (0)", "Show all", () => go.showAll()),
    button("Stack the scans of this cadence (o)", "Cadence", toggleCadence, {
      id: "cadence",
      title: wordsOfCadence(),
      "aria-pressed": "false",
      disabled: !(source.session?.length > 1),
    }),
    overlay("windows", "Kept windows"),
    overlay("known", "Known interference"),
    overlay("labels", "Labels"),
  );
}

/** Say what a cadence is, and what its button does. */
const wordsOfCadence = () =>
  "A cadence is a session of scans that point at a target (ON) and beside it (OFF) in turn. " +
  (source.session?.length > 1
    ? "This stacks its scans on one axis of frequency (o)."
    : "The corpus has no other scan of the session of this one.");

function overlay(name, words) {
  board.overlays[name] = shown.get(name) === "1";
  return h(
    "label",
    { class: "tick" },
    h("input", {
      type: "checkbox",
      checked: board.overlays[name],
      onchange: (event) => {
        board.overlays[name] = event.target.checked;
        shown.set({ [name]: event.target.checked ? "1" : "" });
        for (const panel of board.panels) panel.paintInk();
      },
    }),
    words,
  );
}

const toggleCadence = () => stackCadence(!shown.get("cadence"));

async function start() {
  const main = find("#content");
  try {
    source = await get(`sources/${part(idOfPage())}`);
  } catch (error) {
    fill(main, h("h1", {}, "Waterfall"), errorBox(error), h("p", {}, h("a", { href: "/" }, "Back to the archive")));
    return;
  }
  document.title = `${source.target || fileName(source.file)} · Lookalike`;
  go = new Navigation(source, board, redraw);
  fromAddress();
  form = new RangeForm(source, { select, drop, search, look: (...range) => go.lookAtRange(...range) });
  lists = new WindowLists(board, source, table);
  strip = new BandStrip(source, board, (view) => go.look(view));
  const colours = displayControls(
    shown,
    () => {
      board.display = displayOf(shown);
      redraw();
    },
    true,
  );
  board.colours = (panel) => panel === board.panels[0] && colours.show(panel.shownDb);
  fill(
    main,
    h("h1", {}, source.target || fileName(source.file)),
    h("p", { class: "facts" }, facts()),
    h("p", { class: "facts path", title: source.file }, fileName(source.file)),
    form.element,
    strip.element,
    toolbar(),
    h(
      "p",
      { id: "waterfall-help", class: "visually-hidden" },
      "Arrow keys move, plus and minus zoom, full stop and comma zoom in time, 0 shows the whole band and all times. " +
        "Type a range above to select it without a mouse.",
    ),
    h("div", { id: "panels", class: "panels" }),
    h("p", { id: "readout", class: "readout" }),
    keyRow(keyRowOf(source.spectra > LEAST_SPECTRA)),
    colours.element,
    lists.element,
    waterfallExports(board, source),
  );
  form.show(board.selection);
  readOut({ inside: false });
  bindKeys(waterfallKeys(go, board, { search, select, cadence: toggleCadence }));
  await stackCadence(shown.get("cadence") === "1" && source.session?.length > 1);
  addEventListener("themechange", redraw);
}

start();
