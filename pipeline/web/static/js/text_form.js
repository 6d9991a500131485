/** A form of one field for what a person says, with a button that takes it back. */

import { complain, fill, h } from "./dom.js";

/**
 * Return the form.
 *
 * @param {object} what `id` and `value` of the field; `hint`, shown in it while it is empty; `words`, for those who
 * hear the page; `action`, the text of the button
 * @param {(text: string) => Promise<(() => Promise<string>)|null>} save saves what was typed; returns how to take it
 * back, or null if there is nothing to take back. What takes it back returns what the field holds then
 */
export function textForm({ id, value = "", hint, words, action }, save) {
  const field = h("input", {
    type: "text",
    id,
    value,
    maxlength: "200",
    placeholder: hint,
    autocomplete: "off",
    "aria-label": words,
  });
  const place = h("span");
  const button = (undo) =>
    h("button", { type: "button", class: "small", onclick: () => takeBack(undo) }, "Take back");
  const offer = (undo) => fill(place, undo ? button(undo) : null);
  const takeBack = (undo) =>
    attempt(async () => {
      field.value = await undo();
      offer(null);
      field.focus();
    });
  const submit = (event) => {
    event.preventDefault();
    attempt(async () => {
      const undo = await save(field.value.trim());
      if (undo) offer(undo);
    });
  };
  return h("form", { class: "label-form", onsubmit: submit }, field, h("button", { type: "submit" }, action), place);
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    complain(error);
  }
}
