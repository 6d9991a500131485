/** Colour map and contrast: shown and changed without any request. */

import { MAPS, swatch } from "./colours.js";
import { h } from "./dom.js";

/** Return what the address says about colours. */
export const displayOf = (shown) => ({
  map: shown.get("map"),
  kind: shown.get("kind") || "max",
  lowDb: shown.number("low"),
  highDb: shown.number("high"),
});

/**
 * Return the controls of the colours.
 *
 * @param {import("./address.js").Shown} shown where the choice is kept
 * @param {() => void} changed called after each change
 * @param {boolean} hasKinds true where maximum and mean can be chosen
 */
export function displayControls(shown, changed, hasKinds = false) {
  const bar = h("div", { class: "swatch" });
  const paintBar = () => bar.replaceChildren(swatch(shown.get("map")));
  const choose = h(
    "select",
    { onchange: (event) => update({ map: event.target.value }) },
    MAPS.map((name) => h("option", { value: name, selected: name === shown.get("map") }, name)),
  );
  const limit = (name, which) =>
    h("input", {
      type: "number",
      step: "1",
      placeholder: "auto",
      value: shown.get(name) ?? "",
      onchange: (event) => update({ [name]: event.target.value }),
      "aria-label": `Power of the ${which} colour in dB`,
    });
  const low = limit("low", "first");
  const high = limit("high", "last");
  const update = (changes) => {
    shown.set(changes);
    paintBar();
    changed();
  };
  const automatic = h(
    "button",
    {
      type: "button",
      class: "small",
      onclick: () => {
        low.value = "";
        high.value = "";
        update({ low: "", high: "" });
      },
    },
    "Auto",
  );
  paintBar();
  const kinds = hasKinds
    ? h(
        "label",
        { class: "field" },
        h("span", {}, "Cells show"),
        h(
          "select",
          { onchange: (event) => update({ kind: event.target.value }) },
          [
            ["max", "maximum"],
            ["mean", "mean"],
          ].map(([value, name]) => h("option", { value, selected: value === (shown.get("kind") || "max") }, name)),
        ),
      )
    : null;
  const show = (limits) => {
    low.placeholder = limits.low.toFixed(1);
    high.placeholder = limits.high.toFixed(1);
  };
  const element = h(
    "fieldset",
    { class: "display-controls" },
    h("legend", {}, "Colours"),
    h("label", { class: "field" }, h("span", {}, "Map"), choose),
    kinds,
    h(
      "div",
      { class: "field" },
      h("span", {}, "Contrast in dB"),
      h("div", { class: "contrast" }, low, bar, high, automatic),
    ),
  );
  return { element, show };
}
