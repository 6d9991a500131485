/** What a waterfall looks at, and how one moves in it: by keys, buttons and the mouse alike. */

import { around, bandOf, isWhole, moved, timesOf, whole, within, zoomed } from "./view.js";

/** The view of frequency and of time that all panels share: `view` and `times` of the board. */
export class Navigation {
  /**
   * @param {object} source record of the scan that was opened
   * @param {object} board what all panels share
   * @param {() => void} redraw
   */
  constructor(source, board, redraw) {
    this.source = source;
    this.board = board;
    this.redraw = redraw;
    this.band = bandOf(source);
    this.allTimes = timesOf(source);
  }

  /** Look at what an address says, or at everything. */
  start(query) {
    const asked = (name) => ({ start: Number(query.get(`${name}_start`)), stop: Number(query.get(`${name}_stop`)) });
    const [band, times] = [asked("f"), asked("t")];
    this.board.view =
      query.get("f_start") && band.stop >= band.start ? within(this.band, band) : whole(this.band);
    if (times.stop > times.start) this.setTimes(within(this.allTimes, times));
  }

  /** Write what is looked at into the query of an address. */
  write(query) {
    const { view, times } = this.board;
    for (const end of ["start", "stop"]) query.set(`f_${end}`, view[end].toFixed(9));
    for (const end of times ? ["start", "stop"] : []) query.set(`t_${end}`, times[end].toFixed(6));
  }

  look(view) {
    this.board.view = view;
    this.redraw();
  }

  /** Look at some times, in seconds; at all times of each scan if these are all times of the one that was opened. */
  lookAt(times) {
    this.setTimes(times);
    this.redraw();
  }

  setTimes(times) {
    this.board.times = isWhole(this.allTimes, times) ? null : times;
  }

  get times() {
    return this.board.times || whole(this.allTimes);
  }

  zoom(factor, share) {
    this.look(zoomed(this.band, this.board.view, factor, share));
  }

  move(share) {
    this.look(moved(this.band, this.board.view, share));
  }

  zoomTimes(factor, share) {
    this.lookAt(zoomed(this.allTimes, this.times, factor, share));
  }

  moveTimes(share) {
    this.lookAt(moved(this.allTimes, this.times, share));
  }

  showAll() {
    this.board.times = null;
    this.look(whole(this.band));
  }

  /** Look at a range of frequency, and at the times of the selection if it has some. */
  lookAtRange(start, stop) {
    const { selection } = this.board;
    if (selection?.firstSpectrum !== undefined) {
      const { firstSpectrum, stopSpectrum, source } = selection;
      const range = { start: firstSpectrum * source.tsamp_s, stop: stopSpectrum * source.tsamp_s };
      this.setTimes(within(this.allTimes, range));
    }
    this.look(around(this.source, start, stop, 0));
  }
}
