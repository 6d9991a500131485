/**
 * The search that the address of a page of results holds. It is sent as soon as this module is there, while the other
 * modules of the page still come; and the windows of its hits are asked for as soon as it is answered.
 */

import { idOfPage, requestOf } from "./address.js";
import { get, part } from "./api.js";
import { keptWindow, windowName } from "./kept_windows.js";
import { searchFor } from "./on_off.js";

/** Hits whose windows are asked for together, before their cards are there. */
export const AHEAD = 24;

/** Return the kept result of the address; or carry the search out that the address holds. */
async function fetchResult() {
  const id = idOfPage();
  const asked = requestOf(location.search);
  if (id && id !== "new") {
    try {
      return await get(`searches/${part(id)}`);
    } catch (error) {
      if (error.status !== 404 || !Object.keys(asked).length) throw error;
    }
  }
  return searchFor(asked);
}

/** Ask for the windows of the query and of the first hits. The card of a window says what is wrong with it. */
function fetchAhead({ query, hits }) {
  const names = hits.slice(0, AHEAD).map(windowName);
  if (query.kind === "window") names.push(windowName(query));
  for (const name of names) keptWindow(name).catch(() => {});
}

/** The result, or what the server refused. The windows are asked for before anybody who waits for it goes on. */
export const firstResult = fetchResult().then((result) => {
  fetchAhead(result);
  return result;
});
firstResult.catch(() => {}); // the page shows it once its own script is there
