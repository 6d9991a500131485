/** Families: groups of windows that look alike, and one family with its members. */

import { idOfPage, resultsAddress } from "../address.js";
import { get, part } from "../api.js";
import { counted, mhz, short } from "../axes.js";
import { errorBox, fill, find, h, table } from "../dom.js";
import { bindKeys } from "../keys.js";
import { loadInSight, WindowPicture } from "../window_picture.js";

const display = { map: "viridis", lowDb: null, highDb: null };
const MOST_MEMBERS = 60;

const nameOf = (family) => family.name || family.label || `Family ${family.id}`;

/** Return the range of frequencies of a family in words. */
function range(family) {
  return Number.isFinite(family.f_start_mhz) ? `${mhz(family.f_start_mhz, 1e3)}–${mhz(family.f_stop_mhz, 1e3)} MHz` : "";
}

function card(family) {
  const example = family.example || family.representative || family.members?.[0];
  const picture = example?.window !== undefined && example.f_start_mhz !== undefined ? new WindowPicture(`${example.source}/${example.window}`, example, display, 92) : null;
  return { picture, element: h("li", { class: "example" }, picture?.element, h("p", {}, h("b", {}, h("a", { href: `/families/${part(String(family.id))}` }, nameOf(family)))),
    h("p", { class: "quiet" }, [counted(family.windows ?? family.size ?? 0, "window"), family.scans === undefined ? "" : counted(family.scans, "scan"), range(family)].filter(Boolean).join(" · "))) };
}

async function showAll(main) {
  const { families } = await get("families");
  const cards = families.map(card);
  fill(main, h("h1", {}, "Families"), h("p", { class: "lead" }, "Groups of kept windows that look alike, the largest first."),
    families.length ? h("ul", { class: "examples" }, cards.map((one) => one.element)) : h("div", { class: "empty" }, h("p", {}, "No families have been made of this corpus yet.")));
  loadInSight(cards.map((one) => one.picture).filter(Boolean));
}

function occurrenceBox(found) {
  if (!found) return null;
  const rows = Object.entries(found).filter(([, value]) => value === null || typeof value !== "object");
  return h("section", {}, h("h2", {}, "Occurrence"), h("dl", { class: "terms" }, rows.map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, typeof value === "number" ? short(value) : String(value ?? "–"))])));
}

async function showOne(main, id) {
  const family = await get(`families/${part(id)}`);
  const occurrence = await get(`families/${part(id)}/occurrence`).catch(() => null);
  const members = family.members || [];
  const pictures = [];
  const cards = members.slice(0, MOST_MEMBERS).map((member) => {
    const name = `${member.source}/${member.window}`;
    const picture = new WindowPicture(name, member, display, 92);
    pictures.push(picture);
    return h("li", { class: "example" }, picture.element, h("p", {}, member.target || member.source, member.snr ? ` SNR ${member.snr.toFixed(1)}` : ""),
      h("a", { class: "button", href: resultsAddress({ window: name, on_off: true, k: 24 }) }, "Look-alikes"));
  });
  document.title = `${nameOf(family)} · Lookalike`;
  fill(main, h("p", {}, h("a", { href: "/families" }, "All families")), h("h1", {}, nameOf(family)),
    h("p", { class: "lead" }, [counted(family.windows ?? members.length, "window"), range(family)].filter(Boolean).join(" · ")), occurrenceBox(occurrence),
    h("h2", {}, "Members"), members.length > MOST_MEMBERS ? h("p", { class: "quiet" }, `The first ${MOST_MEMBERS} of ${members.length} are shown.`) : null, h("ul", { class: "examples" }, cards),
    h("details", {}, h("summary", {}, "Members as a table"), table("Members", ["window", "MHz from", "to", "SNR"], members.map((one) => [`${one.source}/${one.window}`, mhz(one.f_start_mhz), mhz(one.f_stop_mhz), one.snr?.toFixed(1)]), [1, 2, 3])));
  loadInSight(pictures);
}

async function start() {
  const main = find("#content");
  const id = idOfPage();
  try {
    await (id ? showOne(main, id) : showAll(main));
  } catch (error) {
    fill(main, h("h1", {}, "Families"), errorBox(error));
  }
  bindKeys([]);
}

start();
