/** Which frequencies a waterfall shows: zoom, pan and limits, in MHz as doubles. Plain arithmetic. */

/** Return the width of a channel of a source in MHz, exact to the ends of its band. */
export const channelMhz = (source) => (source.f_stop_mhz - source.f_start_mhz) / source.channels;

/** Return the channel, with its fraction, at a frequency. */
export const channelAt = (source, fMhz) => (fMhz - source.f_start_mhz) / channelMhz(source);

/** Return the lower edge of a channel in MHz, to a thousandth of a hertz. */
export const edgeMhz = (source, channel) => Number((source.f_start_mhz + channel * channelMhz(source)).toFixed(9));

/** Return a view that is no wider than the band, no narrower than one channel, and within the band. */
export function within(source, view) {
  const band = source.f_stop_mhz - source.f_start_mhz;
  const width = Math.min(band, Math.max(view.stop - view.start, channelMhz(source)));
  const middle = (view.start + view.stop) / 2;
  const start = Math.min(Math.max(middle - width / 2, source.f_start_mhz), source.f_stop_mhz - width);
  return { start, stop: start + width };
}

/** Return a view that is wider by a factor. What is at a share of the width, such as under the cursor, stays there. */
export function zoomed(source, view, factor, share = 0.5) {
  const band = source.f_stop_mhz - source.f_start_mhz;
  const old = view.stop - view.start;
  const width = Math.min(band, Math.max(old * factor, channelMhz(source)));
  const fixed = view.start + share * old;
  return within(source, { start: fixed - share * width, stop: fixed + (1 - share) * width });
}

/** Return a view moved by a share of its width. */
export function moved(source, view, share) {
  const by = share * (view.stop - view.start);
  return within(source, { start: view.start + by, stop: view.stop + by });
}

/** Return the view of the whole band. */
export const whole = (source) => ({ start: source.f_start_mhz, stop: source.f_stop_mhz });

/** Return a view of a range with some space on both sides. */
export function around(source, start, stop, space = 1) {
  const width = Math.max(stop - start, channelMhz(source) * 8);
  return within(source, {
    start: (start + stop) / 2 - width * (0.5 + space),
    stop: (start + stop) / 2 + width * (0.5 + space),
  });
}

/**
 * Return the whole channels and rows that a dragged rectangle touches.
 *
 * A rectangle that is nearly as high as the waterfall, or a flat one, means all times.
 *
 * @param {{left: number, right: number, top: number, bottom: number}} box shares of the view, from 0 to 1
 * @param {boolean} isFlat
 */
export function selectionOf(source, view, box, isFlat) {
  const width = view.stop - view.start;
  const clamp = (value, most) => Math.min(Math.max(value, 0), most);
  const first = clamp(Math.floor(channelAt(source, view.start + box.left * width) + 1e-6), source.channels - 1);
  const stop = clamp(Math.ceil(channelAt(source, view.start + box.right * width) - 1e-6), source.channels);
  const selection = { source, first, stop: Math.max(stop, first + 1) };
  if (isFlat || box.bottom - box.top > 0.9) return selection;
  return {
    ...selection,
    firstSpectrum: clamp(Math.floor(box.top * source.spectra), source.spectra - 1),
    stopSpectrum: clamp(Math.ceil(box.bottom * source.spectra), source.spectra),
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
