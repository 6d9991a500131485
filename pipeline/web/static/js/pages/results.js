/** Results of a search: the query, what its hits are worth, and the hits. */

import { queryOf, requestOf, resultsAddress, Shown } from "../address.js";
import { BACK, part } from "../api.js";
import { counted } from "../axes.js";
import { DEFAULT_MAP } from "../colours.js";
import { displayControls, displayOf } from "../display_controls.js";
import { afterFrame, announce, atMost, complain, fill, find, h, swap } from "../dom.js";
import { openExports, resultExports } from "../exports.js";
import { filtersForm, whyFailed } from "../filters_form.js";
import { AHEAD, firstResult } from "../first_search.js";
import { hitTable } from "../hit_card.js";
import { histogram } from "../histogram.js";
import { keptWindow, windowName } from "../kept_windows.js";
import { bindKeys, keyRow } from "../keys.js";
import { labelForm, mayLabel } from "../label_form.js";
import { Marks } from "../marks.js";
import { occurrenceBox } from "../occurrence.js";
import { judged, lacksOnOff, onOffLegend, refineWith, searchFor, sessionsOf } from "../on_off.js";
import { queryCard, wordsOf } from "../query_card.js";
import { KEY_ROW, resultKeys } from "../result_keys.js";
import { cardMaker, Examples, isRefined, orderChoice, otherOrders, proposed, ToLabel } from "../to_label.js";
import { nothingFound, verdict } from "../verdict.js";
import { hitsInSight, loadInSight, loadNow } from "../window_picture.js";

const shown = new Shown({ map: DEFAULT_MAP, low: "", high: "", threshold: "-1", order: "best", yes: "", no: "" });
const display = displayOf(shown);
const MORE = 24;
const MOST_HITS = 1000;
const WAIT_FOR_PICTURES_MS = 300;
let result;
let request;
let cards = [];
let examples;
let current = null;
const sessions = new Map();
let isLabeller = false;
let marks;
let toLabel = null;

/** Give the page the address of its result, with the request in it: it can be reloaded after the server was. */
function settleAddress() {
  const { on_off: wantsOnOff } = requestOf(location.search); // the result may not have it yet
  request = { ...result.request, ...(wantsOnOff && { on_off: true }) };
  history.replaceState(history.state, "", `/results/${part(result.id)}?${queryOf(request)}${location.hash}`);
}

/** Show windows that the library proposes to label next. */
async function showToLabel(order) {
  const chosen = await toLabel.cards(order);
  if (shown.get("order") !== order) return;
  cards.push(...chosen.filter((card) => !cards.includes(card)));
  for (const card of chosen) card.showMark(marks.get(card.name));
  fill(
    find("#hits"),
    chosen.map((card) => card.element),
  );
  fill(find("#below"), proposed(chosen.length, order));
}

function showCards() {
  const wanted = shown.get("order");
  if (toLabel && wanted !== "best") return showToLabel(wanted).catch(complain);
  const threshold = shown.number("threshold");
  const of = new Map(cards.map((card) => [card.name, card]));
  const different = examples.elements("unlike");
  fill(
    find("#hits"),
    examples.elements("like"),
    result.hits.map((hit) => of.get(windowName(hit))?.element).filter(Boolean), // those below come a moment later
    different,
  );
  for (const card of cards)
    card.element.classList.toggle("below", card.hit.score !== null && card.hit.score < threshold);
  const below = result.hits.filter((hit) => hit.score < threshold).length;
  return fill(
    find("#below"),
    [
      below ? `${counted(below, "hit")} below the threshold, shown faintly` : "",
      toLabel ? otherOrders : "",
      different.length ? `${counted(different.length, "window")} that you marked no, after the hits` : "",
    ]
      .filter(Boolean)
      .join(" · "),
  );
}

/** Show the examples of a refined search, which are fetched when the hits are there already. */
async function showExamples() {
  const own = examples;
  const added = await own.load();
  if (own !== examples || !added.length) return;
  cards.push(...added);
  for (const card of added) card.showMark(marks.get(card.name));
  showCards();
  loadInSight(added.map((card) => card.picture));
}

