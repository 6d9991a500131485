/** The keys of a page: one table, from which both the handler and the list that "?" opens are made. */

import { fill, find, h } from "./dom.js";

/** Keys that work on every page. */
const EVERYWHERE = [{ keys: ["?"], does: "Show this list", run: () => showKeys() }];
let bindings = [...EVERYWHERE];

const isTyping = (target) =>
  target.closest?.(
    "input:not([type=checkbox]):not([type=range]):not([type=radio]), textarea, select, [contenteditable]",
  );

/** Return the name of a key as the table has it. */
export function nameOf(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return "";
  return event.key.length === 1 && event.key !== "?" ? event.key.toLowerCase() : event.key;
}

/**
 * Say what the keys of this page do.
 *
 * @param {object[]} table each with `keys`, what it `does`, `run`, and perhaps `when`, which tells whether it applies
 */
export function bindKeys(table) {
  bindings = [...table, ...EVERYWHERE];
  const hint = find("#keys-hint");
  if (hint) hint.hidden = false;
}

/** Carry out what a key does. A key that is typed into a field belongs to the field. */
export function onKey(event) {
  if (event.defaultPrevented || isTyping(event.target) || find("dialog[open]")) return;
  const name = nameOf(event);
  const binding = bindings.find((one) => one.keys.includes(name) && (!one.when || one.when(event)));
  if (!binding) return;
  event.preventDefault();
  binding.run(event);
}

const NAMES = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", " ": "Space", Escape: "Esc" };
const shownName = (key) => NAMES[key] || key;

/** Open the list of keys. */
export function showKeys() {
  const dialog = find("#keys");
  fill(
    find("#keys-list"),
    bindings.map((one) => [
      h(
        "dt",
        {},
        one.keys.map((key, i) => [i ? " or " : null, h("kbd", {}, shownName(key))]),
      ),
      h("dd", {}, one.does),
    ]),
  );
  dialog.showModal();
}

/** Return a row of keys and what they do, to be shown on the page. */
export const keyRow = (pairs) =>
  h(
    "p",
    { class: "key-row", "aria-label": "Keys" },
    pairs.map(([key, does]) => h("span", {}, h("kbd", {}, shownName(key)), ` ${does}`)),
  );
