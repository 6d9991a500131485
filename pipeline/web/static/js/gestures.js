/** The mouse on a waterfall: the wheel zooms at the cursor, dragging selects, dragging with Shift moves. */

import { selectionOf } from "./view.js";

const LEAST_DRAG = 4;
const FLAT = 10;

/**
 * Let the mouse act on a panel.
 *
 * @param {import("./waterfall_panel.js").WaterfallPanel} panel
 * @param {object} board what all panels share
 * @param {object} act what happens: `look`, `select`, `readOut`, `zoomed`; and the `source` that was opened
 */
export function bindGestures(panel, board, act) {
  const { ink } = panel;
  let drag = null;
  const at = (event) => ({ ...panel.read(event), panel });
  ink.addEventListener(
    "wheel",
    (event) => {
      const place = panel.read(event);
      if (!place.inside) return;
      event.preventDefault();
      const pixels = event.deltaMode === 1 ? 16 : 1;
      const { view } = board;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        const by = ((event.deltaX || event.deltaY) * pixels) / panel.box.width;
        act.look(moveBy(act.source, view, by));
      } else act.look(act.zoomed(act.source, view, Math.exp(event.deltaY * pixels * 0.0016), place.across));
    },
    { passive: false },
  );

  ink.addEventListener("pointerdown", (event) => {
    const place = at(event);
    if (event.button > 1 || !place.inside) return;
    ink.setPointerCapture(event.pointerId);
    drag = {
      start: place,
      x: event.clientX,
      y: event.clientY,
      view: board.view,
      isPan: event.shiftKey || event.button === 1,
    };
    if (event.button === 1) event.preventDefault();
  });

  ink.addEventListener("pointermove", (event) => {
    const place = at(event);
    if (drag?.isPan) act.look(moveBy(act.source, drag.view, (drag.x - event.clientX) / panel.box.width));
    else if (drag && hasMoved(drag, event)) {
      board.selection = selectionBetween(drag, place, event);
      drag.isSelecting = true;
      for (const one of board.panels) one.paintInk();
    }
    act.readOut(place);
  });

  const finish = (event) => {
    if (drag?.isSelecting) {
      act.select(selectionBetween(drag, at(event), event));
      panel.offerSearch();
    }
    drag = null;
  };
  ink.addEventListener("pointerup", finish);
  ink.addEventListener("pointercancel", () => {
    drag = null;
  });
  ink.addEventListener("pointerleave", () => drag || act.readOut({ inside: false }));
  ink.addEventListener("dblclick", (event) => {
    const place = panel.read(event);
    if (place.inside) act.look(act.zoomed(act.source, board.view, 0.25, place.across));
  });

  const hasMoved = (from, event) => Math.abs(event.clientX - from.x) >= LEAST_DRAG || from.isSelecting;
  const selectionBetween = (from, place, event) =>
    selectionOf(
      panel.source,
      board.view,
      {
        left: Math.min(from.start.across, place.across),
        right: Math.max(from.start.across, place.across),
        top: Math.min(from.start.down, place.down),
        bottom: Math.max(from.start.down, place.down),
      },
      Math.abs(event.clientY - from.y) < FLAT,
    );
}

function moveBy(source, view, share) {
  const width = view.stop - view.start;
  const start = Math.min(Math.max(view.start + share * width, source.f_start_mhz), source.f_stop_mhz - width);
  return { start, stop: start + width };
}
