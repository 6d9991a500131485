/** The labels of the fields of forms, for messages of the server that name parameters as programs do. */

/** Labels of the filters of a search, by the names of its parameters. */
export const FILTER_LABELS = {
  only_target: "Only target",
  not_target: "Not target",
  only_file: "Only file",
  only_telescope: "Only telescope",
  only_label: "Only with label",
  not_label: "Not with label",
  k: "Hits",
  per_file: "Per file, at most",
  per_mhz: "Per MHz, at most",
  expected_below: "By chance, at most",
  on_only: "ON only",
  all_views: "Through all views",
  not_known: "Not in known interference",
};

/** Labels of what may be said of the picture of a plot. */
export const PLOT_LABELS = {
  hz: "Width of the plot, Hz",
  seconds: "Duration of the plot, s",
  bar_low: "Lowest number of the colour bar",
  bar_high: "Highest number of the colour bar",
  colormap: "Colour map, if none is recognised",
  view: "Averaged view, such as f4",
  scale: "Colours show",
  time_runs: "Time runs",
  frequency_descends: "Frequency",
};

const quote = (label) => `“${label}”`;
const LABELS = {
  ...Object.fromEntries(
    Object.entries({ ...PLOT_LABELS, ...FILTER_LABELS }).map(([name, label]) => [name, quote(label)]),
  ),
  only_mhz: `${quote("From MHz")} and ${quote("to MHz")}`,
  bar: `${quote("Lowest number of the colour bar")} and ${quote("Highest number of the colour bar")}`,
  crop: "--crop of “lookalike search --picture”",
};

/**
 * Return a message with the labels of fields in place of the names of parameters.
 *
 * @param {string} text
 * @param {string[]} parameters names that the message is about; other words stay
 */
export function worded(text, parameters = []) {
  const known = parameters.filter((name) => Object.hasOwn(LABELS, name));
  if (!known.length) return text;
  const whole = new RegExp(`(?<![\\w./-])(${known.join("|")})(?![\\w/-]|\\.\\w)`, "g");
  return text.replaceAll("not_known *", "not_known").replace(whole, (name) => LABELS[name]);
}
