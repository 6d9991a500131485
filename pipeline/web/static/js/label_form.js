/** Labels: what a person says of windows. They are kept beside the corpus, with the name of who said it. */

import { get, send } from "./api.js";
import { counted } from "./axes.js";
import { announce, fill, find, h } from "./dom.js";

/** Return whether the one who looks may write labels. */
export const mayLabel = async () => (await get("status").catch(() => ({}))).person?.role === "labeller";

/**
 * Return a form that labels windows, such as those that were marked with yes.
 *
 * @param {() => string[]} chosen gives the windows
 * @param {string} what the form is for, briefly
 * @param {string} words the same, for those who hear the page
 */
export function labelForm(chosen, what = "Label for ✓ hits", words = "Label for the hits marked yes") {
  const text = h("input", {
    type: "text",
    id: "label-text",
    maxlength: "200",
    placeholder: what,
    "aria-label": words,
  });
  const undo = h("span", { id: "label-undo" });
  const save = async (event) => {
    event.preventDefault();
    const windows = chosen();
    if (!windows.length || !text.value.trim()) {
      announce(windows.length ? "Type a label first." : "Mark hits with ✓ first; these get the label.");
      return;
    }
    await attempt(async () => {
      const { labels } = await send("PUT", "labels", { windows, label: text.value.trim() });
      announce(
        labels.length
          ? `${counted(labels.length, "window")} labelled “${text.value.trim()}”`
          : "They have this label already.",
      );
      showUndo(
        undo,
        labels.map((one) => one.id),
      );
    });
  };
  return h("form", { class: "label-form", onsubmit: save }, text, h("button", { type: "submit" }, "Label"), undo);
}

function showUndo(place, ids) {
  fill(
    place,
    ids.length
      ? h(
          "button",
          {
            type: "button",
            class: "small",
            onclick: () =>
              attempt(async () => {
                await send("DELETE", `labels?${ids.map((id) => `id=${encodeURIComponent(id)}`).join("&")}`);
                fill(place, "");
                announce(`${counted(ids.length, "label")} taken back`);
                find("#label-text").focus();
              }),
          },
          "Take back",
        )
      : "",
  );
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    announce(`${error.message} ${error.hint || ""}`, "error");
  }
}
