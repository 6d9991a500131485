/** Cards of stored windows outside of results: a picture, what it shows, and its look-alikes. */

import { likeAddress } from "./address.js";
import { h } from "./dom.js";
import { windowName } from "./kept_windows.js";
import { loadInSight, WindowPicture } from "./window_picture.js";

const display = { map: "viridis", lowDb: null, highDb: null };
const HEIGHT = 92;

/**
 * Return a list of cards. Their pictures load when they come into sight.
 *
 * @param {object[]} windows records with `source`, `window` and their place
 * @param {(window: object, i: number) => Node[]} linesOf returns what stands below the picture of a window
 */
export function exampleList(windows, linesOf) {
  const pictures = windows.map((one) => new WindowPicture(windowName(one), one, display, HEIGHT));
  const cards = windows.map((one, i) => h("li", { class: "example" }, pictures[i].element, linesOf(one, i)));
  loadInSight(pictures);
  return h("ul", { class: "examples" }, cards);
}

/** Return the link to the look-alikes of a window. */
export const likeLink = (window) =>
  h("a", { class: "button", href: likeAddress(windowName(window)) }, "Find look-alikes");
