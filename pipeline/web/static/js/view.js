/**
 * What a waterfall shows: zoom, pan and limits of frequency, in MHz, and of time, in seconds. Plain arithmetic.
 *
 * A view has a `start` and a `stop`. Its limits are its `least` width, and the ends that it stays between.
 */

/** A waterfall shows so many spectra at least, or all: a window has as many. */
export const LEAST_SPECTRA = 16;

/** Return the width of a channel of a source in MHz, exact to the ends of its band. */
export const channelMhz = (source) => (source.f_stop_mhz - source.f_start_mhz) / source.channels;

/** Return the channel, with its fraction, at a frequency. */
export const channelAt = (source, fMhz) => (fMhz - source.f_start_mhz) / channelMhz(source);

/** Return the lower edge of a channel in MHz, to a thousandth of a hertz. */
export const edgeMhz = (source, channel) => Number((source.f_start_mhz + channel * channelMhz(source)).toFixed(9));

/** Return the limits of a view of frequency. */
export const bandOf = (source) => ({
  start: source.f_start_mhz,
  stop: source.f_stop_mhz,
  least: channelMhz(source),
});

/** Return the limits of a view of time, in seconds from the begin of the scan. */
export const timesOf = (source) => ({
  start: 0,
  stop: source.spectra * source.tsamp_s,
  least: Math.min(LEAST_SPECTRA, source.spectra) * source.tsamp_s,
});

/** Return a view that is neither too wide nor too narrow, within its limits. */
export function within(limits, view) {
  const width = Math.min(limits.stop - limits.start, Math.max(view.stop - view.start, limits.least));
  const middle = (view.start + view.stop) / 2;
  const start = Math.min(Math.max(middle - width / 2, limits.start), limits.stop - width);
  return { start, stop: start + width };
}

/** Return a view that is wider by a factor. What is at a share of the width, such as under the cursor, stays there. */
export function zoomed(limits, view, factor, share = 0.5) {
  const old = view.stop - view.start;
  const width = Math.min(limits.stop - limits.start, Math.max(old * factor, limits.least));
  const fixed = view.start + share * old;
  return within(limits, { start: fixed - share * width, stop: fixed + (1 - share) * width });
}

/** Return a view moved by a share of its width. */
export function moved(limits, view, share) {
  const by = share * (view.stop - view.start);
  return within(limits, { start: view.start + by, stop: view.stop + by });
}

/** Return the view of everything. */
export const whole = ({ start, stop }) => ({ start, stop });

/** Tell whether a view shows everything. */
export const isWhole = (limits, view) => view.stop - view.start >= (limits.stop - limits.start) * (1 - 1e-9);

/** Return a view of a range of frequency with some space on both sides. */
export function around(source, start, stop, space = 1) {
  const width = Math.max(stop - start, channelMhz(source) * 8);
  return within(bandOf(source), {
    start: (start + stop) / 2 - width * (0.5 + space),
    stop: (start + stop) / 2 + width * (0.5 + space),
  });
}

/**
 * Return the whole channels and spectra that a dragged rectangle touches.
 *
 * A flat rectangle means all times that are shown. So does one that is nearly as high as the waterfall of a whole scan.
 *
 * @param {{start: number, stop: number}} view in MHz
 * @param {{start: number, stop: number}} times in view, in seconds
 * @param {{left: number, right: number, from: number, to: number}} box shares of the width, from 0 to 1; seconds
 * @param {boolean} isFlat
 */
export function selectionOf(source, view, times, box, isFlat) {
  const width = view.stop - view.start;
  const clamp = (value, most) => Math.min(Math.max(value, 0), most);
  const first = clamp(Math.floor(channelAt(source, view.start + box.left * width) + 1e-6), source.channels - 1);
  const stop = clamp(Math.ceil(channelAt(source, view.start + box.right * width) - 1e-6), source.channels);
  const selection = { source, first, stop: Math.max(stop, first + 1) };
  const isHigh = box.to - box.from > 0.9 * (times.stop - times.start);
  if (isWhole(timesOf(source), times) && (isFlat || isHigh)) return selection;
  const { from, to } = isFlat ? { from: times.start, to: times.stop } : box;
  return {
    ...selection,
    firstSpectrum: clamp(Math.floor(from / source.tsamp_s + 1e-6), source.spectra - 1),
    stopSpectrum: clamp(Math.ceil(to / source.tsamp_s - 1e-6), source.spectra),
  };
}

/** Return the fields of a search for a selection. */
export function searchOf(selection) {
  const { source } = selection;
  const request = {
    file: source.id,
    f_start_mhz: edgeMhz(source, selection.first),
    f_stop_mhz: edgeMhz(source, selection.stop),
  };
  if (selection.firstSpectrum === undefined) return request;
  return {
    ...request,
    t_start_s: selection.firstSpectrum * source.tsamp_s,
    t_stop_s: selection.stopSpectrum * source.tsamp_s,
  };
}