const visibleCards = () =>
  [...find("#hits").children].map((element) => cards.find((card) => card.element === element)).filter(Boolean);

function step(by) {
  const list = visibleCards();
  if (!list.length) return;
  const at = list.indexOf(current);
  const next = at < 0 ? 0 : Math.min(Math.max(at + by, 0), list.length - 1);
  list[next].focus();
}

/** Return the number of cards in a row of the grid. */
function columns() {
  const list = visibleCards();
  const top = list[0]?.element.offsetTop;
  return Math.max(1, list.filter((card) => card.element.offsetTop === top).length);
}

function mark(name, value) {
  marks.set(name, value);
  showMarkCount();
}

function markCurrent(value) {
  if (!current) step(1);
  if (!current) return;
  if (value === "") {
    if (marks.get(current.name)) marks.set(current.name, marks.get(current.name));
  } else marks.set(current.name, value);
  showMarkCount();
  if (value) step(1);
}

function showMarkCount() {
  const [yes, no] = [marks.all("yes").length, marks.all("no").length];
  fill(find("#mark-count"), yes || no ? `${yes} yes, ${no} no` : "Mark hits with ✓ or ✗, then refine");
  find("#refine").disabled = !(yes || no);
  find("#undo").disabled = !marks.canUndo;
}

function undo() {
  const name = marks.undo();
  if (!name) announce("There is nothing to undo.");
  else cards.find((card) => card.name === name)?.focus();
  showMarkCount();
}

/** Search again with what was marked. */
async function refine() {
  const [like, unlike] = [marks.all("yes"), marks.all("no")];
  if (!like.length && !unlike.length) {
    announce("Mark some hits first: y for yes, n for no.");
    return;
  }
  const marked = { yes: like.join(" "), no: unlike.join(" ") };
  busy("Refining …");
  try {
    const next = await refineWith(result, request, like, unlike);
    const asked = { ...request, like, unlike }; // it wants ON/OFF even if the result is still without
    location.assign(`${resultsAddress(asked, next.id)}#${new URLSearchParams(marked)}`);
  } catch (error) {
    complain(error);
  }
  busy("");
}

/** Search again, for as many hits as wanted, and show them in place of those that are there. */
async function searchAgain(k) {
  busy("Searching …");
  try {
    const first = result.hits.length;
    result = await searchFor({ ...request, k });
    settleAddress();
    await showResult();
    cards.find((card) => card.hit.rank === first + 1)?.focus();
  } catch (error) {
    complain(error);
  }
  busy("");
}

/** Show ON/OFF of the hits once their pictures are there: it takes longer than both. */
async function showOnOff() {
  const first = result;
  await Promise.allSettled(first.hits.slice(0, AHEAD).map((hit) => keptWindow(windowName(hit))));
  const next = await judged(first, complain);
  if (result !== first) return;
  result = next;
  settleAddress();
  const of = new Map(result.hits.map((hit) => [windowName(hit), hit]));
  for (const card of cards) if (card.strip) card.showOnOff(of.get(card.name), sessions);
  fill(find("#legend"), onOffLegend(result.hits));
  swap(find(".exports"), exportsOf());
  swap(find("#hit-table"), tableOf());
}

const exportsOf = () => resultExports(result, request);

const tableOf = () => hitTable(`Look-alikes of ${wordsOf(result.query)}`, result.hits);

const busy = (words) => fill(find("#busy"), words);

/** Return the button that asks for more hits; null if there are no more, or if the search cannot be sent again. */
function moreButton() {
  const k = request.k || MORE;
  if (result.hits.length < k || k >= MOST_HITS || request.power_shape) return null;
  const next = Math.min(k + MORE, MOST_HITS);
  return h("p", {}, h("button", { type: "button", id: "more", onclick: () => searchAgain(next) }, "Show more hits"));
}

