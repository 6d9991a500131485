/** Files that are dropped on a page: a hit table or an array becomes a page of queries. */

import { upload } from "./api.js";
import { announce, complain, find, h } from "./dom.js";

const MAX_BYTES = 8 * 1024 * 1024;
const KEY = "query-rows";

/** Send a file and open the page of its rows. */
export async function openFile(file) {
  if (file.size > MAX_BYTES) {
    announce(
      `${file.name} has ${(file.size / 1048576).toFixed(0)} MiB. At most 8 MiB can be sent; cut out the part to ` +
        "look for.",
      "error",
    );
    return;
  }
  announce(`Reading ${file.name}`);
  try {
    const answer = await upload("query-rows", file, { name: file.name });
    keepRows(file.name, answer);
    if (location.pathname === "/hit-table") dispatchEvent(new Event("rowsread"));
    else location.assign("/hit-table");
  } catch (error) {
    complain(error, error.message?.startsWith(file.name) ? "" : `${file.name}: `);
  }
}

/** Keep what the server read, for the page of rows. */
export const keepRows = (name, answer) => sessionStorage.setItem(KEY, JSON.stringify({ name, answer }));

/** Return the rows of the file that was sent last, with its name; null if none was. */
export function lastRows() {
  const text = sessionStorage.getItem(KEY);
  return text ? JSON.parse(text) : null;
}

/** Take files that are dropped anywhere on the page. */
export function catchDrops() {
  const curtain = h(
    "div",
    { class: "curtain", hidden: true },
    h(
      "p",
      {},
      "Drop a hit table (.dat, .hits, .csv), an array of linear power (.npy) or a picture of a plot (.png, .jpg) " +
        "to search for it",
    ),
  );
  document.body.append(curtain);
  let depth = 0;
  const holdsFiles = (event) => [...(event.dataTransfer?.types || [])].includes("Files");
  const show = (by) => {
    depth = Math.max(0, depth + by);
    curtain.hidden = depth === 0;
  };
  addEventListener("dragenter", (event) => holdsFiles(event) && show(1));
  addEventListener("dragleave", (event) => holdsFiles(event) && show(-1));
  addEventListener("dragover", (event) => holdsFiles(event) && event.preventDefault());
  addEventListener("drop", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    depth = 0;
    curtain.hidden = true;
    openFile(event.dataTransfer.files[0]);
  });
  const input = find("#choose-file");
  if (input) input.addEventListener("change", () => input.files[0] && openFile(input.files[0]));
}
