/** What can be taken away from a waterfall: its picture, its kept windows, and the commands that give the same. */

import { part } from "./api.js";
import { fileName, mhz } from "./axes.js";
import { announce, h } from "./dom.js";
import { exportsBox, pythonLines, quoted, tableLinks } from "./exports.js";

const TITLE = 24;
const FONT = "13px system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";

/** Draw all panels below one another, each with a title, and save them as a PNG. */
function savePicture(panels) {
  const pictures = panels.map((panel) => panel.joined());
  const ratio = Math.min(window.devicePixelRatio || 1, 2);
  const title = TITLE * ratio;
  const whole = document.createElement("canvas");
  whole.width = Math.max(...pictures.map((one) => one.width));
  whole.height = pictures.reduce((sum, one) => sum + one.height + title, 0);
  const context = whole.getContext("2d");
  const style = getComputedStyle(document.body);
  context.fillStyle = style.backgroundColor;
  context.fillRect(0, 0, whole.width, whole.height);
  let y = 0;
  for (const [i, picture] of pictures.entries()) {
    const { source } = panels[i];
    context.save();
    context.scale(ratio, ratio);
    context.font = FONT;
    context.fillStyle = style.color;
    const name = [source.target, fileName(source.file)].filter(Boolean).join("   ");
    context.fillText(`${name}   MJD ${source.mjd.toFixed(5)}   ${source.telescope}`, 10, y / ratio + 17);
    context.restore();
    context.drawImage(picture, 0, y + title);
    y += picture.height + title;
  }
  whole.toBlob((blob) => {
    if (!blob) {
      announce("The picture is too large for the browser. Make the window smaller.", "error");
      return;
    }
    const link = h("a", { href: URL.createObjectURL(blob), download: `lookalike-${panels[0].source.id}.png` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }, "image/png");
}

/** Return the box of what can be taken away. `board` holds the view and the panels. */
export function waterfallExports(board, source) {
  const step = source.channel_width_hz;
  const [start, stop] = [board.view.start, board.view.stop].map((one) => mhz(one, step));
  const scan = quoted(source.id);
  return exportsBox(
    [
      h("button", { type: "button", onclick: () => savePicture(board.panels) }, "PNG of the picture"),
      h("span", { class: "quiet" }, "Kept windows in view (of more than 100,000, those with the highest SNR):"),
      tableLinks(`sources/${part(source.id)}/windows`, `windows-${source.id}`, {
        f_start_mhz: board.view.start,
        f_stop_mhz: board.view.stop,
      }),
    ],
    ["Command line", `lookalike scans ${scan} --corpus CORPUS --f-start ${start} --f-stop ${stop} --csv`],
    [
      "Python",
      pythonLines(
        `windows = corpus.kept_windows("${source.id}", ${start}, ${stop})`,
        `overview = corpus.overview("${source.id}", ${start}, ${stop})  # maximum and mean, with their axes`,
      ),
    ],
  );
}
