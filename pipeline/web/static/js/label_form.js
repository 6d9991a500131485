/** Labels: what a person says of windows. They are kept beside the corpus, with the name of who said it. */

import { get, send } from "./api.js";
import { counted } from "./axes.js";
import { announce } from "./dom.js";
import { textForm } from "./text_form.js";

/** Return whether the one who looks may write labels. */
export const mayLabel = async () => (await get("status").catch(() => ({}))).person?.role === "labeller";

/**
 * Return a form that labels windows, such as those that were marked with yes.
 *
 * @param {() => string[]} chosen gives the windows
 * @param {string} what the form is for, briefly
 * @param {string} words the same, for those who hear the page
 */
export const labelForm = (chosen, what = "Label for ✓ hits", words = "Label for the hits marked yes") =>
  textForm({ id: "label-text", hint: what, words, action: "Label" }, async (label) => {
    const windows = chosen();
    if (!windows.length || !label) {
      announce(windows.length ? "Type a label first." : "Mark hits with ✓ first; these get the label.");
      return null;
    }
    const { labels } = await send("PUT", "labels", { windows, label });
    announce(
      labels.length ? `${counted(labels.length, "window")} labelled “${label}”` : "They have this label already.",
    );
    return labels.length ? () => takeBack(labels, label) : null;
  });

async function takeBack(labels, label) {
  await send("DELETE", `labels?${labels.map((one) => `id=${encodeURIComponent(one.id)}`).join("&")}`);
  announce(`${counted(labels.length, "label")} taken back`);
  return label;
}
