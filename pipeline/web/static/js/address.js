/**
 * The state of a page is in its address, so that it can be sent to a colleague, reloaded, and gone back to.
 *
 * The query holds what is asked of the server: the fields of a search. The part after # holds how it is shown.
 */

const NUMBERS = new Set([
  "f_start_mhz",
  "f_stop_mhz",
  "t_start_s",
  "t_stop_s",
  "k",
  "polarisation",
  "near_frequency",
  "per_file",
  "per_mhz",
  "min_score",
  "expected_below",
]);
const SWITCHES = new Set([
  "exact",
  "careful",
  "all_views",
  "each_window",
  "all_resolutions",
  "rerank",
  "rerank_drift",
  "rerank_mirror",
  "expand",
  "on_off",
  "on_only",
  "q",
]);
const STRUCTURES = new Set(["filters", "like", "unlike", "power", "signal"]);

/** Return the search that the query of an address describes. Empty values are left out. */
export function requestOf(query) {
  const request = {};
  for (const [name, text] of new URLSearchParams(query)) {
    if (text === "") continue;
    if (NUMBERS.has(name)) request[name] = Number(text);
    else if (SWITCHES.has(name)) request[name] = text === "true";
    else if (STRUCTURES.has(name)) request[name] = JSON.parse(text);
    else request[name] = text;
  }
  return request;
}

/** Return the query of an address that describes a search: the inverse of {@link requestOf}. */
export function queryOf(request) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(request)) {
    if (value === undefined || value === null || value === "" || value === false) continue;
    query.set(name, typeof value === "object" ? JSON.stringify(value) : String(value));
  }
  return query.toString();
}

/** Return the address of the results of a search that has not been carried out. */
export const resultsAddress = (request, id = "new") => `/results/${encodeURIComponent(id)}?${queryOf(request)}`;

/** Return the address of the look-alikes of a window that is called SOURCE/NUMBER. */
export const likeAddress = (window) => resultsAddress({ window, on_off: true, k: 24 });

/** Return the id of the scan of a source, which may be an averaged view of it. A target may have a + in its name. */
export const scanOf = (source) => source.replace(/\+(?:f(?:4|16|64)(?:t(?:4|16))?|t(?:4|16))$/, "");

/** Return the address of a range in the waterfall of a source. */
export const waterfallAddress = (source, fStartMhz, fStopMhz) =>
  `/waterfall/${encodeURIComponent(source)}?${queryOf({ f_start: fStartMhz, f_stop: fStopMhz })}`;

/** Return the last part of the path of this page, such as the id of a source. */
export function idOfPage(path = location.pathname) {
  const parts = path.split("/").filter(Boolean);
  return parts.length > 1 ? decodeURIComponent(parts.slice(1).join("/")) : "";
}

/** How things are shown: names and texts, after the # of the address. */
export class Shown {
  constructor(defaults) {
    this.defaults = defaults;
    this.values = { ...defaults, ...Object.fromEntries(new URLSearchParams(location.hash.slice(1))) };
  }

  get(name) {
    return this.values[name];
  }

  number(name) {
    const value = this.values[name];
    return value === "" || value === undefined || value === null ? null : Number(value);
  }

  /** Change values, and the address with them. The address is replaced, so that "back" leaves the page. */
  set(changes) {
    Object.assign(this.values, changes);
    const differing = Object.entries(this.values).filter(
      ([name, value]) => value !== null && value !== undefined && String(value) !== String(this.defaults[name] ?? ""),
    );
    const hash = new URLSearchParams(differing).toString();
    history.replaceState(history.state, "", location.pathname + location.search + (hash ? `#${hash}` : ""));
  }
}
