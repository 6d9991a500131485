/** Marks of hits: yes, no, or none. They are in the address. The last ones can be undone. */

/** What was marked on this page. */
export class Marks {
  /**
   * @param {import("./address.js").Shown} shown
   * @param {(name: string) => void} changed called with the window whose mark changed
   */
  constructor(shown, changed) {
    this.shown = shown;
    this.changed = changed;
    this.history = [];
    this.of = new Map();
    for (const mark of ["yes", "no"]) {
      for (const name of (shown.get(mark) || "").split(" ").filter(Boolean)) this.of.set(name, mark);
    }
  }

  get(name) {
    return this.of.get(name) || "";
  }

  /** Return the windows with a mark. */
  all(mark) {
    return [...this.of].filter(([, one]) => one === mark).map(([name]) => name);
  }

  /** Mark a window. The same mark again takes it away. */
  set(name, mark) {
    const old = this.get(name);
    this.history.push([name, old]);
    this.put(name, mark === old ? "" : mark);
  }

  /** Tell whether there is a change to take back. */
  get canUndo() {
    return this.history.length > 0;
  }

  /** Take the last change back; return the window, or null if there is none. */
  undo() {
    const last = this.history.pop();
    if (!last) return null;
    this.put(...last);
    return last[0];
  }

  put(name, mark) {
    if (mark) this.of.set(name, mark);
    else this.of.delete(name);
    this.shown.set({ yes: this.all("yes").join(" "), no: this.all("no").join(" ") });
    this.changed(name);
  }
}
