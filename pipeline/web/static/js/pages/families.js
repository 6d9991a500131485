/** Families: groups of windows that look alike, and one family with its members. */

import { idOfPage } from "../address.js";
import { addressOf, get, part } from "../api.js";
import { band, counted, date } from "../axes.js";
import { errorBox, fill, find, h, table } from "../dom.js";
import { exampleList, likeLink } from "../example_card.js";
import { exportsBox, fileLink, pythonLines, quoted, tableLinks } from "../exports.js";
import { hitTable } from "../hit_card.js";
import { windowName } from "../kept_windows.js";
import { bindKeys } from "../keys.js";
import { labelForm, mayLabel } from "../label_form.js";
import { nameForm } from "../name_form.js";
import { occurrenceTables } from "../occurrence.js";
import { spacingBox } from "../spacing.js";

const MOST_PICTURES = 60;

const nameOf = (family) => [family.id, family.name || family.label].filter(Boolean).join(" · ");

const words = (family) =>
  [
    counted(family.windows, "window"),
    counted(family.scans, "scan"),
    `${band(family.f_start_mhz, family.f_stop_mhz)} MHz`,
    family.view ? `view ${family.view}` : "",
  ]
    .filter(Boolean)
    .join(" · ");

/** Return the targets of a family in words, those seen most first. */
const targets = (family) =>
  Object.entries(family.targets || {})
    .slice(0, 3)
    .map(([name, scans]) => `${name} (${scans})`)
    .join(", ");

const familyLines = (family) => [
  h("p", {}, h("b", {}, h("a", { href: `/families/${part(family.id)}` }, nameOf(family)))),
  h("p", { class: "quiet" }, words(family)),
  h("p", { class: "quiet" }, targets(family)),
];

async function showAll(main) {
  const { families, not_judged: notJudged, reason, generation } = await get("families");
  fill(
    main,
    h("h1", {}, "Families"),
    h("p", { class: "lead" }, "Groups of kept windows that look alike, the largest first."),
    notJudged
      ? h(
          "p",
          { class: "quiet" },
          `${counted(notJudged, "window")} came after families were last made, and belong to none yet.`,
        )
      : null,
    families.length
      ? [
          exampleList(
            families.map((one) => one.example),
            (_, i) => familyLines(families[i]),
          ),
          h("details", {}, h("summary", {}, "Families as a table"), familyTable(families)),
          exportsBox(
            tableLinks("families", "families"),
            ["Command line", "lookalike families --corpus CORPUS --no-update --csv"],
            ["Python", pythonLines('corpus.families().table().save("families.vot")')],
          ),
        ]
      : nothing(reason, generation === null),
  );
}

const familyTable = (families) =>
  table(
    "Families",
    ["family", "windows", "scans", "MHz", "first seen", "last seen", "targets"],
    families.map((one) => [
      nameOf(one),
      one.windows,
      one.scans,
      band(one.f_start_mhz, one.f_stop_mhz),
      date(one.first_seen_mjd),
      date(one.last_seen_mjd),
      targets(one),
    ]),
    [1, 2, 3],
  );

const nothing = (reason, wereNeverMade) =>
  h(
    "div",
    { class: "empty" },
    wereNeverMade
      ? [
          h("p", {}, "No families have been found yet. This command finds them; then load the page again:"),
          h("pre", { tabindex: "0" }, "lookalike families --corpus CORPUS"),
        ]
      : h("p", {}, reason),
  );

async function showOne(main, id) {
  const [family, isLabeller, occurrence] = await Promise.all([
    get(`families/${part(id)}`),
    mayLabel(),
    get(`families/${part(id)}/occurrence`).catch(() => null),
  ]);
  const { members = [], spacing, by_target: byTarget } = family;
  history.replaceState(history.state, "", `/families/${part(family.id)}`); // a name may change, an id does not
  const title = h("h1", {});
  const show = (name) => {
    fill(title, nameOf({ ...family, name }));
    document.title = `${title.textContent} · Lookalike`;
  };
  show(family.name);
  fill(
    main,
    h("p", {}, h("a", { href: "/families" }, "All families")),
    title,
    h("p", { class: "lead" }, words(family)),
    isLabeller
      ? h(
          "div",
          { class: "forms" },
          nameForm(family, show),
          labelForm(() => members.map(windowName), "Label for members", "Label for the listed members"),
        )
      : null,
    family.known?.length
      ? h(
          "p",
          {},
          "Known interference there: ",
          family.known.map((one) => h("span", { class: "chip known" }, one)),
        )
      : null,
    h("h2", {}, "Members, the most typical first"),
    members.length > MOST_PICTURES
      ? h("p", { class: "quiet" }, `${MOST_PICTURES} of ${members.length} have a picture; the table has all.`)
      : null,
    exampleList(members.slice(0, MOST_PICTURES), (member) => [
      h("p", {}, h("b", {}, member.target), ` SNR ${member.snr?.toFixed(1) ?? "–"}`),
      likeLink(member),
    ]),
    occurrence ? h("section", {}, h("h2", {}, "Occurrence"), occurrenceTables(occurrence)) : null,
    byTarget?.length ? targetTable(byTarget) : null,
    spacing ? spacingBox(spacing) : null,
    h("details", {}, h("summary", {}, "Members as a table"), memberTable(members)),
    familyExports(family.id),
  );
}

const familyExports = (id) =>
  exportsBox(
    [
      tableLinks(`families/${part(id)}`, `family-${id}`),
      fileLink(addressOf(`families/${part(id)}.png`), `lookalike-family-${id}.png`, "PNG"),
    ],
    ["Command line", `lookalike families ${quoted(id)} --corpus CORPUS --csv --plot ${quoted(id)}.png`],
    ["Python", pythonLines(`corpus.family("${id}", None).table().save("${id}.vot")`)],
  );

const targetTable = (targets) =>
  table(
    "By target",
    ["target", "windows", "scans", "first seen", "last seen", "MHz"],
    targets.map((one) => [
      one.target,
      one.windows,
      one.scans,
      date(one.first_seen_mjd),
      date(one.last_seen_mjd),
      band(one.f_start_mhz, one.f_stop_mhz),
    ]),
    [1, 2, 5],
  );

const memberTable = (members) =>
  hitTable(
    "Members",
    members.map((one) => ({ merged: [], expected: null, on_off: null, ...one })),
  );

async function start() {
  const main = find("#content");
  const id = idOfPage();
  try {
    await (id ? showOne(main, id) : showAll(main));
  } catch (error) {
    const back = id ? h("p", {}, h("a", { href: "/families" }, "All families")) : null;
    fill(main, back, h("h1", {}, id ? `Family ${id}` : "Families"), errorBox(error));
  }
  bindKeys([]);
}

start();
