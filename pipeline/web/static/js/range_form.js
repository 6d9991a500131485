/** The selected range as fields: the way of the keyboard, and exact numbers for everybody. */

import { hertz } from "./axes.js";
import { fill, h } from "./dom.js";
import { channelAt, edgeMhz } from "./view.js";

const HELP = "Drag over a pattern in the waterfall, or type its range. The wheel zooms.";

/** The form above a waterfall. */
export class RangeForm {
  /**
   * @param {object} source record of the source
   * @param {{select: Function, drop: Function, search: Function, look: Function}} act: `drop` selects nothing, and
   *   leaves the fields as they are
   */
  constructor(source, act) {
    this.source = source;
    this.act = act;
    const field = (id, label, step, placeholder) => {
      this[id] = h("input", {
        id,
        type: "number",
        step,
        placeholder,
        autocomplete: "off",
        onchange: () => this.read(),
      });
      return h("label", { class: "field" }, h("span", {}, label), this[id]);
    };
    this.words = h("p", { class: "selection-words", role: "status" });
    this.button = h("button", { type: "submit", class: "primary" }, "Find look-alikes");
    this.element = h(
      "form",
      { class: "range-form", onsubmit: (event) => this.submit(event) },
      field("f-start", "From, MHz", "any", source.f_start_mhz.toFixed(6)),
      field("f-stop", "to, MHz", "any", source.f_stop_mhz.toFixed(6)),
      field("t-start", "from, s", "any", "begin"),
      field("t-stop", "to, s", "any", "end"),
      h(
        "div",
        { class: "buttons" },
        this.button,
        h("button", { type: "button", onclick: () => this.zoom() }, "Zoom to it"),
        h("button", { type: "button", onclick: () => act.select(null) }, "Clear"),
      ),
      this.words,
    );
  }

  /** Show a selection in the fields. */
  show(selection) {
    const source = selection?.source || this.source;
    const text = (value) => (value === undefined ? "" : String(Number(value.toFixed(6))));
    this["f-start"].value = selection ? String(edgeMhz(source, selection.first)) : "";
    this["f-stop"].value = selection ? String(edgeMhz(source, selection.stop)) : "";
    this["t-start"].value =
      selection?.firstSpectrum === undefined ? "" : text(selection.firstSpectrum * source.tsamp_s);
    this["t-stop"].value =
      selection?.firstSpectrum === undefined ? "" : text(selection.stopSpectrum * source.tsamp_s);
    this.button.disabled = !selection;
    fill(
      this.words,
      selection
        ? `${(selection.stop - selection.first).toLocaleString("en")} channels, ` +
            `${hertz((selection.stop - selection.first) * source.channel_width_hz)}, ` +
            (selection.firstSpectrum === undefined
              ? "all times"
              : `${selection.stopSpectrum - selection.firstSpectrum} spectra`) +
            (source.id === this.source.id ? "" : ` of ${source.target}`)
        : HELP,
    );
  }

  /** Make a selection of what was typed; whole channels and spectra. Return false if it is no range. */
  read() {
    const { source } = this;
    const [start, stop] = [this["f-start"].value, this["f-stop"].value];
    if (start === "" || stop === "") return this.refuse(HELP);
    const first = Math.floor(channelAt(source, Number(start)) + 1e-3);
    const end = Math.ceil(channelAt(source, Number(stop)) - 1e-3);
    if (!(end > first) || first >= source.channels || end <= 0) {
      const isTurned = Number(stop) <= Number(start);
      return this.refuse(
        isTurned
          ? `${start}–${stop} MHz is no range. Give the lower frequency first.`
          : `${start}–${stop} MHz is not in this file. Its band is ${source.f_start_mhz.toFixed(6)} to ` +
              `${source.f_stop_mhz.toFixed(6)} MHz.`,
        "bad",
      );
    }
    const selection = { source, first: Math.max(0, first), stop: Math.min(end, source.channels) };
    const [from, to] = [this["t-start"].value, this["t-stop"].value];
    if (from !== "" || to !== "") {
      const firstSpectrum = Math.max(0, Math.floor(Number(from || 0) / source.tsamp_s + 1e-6));
      const stopSpectrum =
        to === "" ? source.spectra : Math.min(source.spectra, Math.ceil(Number(to) / source.tsamp_s - 1e-6));
      if (stopSpectrum > firstSpectrum) Object.assign(selection, { firstSpectrum, stopSpectrum });
    }
    this.act.select(selection);
    return true;
  }

  /** Say something in the line of the selection, until another one is made. */
  say(words) {
    fill(this.words, h("span", { class: "bad" }, words));
  }

  /** Say why what was typed is no range. The range before it must not be searched for in its stead. */
  refuse(words, kind = null) {
    this.act.drop();
    this.button.disabled = true;
    fill(this.words, h("span", { class: kind }, words));
    return false;
  }

  zoom() {
    if (this["f-start"].value === "" && !this.read()) return;
    this.act.look(Number(this["f-start"].value), Number(this["f-stop"].value));
  }

  submit(event) {
    event.preventDefault();
    if (this.read()) this.act.search();
  }
}
