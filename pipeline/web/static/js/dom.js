/**
 * Elements of the page, made without HTML text: names of files and targets are only ever text, so no name can hold a
 * script.
 */

const SVG = "http://www.w3.org/2000/svg";

/** Set one property, attribute or listener of an element. Undefined and null are left out. */
function assign(element, name, value) {
  if (value === undefined || value === null) return;
  if (name.startsWith("on") && typeof value === "function") element.addEventListener(name.slice(2), value);
  else if (name === "class") element.setAttribute("class", value);
  else if (name === "dataset") Object.assign(element.dataset, value);
  else if (name === "style") for (const [key, one] of Object.entries(value)) element.style.setProperty(key, one);
  else if (typeof value === "boolean" && name in element) element[name] = value;
  else if (typeof value === "boolean") element.toggleAttribute(name, value);
  else if (name === "value" && "value" in element) element.value = value;
  else element.setAttribute(name, value);
}

function filled(element, properties, children) {
  for (const [name, value] of Object.entries(properties || {})) assign(element, name, value);
  element.append(...children.flat(Infinity).filter((one) => one !== null && one !== undefined && one !== false));
  return element;
}

/** Make an HTML element: `h("a", {href: "/"}, "text", child)`. */
export const h = (tag, properties, ...children) => filled(document.createElement(tag), properties, children);

/** Make an SVG element. */
export const svg = (tag, properties, ...children) => filled(document.createElementNS(SVG, tag), properties, children);

/** Return the first element that fits a selector. */
export const find = (selector, within = document) => within.querySelector(selector);

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren();
  return filled(element, {}, children);
}

/** Put a `<details>` in the place of another, and open it if that one was open. */
export function swap(old, next) {
  next.open = old.open;
  old.replaceWith(next);
}

/** Say something to everybody: shown for a while, and read out by screen readers. */
export function announce(text, kind = "said") {
  const place = find("#announcements");
  if (!place) return;
  const message = h("p", { class: `toast ${kind}` }, text);
  place.append(message);
  setTimeout(() => message.remove(), kind === "error" ? 12000 : 5000);
}

/** Say that something failed, and what to do about it. */
export const complain = (error, what = "") =>
  announce(`${what}${[error.message, error.hint].filter(Boolean).join(". Hint: ")}`, "error");

/** Return a box with an error and what to do about it. */
export const errorBox = (error) =>
  h(
    "div",
    { class: "problem", role: "alert" },
    h("p", { class: "problem-what" }, error.message || String(error)),
    error.hint ? h("p", {}, error.hint) : null,
  );

/** Call a function once the last call is some milliseconds ago. */
export function debounced(call, wait = 150) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...values), wait);
  };
}

/** Call a function at most once a frame. */
export function oncePerFrame(call) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      call();
    });
  };
}

/** Wait for a promise, but not longer than some milliseconds. */
export const atMost = (ms, promise) => Promise.race([promise, new Promise((done) => setTimeout(done, ms))]);

/** Wait until the next frame is on the screen. A page that nobody sees has none, so the wait is at most 100 ms. */
export const afterFrame = () =>
  new Promise((done) => {
    setTimeout(done, 100);
    requestAnimationFrame(() => setTimeout(done));
  });

/** Return a table: titles, and rows of cells. `numeric` names the columns that are aligned right. */
export function table(caption, titles, rows, numeric = []) {
  const cell = (tag, value, i) =>
    h(
      tag,
      { class: numeric.includes(i) ? "n" : null, scope: tag === "th" ? "col" : null },
      value === null || value === undefined ? "–" : value,
    );
  return h(
    "div",
    { class: "table-scroll", tabindex: "0", role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          titles.map((one, i) => cell("th", one, i)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            {},
            row.map((one, i) => cell("td", one, i)),
          ),
        ),
      ),
    ),
  );
}
