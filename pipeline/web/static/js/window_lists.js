/** The kept windows and the known interference in view: for the overlays, and as tables beside the picture. */

import { likeAddress } from "./address.js";
import { get, part } from "./api.js";
import { counted, fileName, mhz } from "./axes.js";
import { debounced, errorBox, fill, h } from "./dom.js";
import { windowName } from "./kept_windows.js";

const MOST = 400;
const IN_TABLE = 100;

/** Return why the list may count more windows than the head of the page; null for a scan without averaged views. */
const wordsOfCounts = (source) =>
  source.views.length
    ? h(
        "p",
        { id: "words-of-counts", class: "quiet" },
        `The ${counted(source.kept, "kept window")} above are those of the plain view of the whole scan; the list ` +
          `below counts what is in view, and windows of the averaged views (${source.views.join(", ")}) too.`,
      )
    : null;

/** What is known of the range that is looked at. */
export class WindowLists {
  constructor(board, source, table) {
    this.board = board;
    this.source = source;
    this.table = table;
    this.windowsPlace = h("div");
    this.knownPlace = h("div");
    this.summary = h("summary", {}, "Kept windows in view");
    this.element = h(
      "div",
      { class: "twins" },
      wordsOfCounts(source),
      h("details", {}, this.summary, this.windowsPlace),
      h("details", {}, h("summary", {}, "Known interference in view"), this.knownPlace),
    );
    this.wanted = debounced((view) => this.fetch(view), 200);
  }

  /** Fetch the lists for these panels from now on. */
  follow(panels) {
    this.panels = panels;
    for (const panel of panels) {
      panel.windows = [];
      get("labels", { source: panel.source.id, limit: MOST })
        .then((answer) => {
          panel.labels = answer.labels;
          panel.paintInk();
        })
        .catch(() => {}); // the page is of use without labels
    }
  }

  async fetch(view) {
    const range = { f_start_mhz: view.start, f_stop_mhz: view.stop };
    const { panels } = this;
    const answers = await Promise.allSettled(
      panels.map((panel) => get(`sources/${part(panel.source.id)}/windows`, { ...range, limit: MOST })),
    );
    const known = await get("known", range).catch(() => ({ bands: [] }));
    if (panels !== this.panels || view !== this.board.view) return;
    this.board.known = known.bands || known.known || [];
    answers.forEach((answer, i) => {
      panels[i].windows = answer.value?.windows || [];
      panels[i].more = answer.value?.more;
      panels[i].lacks = answer.reason;
    });
    for (const panel of panels) {
      panel.paint();
      panel.describe();
    }
    this.showWindows(panels);
    this.showKnown();
  }

  showWindows(panels) {
    const all = panels.flatMap((panel) => panel.windows.map((one) => ({ ...one, scan: panel.source })));
    const more = panels.some((panel) => panel.more);
    fill(this.summary, `Kept windows in view: ${more ? "more than " : ""}${all.length.toLocaleString("en")}`);
    const lacks = panels.map((panel) => panel.lacks).find(Boolean);
    if (lacks && !all.length) {
      fill(this.summary, "Kept windows in view: unknown");
      fill(this.windowsPlace, errorBox(lacks));
      return;
    }
    const rows = all
      .sort((a, b) => b.snr - a.snr)
      .slice(0, IN_TABLE)
      .map((one) => {
        return [
          h("a", { href: likeAddress(windowName(one)) }, "look-alikes"),
          one.scan.target || fileName(one.scan.file),
          one.view || "1x",
          mhz(one.f_start_mhz),
          mhz(one.f_stop_mhz),
          one.t_start_s.toFixed(1),
          one.t_stop_s.toFixed(1),
          one.snr.toFixed(1),
        ];
      });
    if (!rows.length) {
      fill(this.windowsPlace, h("p", { class: "quiet" }, "No window was kept here: the gate saw noise only."));
      return;
    }
    fill(
      this.windowsPlace,
      lacks ? errorBox(lacks) : null,
      this.table(
        `The ${counted(rows.length, "strongest kept window")}`,
        ["search", "scan", "view", "from MHz", "to MHz", "from s", "to s", "SNR"],
        rows,
        [3, 4, 5, 6, 7],
      ),
    );
  }

  showKnown() {
    const rows = this.board.known.map((band) => [
      band.name,
      band.kind,
      band.f_start_mhz,
      band.f_stop_mhz,
      band.source || "",
    ]);
    fill(
      this.knownPlace,
      rows.length
        ? this.table("Who may send here", ["name", "kind", "from MHz", "to MHz", "source"], rows, [2, 3])
        : h("p", { class: "quiet" }, "The table of known interference has no band here."),
    );
  }
}