/** Return the head of the hits: how many there are, and what can be done with them. */
const headOfHits = () =>
  h(
    "div",
    { class: "found-head" },
    h("h1", {}, result.hits.length ? counted(result.hits.length, "look-alike") : "No look-alikes"),
    toLabel &&
      orderChoice(shown.get("order"), (order) => {
        shown.set({ order });
        showCards();
      }),
    h(
      "div",
      { class: "refine" },
      h("span", { id: "mark-count", role: "status" }),
      h("span", { id: "busy", role: "status" }),
      h("button", { type: "button", id: "refine", class: "primary", onclick: refine }, "Refine"),
      h("button", { type: "button", id: "undo", onclick: undo }, "Undo"),
      h("button", { type: "button", onclick: openExports }, "Export"),
    ),
  );

/** Show what stands beside the hits and below them. */
function showRest(side, found, colours) {
  const threshold = (value) => {
    shown.set({ threshold: String(value) });
    showCards();
  };
  side.append(
    ...[
      histogram(result, shown.number("threshold"), threshold),
      colours.element,
      filtersForm(request, (next) => location.assign(resultsAddress(next))),
      exportsOf(),
    ].filter(Boolean),
  );
  found.append(
    ...[moreButton(), result.hits.length ? null : nothingFound(), occurrenceBox(result.id), tableOf()].filter(Boolean),
  );
}

/** Show the result: first the query and the hits in sight with their pictures, and when these are there, the rest. */
async function showResult() {
  const own = result;
  const isWithoutOnOff = lacksOnOff(result, request);
  const query = queryCard(result, request, display);
  const colours = displayControls(shown, () => {
    Object.assign(display, displayOf(shown));
    for (const one of [...cards, query]) one.picture?.paint();
  });
  marks = new Marks(shown, (name) => cards.find((card) => card.name === name)?.showMark(marks.get(name)));
  const makeCard = cardMaker(display, mark, (card) => (current = card), sessions);
  examples = new Examples(request, makeCard);
  current = null;
  toLabel = isRefined(request) ? new ToLabel(result, makeCard) : null;
  const side = h("aside", { class: "side", "aria-label": "Query" }, query.element, verdict(result));
  const found = h(
    "div",
    { class: "found" },
    headOfHits(),
    h("div", { class: "found-tools" }, keyRow(KEY_ROW), isLabeller ? labelForm(() => marks.all("yes")) : null),
    h("p", { id: "below", class: "quiet" }),
    h("div", { id: "legend" }, onOffLegend(result.hits)),
    h("ol", { id: "hits", class: "hits" }),
  );
  const first = result.hits.slice(0, hitsInSight());
  cards = first.map(makeCard);
  for (const card of cards) card.showMark(marks.get(card.name));
  fill(find("#content"), h("div", { class: "results" }, side, found));
  document.title = `${query.words} · Lookalike`;
  showMarkCount();
  showCards();
  await atMost(WAIT_FOR_PICTURES_MS, loadNow([...cards, query].map((one) => one.picture).filter(Boolean)));
  await afterFrame();
  if (own !== result) return;
  const rest = result.hits.slice(first.length).map(makeCard);
  cards.push(...rest);
  for (const card of rest) card.showMark(marks.get(card.name));
  showRest(side, found, colours);
  showCards();
  loadInSight(rest.map((card) => card.picture));
  showExamples();
  if (isWithoutOnOff) showOnOff();
}

/** Show what is not needed for the hits: the scans of their sessions, and to a labeller the form for labels. */
async function showLater() {
  const [found, may] = await Promise.all([sessionsOf(), mayLabel()]);
  for (const [scan, session] of found) sessions.set(scan, session);
  for (const card of cards) if (card.strip) card.showOnOff(card.hit, sessions);
  isLabeller = may;
  if (isLabeller) find(".found-tools").append(labelForm(() => marks.all("yes")));
}

async function start() {
  try {
    result = await firstResult;
  } catch (error) {
    fill(find("#content"), h("h1", {}, "Results"), whyFailed(error));
    return;
  }
  settleAddress();
  const showing = showResult();
  bindKeys(resultKeys({ step, columns, markCurrent, undo, refine, current: () => current }));
  addEventListener(BACK, () => searchAgain(request.k)); // a server that was restarted has forgotten the result
  showing.then(showLater);
}

start();
